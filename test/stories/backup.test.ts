import { expect, test } from '@jest/globals'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { migration, DOCKERFILE, makeShape, project } from './shape.ts'
import { codes, restoreAs, tell, type Story } from './story.ts'
import { startManaged } from '../world/managed.ts'

/** A migration that empties the table of the example and adds one that points at it; nothing brings the rows back. */
const EMPTYING = `from django.db import migrations, models

def empty(apps, schema_editor):
    apps.get_model('core', 'Todo').objects.all().delete()

class Migration(migrations.Migration):
    dependencies = [('core', '0001_initial')]
    operations = [
        migrations.RunPython(empty),
        migrations.CreateModel('Tag', [
            ('id', models.BigAutoField(primary_key=True, serialize=False)),
            ('todo', models.ForeignKey('core.Todo', models.CASCADE)),
        ]),
    ]
`
const LOSSY = { 'src/core/migrations/0002_empty.py': EMPTYING }

const add = async (site: Story, title: string): Promise<void> => {
  const line = `python manage.py shell -c "from core.models import Todo; Todo.objects.create(title='${title}')"`
  expect(await site.exec(line)).toMatchObject({ code: 0 })
}

test('PostgreSQL: what a migration has lost comes back with the command that the deploy names', async () => {
  await using site = await tell('todo', 'beta')
  expect(await site.deploy('v1')).toMatchObject({ code: 0, annotations: [] })
  await add(site, 'Dig a hole')
  const hasRow = async (): Promise<boolean> => (await site.ask()).text.includes('Dig a hole')
  expect(await hasRow()).toBe(true)

  // A disk without space for it: refused before anything is changed.
  const backups = `/home/deploy/${site.directory}/.deploy/backups`
  const asRoot = async (script: string): Promise<string> =>
    (await site.server.exec(['sh', '-c', script, 'sh', backups], { as: 'root' })).stdout
  await asRoot('mkdir "$1" && mount -t tmpfs -o size=1m,mode=700,uid="$(id -u deploy)" full "$1"')
  await site.change('full', LOSSY)
  const containers = await site.containers(true)
  const full = await site.deploy('full')
  await asRoot('umount "$1" && chown deploy: "$1"')
  expect(codes(full)).toContain('Deploy Django: server-disk')
  expect(full.annotations.map(({ message }) => message).join('\n')).toMatch(
    /too little free space for a backup.*\n.*MB free in .*the database has \d/,
  )
  expect(await site.containers(true)).toEqual(containers)
  expect(await site.migrations()).toEqual(['0001_initial'])
  expect(await hasRow()).toBe(true)

  const script = await readFile(join(site.project.workspace, 'scripts/run.sh'), 'utf8')
  // It migrates, and then its code does not start: v1 is back, its rows are not.
  await site.change('broken', { 'scripts/run.sh': '#!/bin/sh\nexit 3\n' })
  const broken = await site.deploy('broken')
  const failure = broken.annotations.find(({ properties }) => properties['title'] === 'Deploy Django: container-exited')
  expect(failure?.message).toMatch(/as it was before is in \.deploy\/backups\/\S+-broken-default\.dump/)
  expect(broken.log).toMatch(/back up todo: core\.0002_empty cannot be reversed/)
  expect(broken.log).toMatch(/backup: [\d.]+ (kB|MB), \.deploy\/backups\//)
  expect(broken.log).not.toContain(site.env['DB_PASS'])
  expect(await hasRow()).toBe(false)
  expect(await restoreAs(site.server, failure?.message ?? '')).toContain('The database is restored.')
  expect(await site.serves()).toBe('v1')
  expect(await hasRow()).toBe(true)
  expect(await site.migrations()).toEqual(['0001_initial'])

  // It serves; the summary has the way back. On the second restore the database of the first is still there.
  await site.change('next', { 'scripts/run.sh': script })
  const next = await site.deploy('next', { inputs: { scale: 'project=2' } })
  expect(next.outputs).toMatchObject({ outcome: 'deployed', serving: 'next' })
  expect(next.summary).toMatch(/\| backup \| [\d.]+ (kB|MB), `\.deploy\/backups\//)
  await restoreAs(site.server, next.log)
  expect(await site.serves()).toBe('v1')
  expect(await hasRow()).toBe(true)
  const databases = await site.server.docker(
    'exec',
    `${site.name}-db-1`,
    'psql',
    '-U',
    'todo',
    '-Atc',
    'SELECT datname FROM pg_database',
  )
  expect(databases.split('\n').filter((name) => /^todo_\d{14}$/.test(name))).toHaveLength(2)
  expect(await site.server.exec(['sh', '-c', 'stat -c %a "$0"/*', backups])).toMatchObject({
    stdout: expect.stringMatching(/^(600\n)+$/),
  })

  // A person has a backup.
  const never = await site.deploy('next', { inputs: { backup: 'never' } })
  expect(never.outputs).toMatchObject({ outcome: 'deployed' })
  expect(never.annotations.map(({ message }) => message)).toContainEqual(
    expect.stringMatching(/No backup is made .*core\.0002_empty/),
  )
})

test('PostgreSQL: the database that its image makes by itself, called postgres, is restored as well', async () => {
  await using site = await tell('todo', 'beta')
  site.env = { ...site.env, DB_NAME: 'postgres' }
  expect(await site.deploy('v1')).toMatchObject({ code: 0 })
  await add(site, 'Dig a hole')
  await site.change('next', LOSSY)
  const next = await site.deploy('next')
  expect(next.outputs).toMatchObject({ outcome: 'deployed', serving: 'next' })
  expect((await site.ask()).text).not.toContain('Dig a hole')
  expect(await restoreAs(site.server, next.log)).toContain('The database is restored.')
  expect(await site.serves()).toBe('v1')
  expect((await site.ask()).text).toContain('Dig a hole')
})

/** The same for a project of few files. */
const EMPTYING_NOTES = migration(
  '0001_initial',
  'migrations.RunPython(lambda apps, _: apps.get_model("notes", "Note").objects.all().delete())',
)

test('SQLite: the same', async () => {
  await using site = await makeShape({
    ...project('v1'),
    Dockerfile: DOCKERFILE,
    'compose.yaml': `services:
  web:
    build: .
    user: "1000"
    environment: { SECRET_KEY: secret }
    ports: ["@PORT@:8000"]
    volumes: ["./data:/data"]
`,
  })
  expect(await site.deploy('v1')).toMatchObject({ code: 0 })
  const made = await site.sub('exec', {
    run: 'python manage.py shell -c "from notes.models import Note; Note.objects.create(text=1)"',
  })
  expect(made.code).toBe(0)
  expect((await site.ask()).text).toBe('v1 with 1 notes')
  await site.write({ 'notes/migrations/0002_empty.py': EMPTYING_NOTES })
  const next = await site.deploy('v2')
  expect(next.outputs).toMatchObject({ outcome: 'deployed', serving: 'v2' })
  expect((await site.ask()).text).toBe('v1 with 0 notes')
  await restoreAs(site.server, next.log)
  expect((await site.ask()).text).toBe('v1 with 1 notes')
  expect((await site.sub('status')).outputs).toMatchObject({ serving: 'v1', healthy: 'true' })
})

test('PostgreSQL elsewhere, and no client in the image of the app: a client image dumps and restores', async () => {
  await using database = await startManaged()
  const files = project('v1')
  const settings = (files['site_/settings.py'] ?? '').replace(
    /^DATABASES.*$/m,
    `db = dict(zip(["HOST", "NAME", "USER", "PASSWORD"], os.environ["DB"].split()))
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", **db}}`,
  )
  await using site = await makeShape({
    ...files,
    'site_/settings.py': settings,
    Dockerfile: DOCKERFILE.replace('gunicorn\n', 'gunicorn "psycopg[binary]"\n'),
    'compose.yaml': `services:
  web:
    build: .
    user: "1000"
    read_only: true
    tmpfs: /tmp
    env_file: .env
    ports: ["@PORT@:8000"]
`,
  })
  const { host, name, user, password } = database
  const inputs = { 'env-file': `SECRET_KEY=only-for-this-test-1\nDB="${host} ${name} ${user} ${password}"\n` }
  expect((await site.deploy('v1', inputs)).outputs).toMatchObject({ outcome: 'deployed', serving: 'v1' })
  await database.query("insert into notes_note (text) values ('kept')")

  // A host without a way to Docker Hub gets the image by hand.
  await site.server.docker('tag', 'postgres:17', 'postgres:17-alpine')
  await site.write({ 'notes/migrations/0002_empty.py': EMPTYING_NOTES })
  const next = await site.deploy('v2', inputs)
  expect(next.annotations.map(({ message }) => message)).toEqual([
    expect.stringContaining('Raw Python operation has no reverse'),
  ])
  expect(next.outputs).toMatchObject({ outcome: 'deployed', serving: 'v2' })
  expect(next.log).toMatch(/back up app: notes\.0002_empty cannot be reversed/)
  expect(next.summary).toMatch(/\| backup \| [\d.]+ (kB|MB), `\.deploy\/backups\//)
  expect(next.log).not.toContain(password)
  expect(await site.containers()).toEqual(['web running'])
  expect((await site.ask()).text).toBe('v1 with 0 notes')
  const search = ['grep', '-rl', password, `deploy/${site.name}`]
  const found = (await site.server.exec(search)).stdout
  expect(found.split('\n').filter((path) => !/^$|\.env$/.test(path))).toEqual([])

  expect(await restoreAs(site.server, next.log)).toContain('The database is restored.')
  expect((await site.ask()).text).toBe('v1 with 1 notes')
  expect((await site.sub('status')).outputs).toMatchObject({ serving: 'v1', healthy: 'true' })
})
