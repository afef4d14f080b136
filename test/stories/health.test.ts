import { expect, test } from '@jest/globals'
import { makeShape, project, type Files } from './shape.ts'
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
  const middleware = 'MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]\n'
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
