/**
 * Shapes of real projects: what deploys, and what is refused with which code. Told elsewhere: an entrypoint that makes the settings,
 * `container_name`, an image under a variable tag, a check every minute, Compose files in a folder with settings of the server
 * (stories/shapes.test.ts); anchors, `extends`, `include` and volumes with variables as they are read (stand-in/compose/project.test.ts).
 */
import { expect, test } from '@jest/globals'
import { nightly } from './nightly.ts'
import { DOCKERFILE, makeShape, project, type Files, type Shape } from './shape.ts'
import { codes } from './story.ts'
import { listContainers } from '../world/listing.ts'

const POSTGRES = DOCKERFILE.replace('gunicorn', 'gunicorn "psycopg[binary]"')
const KEY = 'SECRET_KEY=only-for-this-test-4\n'

/** The project with other lines in its settings, or with its files somewhere else. */
function settled(files: Files, ...pairs: readonly (readonly [from: string | RegExp, to: string])[]): Files {
  const settings = pairs.reduce((text, [from, to]) => text.replace(from, to), files['site_/settings.py'] ?? '')
  return { ...files, 'site_/settings.py': settings }
}
const below = (folder: string, files: Files): Files =>
  Object.fromEntries(Object.entries(files).map(([path, text]) => [`${folder}/${path}`, text]))

/** What a program prints in a container of the service. */
async function inside(shape: Shape, service: string, ...argv: string[]): Promise<string> {
  const [id = ''] = await ids(shape, service)
  return await shape.server.docker('exec', id, ...argv)
}
const ids = ({ server, name }: Shape, service: string): Promise<string[]> => listContainers(server, name, { service })

const COOKIECUTTER = `volumes:
  production_postgres_data: {}
  production_redis_data: {}
  production_backups: {}
  production_log: {}
services:
  django: &django
    build:
      context: .
      dockerfile: ./compose/production/django/Dockerfile
    image: site_production_django
    volumes: [production_log:/log]
    depends_on: [postgres, redis]
    env_file: [./.envs/.production/.django, ./.envs/.production/.postgres]
    command: /start
  postgres:
    build:
      context: .
      dockerfile: ./compose/production/postgres/Dockerfile
    image: site_production_postgres
    volumes: [production_postgres_data:/var/lib/postgresql/data]
    env_file: [./.envs/.production/.postgres]
  traefik:
    build:
      context: .
      dockerfile: ./compose/production/traefik/Dockerfile
    image: site_production_traefik
    depends_on: [django]
    ports: ["0.0.0.0:@PORT@:80"]
  redis:
    image: python:3.13-slim
    command: sleep 100000
    init: true
    volumes: [production_redis_data:/data]
  celeryworker:
    <<: *django
    image: site_production_celeryworker
    command: /start-celeryworker
    stop_grace_period: 30s
  celerybeat:
    <<: *django
    image: site_production_celerybeat
    command: /start-celerybeat
  flower:
    <<: *django
    image: site_production_flower
    command: /start-flower
  awscli:
    build:
      context: .
      dockerfile: ./compose/production/aws/Dockerfile
    volumes: [production_backups:/backups:z]
`
/** Ends some seconds after it was asked to, and writes both down. */
const stubborn = (name: string, seconds: number): string => `#!/bin/sh
echo "${name} begins" >>/log/told
trap 'sleep ${seconds}; echo "${name} ends" >>/log/told; exit 0' TERM
while :; do sleep 0.1; done
`
const cookiecutter = (version: 'v1' | 'v2'): Files => ({
  ...settled(
    project(version),
    ['import os', 'import os\nfrom urllib.parse import urlsplit\nDATABASE = urlsplit(os.environ["DATABASE_URL"])'],
    [
      /DATABASES.*/,
      `DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": DATABASE.path[1:],
  "HOST": DATABASE.hostname, "USER": DATABASE.username, "PASSWORD": DATABASE.password}}`,
    ],
  ),
  'docker-compose.production.yml': COOKIECUTTER,
  'docker-compose.local.yml': 'services: {}',
  'compose/production/django/Dockerfile': POSTGRES.replace(
    /CMD.*/,
    `RUN useradd django && install -d -o django /log
COPY --chmod=755 compose/production/django/* /
USER django
ENTRYPOINT ["/entrypoint"]`,
  ),
  'compose/production/django/entrypoint': `#!/bin/bash
set -o errexit -o pipefail -o nounset
export DATABASE_URL="postgres://$POSTGRES_USER:$POSTGRES_PASSWORD@$POSTGRES_HOST:5432/$POSTGRES_DB"
until python -c 'import os, psycopg; psycopg.connect(os.environ["DATABASE_URL"])' 2>/dev/null; do sleep 0.2; done
exec "$@"
`,
  'compose/production/django/start': '#!/bin/bash\nexec gunicorn site_.wsgi --bind 0.0.0.0:5000 --chdir=/app\n',
  'compose/production/django/start-celeryworker': stubborn('worker', 11),
  'compose/production/django/start-celerybeat': stubborn('beat', 1),
  'compose/production/django/start-flower': stubborn('flower', 0),
  'compose/production/postgres/Dockerfile': 'FROM postgres:17\n',
  // Started without words it says how it is used, and ends.
  'compose/production/aws/Dockerfile': 'FROM python:3.13-slim\nCMD ["python", "-c", "raise SystemExit(252)"]\n',
  'compose/production/traefik/Dockerfile': 'FROM nginx:1-alpine\nCOPY compose/production/traefik/ /etc/nginx/conf.d/\n',
  'compose/production/traefik/default.conf': 'server { listen 80; location / { proxy_pass http://django:5000; } }\n',
})

test('cookiecutter-django: four images of one Dockerfile, a worker that drains, one beat, a Redis', async () => {
  await using shape = await makeShape(cookiecutter('v1'))
  const postgres =
    'POSTGRES_HOST=postgres\nPOSTGRES_DB=site\nPOSTGRES_USER=site\nPOSTGRES_PASSWORD=only-for-this-test\n'
  const files = { '.envs/.production/.django': KEY, '.envs/.production/.postgres': postgres }
  const inputs = { 'env-files': JSON.stringify(files) }
  const first = await shape.deploy('v1', inputs)
  expect(first.annotations).toEqual([])
  expect(first.outputs).toMatchObject({ outcome: 'deployed', serving: 'v1' })
  const kept = [await ids(shape, 'redis'), await ids(shape, 'postgres')]
  await shape.write(cookiecutter('v2'))
  const second = await shape.deploy('v2', inputs)
  expect(second.annotations).toEqual([])
  expect(second.outputs).toMatchObject({ outcome: 'deployed', serving: 'v2' })
  expect((await shape.ask()).text).toBe('v2 with 0 notes')
  expect([await ids(shape, 'redis'), await ids(shape, 'postgres')]).toEqual(kept)
  const running = ['celerybeat', 'celeryworker', 'django', 'flower', 'postgres', 'redis', 'traefik']
  expect(await shape.containers()).toEqual(['awscli exited', ...running.map((service) => `${service} running`)])
  const told = (await inside(shape, 'django', 'cat', '/log/told')).split('\n')
  for (const name of ['beat', 'worker']) {
    const own = told.filter((line) => line.startsWith(name))
    expect(own).toEqual([`${name} begins`, `${name} ends`, `${name} begins`])
  }
})

const MANAGED = `name: not-this
services:
  app:
    build: .
    profiles: [prod]
    env_file:
      - .env
      - /home/deploy/deploy/@NAME@/site.env
      - { path: local.env, required: false }
    ports: ["127.0.0.1:@PORT@:8000"]
    networks: [shared]
    secrets: [db_password]
  worker:
    build: .
    profiles: [prod]
    command: python -c "import signal; signal.pause()"
    init: true
    networks: [shared]
  tools: { image: nowhere.invalid/tools, profiles: [tools] }
networks: { shared: { name: @NAME@-shared, external: true } }
secrets: { db_password: { file: ./secrets/db_password } }
`
const managed: Files = {
  ...settled(
    project('v1'),
    [
      '["*"]',
      '["shop.example.com"]\nSECURE_SSL_REDIRECT = True\nSECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")',
    ],
    [
      /DATABASES.*/,
      `DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "site", "HOST": os.environ["DB_HOST"],
  "USER": "site", "PASSWORD": open("/run/secrets/db_password").read()}}`,
    ],
  ),
  'compose.yaml': MANAGED,
  Dockerfile: POSTGRES,
}

nightly(
  'a database outside, a proxy on the host, https only, profiles, a name and settings of the server',
  async () => {
    await using outside = new AsyncDisposableStack()
    await using shape = await makeShape(managed)
    const { server, name } = shape
    const directory = `deploy/${name}`
    const names = `export COMPOSE_PROJECT_NAME=${name}\nCOMPOSE_PROFILES=prod\n`
    await shape.place(directory, { '.env': `${names}${KEY}`, 'site.env': `export DB_HOST=${name}-database\n` })
    const missing = await shape.deploy('v1', { directory })
    expect(codes(missing)).toEqual(['Deploy Django: env-file-missing'])
    expect(missing.annotations[0]?.message).toContain('secrets/db_password')
    expect(missing.annotations[0]?.message).toContain(`docker network create ${name}-shared`)
    await server.docker('network', 'create', `${name}-shared`)
    outside.defer(async () => void (await server.docker('network', 'rm', `${name}-shared`)))
    const place = `--detach --name ${name}-database --network ${name}-shared`
    const settings = '--env POSTGRES_USER=site --env POSTGRES_DB=site --env POSTGRES_PASSWORD=outside'
    await server.docker(...`run ${place} ${settings} postgres:17`.split(' '))
    outside.defer(async () => void (await server.docker('rm', '--force', '--volumes', `${name}-database`)))
    await shape.place(directory, { 'secrets/db_password': 'outside' })
    const first = await shape.deploy('v1', { directory })
    expect(first.annotations).toEqual([])
    expect(first.outputs).toMatchObject({ outcome: 'deployed', serving: 'v1' })
    expect(await shape.containers()).toEqual(['app running', 'worker running'])
    const headers = ['Host: shop.example.com', 'X-Forwarded-Proto: https'].flatMap((header) => ['--header', header])
    const [port = ''] = (await server.docker('port', `${name}-app-1`)).split('\n')
    expect(port).toMatch(/^8000\/tcp -> 127\.0\.0\.1:\d+$/)
    const asked = await server.exec(['curl', '--silent', ...headers, `http://${port.split(' ').at(-1)}/`])
    expect(asked.stdout).toBe('v1 with 0 notes')
  },
)

const NET = `10.93.${process.pid % 250}`
const CLOSED = `services:
  backend:
    build: .
    user: "1000:1000"
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    tmpfs: [/tmp]
    env_file: .env
    expose: ["8000"]
    networks: { default: { ipv4_address: "${NET}.5" } }
    volumes: ["data:/data", "static:/app/static", "./texts/\${LANGUAGE:-en}:/texts:ro"]
  proxy:
    image: nginx:1-alpine
    ports: ["@PORT@:80"]
    volumes: ["\${PWD}/site.conf:/etc/nginx/conf.d/default.conf:ro", "static:/static:ro"]
    depends_on: [backend]
volumes: { data: {}, static: {} }
networks: { default: { ipam: { config: [{ subnet: "${NET}.0/24" }] } } }
`
const closed = (version: 'v1' | 'v2'): Files => ({
  ...below('src', project(version)),
  'compose.yaml': CLOSED,
  'site.conf': `server {
  listen 80;
  location /static/ { root /; }
  location / { include uwsgi_params; uwsgi_pass backend:8000; }
}
`,
  'static/site.css': version,
  'texts/en/sub/hello (1).txt': 'hello\n',
  Dockerfile: `FROM python:3.13-slim
RUN --mount=type=cache,target=/root/.cache/pip python -m venv /venv && /venv/bin/pip install "django==5.2.*" pyuwsgi
WORKDIR /app
COPY . /app
RUN install -d -o 1000 /data
CMD ["/venv/bin/uwsgi", "--socket", ":8000", "--chdir", "/app/src", "--module", "site_.wsgi", "--master", "--die-on-term"]
`,
})

nightly('a uWSGI socket behind nginx, no root, nothing to write to, a fixed address, manage.py elsewhere', async () => {
  await using shape = await makeShape(closed('v1'))
  const inputs = { 'env-file': KEY }
  const without = await shape.deploy('v1', inputs)
  expect(codes(without)).toEqual(['Deploy Django: no-manage-py'])
  expect(without.annotations[0]?.message).toContain('python /app/src/manage.py')
  const manage = '/venv/bin/python src/manage.py'
  expect((await shape.deploy('v1', { ...inputs, manage })).annotations).toEqual([])
  await shape.write(closed('v2'))
  const second = await shape.deploy('v2', { ...inputs, manage })
  expect(second.annotations).toEqual([])
  expect(second.outputs).toMatchObject({ outcome: 'deployed', serving: 'v2' })
  expect((await shape.ask()).text).toBe('v2 with 0 notes')
  expect(await shape.containers()).toEqual(['backend running', 'proxy running'])
  // By a user who owns nothing there.
  expect(await inside(shape, 'backend', 'cat', '/texts/sub/hello (1).txt')).toBe('hello')
  // The volume was filled from the image of the first release.
  expect((await shape.ask('/static/site.css')).text).toBe('v1')
})

const PARTS: Files = {
  'compose.yaml': `name: \${SITE:-@NAME@}
x-log: &log { logging: { driver: json-file, options: { max-size: 1m, max-file: 3 } } }
x-app: &app
  <<: *log
  extends: { file: parts/base.yaml, service: base }
  env_file: [{ path: .env, required: true }]
  volumes: ["data:/data"]
include:
  - parts/cache.yaml
services:
  web:
    <<: *app
    command: null
    environment: { WORKERS: 2, RATE: 1.5, UNSET: , MONEY: a$$b, FLAG: "true" }
    depends_on:
      migrate: { condition: service_completed_successfully }
      setup: { condition: service_completed_successfully }
      cache: { condition: service_healthy, restart: true }
      tool: { condition: service_started, required: false }
    configs: [{ source: motd, target: /etc/motd.conf, mode: 0444 }]
    tmpfs: ["/scratch:size=1m"]
    deploy: { replicas: 2, resources: { limits: { memory: 256M } } }
    develop: { watch: [{ action: sync, path: ., target: /app }] }
    ulimits: { nofile: { soft: 1024, hard: 2048 } }
    labels: ["traefik.http.routers.site.rule=Host(\`shop.example.com\`)"]
  migrate:
    <<: *app
    command: python manage.py migrate
    restart: on-failure
  setup:
    image: python:3.13-slim
    command: sh -c 'echo "$$0 ran" >>/data/told'
    volumes: ["data:/data"]
  tool: { build: { context: ., target: tool }, profiles: [tools] }
  edge:
    <<: *log
    image: nginx:1-alpine
    configs: [{ source: proxy, target: /etc/nginx/conf.d/default.conf }]
    ports: [{ target: 80, published: "@PORT@", host_ip: 0.0.0.0, protocol: tcp, mode: host }]
    depends_on: [web]
configs:
  motd: { content: "site \${SITE:-@NAME@} costs $$5\\n" }
  proxy: { content: "server { listen 80; location / { proxy_pass http://web:8000; } }" }
volumes: { data: }
`,
  'parts/base.yaml': `services:
  base:
    restart: unless-stopped
    build:
      context: ..
      target: production
      args: { DJANGO: "5.2.*", UNSET: }
      additional_contexts: { more: ../more }
      dockerfile_inline: |
${DOCKERFILE.replace(
  'FROM python:3.13-slim',
  'FROM python:3.13-slim AS production\nARG DJANGO\nCOPY --from=more . /more',
)
  .replace('5.2.*', '$$$${DJANGO}')
  .replace(/^/gm, '        ')}
        FROM production AS development
`,
  'more/told.txt': 'more\n',
  'parts/cache.yaml': `services:
  cache:
    image: python:3.13-slim
    command: sleep 100000
    init: true
    healthcheck: { test: "test -e /etc/hostname || exit 1", interval: 60s, start_period: 30s }
    configs: [cache]
configs: { cache: { file: ./cache.conf } }
`,
  'parts/cache.conf': 'cache\n',
}

nightly('extends, include, anchors, all inline, replicas, a service that migrates and one that runs once', async () => {
  await using shape = await makeShape({ ...project('v1'), ...PARTS })
  const inputs = { 'env-file': KEY }
  for (const version of ['v1', 'v2'] as const) {
    await shape.write(project(version))
    const run = await shape.deploy(version, inputs)
    expect(run.annotations).toEqual([])
    expect(run.outputs).toMatchObject({ outcome: 'deployed', serving: version })
    expect((await shape.ask()).text).toBe(`${version} with 0 notes`)
  }
  expect(await shape.containers()).toEqual([
    ...['cache running', 'edge running', 'migrate exited', 'setup exited', 'web running', 'web running'],
  ])
  const script = 'cat /data/told /etc/motd.conf /more/told.txt && echo $WORKERS $RATE $UNSET $MONEY'
  expect(await inside(shape, 'web', 'sh', '-c', script)).toBe(`sh ran\nsite ${shape.name} costs $5\nmore\n2 1.5 a$b`)
})

const HOST = `services:
  web:
    build: .
    network_mode: host
    command: gunicorn -b 0.0.0.0:@PORT@ site_.wsgi
    env_file: .env
    volumes: ["data:/data", ".:/app"]
volumes: { data: {} }
`

nightly('code that a bind mount hides is refused; the network of the server, and no health check', async () => {
  await using shape = await makeShape({ ...project('v1'), Dockerfile: DOCKERFILE, 'compose.yml': HOST })
  const inputs = { 'env-file': KEY }
  const hidden = await shape.deploy('v1', inputs)
  expect(codes(hidden)).toEqual(['Deploy Django: compose-invalid'])
  expect(hidden.annotations[0]?.message).toContain('web: .:/app')
  for (const version of ['v1', 'v2'] as const) {
    await shape.write({ ...project(version), 'compose.yml': HOST.replace(', ".:/app"', '') })
    const run = await shape.deploy(version, inputs)
    expect(run.annotations).toEqual([])
    expect(run.log).toContain('skip the trial of web: it uses the network of the host')
    expect((await shape.ask()).text).toBe(`${version} with 0 notes`)
  }
})
