import { expect, test } from '@jest/globals'
import { nightly } from './nightly.ts'
import { makeShape, migration, project, type Files, type Shape } from './shape.ts'
import { codes } from './story.ts'
import { logInAs, noCompose5 } from '../world/kind.ts'
import { startManaged, type Managed } from '../world/managed.ts'
import { openWorld } from '../world/world.ts'
import { until } from '../until.ts'
import { listContainers } from '../world/listing.ts'

// The contract of document 3: WORKDIR is the Django root, CMD starts the server, the database is somewhere else.
const DOCKERFILE = `FROM python:3.13-slim
RUN --mount=type=cache,target=/root/.cache/pip pip install --root-user-action=ignore "django==5.2.*" gunicorn "psycopg[binary]"
WORKDIR /app
COPY . /app
CMD ["gunicorn", "-b", "0.0.0.0:8000", "site_.wsgi"]
`
const COMPOSE = `services:
  web:
    build: .
    env_file: .env
    deploy: { replicas: 3 }
`
/** A server that says on which schema it starts. */
const WSGI = `import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_.settings")
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
from django.db.migrations.recorder import MigrationRecorder
names = MigrationRecorder.Migration.objects.filter(app="notes").order_by("id").values_list("name", flat=True)
print("starts on", *names, flush=True)
`
const SLOW = `import pathlib, time
def wait(apps, schema_editor):
    print("the migration waits", flush=True)
    end = time.monotonic() + 60
    while not pathlib.Path("/tmp/go").exists():
        if time.monotonic() > end:
            raise RuntimeError("nobody gave the word")
        time.sleep(0.05)
`
/** It can be reversed: the image has no pg_dump for a backup of this database. */
const slow = (after: string): string =>
  migration(after, 'migrations.RunPython(*[__import__("notes.slow").slow.wait] * 2)')

/** What is applied after the upgrade. */
const ALL = ['0001_initial', '0002_extra', '0003_slow']

function files(version: 'v1' | 'v2'): Files {
  const all = project(version)
  const settings = (all['site_/settings.py'] ?? '').replace(
    /^DATABASES.*$/m,
    'import dbsettings\nDATABASES = dbsettings.DATABASES',
  )
  const names = '"NAME": e["DB_NAME"], "USER": e["DB_USER"], "PASSWORD": e["DB_PASSWORD"], "HOST": e["DB_HOST"]'
  return {
    ...all,
    'site_/settings.py': settings,
    'dbsettings.py': `from os import environ as e\nDATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", ${names}}}\n`,
    'site_/wsgi.py': WSGI,
    'notes/slow.py': SLOW,
    Dockerfile: DOCKERFILE,
    'compose.yaml': COMPOSE,
  }
}

/** Container ids of the app, sorted. */
async function webs({ server, name }: Shape): Promise<string[]> {
  const format = '{{.Label "com.docker.compose.oneoff"}} {{.ID}}'
  const all = await listContainers(server, name, { service: 'web', format })
  return all.flatMap((line) => (line.startsWith('False ') ? line.slice('False '.length) : [])).sort()
}

/** What each of these containers has said. */
const logs = ({ server }: Shape, ids: readonly string[]): Promise<string[]> =>
  Promise.all(ids.map((id) => server.docker('logs', id)))

/** Gives what the containers of this site find their database by, and asks it what is applied. */
function onDatabase({ host, name, user, password, query }: Managed) {
  const env = `SECRET_KEY=only-for-this-test-1\nDB_HOST=${host}\nDB_NAME=${name}\nDB_USER=${user}\nDB_PASSWORD=${password}\n`
  const applied = (): Promise<string[]> => query("select name from django_migrations where app = 'notes' order by id")
  return { inputs: { 'env-file': env }, applied }
}

const runnerOf = ({ name }: Shape): string => `${name}-migrate`

async function waits({ server }: Shape, id: string): Promise<boolean> {
  const { stdout, stderr } = await server.exec(['docker', 'logs', id])
  return (stdout + stderr).includes('the migration waits')
}

/** A first deploy and an upgrade; while it migrates, the three go on and nothing of the new release has started. */
async function upgrade(site: Shape, { inputs, applied }: ReturnType<typeof onDatabase>): Promise<void> {
  const initial = await site.deploy('v1', inputs)
  expect(initial.annotations).toEqual([])
  expect(initial.outputs).toMatchObject({ outcome: 'deployed', serving: 'v1' })
  const first = await webs(site)
  expect(first).toHaveLength(3)
  expect(await logs(site, first)).toEqual(Array(3).fill(expect.stringMatching(/^starts on 0001_initial$/m)))

  await site.write({ ...files('v2'), 'notes/migrations/0003_slow.py': slow('0002_extra') })
  const deploying = site.deploy('v2', inputs)
  await until('the migration waits', () => waits(site, runnerOf(site)))
  expect(await webs(site)).toEqual(first)
  await site.server.docker('exec', runnerOf(site), 'touch', '/tmp/go')
  expect((await deploying).outputs).toMatchObject({ outcome: 'deployed', serving: 'v2' })
  expect(await applied()).toEqual(ALL)
  expect(await logs(site, await webs(site))).toEqual(
    Array(3).fill(expect.stringMatching(new RegExp(`^starts on ${ALL.join(' ')}$`, 'm'))),
  )
}

nightly('three containers of an image that only starts: one migrates, none starts on the old schema', async () => {
  await using database = await startManaged()
  await using site = await makeShape(files('v1'))
  const { inputs, applied } = onDatabase(database)
  await upgrade(site, { inputs, applied })

  // The same image made to migrate when it starts: what three do at the same time fails, or is done three times.
  const itself = 'ENTRYPOINT ["sh", "-ec", "python manage.py migrate --noinput; exec \\"$@\\"", "entrypoint"]'
  const external = { ...inputs, migrate: 'external' }
  await site.write({
    Dockerfile: `${DOCKERFILE}${itself}\n`,
    'notes/migrations/0004_fails.py': migration('0003_slow', 'migrations.RunSQL("SELECT 1 FROM nowhere", "")'),
  })
  const failed = await site.deploy('v3', external)
  expect(codes(failed)).toEqual(['Deploy Django: container-exited'])
  expect(failed.outputs).toMatchObject({ outcome: 'failed', serving: 'v2' })
  expect(await applied()).toEqual(ALL)

  const back = await webs(site)
  await site.write({ 'notes/migrations/0004_race.py': slow('0003_slow') }, ['notes/migrations/0004_fails.py'])
  const racing = site.deploy('v4', external)
  await until('all three migrate', async () => {
    const ids = (await webs(site)).filter((id) => !back.includes(id))
    return ids.length === 3 && (await Promise.all(ids.map((id) => waits(site, id)))).every(Boolean)
  })
  for (const id of await webs(site)) await site.server.docker('exec', id, 'touch', '/tmp/go')
  const raced = await racing
  expect(codes(raced)).toEqual(['Deploy Django: migration-conflict'])
  expect(raced.annotations[0]?.message).toContain('notes.0004_race')
  expect(raced.outputs).toMatchObject({ outcome: 'failed', serving: 'v2' })
  expect(await site.containers()).toEqual(['web running', 'web running', 'web running'])
})

const onFive = noCompose5 === '' ? test : test.skip
onFive(`three containers, and one migrates, with Compose 5${noCompose5}`, async () => {
  await using database = await startManaged()
  await using site = await makeShape(files('v1'), await logInAs(await (await openWorld()).server('kinds'), 'five'))
  await upgrade(site, onDatabase(database))
})
