import { get } from 'node:http'
import { expect, test } from '@jest/globals'
import type { ActionRun } from '../run-action.ts'
import { DOCKERFILE, makeShape, migration, project, type Files, type Shape } from './shape.ts'
import { codes } from './story.ts'

const COMPOSE = `services:
  web:
    build: .
    env_file: .env
    volumes: ["data:/data"]
  front:
    image: nginx:1-alpine
    ports: ["@PORT@:80"]
    volumes: ["./site.conf:/etc/nginx/conf.d/default.conf:ro"]
    depends_on: [web]
volumes: { data: {} }
`
const CONF = 'server { listen 80; location / { proxy_pass http://web:8000; proxy_set_header Host $http_host; } }\n'
const INPUTS = { 'env-file': 'SECRET_KEY=only-for-this-test-1\n' }

/** A release whose page reads every column. */
function release(version: string, fields: readonly string[], migrations: Files = {}): Files {
  const page = `lambda request: HttpResponse("${version} reads %d" % len(Note.objects.values_list()))`
  return {
    'notes/models.py': `from django.db import models
class Note(models.Model):
    id = models.BigAutoField(primary_key=True)
${fields.map((field) => `    ${field}\n`).join('')}`,
    'site_/urls.py': `from django.http import HttpResponse
from django.urls import path
from notes.models import Note
urlpatterns = [path("", ${page})]
`,
    ...migrations,
  }
}

/** What visitors saw who asked every 20 ms, each on a new connection, until the deploy ended: each answer once. */
async function watch(shape: Shape, deploy: Promise<ActionRun>): Promise<{ run: ActionRun; answers: string[] }> {
  const seen = new Set<string>()
  const open = new Set<Promise<unknown>>()
  const poll = setInterval(() => {
    // A slow site must not be made slower.
    if (open.size >= 3) return
    const asked = visit(shape.url)
      .then((answer) => seen.add(answer))
      .finally(() => open.delete(asked))
    open.add(asked)
  }, 20)
  const run = await deploy.finally(() => clearInterval(poll))
  await Promise.all(open)
  return { run, answers: [...seen].sort() }
}

/** The page, or the status of another answer, or why there is none. */
function visit(url: string): Promise<string> {
  return new Promise((resolve) => {
    const request = get(url, { agent: false }, (response) => {
      let page = ''
      response.on('data', (chunk) => (page += String(chunk)))
      response.on('error', (cause) => resolve(String(cause)))
      response.on('end', () => resolve(response.statusCode === 200 ? page : String(response.statusCode)))
    })
    request.on('error', (cause) => resolve(String(cause)))
  })
}

/** Runs a line of Python with the model, as a person would on the host. */
async function inShell({ server, name }: Shape, line: string): Promise<void> {
  const script = `from notes.models import Note; ${line}`
  await server.docker('exec', `${name}-web-1`, 'python', 'manage.py', 'shell', '-v', '0', '-c', script)
}

const planOf = (run: ActionRun): unknown => JSON.parse(run.outputs['plan'] ?? '')

/** Those of the front while the app is stopped are allowed, and nothing else. */
const whole = (answers: readonly string[]): string[] => answers.filter((answer) => !/^50[234]$/.test(answer))

test('the verdict decides: before the swap, while the app is stopped, or not without approval', async () => {
  const text = 'text = models.CharField(max_length=20)'
  const extra = 'extra = models.CharField(max_length=20, null=True)'
  const tag = extra.replace('extra', 'tag')
  const first = { ...project('v1'), ...release('v1', [text]), Dockerfile: DOCKERFILE, 'compose.yaml': COMPOSE }
  await using shape = await makeShape({ ...first, 'site.conf': CONF })
  const v1 = await shape.deploy('v1', INPUTS)
  expect(v1.outputs).toMatchObject({ outcome: 'deployed', serving: 'v1' })
  expect(planOf(v1)).toMatchObject({ order: 'before', return: 'containers' })

  const added = project('v2')['notes/migrations/0002_extra.py'] ?? ''
  await shape.write(release('v2', [text, extra], { 'notes/migrations/0002_extra.py': added }))
  const v2 = await watch(shape, shape.deploy('v2', INPUTS))
  expect(v2.run.annotations).toEqual([])
  expect(v2.run.outputs).toMatchObject({ outcome: 'deployed', serving: 'v2' })
  expect(planOf(v2.run)).toMatchObject({ order: 'before', return: 'containers' })
  expect(whole(v2.answers)).toEqual(['v1 reads 0', 'v2 reads 0'])
  expect(v2.run.log).toContain('The migrations run while v1 serves')

  const renamed = migration('0002_extra', 'migrations.RenameField("note", "extra", "tag")')
  await shape.write(release('v3', [text, tag], { 'notes/migrations/0003_tag.py': renamed }))
  const v3 = await watch(shape, shape.deploy('v3', INPUTS))
  expect(v3.run.outputs).toMatchObject({ outcome: 'deployed', serving: 'v3' })
  expect(planOf(v3.run)).toMatchObject({
    order: 'stopped',
    return: 'reverse',
    operations: expect.arrayContaining([
      { step: 'stop', object: 'web', reason: 'its code cannot work with notes.0003_tag' },
    ]),
    pending: [{ operations: [{ oldCode: 'breaks', reverses: 'fully', advice: expect.stringContaining('db_column') }] }],
  })
  expect(whole(v3.answers)).toEqual(['v2 reads 0', 'v3 reads 0'])
  const [annotation] = v3.run.annotations
  expect([codes(v3.run), annotation?.properties]).toEqual([
    [undefined],
    { file: 'notes/migrations/0003_tag.py', line: '4' },
  ])
  expect(annotation?.message).toContain('stops the site while it runs. v2 can no longer read')
  expect(v3.run.summary).toMatch(/the site was stopped for \| \d+\.\d s/)
  expect(v3.run.log).toMatch(/The site was stopped for \d+\.\d s/)

  const removed = migration('0003_tag', 'migrations.RemoveField("note", "text")')
  await shape.write(release('v4', [tag], { 'notes/migrations/0004_gone.py': removed }))
  const before = await shape.containers()
  const refused = await shape.deploy('v4', INPUTS)
  expect(codes(refused)).toEqual(['Deploy Django: migration-unsafe'])
  const lesson = refused.annotations[0]?.message ?? ''
  expect(lesson.split('\n')[0]).toMatch(
    /after notes\.0004_gone, a failed deployment cannot revert to v3; .* serves v3 \(it was not touched\)/,
  )
  expect(lesson).toContain('v3 can no longer read, insert, update')
  expect(lesson).toContain('state_operations=[migrations.RemoveField("note", "text")]')
  expect(refused.outputs).toMatchObject({ outcome: 'failed', serving: 'v3' })
  expect(planOf(refused)).toMatchObject({ order: 'stopped', return: 'none' })
  expect([await shape.containers(), (await shape.ask()).text]).toEqual([before, 'v3 reads 0'])

  // As the error shows it.
  const [, name = ''] = /accept-migrations: (\S+)/.exec(lesson) ?? []
  const v4 = await watch(shape, shape.deploy('v4', { ...INPUTS, 'accept-migrations': name }))
  expect(v4.run.annotations).toEqual([])
  expect(v4.run.outputs).toMatchObject({ outcome: 'deployed', serving: 'v4' })
  expect(planOf(v4.run)).toMatchObject({ order: 'stopped', return: 'none', pending: [{ accepted: true }] })
  expect(whole(v4.answers)).toEqual(['v3 reads 0', 'v4 reads 0'])
  expect(v4.run.summary).toMatch(/\| backup \| [\d.]+ (kB|MB), `\.deploy\/backups\//)

  // The column comes back without the values that it had. Where a row would have none, the rollback is refused.
  const back = { version: 'v3', 'reverse-migrations': 'true' }
  await inShell(shape, 'Note.objects.create()')
  const blocked = await watch(shape, shape.rollback(back))
  expect(codes(blocked.run)).toEqual(['Deploy Django: migration-irreversible'])
  expect(blocked.run.annotations[0]?.message).toMatch(
    /nothing was changed; .* serves v4 .*\n.*notes_note\.text must have a value again and has no default; rows: 1/,
  )
  expect(blocked.answers).toEqual(['v4 reads 1'])
  await inShell(shape, 'Note.objects.all().delete()')
  const v3Again = await watch(shape, shape.rollback(back))
  expect(v3Again.run.outputs).toMatchObject({ outcome: 'rolled-back', serving: 'v3' })
  expect(planOf(v3Again.run)).toMatchObject({
    order: 'stopped',
    operations: expect.arrayContaining([
      { step: 'stop', object: 'web', reason: 'its code cannot work with the schema of v3' },
      expect.objectContaining({ step: 'unapply', object: 'notes.0004_gone' }),
    ]),
  })
  expect(v3Again.run.summary).toMatch(/the site was stopped for \| \d+\.\d s/)
  expect(whole(v3Again.answers)).toEqual(['v3 reads 0', 'v4 reads 0'])

  // Code without a reverse: the old release can work with it, so the site is not stopped for it.
  await shape.write(
    release('v5', [text, tag], {
      'notes/migrations/0004_code.py': migration('0003_tag', 'migrations.RunPython(print)'),
    }),
    ['notes/migrations/0004_gone.py'],
  )
  const v5 = await watch(shape, shape.deploy('v5', INPUTS))
  expect(v5.run.outputs).toMatchObject({ outcome: 'deployed', serving: 'v5' })
  expect(planOf(v5.run)).toMatchObject({ order: 'before', return: 'containers', pending: [{ accepted: false }] })
  expect(v5.run.annotations.map(({ message }) => message)).toEqual([
    expect.stringContaining('Raw Python operation has no reverse, so it stays after a rollback'),
  ])
  expect(v5.run.summary).not.toContain('the site was stopped for')
  expect(v5.run.summary).toMatch(/\| backup \| [\d.]+ (kB|MB), `\.deploy\/backups\//)
  expect(whole(v5.answers)).toEqual(['v3 reads 0', 'v5 reads 0'])

  // It stays applied: a rollback that would have to reverse it is refused, one that need not is done.
  const stays = await watch(shape, shape.rollback(back))
  expect(codes(stays.run)).toEqual(['Deploy Django: migration-irreversible'])
  expect(stays.run.annotations[0]?.message).toContain('notes.0004_code')
  expect(stays.answers).toEqual(['v5 reads 0'])
  const last = await watch(shape, shape.rollback({ version: 'v3' }))
  expect(last.run.outputs).toMatchObject({ outcome: 'rolled-back', serving: 'v3' })
  expect(last.run.log).toContain('These migrations stay applied, v3 can work with them: notes.0004_code')
  expect(last.run.summary).not.toContain('the site was stopped for')
  expect(whole(last.answers)).toEqual(['v3 reads 0', 'v5 reads 0'])
})

test('a column that must have a value stops the site; without a way back the new release stays, though it does not serve', async () => {
  const text = 'text = models.CharField(max_length=20)'
  const due = 'due = models.IntegerField(default=0)'
  const first = { ...project('v1'), ...release('v1', [text]), Dockerfile: DOCKERFILE, 'compose.yaml': COMPOSE }
  await using shape = await makeShape({ ...first, 'site.conf': CONF })
  expect((await shape.deploy('v1', INPUTS)).outputs).toMatchObject({ outcome: 'deployed', serving: 'v1' })

  const added = migration('0001_initial', 'migrations.AddField("note", "due", models.IntegerField(default=0))')
  await shape.write(release('v2', [text, due], { 'notes/migrations/0002_due.py': added }))
  const v2 = await watch(shape, shape.deploy('v2', INPUTS))
  expect(v2.run.outputs).toMatchObject({ outcome: 'deployed', serving: 'v2' })
  expect(planOf(v2.run)).toMatchObject({
    order: 'stopped',
    return: 'reverse',
    pending: [
      { operations: [{ oldCode: 'breaks', breaks: ['insert'], advice: expect.stringContaining('db_default') }] },
    ],
  })
  expect(whole(v2.answers)).toEqual(['v1 reads 0', 'v2 reads 0'])

  const removed = migration('0002_due', 'migrations.RemoveField("note", "text")')
  const broken = release('v3', [due], { 'notes/migrations/0003_gone.py': removed })
  await shape.write({ ...broken, 'site_/urls.py': (broken['site_/urls.py'] ?? '').replace('len(', 'len(1 / 0, ') })
  const accepting = { ...INPUTS, 'accept-migrations': 'notes.0003_gone' }
  const { run: v3, answers } = await watch(shape, shape.deploy('v3', accepting))
  // v2 until the stop; then the front's own answers, and at last those of v3, which cannot go back.
  expect(whole(answers)).toEqual(['500', 'v2 reads 0'])
  expect(v3.outputs).toMatchObject({ outcome: 'failed', serving: '' })
  expect(JSON.parse(v3.outputs['migrations'] ?? '')).toMatchObject([{ app: 'notes', name: '0003_gone' }])
  const told = v3.annotations.map(({ message }) => message).join('\n')
  expect(told).toContain('nothing serves: v3 stays, but it is not healthy')
  expect(told).toMatch(/to restore it, on the host: sh '[^']+\.restore'/)
  expect(await visit(shape.url)).toBe('500')

  await shape.write(release('v4', [due]))
  const v4 = await shape.deploy('v4', INPUTS)
  expect(v4.outputs).toMatchObject({ outcome: 'deployed', serving: 'v4' })
  expect((await shape.ask()).text).toBe('v4 reads 0')

  // The third of a chain fails after two were applied, of which the code that serves cannot work with one.
  const note = 'note = models.CharField(max_length=20, null=True)'
  const end = due.replace('due', 'end')
  const chain = {
    'notes/migrations/0004_note.py': migration(
      '0003_gone',
      'migrations.AddField("note", "note", models.CharField(max_length=20, null=True))',
    ),
    'notes/migrations/0005_end.py': migration('0004_note', 'migrations.RenameField("note", "due", "end")'),
    'notes/migrations/0006_fails.py': migration('0005_end', 'migrations.RunSQL("SELECT 1 FROM nowhere", "")'),
  }
  await shape.write(release('v5', [note, end], chain))
  const v5 = await watch(shape, shape.deploy('v5', INPUTS))
  expect(codes(v5.run)).toContain('Deploy Django: migration-failed')
  expect(v5.run.annotations.at(-1)?.message).toMatch(
    /^Migration notes\.0006_fails failed; .* serves v4 again after \d+\.\d s \[migration-failed\]/,
  )
  expect(v5.run.outputs).toMatchObject({ outcome: 'failed', serving: 'v4', migrations: '[]' })
  expect(whole(v5.answers)).toEqual(['v4 reads 0'])

  await shape.write({ 'notes/migrations/0006_fails.py': migration('0005_end', 'migrations.RunSQL("SELECT 1", "")') })
  const corrected = await watch(shape, shape.deploy('v5', INPUTS))
  expect(corrected.run.outputs).toMatchObject({ outcome: 'deployed', serving: 'v5' })
  expect(whole(corrected.answers)).toEqual(['v4 reads 0', 'v5 reads 0'])

  const back = { version: 'v4', 'reverse-migrations': 'true' }
  const v4Again = await watch(shape, shape.rollback(back))
  expect(v4Again.run.outputs).toMatchObject({ outcome: 'rolled-back', serving: 'v4' })
  expect(whole(v4Again.answers)).toEqual(['v4 reads 0', 'v5 reads 0'])
})
