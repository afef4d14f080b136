import { expect, test } from '@jest/globals'
import assert from 'node:assert/strict'
import { DOCKERFILE, makeShape, project, type Files } from './shape.ts'
import { codes } from './story.ts'

/** Settings that are read from a file that is mounted, by a user who is not root and not the one who deploys. */
const app = (version: string): Files => ({
  ...project('v1'),
  'site_/settings.py': `import pathlib
CONF = dict(line.split("=", 1) for line in pathlib.Path("/app/.env").read_text().splitlines() if "=" in line)
SECRET_KEY, COLOUR = CONF["SECRET_KEY"], CONF["COLOUR"]
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "site_.urls"
INSTALLED_APPS = ["notes"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "/data/db.sqlite3"}}
`,
  'site_/urls.py': `from django.conf import settings
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path("", lambda request: HttpResponse("${version} is " + settings.COLOUR))]
`,
  Dockerfile: DOCKERFILE.replace(
    'COPY',
    'RUN useradd --uid 1500 app && mkdir /data && chown app /data\nUSER app\nCOPY',
  ),
  '.dockerignore': '.git\n.env\n',
})

const compose = (web: string, rest = ''): Files => ({
  'compose.yaml': `services:
  web:
    build: .
    ports: ["@PORT@:8000"]
    ${web}
volumes: { data: {} }
${rest}`,
})

const mounted = compose('volumes: ["./.env:/app/.env:ro", "data:/data"]')

test('an env file as a mount and as a secret, for a user who is not root', async () => {
  const development = { '.env': 'SECRET_KEY=development-only\nCOLOUR=development\n' }
  await using shape = await makeShape({ ...app('v1'), ...mounted, ...development })
  const env = (colour: string) => ({ 'env-file': `SECRET_KEY=only-for-this-test-1\nCOLOUR=${colour}\n` })
  const folder = `/home/deploy/deploy/${shape.name}`

  const nobody = await shape.deploy('v1')
  expect(codes(nobody)).toEqual(['Deploy Django: env-file-missing'])
  expect(nobody.annotations[0]?.message).toContain('is for development')
  expect(nobody.log).not.toContain('Bake')

  expect((await shape.deploy('v1', env('green'))).outputs).toMatchObject({ outcome: 'deployed' })
  expect((await shape.ask()).text).toBe('v1 is green')
  await shape.write(app('v2'))
  expect((await shape.deploy('v2', env('blue'))).outputs).toMatchObject({ outcome: 'deployed' })
  expect((await shape.ask()).text).toBe('v2 is blue')
  expect((await shape.rollback()).outputs).toMatchObject({ outcome: 'rolled-back', serving: 'v1' })
  expect((await shape.ask()).text).toBe('v1 is green')
  // The copies may be read by each user of the container; on the host nobody else gets there.
  const find = `find ${folder}/.deploy/files -name .env`
  const copies = (await shape.server.exec(['sh', '-c', find])).stdout.trim().split('\n')
  expect(copies.length).toBe(2)
  const other = ['setpriv', '--reuid', '65534', '--clear-groups', 'cat', ...copies]
  expect(await shape.server.exec(other, { as: 'root' })).toMatchObject({ code: 1, stdout: '' })

  const secret = 'secrets: [{ source: dotenv, target: /app/.env }]\n    volumes: ["data:/data"]'
  await shape.write({ ...app('v3'), ...compose(secret, 'secrets: { dotenv: { file: ./.env } }\n') })
  expect((await shape.deploy('v3', env('red'))).outputs).toMatchObject({ outcome: 'deployed' })
  expect((await shape.ask()).text).toBe('v3 is red')

  // What Docker left of a mount whose file was not there. The advice is followed as it stands.
  const asRoot = async (script: string) =>
    expect(await shape.server.exec(['sh', '-c', script], { as: 'root' })).toMatchObject({ code: 0 })
  await asRoot(`rm ${folder}/.env && mkdir ${folder}/.env`)
  const inTheWay = await shape.deploy('v4', env('grey'))
  expect(codes(inTheWay)).toEqual(['Deploy Django: file-is-folder'])
  const [, removal = ''] = /fix: +on the host: (.*)/.exec(inTheWay.annotations[0]?.message ?? '') ?? []
  expect(await shape.server.exec(['sh', '-c', removal])).toMatchObject({ code: 0 })

  // The host's own file, which only the user that deploys may read.
  await shape.write({ ...app('v5'), ...mounted })
  await shape.place(folder, { '.env': 'SECRET_KEY=only-for-this-test-1\nCOLOUR=white\n' })
  expect(await shape.server.exec(['chmod', '600', `${folder}/.env`])).toMatchObject({ code: 0 })
  const denied = await shape.deploy('v5')
  expect(codes(denied)).toEqual(['Deploy Django: mount-denied'])
  expect(denied.outputs['serving']).toBe('v3')
  const [, grant = ''] = /Or on the host: (.*)/.exec(denied.annotations[0]?.message ?? '') ?? []
  expect(await shape.server.exec(['sh', '-c', grant])).toMatchObject({ code: 0 })
  expect((await shape.deploy('v5')).outputs).toMatchObject({ outcome: 'deployed' })
  expect((await shape.ask()).text).toBe('v5 is white')

  // A folder that a container writes to.
  const writing =
    'command: sh -c "touch /app/public/a && exec gunicorn -b 0.0.0.0:8000 site_.wsgi"\n    volumes: ["./.env:/app/.env:ro", "data:/data", "./public:/app/public"]'
  await shape.write({ ...app('v6'), ...compose(writing), 'public/.gitkeep': '' })
  const foreign = await shape.deploy('v6')
  expect(codes(foreign)).toEqual([undefined, 'Deploy Django: mount-denied'])
  expect(foreign.outputs['serving']).toBe('v5')
  const owner = await shape.server.exec(['stat', '-c', '%U %a', `${folder}/public`])
  expect(owner.stdout).toBe('deploy 755\n')
  const [, give = ''] = /on the host, as root: (.*)/.exec(foreign.annotations.at(-1)?.message ?? '') ?? []
  await asRoot(give)
  expect((await shape.deploy('v6')).outputs).toMatchObject({ outcome: 'deployed' })
  assert.equal((await shape.ask()).text, 'v6 is white')
})

test('a proxy that is not built here gets the changed file of a config, there and back', async () => {
  const conf = (header: string): string =>
    `server { listen 80; location / { add_header X-Proxy ${header}; proxy_pass http://web:8000; proxy_set_header Host $http_host; } }\n`
  await using shape = await makeShape({
    ...project('v1'),
    Dockerfile: DOCKERFILE,
    'site.conf': conf('one'),
    'compose.yaml': `services:
  web: { build: ., env_file: .env, volumes: ["data:/data"] }
  nginx:
    image: nginx:1-alpine
    ports: ["@PORT@:80"]
    configs: [{ source: site, target: /etc/nginx/conf.d/default.conf }]
    depends_on: [web]
configs: { site: { file: ./site.conf } }
volumes: { data: {} }
`,
  })
  const inputs = { 'env-file': 'SECRET_KEY=only-for-this-test-1\n' }
  expect((await shape.deploy('v1', inputs)).outputs).toMatchObject({ outcome: 'deployed' })
  expect((await shape.ask()).proxy).toBe('one')
  await shape.write({ 'site.conf': conf('two') })
  const v2 = await shape.deploy('v2', inputs)
  expect(v2.log).toContain('replace nginx: configs changed')
  expect((await shape.ask()).proxy).toBe('two')
  expect((await shape.deploy('v2', inputs)).outputs).toMatchObject({ outcome: 'unchanged' })
  expect((await shape.rollback({ version: 'v1' })).outputs).toMatchObject({ outcome: 'rolled-back' })
  expect((await shape.ask()).proxy).toBe('one')
})
