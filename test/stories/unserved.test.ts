import { expect, test } from '@jest/globals'
import { COMPOSE, DOCKERFILE, makeShape, migration, project, type Files } from './shape.ts'
import { codes } from './story.ts'

// A database that the site does not use, and tables that nothing creates: a green deploy would be wrong.

const SECRET = 'SECRET_KEY=only-for-this-test-1\n'
const inputs = { 'env-file': SECRET }
const base: Files = { ...project('v1'), Dockerfile: DOCKERFILE, 'compose.yaml': COMPOSE }

test('migrations that .dockerignore keeps out of the image are missed on the first deploy, and for a new app', async () => {
  await using shape = await makeShape({ ...base, '.dockerignore': '**/migrations\n' })
  for (const migrate of ['auto', 'stopped']) {
    const hidden = await shape.deploy('v1', { ...inputs, migrate })
    expect(codes(hidden)).toEqual(['Deploy Django: migrations-missing'])
    expect(hidden.annotations[0]?.message).toContain('.dockerignore:1: **/migrations')
    expect(hidden.annotations[0]?.message).toContain('remove the line that hides the folder from the .dockerignore')
    expect(await shape.containers()).toEqual([])
  }

  await shape.write({}, ['.dockerignore'])
  expect((await shape.deploy('v1', inputs)).outputs).toMatchObject({ outcome: 'deployed', serving: 'v1' })

  // A new app whose migrations were never committed.
  await shape.write({
    'site_/settings.py': String(base['site_/settings.py']).replace('["notes"]', '["notes", "orders"]'),
    'orders/__init__.py': '',
    'orders/models.py':
      'from django.db import models\nclass Order(models.Model):\n    id = models.BigAutoField(primary_key=True)\n',
  })
  const forgotten = await shape.deploy('v2', inputs)
  expect(codes(forgotten)).toEqual(['Deploy Django: migrations-missing'])
  expect(forgotten.annotations[0]?.message).toContain('run `python manage.py makemigrations orders`')
  expect((await shape.ask()).text).toBe('v1 with 0 notes')

  await shape.write({
    'orders/migrations/__init__.py': '',
    'orders/migrations/0001_initial.py': migration(
      '',
      'migrations.CreateModel("Order", [("id", models.BigAutoField(primary_key=True, serialize=False))])',
    ),
  })
  const corrected = await shape.deploy('v2', inputs)
  expect(corrected.outputs).toMatchObject({ outcome: 'deployed', serving: 'v2' })
  expect(corrected.log).toContain('orders.0001_initial')

  // A published port that leads to nothing: found out before a visitor is lost.
  await shape.write({ 'compose.yaml': COMPOSE.replace(':8000', ':8080') })
  const misled = await shape.deploy('v3', inputs)
  expect(codes(misled)).toEqual(['Deploy Django: health-refused'])
  expect(misled.annotations[0]?.message).toContain('publishes port 8080 of its container, on which nothing listens')
  expect(misled.outputs).toMatchObject({ outcome: 'failed', serving: 'v2' })
  expect((await shape.ask()).text).toBe('v1 with 0 notes')
})

test.each([
  ['wsgi.py', { 'site_/wsgi.py': String(base['site_/wsgi.py']).replace('site_.settings', 'site_.live') }],
  [
    'the start command',
    {
      'compose.yaml': COMPOSE.replace(
        'build: .',
        'build: .\n    command: gunicorn -b 0.0.0.0:8000 --env DJANGO_SETTINGS_MODULE=site_.live site_.wsgi',
      ),
    },
  ],
])(
  'other settings in %s than in manage.py are refused, and the line in the error corrects it',
  async (where, files) => {
    const live = 'from site_.settings import *\nDATABASES["default"]["NAME"] = "/data/live.sqlite3"\n'
    await using shape = await makeShape({ ...base, 'site_/live.py': live, ...files })
    const differs = await shape.deploy('v1', inputs)
    expect(codes(differs)).toEqual(['Deploy Django: settings-differ'])
    const said = differs.annotations[0]?.message ?? ''
    expect(said).toContain('manage.py uses the settings site_.settings, the site uses site_.live')
    expect(said).toMatch(where === 'wsgi.py' ? /site_\/wsgi\.py sets/ : /the start command sets/)
    expect(await shape.containers()).toEqual([])

    const line = /: (DJANGO_SETTINGS_MODULE=\S+)/.exec(said)?.[1]
    const corrected = await shape.deploy('v1', { 'env-file': `${SECRET}${line}\n` })
    expect(corrected.outputs).toMatchObject({ outcome: 'deployed', serving: 'v1' })
    expect((await shape.ask()).text).toBe('v1 with 0 notes')
    expect((await shape.sub('status')).outputs).toMatchObject({ healthy: 'true' })
  },
)

test('what changed on the host is deployed with the same version: its .env and its profiles', async () => {
  const mail =
    '  mail:\n    build: .\n    env_file: .env\n    command: sleep infinity\n    init: true\n    profiles: [mail]\n'
  await using shape = await makeShape({ ...base, 'compose.yaml': COMPOSE.replace('volumes: {', `${mail}volumes: {`) })
  const keep = (env: string): Promise<void> => shape.place(`deploy/${shape.name}`, { '.env': SECRET + env })
  const deploy = async (): Promise<unknown> => (await shape.deploy('v1')).outputs['outcome']
  await keep('')
  expect([await deploy(), await deploy()]).toEqual(['deployed', 'unchanged'])
  await keep('GREETING=hello\n')
  expect([await deploy(), await deploy()]).toEqual(['deployed', 'unchanged'])
  expect((await shape.sub('exec', { run: 'echo $GREETING' })).log).toContain('hello')

  await keep('GREETING=hello\nCOMPOSE_PROFILES=mail\n')
  const more = await shape.deploy('v1')
  expect(more.outputs).toMatchObject({ outcome: 'deployed' })
  expect(more.log).toMatch(/start mail: it/)
  expect(await shape.containers()).toEqual(['mail running', 'web running'])
  await keep('GREETING=hello\n')
  const less = await shape.deploy('v1')
  expect(less.log).toContain('stop mail: none of its profiles is active')
  expect(await shape.containers()).toEqual(['web running'])

  await shape.write({ Dockerfile: DOCKERFILE.replace('CMD', 'VOLUME /app\nCMD') })
  const hidden = await shape.deploy('v2')
  expect(codes(hidden)).toEqual(['Deploy Django: compose-invalid'])
  expect(hidden.annotations[0]?.message).toContain('VOLUME /app; manage.py is at /app/manage.py')
})
