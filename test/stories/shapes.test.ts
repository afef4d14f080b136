import { expect, test } from '@jest/globals'
import { DOCKERFILE, makeShape, migration, project, type Files } from './shape.ts'
import { codes } from './story.ts'
import { listContainers } from '../world/listing.ts'

const ALONE = `services:
  web:
    build: .
    image: @REGISTRY@/@NAME@/site:\${TAG}
    container_name: @NAME@_web
    restart: unless-stopped
    env_file: .env
    ports: ["@PORT@:8000"]
    volumes: ["data:/data"]
    healthcheck:
      test: ["CMD", "python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/')"]
      interval: 60s
  worker:
    image: @REGISTRY@/@NAME@/site:\${TAG}
    command: python -c "import signal; signal.pause()"
    init: true
    env_file: .env
    volumes: ["data:/data"]
volumes:
  data:
`

/** Settings that cannot be read without what the entrypoint sets, as in cookiecutter-django. */
const madeByEntrypoint = (version: 'v1' | 'v2'): Files => {
  const files = project(version)
  const settings = files['site_/settings.py']?.replace('"/data/db.sqlite3"', 'os.environ["DATABASE_PATH"]') ?? ''
  return {
    ...files,
    'site_/settings.py': settings,
    'entrypoint.sh': '#!/bin/sh\nexport DATABASE_PATH=/data/$DATABASE_NAME\nexec "$@"\n',
    Dockerfile: DOCKERFILE.replace('CMD', 'ENTRYPOINT ["sh", "/app/entrypoint.sh"]\nCMD'),
  }
}

test('one published service and a worker, no proxy, no database, an image under a variable tag', async () => {
  await using shape = await makeShape({ ...madeByEntrypoint('v1'), 'docker-compose.yml': ALONE })
  const lost = { image: '', 'env-file': 'SECRET_KEY=only-for-this-test-1\nDATABASE_NAME=../tmp/x\n' }
  expect(codes(await shape.deploy('v0', lost))).toEqual(['Deploy Django: database-not-kept'])
  const inputs = { ...lost, 'env-file': 'SECRET_KEY=only-for-this-test-1\nDATABASE_NAME=db.sqlite3\n' }
  const first = await shape.deploy('v1', inputs)
  expect(first.annotations).toEqual([])
  expect(first.outputs).toMatchObject({ outcome: 'deployed', serving: 'v1' })
  expect(JSON.parse(first.outputs['images'] ?? '')).toEqual({
    web: expect.stringContaining(`/${shape.name}/site@sha256:`),
    worker: expect.stringContaining(`/${shape.name}/site@sha256:`),
  })
  const journal = await shape.server.exec(['sh', '-c', `cat deploy/${shape.name}/.deploy/journal/v1-*[0-9]`])
  const at = (line: string): number => Date.parse(new RegExp(`(\\S+) ${line}$`, 'm').exec(journal.stdout)?.[1] ?? '')
  // Docker itself would look for the first time after a minute.
  expect(at('health end') - at('health begin')).toBeLessThan(45_000)
  await shape.write(madeByEntrypoint('v2'))
  expect((await shape.deploy('v2', inputs)).outputs).toMatchObject({ outcome: 'deployed', serving: 'v2' })
  expect(await shape.containers()).toEqual(['web running', 'worker running'])
  expect((await shape.ask()).text).toBe('v2 with 0 notes')
  // Deployed once more it is the same release: not what a rollback goes to.
  expect((await shape.deploy('v2', { ...inputs, force: 'true' })).outputs['outcome']).toBe('deployed')
  expect((await shape.rollback()).outputs).toMatchObject({ outcome: 'rolled-back', version: 'v1', serving: 'v1' })
  expect((await shape.ask()).text).toBe('v1 with 0 notes')
  // Once a column must have a value that the old code does not know, neither a rollback nor the old tag brings that back.
  const must = migration('0002_extra', 'migrations.AddField("note", "must", models.IntegerField(default=1))')
  await shape.write({ ...madeByEntrypoint('v2'), 'notes/migrations/0003_must.py': must })
  expect((await shape.deploy('v3', inputs)).outputs).toMatchObject({ outcome: 'deployed', serving: 'v3' })
  expect(codes(await shape.rollback())).toEqual(['Deploy Django: rollback-incompatible'])
  await shape.write(madeByEntrypoint('v2'), ['notes/migrations/0003_must.py'])
  const older = await shape.deploy('v2', inputs)
  expect(codes(older)).toEqual(['Deploy Django: rollback-incompatible'])
  expect(older.annotations[0]?.message).toContain('notes_note.must must have a value')
})

const BASE = `services:
  app:
    build: { context: .., dockerfile: docker/Dockerfile }
    env_file: ../.env
    volumes: ["../data:/data"]
    depends_on:
      init: { condition: service_completed_successfully }
  init:
    build: { context: .., dockerfile: docker/Dockerfile }
    command: python manage.py check
    env_file: ../.env
`
const PRODUCTION = `services:
  app: { restart: always }
  nginx:
    image: nginx:1-alpine
    restart: always
    ports: ["@PORT@:80"]
    volumes: ["../nginx/site.conf:/etc/nginx/conf.d/default.conf:ro"]
    depends_on: [app]
`
const nginx = (name: string): string =>
  `server { listen 80; add_header X-Proxy ${name}; location / { proxy_pass http://app:8000; } }\n`

test('two Compose files in a folder, a one-shot, a proxy that is not built, settings of the server', async () => {
  await using shape = await makeShape({
    ...project('v1'),
    'docker/Dockerfile': DOCKERFILE,
    'docker/base.yml': BASE,
    'docker/production.yml': PRODUCTION,
    'nginx/site.conf': nginx('one'),
  })
  const folder = `deploy/${shape.name}`
  const directory = `${folder}/docker`
  const inputs = { 'compose-files': 'docker/base.yml\ndocker/production.yml', directory }
  const keep = async (line: string): Promise<void> => {
    const put = ['sh', '-c', 'mkdir -p "$1" && cat >"$1/.env"', 'put', folder]
    expect(await shape.server.exec(put, { stdin: `${line}\n` })).toMatchObject({ code: 0 })
  }

  const without = await shape.deploy('v1', inputs)
  expect(codes(without)).toEqual(['Deploy Django: env-file-missing'])
  await keep('SECRET_KEY=cut$offhere')
  const cut = await shape.deploy('v1', inputs)
  expect(codes(cut)).toEqual(['Deploy Django: variable-missing'])
  expect(cut.annotations[0]?.message).toContain('single quotes')
  expect(cut.raw).not.toContain('offhere')
  await keep('SECRET_KEY="never closed')
  const unclosed = await shape.deploy('v1', inputs)
  expect(codes(unclosed)).toEqual(['Deploy Django: compose-invalid'])
  expect(unclosed.raw).not.toContain('never closed')
  await keep("SECRET_KEY='not$cut'")
  expect((await shape.deploy('v1', inputs)).outputs).toMatchObject({ outcome: 'deployed', serving: 'v1' })
  expect(await shape.ask()).toEqual({ text: 'v1 with 0 notes', proxy: 'one' })

  // The proxy takes its changed configuration along, and back.
  await shape.write({ ...project('v2'), 'nginx/site.conf': nginx('two') })
  expect((await shape.deploy('v2', inputs)).outputs).toMatchObject({ outcome: 'deployed', serving: 'v2' })
  expect(await shape.ask()).toEqual({ text: 'v2 with 0 notes', proxy: 'two' })
  await shape.write({ 'nginx/site.conf': 'no configuration\n' })
  const broken = await shape.deploy('v3', inputs)
  expect(codes(broken)).toEqual(['Deploy Django: container-exited'])
  expect(broken.outputs['serving']).toBe('v2')
  expect(await shape.ask()).toEqual({ text: 'v2 with 0 notes', proxy: 'two' })

  // The same release is deployed again when it does not run.
  await shape.write({ 'nginx/site.conf': nginx('two') })
  expect((await shape.deploy('v4', inputs)).outputs['outcome']).toBe('deployed')
  await shape.server.docker('stop', ...(await listContainers(shape.server, shape.name, { service: 'app' })))
  expect((await shape.deploy('v4', inputs)).outputs).toMatchObject({ outcome: 'deployed', serving: 'v4' })
  expect((await shape.ask()).text).toBe('v2 with 0 notes')

  // Nothing migrates: the pending migrations are reported.
  await shape.write({ 'notes/migrations/0003_more.py': migration('0002_extra', 'migrations.RunSQL("SELECT 1", "")') })
  const none = { ...inputs, migrate: 'none' }
  const pending = await shape.deploy('v5', none)
  expect(pending.annotations).toMatchObject([{ kind: 'warning', message: expect.stringContaining('notes.0003_more') }])
  expect(pending.outputs).toMatchObject({ outcome: 'deployed', serving: 'v5' })
  expect((await shape.deploy('v5', none)).outputs['outcome']).toBe('unchanged')
})
