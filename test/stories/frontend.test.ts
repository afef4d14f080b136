import { expect, test } from '@jest/globals'
import { codes } from './story.ts'
import { DOCKERFILE, makeShape, project, type Files } from './shape.ts'

const COMPOSE = `services:
  web:
    build: .
    environment: { SECRET_KEY: only-for-this-test-1 }
    volumes: ["data:/data"]
  frontend:
    build: ./frontend
    volumes: ["dist:/out"]
  nginx:
    image: nginx:1-alpine
    ports: ["@PORT@:80"]
    volumes: ["./site.conf:/etc/nginx/conf.d/default.conf:ro", "dist:/srv/front:ro"]
    depends_on: [web, frontend]
volumes:
  data:
  dist:
`

/** A frontend that is built, copies its page into a volume, and ends. */
const shop = (version: 'v1' | 'v2'): Files => ({
  ...project('v1'),
  Dockerfile: DOCKERFILE,
  '.dockerignore': 'frontend\n',
  'compose.yaml': COMPOSE,
  'site.conf':
    'server { listen 80; location / { root /srv/front; } location /api/ { proxy_pass http://web:8000/; } }\n',
  'frontend/Dockerfile': `FROM python:3.13-slim
COPY index.html /page/
CMD ["cp", "/page/index.html", "/out/index.html"]
`,
  'frontend/index.html': `frontend ${version}\n`,
})

test('a frontend that copies its files into a volume comes with each release, and goes back with a rollback', async () => {
  await using shape = await makeShape(shop('v1'))
  const first = await shape.deploy('v1')
  expect([first.outputs['outcome'], codes(first)]).toEqual(['deployed', []])
  expect((await shape.ask()).text).toBe('frontend v1\n')
  expect((await shape.ask('/api/')).text).toBe('v1 with 0 notes')
  await shape.write(shop('v2'))
  expect((await shape.deploy('v2')).outputs['outcome']).toBe('deployed')
  expect((await shape.ask()).text).toBe('frontend v2\n')
  expect((await shape.rollback()).outputs['outcome']).toBe('rolled-back')
  expect((await shape.ask()).text).toBe('frontend v1\n')
})

const NGINX = 'server { listen 80; location / { root /srv/front; } location /api/ { proxy_pass http://web:8000/; } }\n'

/** A frontend whose page a volume hides. */
const covered = (version: 'v1' | 'v2'): Files => ({
  ...project('v1'),
  Dockerfile: DOCKERFILE,
  '.dockerignore': 'frontend\n',
  'compose.yaml': `services:
  web:
    build: .
    environment: { SECRET_KEY: only-for-this-test-1 }
    volumes: ["data:/data"]
  frontend:
    build: ./frontend
    ports: ["@PORT@:80"]
    volumes: ["dist:/srv/front"]
    depends_on: [web]
volumes: { data: {}, dist: {} }
`,
  'frontend/site.conf': NGINX,
  'frontend/Dockerfile':
    'FROM nginx:1-alpine\nCOPY site.conf /etc/nginx/conf.d/default.conf\nCOPY index.html /srv/front/\n',
  'frontend/index.html': `frontend ${version}\n`,
})

test('a volume that hides the page of a new image is named, with a way out that works', async () => {
  const inputs = { 'health-url': 'http://frontend/api/' }
  await using shape = await makeShape(covered('v1'))
  const first = await shape.deploy('v1', inputs)
  expect([first.outputs['outcome'], first.annotations]).toEqual(['deployed', []])
  await shape.write(covered('v2'))
  const second = await shape.deploy('v2', inputs)
  expect(second.outputs['outcome']).toBe('deployed')
  expect((await shape.ask()).text).toBe('frontend v1\n')
  expect(second.annotations.map(({ message }) => message)).toEqual([
    expect.stringMatching(/^The volume dist hides what the image of frontend has in \/srv\/front/),
  ])
  // As it is written.
  const command = /on the host: (.*), then deploy again/.exec(second.annotations[0]?.message ?? '')?.[1] ?? ''
  expect(await shape.server.exec(['sh', '-c', command])).toMatchObject({ code: 0 })
  const third = await shape.deploy('v2', inputs)
  expect([third.outputs['outcome'], third.annotations]).toEqual(['deployed', []])
  expect((await shape.ask()).text).toBe('frontend v2\n')
  // With the health check of v1: with `auto`, a warning would say that the front answers by itself.
  const back = await shape.rollback({ version: 'v1' })
  expect(back.outputs['outcome']).toBe('rolled-back')
  expect((await shape.ask()).text).toBe('frontend v2\n')
  expect(back.annotations.map(({ message }) => message)).toEqual([
    expect.stringMatching(/^frontend of v1 has other files in \/srv\/front than the volume there/),
  ])
})
