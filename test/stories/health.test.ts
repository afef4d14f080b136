import { expect, test } from '@jest/globals'
import { makeShape, migration, project, type Files } from './shape.ts'
import { codes } from './story.ts'

const KEY = 'SECRET_KEY=only-for-this-test-1\n'

/** A site on a socket behind nginx, whose services have names that Django never takes for a Host. */
const COMPOSE = `services:
  web_app:
    build: .
    command: gunicorn --bind unix:/run/app/app.sock site_.wsgi
    env_file: .env
    volumes: ["sock:/run/app", "data:/data"]
  web_proxy:
    image: nginx:1-alpine
    ports: ["@PORT@:80"]
    volumes: ["sock:/run/app", "./site.conf:/etc/nginx/conf.d/default.conf:ro"]
    depends_on: [web_app]
volumes: { sock: {}, data: {} }
`
const DOCKERFILE = `FROM python:3.13-slim
RUN --mount=type=cache,target=/root/.cache/pip pip install --root-user-action=ignore "django==5.2.*" gunicorn
WORKDIR /app
COPY . /app
`
const conf = (line: string): string =>
  `upstream web_app { server unix:/run/app/app.sock; }\nserver { listen 80; location / { proxy_pass http://web_app; ${line} } }\n`

function hosts(allowed: string): Files {
  const files = project('v1')
  const settings = files['site_/settings.py']?.replace('["*"]', allowed) ?? ''
  const middleware =
    'MIDDLEWARE = ["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"]\n'
  return { ...files, 'site_/settings.py': settings + middleware }
}

test('a Host that Django accepts is sent; when it is refused, the advice works', async () => {
  const first = { ...hosts('["*"]'), Dockerfile: DOCKERFILE, 'compose.yaml': COMPOSE }
  await using shape = await makeShape({ ...first, 'site.conf': conf('proxy_set_header Host $http_host;') })
  const inputs = { 'env-file': KEY }
  const any = await shape.deploy('v1', inputs)
  expect(any.annotations).toEqual([])
  expect(any.outputs).toMatchObject({ outcome: 'deployed', serving: 'v1' })

  await shape.write(hosts('[".example.com"]'))
  expect((await shape.deploy('v2', inputs)).outputs).toMatchObject({ outcome: 'deployed', serving: 'v2' })

  await shape.write(hosts('os.environ.get("HOSTS", "").split()'))
  const empty = await shape.deploy('v3', inputs)
  expect(codes(empty)).toEqual(['Deploy Django: health-bad-request'])
  expect(empty.annotations[0]?.message).toContain('ALLOWED_HOSTS is empty')
  expect(empty.outputs['serving']).toBe('v2')
  const named = { 'env-file': `${KEY}HOSTS=shop.example.com\n` }
  expect((await shape.deploy('v3', named)).outputs).toMatchObject({ outcome: 'deployed', serving: 'v3' })

  await shape.write({ 'site.conf': conf('') })
  const lost = await shape.deploy('v4', named)
  expect(codes(lost)).toEqual(['Deploy Django: health-bad-request'])
  const [advice] = /proxy_set_header Host \S+;/.exec(lost.annotations[0]?.message ?? '') ?? []
  await shape.write({ 'site.conf': conf(advice ?? '') })
  expect((await shape.deploy('v4', named)).outputs).toMatchObject({ outcome: 'deployed', serving: 'v4' })
})

const PLAIN = `services:
  web:
    build: .
    env_file: .env
    ports: ["@PORT@:8000"]
    volumes: ["data:/data"]
    healthcheck:
      test: ["CMD", "python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/')"]
      interval: 60s
volumes: { data: {} }
`

test('workers that cannot boot, and a dropped column: the error says why, and what is true after going back', async () => {
  const v1 = project('v1')
  const urls = v1['site_/urls.py']?.replace('Note.objects.count()', 'len(Note.objects.values_list())') ?? ''
  const image = `${DOCKERFILE}CMD ["gunicorn", "-b", "0.0.0.0:8000", "-w", "2", "site_.wsgi"]\n`
  await using shape = await makeShape({ ...v1, 'site_/urls.py': urls, Dockerfile: image, 'compose.yaml': PLAIN })
  // What a trial would keep away is seen after the swap.
  const inputs = { 'env-file': KEY, try: 'never' }
  expect((await shape.deploy('v1', inputs)).outputs).toMatchObject({ outcome: 'deployed', serving: 'v1' })

  const wsgi = v1['site_/wsgi.py'] ?? ''
  await shape.write({ 'site_/wsgi.py': `${wsgi}import sys\nsys.exit("no licence")\n` })
  const exits = await shape.deploy('v2', inputs)
  expect(exits.annotations[0]?.message.split('\n')[0]).toMatch(/serves v1 again after \d+\.\d s \[/)
  expect(exits.annotations[0]?.message).toContain('no licence')
  expect(exits.outputs).toMatchObject({ outcome: 'failed', serving: 'v1' })
  const journal = await shape.server.exec(['sh', '-c', `cat deploy/${shape.name}/.deploy/journal/v2-*[0-9]`])
  const at = (line: string): number => Date.parse(new RegExp(`(\\S+) ${line}`, 'm').exec(journal.stdout)?.[1] ?? '')
  expect(at('health fail') - at('health begin')).toBeLessThan(30_000)

  const broken = `from django.urls import path\ndef boom(request):\n    raise RuntimeError("v3 is broken")\nurlpatterns = [path("", boom)]\n`
  await shape.write({
    'site_/wsgi.py': wsgi,
    'site_/urls.py': broken,
    'notes/models.py': v1['notes/models.py']?.replace(/ {4}text.*\n/, '') ?? '',
    'notes/migrations/0002_drop.py': migration('0001_initial', 'migrations.RemoveField("note", "text")'),
  })
  expect(codes(await shape.deploy('v3', inputs))).toEqual(['Deploy Django: migration-unsafe'])
  const drop = await shape.deploy('v3', { ...inputs, 'accept-migrations': 'notes.0002_drop' })
  expect(codes(drop)).toEqual(['Deploy Django: health-server-error'])
  const first = drop.annotations[0]?.message.split('\n')[0]
  // The column is gone, so v1 could not serve either.
  expect(first).toContain('nothing serves: v3 stays, but it is not healthy; its migrations rule out a revert')
  expect(drop.outputs).toMatchObject({ outcome: 'failed', serving: '' })
  expect(drop.summary).toContain('nothing serves: v3 stays')
})
