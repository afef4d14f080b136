import { expect, test } from '@jest/globals'
import { DOCKERFILE, makeShape, migration, project, type Files } from './shape.ts'
import { codes, restoreAs } from './story.ts'

const COMPOSE = `services:
  web:
    build: .
    image: @REGISTRY@/@NAME@/site
    restart: unless-stopped
    env_file: .env
    ports: ["@PORT@:8000"]
    volumes: ["data:/data"]
  worker:
    image: @REGISTRY@/@NAME@/site
    command: python -c "import signal; signal.pause()"
    init: true
    env_file: .env
    volumes: ["data:/data"]
volumes:
  data:
`
const inputs = { image: '', 'env-file': 'SECRET_KEY=only-for-this-test-1\n' }

/** A site whose page `/add` writes a note; its model has these fields. */
const site = (version: string, field: string, more = ''): Files => ({
  ...project('v1'),
  'docker-compose.yml': COMPOSE,
  Dockerfile: DOCKERFILE,
  'site_/urls.py': `from django.http import HttpResponse
from django.urls import path
from notes.models import Note
def add(request):
    Note.objects.create(${field}="written by ${version}")
    return HttpResponse("added")
urlpatterns = [
    path("", lambda request: HttpResponse("${version}: " + ", ".join(Note.objects.order_by("id").values_list("${field}", flat=True)))),
    path("add", add),
]
`,
  'notes/models.py': `from django.db import models
class Note(models.Model):
    id = models.BigAutoField(primary_key=True)
    ${field} = models.CharField(max_length=20)
${more}`,
})

const v2: Files = {
  ...site(
    'v2',
    'text',
    `    extra = models.CharField(max_length=20, null=True)
class Tag(models.Model):
    id = models.BigAutoField(primary_key=True)
`,
  ),
  'notes/migrations/0002_extra.py': migration(
    '0001_initial',
    `migrations.AddField("note", "extra", models.CharField(max_length=20, null=True)),
        migrations.CreateModel("Tag", [("id", models.BigAutoField(primary_key=True, serialize=False))])`,
  ),
}
const v3: Files = {
  ...v2,
  ...site('v3', 'body'),
  'notes/models.py': (v2['notes/models.py'] ?? '').replace('text =', 'body ='),
  'notes/migrations/0003_body.py': migration('0002_extra', 'migrations.RenameField("note", "text", "body")'),
}
const v4: Files = { 'notes/migrations/0004_data.py': migration('0003_body', 'migrations.RunPython(print)') }

test('a rollback over two releases takes their migrations back, and forward they come again', async () => {
  await using shape = await makeShape(site('v1', 'text'))
  const run = (script: string) => shape.sub('exec', { service: 'web', run: script })
  const applied = async (): Promise<string[]> =>
    [...(await run('python manage.py showmigrations notes')).log.matchAll(/\[X\] (\w+)/g)].map(([, name]) => name ?? '')
  expect((await shape.deploy('v1', inputs)).outputs).toMatchObject({ outcome: 'deployed' })
  await shape.ask('/add')
  await shape.write(v2)
  expect((await shape.deploy('v2', inputs)).outputs).toMatchObject({ outcome: 'deployed' })
  await run(
    `python manage.py shell -v 0 -c "from notes.models import *; Tag.objects.create(); Note.objects.update(extra='x')"`,
  )
  await shape.write(v3)
  expect((await shape.deploy('v3', inputs)).outputs).toMatchObject({ outcome: 'deployed', serving: 'v3' })
  await shape.ask('/add')

  // A plan that somebody approved is the only one that is executed.
  const shown = await shape.rollback({ version: 'v1', 'reverse-migrations': 'true', 'dry-run': 'true' })
  expect(shown.outputs).toMatchObject({ outcome: 'planned', 'plan-digest': expect.stringMatching(/^[0-9a-f]{64}$/) })
  const other = await shape.rollback({ version: 'v1', 'reverse-migrations': 'true', 'plan-digest': 'a'.repeat(64) })
  expect(codes(other)).toContain('Deploy Django: plan-digest')

  // The code of v1 cannot work with the renamed column: without the input nothing happens, and the error names the input.
  const refused = await shape.rollback({ version: 'v1' })
  expect(codes(refused)).toEqual(['Deploy Django: rollback-incompatible'])
  expect(refused.annotations[0]?.message).toContain(
    'set `reverse-migrations: true`: it unapplies notes.0003_body, notes.0002_extra, which loses',
  )
  expect((await shape.ask()).text).toBe('v3: written by v1, written by v3')

  const back = await shape.rollback({
    version: 'v1',
    'reverse-migrations': 'true',
    'plan-digest': shown.outputs['plan-digest'] ?? '',
  })
  expect(back.outputs).toMatchObject({ outcome: 'rolled-back', version: 'v1', serving: 'v1' })
  expect(back.annotations.map(({ message }) => message)).toEqual([
    expect.stringMatching(/^Going back to v1 loses.*notes_tag \(1 row\).*notes_note\.extra \(1 row\)/s),
  ])
  expect(back.log).toMatch(/back up .*: going back loses data: .*notes_tag \(1 row\)/)
  expect(back.log).toMatch(
    /stop web: its code cannot work with the schema of v1\n.*\n.*back up .*\n.*unapply notes\.0003_body/,
  )
  expect(back.summary).toMatch(/\| backup \| .*-v1-default\.dump/)
  expect(await applied()).toEqual(['0001_initial'])
  await shape.ask('/add')
  expect((await shape.ask()).text).toBe('v1: written by v1, written by v3, written by v1')
  expect(await shape.containers()).toEqual(['web running', 'worker running'])

  // Forward again, and by hand on the host back again.
  expect((await shape.deploy('v3', { ...inputs, force: 'true' })).outputs).toMatchObject({
    outcome: 'deployed',
    serving: 'v3',
  })
  expect(await applied()).toEqual(['0001_initial', '0002_extra', '0003_body'])
  expect((await shape.ask()).text).toBe('v3: written by v1, written by v3, written by v1')
  const hand = await shape.server.exec(['sh', `deploy/${shape.name}/.deploy/rollback`, '--reverse-migrations', 'v1'])
  expect(hand.stdout).toMatch(/\nv1 serves\n$/)
  expect(hand.stderr).toContain('To unapply: notes.0003_body, notes.0002_extra')
  expect((await shape.ask()).text).toBe('v1: written by v1, written by v3, written by v1')
  expect(await applied()).toEqual(['0001_initial'])

  // The backup from before brings the schema and the rows of v3 back, and the code of v3 with them.
  expect(await restoreAs(shape.server, hand.stdout)).toContain('The database is restored.')
  expect((await shape.ask()).text).toBe('v3: written by v1, written by v3, written by v1')
  expect(await applied()).toEqual(['0001_initial', '0002_extra', '0003_body'])

  // What cannot be reversed is refused before anything stops.
  await shape.write(v4)
  const accepting = { ...inputs, 'accept-migrations': 'all' }
  expect((await shape.deploy('v4', accepting)).outputs).toMatchObject({ outcome: 'deployed', serving: 'v4' })
  const never = await shape.rollback({ version: 'v1', 'reverse-migrations': 'true' })
  expect(codes(never)).toEqual(['Deploy Django: migration-irreversible'])
  expect(never.annotations[0]?.message).toMatch(/notes\.0004_data: .*\(print\) has no reverse/)
  expect((await shape.ask()).text).toMatch(/^v3: /)
})

test('a deploy that renames a column and then fails: the new image takes it back, and the old release serves whole', async () => {
  await using shape = await makeShape(site('v1', 'text'))
  expect((await shape.deploy('v1', inputs)).outputs).toMatchObject({ outcome: 'deployed' })
  await shape.ask('/add')
  await shape.write({
    ...v3,
    'site_/urls.py': 'urlpatterns = []\nraise RuntimeError("this release does not start")\n',
  })
  const failed = await shape.deploy('v3', { ...inputs, 'health-timeout': '30s' })
  expect(failed.outputs).toMatchObject({ outcome: 'failed', serving: 'v1', migrations: '[]' })
  expect(failed.log).toMatch(/Unapplying notes\.0003_body .*\n.*Unapplying notes\.0002_extra/)
  expect((await shape.ask()).text).toBe('v1: written by v1')
  await shape.ask('/add')
  expect((await shape.ask()).text).toBe('v1: written by v1, written by v1')
})
