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
