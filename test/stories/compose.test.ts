import { expect, test } from '@jest/globals'
import { DOCKERFILE, makeShape, project, type Files, type Shape } from './shape.ts'
import { codes } from './story.ts'

/** An overlay as Docker's documentation shows it, an included file, and a service that uses the image of another one. */
const COMPOSE: Files = {
  'compose.yaml': `include: [parts/compose.yaml]
services:
  web: { build: ., env_file: .env, volumes: ["data:/data", "media:/app/media"] }
  worker:
    image: @NAME@-web
    init: true
    command: ["python", "-c", "import time; time.sleep(100000)"]
    volumes: ["data:/data"]
volumes: { data: {}, media: {} }
`,
  'compose.production.yaml': `services:
  web:
    build: { context: ., target: production, args: ["DJANGO_ENV", "SITE=\${SITE}"] }
    env_file: .env
    ports: ["@PORT@:8000"]
    volumes: ["data:/data"]
volumes: { data: {} }
`,
  'parts/compose.yaml': `services:
  cache: { image: "\${CACHE_IMAGE}", command: "sleep \${CACHE_SECONDS}", stop_signal: SIGKILL }
`,
  'parts/.env': 'CACHE_IMAGE=python:3.13-slim\nCACHE_SECONDS=100000\n',
  // For development: nothing of it may arrive.
  '.env': 'DJANGO_ENV=development\nSITE=development\nCACHE_SECONDS=1\nCOMPOSE_PROJECT_NAME=development\n',
  Dockerfile: `${DOCKERFILE.replace('slim\n', 'slim AS production\n')}
ARG DJANGO_ENV
ARG SITE
RUN echo "$DJANGO_ENV $SITE" >/built-as
`,
}

async function inside({ server, name }: Shape, service: string, ...command: readonly string[]): Promise<string> {
  const labels = [`project=${name}`, `service=${service}`].map((label) => `--filter=label=com.docker.compose.${label}`)
  return await server.docker('exec', await server.docker('ps', '-q', ...labels), ...command)
}

test('an overlay, an include with its own .env, build arguments and an implicit image mean what Compose says', async () => {
  await using shape = await makeShape({ ...project('v1'), ...COMPOSE })
  const key = 'SECRET_KEY=for-this-site-only\n'

  const either = await shape.deploy('v1', { 'env-file': key })
  expect(codes(either)).toEqual(['Deploy Django: compose-file-ambiguous'])
  const message = either.annotations[0]?.message ?? ''
  expect(message).toContain('web: volumes: media:/app/media')
  expect(message).toContain('compose-files: compose.yaml compose.production.yaml')

  // The answer as it is written there, without the arguments.
  const files = { 'compose-files': 'compose.yaml compose.production.yaml' }
  const without = await shape.deploy('v1', { ...files, 'env-file': key })
  expect(codes(without)).toEqual(['Deploy Django: variable-missing'])
  expect(without.annotations[0]?.message).toContain('The build of service web uses DJANGO_ENV, SITE')
  expect(without.log).not.toContain('Bake')

  // And the answers in the env file.
  const answers = 'DJANGO_ENV=production\nSITE=a$b\nCOMPOSE_FILE=compose.yaml:compose.production.yaml\n'
  const inputs = { 'env-file': key + answers.replace('a$b', "'a$b'") }
  for (const version of ['v1', 'v2'] as const) {
    await shape.write(project(version))
    const run = await shape.deploy(version, inputs)
    expect(run.annotations).toEqual([])
    expect(run.outputs).toMatchObject({ outcome: 'deployed', serving: version })
    expect((await shape.ask()).text).toBe(`${version} with 0 notes`)
    expect(run.log).toContain('Compose files: compose.yaml, compose.production.yaml (COMPOSE_FILE of env-file)')
    expect(run.log).toMatch(/Build: +DJANGO_ENV from env-file, SITE from env-file/)
    expect(await shape.containers()).toEqual(['cache running', 'web running', 'worker running'])
    for (const service of ['web', 'worker']) {
      expect(await inside(shape, service, 'sh', '-c', 'cat /built-as site_/urls.py')).toMatch(
        new RegExp(`^production a\\$b\\n[^]*"${version} with`),
      )
    }
    expect(await inside(shape, 'cache', 'cat', '/proc/1/cmdline')).toBe('sleep\x00100000\x00')
    // What somebody does by hand reads the release, and changes nothing.
    const up = await shape.server.exec(['sh', '-c', `cd deploy/${shape.name} && docker compose up -d`])
    expect(up).toMatchObject({ code: 0, stderr: expect.not.stringMatching(/Recreate|Creat/) })
  }
})
