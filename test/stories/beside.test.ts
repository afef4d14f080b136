import { expect, test } from '@jest/globals'
import { codes } from './story.ts'
import { DOCKERFILE, makeShape, project } from './shape.ts'
import { listContainers } from '../world/listing.ts'

type Beside = { web?: string; jobs?: string; cache?: string; vault?: string }

/** An app with workers, a proxy in front of it, and behind it a service that keeps nothing and one that keeps data. */
const compose = ({ web = '', jobs = 'worker', cache = 'one', vault = 'one' }: Beside = {}): string => `services:
  web:
    build: .
    env_file: .env
    ${web}
    volumes: ["data:/data", "./shared:/shared:ro"]
    depends_on: [cache, vault]
  ${jobs}:
    build: .
    container_name: @NAME@-jobs
    command: python -c "import signal; signal.pause()"
    init: true
    env_file: .env
  side:
    build: .
    command: python -c "import signal; signal.pause()"
    init: true
    env_file: .env
  edge:
    image: nginx:1-alpine
    ports: ["@PORT@:80"]
    volumes: ["./edge.conf:/etc/nginx/conf.d/default.conf:ro"]
    depends_on: [web]
  cache: { image: "python:3.13-slim", command: sleep 100000, init: true, environment: { IS: ${cache} } }
  vault: { image: "python:3.13-slim", command: sleep 100000, init: true, environment: { IS: ${vault} }, volumes: ["kept:/kept"] }
volumes: { data: {}, kept: {} }
`
const conf = (name: string): string =>
  `server { listen 80; add_header X-Proxy ${name}; location / { proxy_pass http://web:8000; } }\n`

test('files and definitions beside the app arrive, go back by themselves and in a rollback; data stays', async () => {
  await using shape = await makeShape({
    ...project('v1'),
    Dockerfile: DOCKERFILE,
    'compose.yaml': compose(),
    'edge.conf': conf('one'),
    'shared/gone.txt': 'one',
    'shared/start.sh': 'echo one',
  })
  const containers = (service: string): Promise<string[]> => listContainers(shape.server, shape.name, { service })
  const inside = async (service: string, script: string): Promise<string> => {
    const [id = ''] = await containers(service)
    return await shape.server.docker('exec', id, 'sh', '-c', script)
  }
  /** What the containers see of files and definitions. */
  const seen = async () => ({
    ...(await shape.ask()),
    shared: await inside('web', 'cd /shared && ls && sh start.sh && if [ -x start.sh ]; then echo executable; fi'),
    cache: await inside('cache', 'echo $IS'),
    vault: await inside('vault', 'echo $IS'),
    sides: (await containers('side')).length,
  })
  const inputs = { 'env-file': 'SECRET_KEY=only-for-this-test-2\n' }
  expect((await shape.deploy('v1', inputs)).outputs['outcome']).toBe('deployed')
  const one = { text: 'v1 with 0 notes', proxy: 'one', shared: 'gone.txt\nstart.sh\none', cache: 'one', vault: 'one' }
  expect(await seen()).toEqual({ ...one, sides: 1 })
  const vault = await containers('vault')

  // Everything changes at once; what keeps data is only reported.
  const files = { 'edge.conf': conf('two'), 'shared/start.sh': '#!/bin/sh\necho two', 'shared/new.txt': 'two' }
  await shape.write({ ...project('v2'), ...files, 'compose.yaml': compose({ cache: 'two', vault: 'two' }) }, [
    'shared/gone.txt',
  ])
  const url = shape.server.url(1)
  const second = await shape.deploy('v2', { ...inputs, scale: 'side=2', url })
  expect(second.outputs).toMatchObject({ outcome: 'deployed', url })
  expect(second.annotations.map(({ kind, message }) => `${kind} ${message}`)).toEqual([
    expect.stringMatching(/^warning vault stays as it was .* environment changed .* update-services: vault$/),
    expect.stringMatching(/^warning http:\/\/127.0.0.1:1 is not reachable from outside/),
  ])
  const two = {
    text: 'v2 with 0 notes',
    proxy: 'two',
    shared: 'new.txt\nstart.sh\ntwo\nexecutable',
    cache: 'two',
    vault: 'one',
    sides: 2,
  }
  expect(await seen()).toEqual(two)
  expect(await containers('vault')).toEqual(vault)

  // A failure takes all of it back: a service with a new name, a file, both services behind the app.
  const broken = { web: 'command: python -c "raise SystemExit(3)"', jobs: 'tasks', cache: 'three', vault: 'three' }
  await shape.write({ 'edge.conf': conf('three'), 'compose.yaml': compose(broken) })
  const third = await shape.deploy('v3', { ...inputs, 'update-services': 'vault', scale: 'side=1' })
  expect(codes(third)).toEqual(['Deploy Django: container-exited'])
  expect(await seen()).toEqual(two)
  expect([await containers('tasks'), (await containers('worker')).length]).toEqual([[], 1])

  // For a look: everything stays as it failed, and a rollback goes on from there.
  const kept = await shape.deploy('v3', { ...inputs, 'update-services': 'vault', 'on-failure': 'keep' })
  expect(codes(kept)).toEqual(['Deploy Django: container-exited'])
  expect(kept.annotations[0]?.message).toContain('were kept for inspection')
  expect([(await containers('tasks')).length, await inside('vault', 'echo $IS')]).toEqual([1, 'three'])
  const back = await shape.rollback()
  expect(back.outputs).toMatchObject({ outcome: 'rolled-back', serving: 'v1' })
  expect(await seen()).toEqual({ ...one, sides: 2 })
  expect([await containers('tasks'), (await containers('worker')).length]).toEqual([[], 1])
})
