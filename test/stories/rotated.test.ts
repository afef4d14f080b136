import { expect, test } from '@jest/globals'
import { makeShape, project, type Files } from './shape.ts'
import { codes } from './story.ts'

const COMPOSE = `services:
  web: { build: ., env_file: .env, ports: ["@PORT@:8000"], depends_on: [db] }
  db:
    image: postgres:17
    environment: { POSTGRES_USER: site, POSTGRES_DB: site, POSTGRES_PASSWORD: first-password }
    volumes: ["pg:/var/lib/postgresql/data"]
volumes: { pg: {} }
`
const DOCKERFILE = `FROM python:3.13-slim
RUN --mount=type=cache,target=/root/.cache/pip pip install --root-user-action=ignore "django==5.2.*" gunicorn "psycopg[binary]"
WORKDIR /app
COPY . /app
CMD ["gunicorn", "-b", "0.0.0.0:8000", "site_.wsgi"]
`
const DATABASE = `DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "site", "USER": "site", "HOST": "db", "PASSWORD": os.environ["DB_PASSWORD"]}}`

function site(version: string): Files {
  const files = project('v1')
  const settings = files['site_/settings.py']?.replace(/DATABASES.*/, DATABASE) ?? ''
  const urls = files['site_/urls.py']?.replace(/"v1 with.*/, `"${version} " + __import__("os").environ["API_TOKEN"]))]`)
  return { ...files, 'site_/settings.py': settings, 'site_/urls.py': urls ?? '' }
}

const env = (token: string, password: string): Record<string, string> => ({
  'env-file': `SECRET_KEY=only-for-this-test-1\nAPI_TOKEN=${token}\nDB_PASSWORD=${password}\n`,
})

test('a rollback names the variables that come back; with a rotated database password its advice works', async () => {
  await using shape = await makeShape({ ...site('v1'), Dockerfile: DOCKERFILE, 'compose.yaml': COMPOSE })
  expect((await shape.deploy('v1', env('token-1', 'first-password'))).annotations).toEqual([])
  await shape.write(site('v2'))
  expect((await shape.deploy('v2', env('token-2', 'first-password'))).annotations).toEqual([])
  expect((await shape.ask()).text).toBe('v2 token-2')

  for (const dryRun of ['true', 'false']) {
    const back = await shape.rollback({ 'dry-run': dryRun })
    expect(back.annotations).toMatchObject([{ kind: 'warning', message: expect.stringContaining(': API_TOKEN. If') }])
    expect(back.raw).not.toMatch(/token-[12]/)
  }
  expect((await shape.ask()).text).toBe('v1 token-1')

  const now = env('token-3', 'second-password')
  await shape.server.docker(
    'exec',
    `${shape.name}-db-1`,
    'psql',
    '-U',
    'site',
    '-c',
    `ALTER USER site PASSWORD 'second-password'`,
  )
  expect((await shape.deploy('v2', now)).outputs).toMatchObject({ outcome: 'deployed', serving: 'v2' })
  const refused = await shape.rollback()
  expect(codes(refused)).toEqual([undefined, 'Deploy Django: database-refused'])
  expect(refused.annotations[0]?.message).toContain(': API_TOKEN, DB_PASSWORD. If')
  expect(refused.annotations[1]?.message).toContain('git tag v1-again v1 && git push origin v1-again')
  expect(refused.outputs['serving']).toBe('v2')
  await shape.write(site('v1'))
  expect((await shape.deploy('v1-again', now)).outputs).toMatchObject({ outcome: 'deployed', serving: 'v1-again' })
  expect((await shape.ask()).text).toBe('v1 token-3')
})
