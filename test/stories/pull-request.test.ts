import { expect, test } from '@jest/globals'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '../../src/process.ts'
import { startApi } from '../github-api.ts'
import { runAction, type ActionRun } from '../run-action.ts'
import { DOCKERFILE, makeShape, migration, project } from './shape.ts'
import { codes, strayPrograms, tell } from './story.ts'

const COMPOSE = 'services: { web: { build: ., env_file: .env, ports: ["@PORT@:8000"] } }\n'
const MODEL = `from django.db import models
class Note(models.Model):
    id = models.BigAutoField(primary_key=True)
`

test('the migrations of a pull request are judged in the image, and meet no host', async () => {
  const files = { ...project('v1'), Dockerfile: DOCKERFILE, 'compose.yaml': COMPOSE }
  await using shape = await makeShape(files)
  const { workspace } = shape
  const comments: string[] = []
  await using api = await startApi(({ method, body }) => {
    if (method !== 'GET') comments.push((body as { body: string }).body)
    const kept = { id: 1, body: comments.at(-1), user: { type: 'Bot' }, author_association: 'NONE', html_url: 'x' }
    return {
      status: method === 'POST' ? 201 : 200,
      body: method === 'GET' ? comments.slice(0, 1).map(() => kept) : kept,
    }
  })
  const folder = await mkdtemp(join(tmpdir(), 'pull-request-'))
  const eventPath = join(folder, 'event.json')
  const head = async (): Promise<string> => (await run('git', ['rev-parse', 'HEAD'], { cwd: workspace })).stdout.trim()
  const sha = await head()
  const ask = async (inputs: Record<string, string>, base = sha): Promise<ActionRun> => {
    const from = { repo: { full_name: `owner/${shape.name}` } }
    const event = { pull_request: { number: 5, base: { sha: base, ref: 'main' }, head: from } }
    await writeFile(eventPath, JSON.stringify(event))
    const env = {
      GITHUB_EVENT_NAME: 'pull_request',
      GITHUB_EVENT_PATH: eventPath,
      GITHUB_SHA: await head(),
      GITHUB_REPOSITORY: `owner/${shape.name}`,
      GITHUB_API_URL: api.url,
    }
    const all = { 'dry-run': 'true', comment: 'true', 'github-token': 'only for this test', ...inputs }
    return runAction({ action: 'action.yml', cwd: workspace, inputs: all, env })
  }
  try {
    const remove = migration('0001_initial', '\n        migrations.RemoveField("note", "text"),\n    ')
    await shape.write({ 'notes/models.py': MODEL, 'notes/migrations/0002_gone.py': remove })
    const refused = await ask({})
    expect(codes(refused)).toEqual(['Deploy Django: migration-unsafe'])
    const [annotation] = refused.annotations
    expect(annotation?.properties).toMatchObject({ file: 'notes/migrations/0002_gone.py', line: '5' })
    expect(annotation?.message).toContain('main can no longer read, insert, update')
    expect(annotation?.message).toContain('state_operations=[migrations.RemoveField("note", "text")]')
    expect(refused.outputs).toMatchObject({ outcome: 'failed', serving: '' })
    expect(JSON.parse(refused.outputs['plan'] ?? '')).toMatchObject({
      order: 'stopped',
      return: 'none',
      operations: [
        { step: 'stop', object: 'web', reason: 'its code cannot work with notes.0002_gone' },
        { step: 'migrate', object: 'notes.0002_gone', reason: 'not in main' },
      ],
      pending: [{ app: 'notes', name: '0002_gone', accepted: false }],
      drift: [],
    })

    // Approved in review; a second one that needs no approval is still shown.
    const renamed = migration('0002_gone', '\n        migrations.RenameModel("Note", "Memo"),\n    ')
    await shape.write({
      'notes/models.py': MODEL.replace('Note', 'Memo'),
      'notes/migrations/0002_gone.py': `# deploy-django: accept\n${remove}`,
      'notes/migrations/0003_memo.py': renamed,
    })
    const planned = await ask({})
    expect(planned.log).toContain('[command]')
    expect(strayPrograms(planned.log)).toEqual([])
    expect(planned.outputs).toMatchObject({ outcome: 'planned' })
    expect(planned.annotations.map(({ kind, properties }) => ({ kind, ...properties }))).toEqual([
      { kind: 'warning', file: 'notes/migrations/0003_memo.py', line: '5' },
    ])
    expect(planned.summary).toContain('| migrate | notes.0003&#95;memo | not in main |')

    // One comment, which said that it was refused, and then what the plan is.
    const ways = api.requests.map(({ method, path }) => `${method} ${path}`)
    const of = `/repos/owner/${shape.name}/issues`
    expect(ways).toEqual([
      `GET ${of}/5/comments`,
      `POST ${of}/5/comments`,
      `GET ${of}/5/comments`,
      `PATCH ${of}/comments/1`,
    ])
    const [first = '', second = ''] = comments
    expect(first.split('\n')[0]).toBe(`<!-- deploy-django ${shape.name} -->`)
    expect(first).toContain('migration-unsafe')
    expect(first).toContain('| notes.0002&#95;gone |')
    expect(second).toContain('### 📋 The plan for')
    expect(second).toContain('| migrate | notes.0003&#95;memo | not in main |')

    // A change of a model that nobody made a migration for is refused where the project wants that, at its line.
    const added = `${MODEL.replace('Note', 'Memo')}    extra = models.BooleanField(default=False)\n`
    await shape.write({ 'notes/models.py': added })
    const drifted = await ask({ drift: 'error' })
    expect(drifted.annotations).toMatchObject([
      { properties: { title: 'Deploy Django: models-changed', file: 'notes/models.py', line: '2' } },
    ])
    expect(drifted.annotations[0]?.message).toContain('notes: Add field extra to memo')

    const shallow = await ask({}, '0123456789abcdef0123456789abcdef01234567')
    expect(codes(shallow)).toEqual(['Deploy Django: base-missing'])
    const deploying = await ask({ host: shape.server.host })
    expect(codes(deploying)).toEqual(['Deploy Django: pull-request'])
    expect(await shape.containers()).toEqual([])
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('the notes of the release that the tag has get what was deployed, below what a person wrote', async () => {
  await using site = await tell('todo', 'beta')
  let notes = 'Written by a person.'
  await using api = await startApi(({ method, body }) => {
    if (method === 'PATCH') notes = (body as { body: string }).body
    return { status: 200, body: { id: 7, body: notes } }
  })
  const env = { GITHUB_API_URL: api.url }
  const inputs = { comment: 'true', 'github-token': 'only for this test' }
  const deployed = await site.deploy('v1', { inputs, env })
  expect(deployed.outputs).toMatchObject({ outcome: 'deployed' })
  expect(strayPrograms(deployed.log)).toEqual([])
  expect((await site.deploy('v1', { inputs, env })).outputs).toMatchObject({ outcome: 'unchanged' })
  const of = `/repos/owner/${site.name}/releases`
  const ways = [`GET ${of}/tags/v1`, `PATCH ${of}/7`]
  expect(api.requests.map(({ method, path }) => `${method} ${path}`)).toEqual([...ways, ...ways])
  // One section, however often it is deployed.
  expect(notes.split(`<!-- deploy-django ${site.name} -->`)).toEqual([
    'Written by a person.\n\n',
    expect.stringContaining(`${site.name} already served v1`),
  ])
})
