import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { groupBuilds } from '../../../src/compose/group.ts'
import { planBake, type Target } from '../../../src/image/bake.ts'
import { push, reuse } from '../../../src/image/push.ts'
import { isTransient, openRegistry, sayAndWait, type Registry } from '../../../src/image/registry.ts'
import { projectOf } from '../compose/model.ts'
import { fakeDocker } from './fake.ts'

let temp: string
let pauses: number[]
beforeEach(async () => {
  temp = await mkdtemp(join(tmpdir(), 'push-'))
  pauses = []
})
afterEach(() => rm(temp, { recursive: true }))

const pause = (milliseconds: number): Promise<void> => {
  pauses.push(milliseconds)
  return Promise.resolve()
}
const registry: Registry = { env: {}, close: () => Promise.resolve() }
const login = { registry: 'r.io', username: 'me', password: 'pa$$word' }

describe('a login', () => {
  test('goes through stdin into a folder of its own, and is forgotten', async () => {
    const home = join(temp, 'home')
    await mkdir(join(home, '.docker'), { recursive: true })
    const own = JSON.stringify({
      auths: { 'x.io': { auth: 'YTpi' } },
      credsStore: 'desktop',
      credHelpers: { 'r.io': 'gcloud', 'y.io': 'ecr' },
      currentContext: 'rootless',
    })
    await writeFile(join(home, '.docker/config.json'), own)
    const docker = fakeDocker((line) =>
      line.startsWith('context') ? { stdout: 'unix:///run/user/1/docker.sock\n' } : {},
    )
    const opened = await openRegistry([login], { run: docker.run, env: { HOME: home }, temp, pause })
    const folder = opened.env['DOCKER_CONFIG'] ?? ''
    expect(opened.env['DOCKER_HOST']).toBe('unix:///run/user/1/docker.sock')
    expect(JSON.parse(await readFile(join(folder, 'config.json'), 'utf8'))).toEqual({
      auths: { 'x.io': { auth: 'YTpi' } },
      credHelpers: { 'y.io': 'ecr' },
    })
    expect((await stat(folder)).mode & 0o777).toBe(0o700)
    expect((await stat(join(folder, 'config.json'))).mode & 0o777).toBe(0o600)
    const call = docker.calls.find(({ args }) => args[0] === 'login')
    expect(call?.args).toEqual(['login', '--username', 'me', '--password-stdin', 'r.io'])
    expect(call?.options.stdin).toBe('pa$$word')
    expect(JSON.stringify(docker.calls.map(({ args }) => args))).not.toContain('pa$$word')
    await opened.close()
    expect(await readdir(temp)).toEqual(['home'])
    expect(await readFile(join(home, '.docker/config.json'), 'utf8')).toBe(own)
  })

  test("without one, the runner's own logins are used", async () => {
    await writeFile(join(temp, 'config.json'), '{"credsStore":"desktop"}')
    const docker = fakeDocker(() => ({}))
    const opened = await openRegistry([], {
      run: docker.run,
      env: { DOCKER_CONFIG: temp, DOCKER_HOST: 'tcp://h' },
      temp,
      pause,
    })
    const copy = await readFile(join(opened.env['DOCKER_CONFIG'] ?? '', 'config.json'), 'utf8')
    expect(JSON.parse(copy)).toEqual({ credsStore: 'desktop' })
    expect(docker.calls).toEqual([])
    await opened.close()
  })

  test('that is refused fails at once and leaves nothing behind', async () => {
    const docker = fakeDocker((line) =>
      line.startsWith('login') ? { code: 1, stderr: 'Error: login attempt failed with status: 401 Unauthorized' } : {},
    )
    await expect(openRegistry([login], { run: docker.run, env: {}, temp, pause })).rejects.toMatchObject({
      code: 'registry-login-failed',
      what: 'r.io refused the login of me',
    })
    expect(pauses).toEqual([])
    expect(await readdir(temp)).toEqual([])
  })
})

describe('a login to a registry in trouble', () => {
  const status = (code: string) =>
    `Error response from daemon: login attempt to https://r.io/v2/ failed with status: ${code}`
  const logIn = (...answers: string[]) => {
    const docker = fakeDocker((line) => {
      const stderr = line.startsWith('login') ? answers.shift() : undefined
      return stderr === undefined ? {} : { code: 1, stderr }
    })
    return openRegistry([login], { run: docker.run, env: {}, temp, pause })
  }

  test('is tried again', async () => {
    await (await logIn(status('503 Service Unavailable'), 'read: connection reset by peer')).close()
    expect(pauses).toEqual([1_000, 4_000])
  })

  test('is said after four attempts', async () => {
    await expect(logIn(...Array<string>(4).fill(status('502 Bad Gateway')))).rejects.toMatchObject({
      code: 'registry-login-failed',
      what: 'The login to r.io failed',
      why: 'the registry fails or cannot be reached: 4 attempts with growing pauses',
    })
  })

  test('and that is then refused is said at once', async () => {
    await expect(logIn(status('500 Internal'), status('401 Unauthorized'), 'x')).rejects.toMatchObject({
      what: 'r.io refused the login of me',
    })
    expect(pauses).toEqual([1_000])
  })
})

test('why it is tried again is said', async () => {
  const said: string[] = []
  await sayAndWait((line) => said.push(line))(1, 'unexpected EOF')
  expect(said).toEqual(['unexpected EOF: trying again in 0.001 s'])
})

describe('a push', () => {
  const digest = `sha256:${'a'.repeat(64)}`
  const image = { reference: 'deploy-django/web:1', name: 'r.io/app' }

  test('gives name@digest', async () => {
    const docker = fakeDocker((line) => (line.startsWith('push') ? { stdout: `v1: digest: ${digest} size: 1\n` } : {}))
    const pushed = await push([image], 'v1', { run: docker.run, registry, pause })
    expect([...pushed]).toEqual([['r.io/app', `r.io/app@${digest}`]])
    expect(docker.calls.map(({ args }) => args.join(' '))).toEqual([
      'tag deploy-django/web:1 r.io/app:v1',
      'push r.io/app:v1',
    ])
  })

  test('takes the digest of this very name from the image when the output has none', async () => {
    const docker = fakeDocker((line) =>
      line.startsWith('image') ? { stdout: `r.io/app-proxy@sha256:${'b'.repeat(64)}\nr.io/app@${digest}\n\n` } : {},
    )
    expect((await push([image], 'v1', { run: docker.run, registry, pause })).get('r.io/app')).toBe(`r.io/app@${digest}`)
  })

  test('is tried again after what passes, with growing pauses', async () => {
    let attempts = 0
    const docker = fakeDocker((line) => {
      if (!line.startsWith('push')) return {}
      attempts++
      return attempts < 4
        ? { code: 1, stderr: 'received unexpected HTTP status: 503 Service Unavailable' }
        : { stdout: `v1: digest: ${digest} size: 1` }
    })
    await push([image], 'v1', { run: docker.run, registry, pause })
    expect(attempts).toBe(4)
    expect(pauses).toHaveLength(3)
    expect(pauses).toEqual(pauses.toSorted((a, b) => a - b))
  })

  test('that a registry never takes is said after four attempts', async () => {
    const docker = fakeDocker((line) =>
      line.startsWith('push') ? { code: 1, stderr: 'Put "https://r.io/": EOF' } : {},
    )
    await expect(push([image], 'v1', { run: docker.run, registry, pause })).rejects.toMatchObject({
      code: 'push-failed',
      why: 'the registry fails or cannot be reached: 4 attempts with growing pauses',
    })
    expect(pauses).toEqual([1_000, 4_000, 10_000])
  })

  test('that may not be is not tried again', async () => {
    const docker = fakeDocker((line) =>
      line.startsWith('push') ? { code: 1, stderr: 'denied: permission_denied: write_package' } : {},
    )
    const pushing = push([{ ...image, name: 'ghcr.io/o/r' }], 'v1', { run: docker.run, registry, pause })
    await expect(pushing).rejects.toMatchObject({
      code: 'push-failed',
      fix: expect.stringContaining('packages: write'),
    })
    expect(pauses).toEqual([])
  })
})

test.each([
  ['received unexpected HTTP status: 502 Bad Gateway', true],
  ['read tcp 10.0.0.1:1->2.2.2.2:443: read: connection reset by peer', true],
  ['net/http: TLS handshake timeout', true],
  ['Put "https://r.io/v2/": EOF', true],
  ['denied: requested access to the resource is denied', false],
  ['unauthorized: authentication required', false],
  ['no basic auth credentials', false],
])('%s passes: %s', (output, expected) => {
  expect(isTransient(output)).toBe(expected)
})

describe('an image of an earlier run', () => {
  const project = projectOf('services: {web: {build: .}}')
  const commit = { sha: 'c'.repeat(40), time: new Date(0), source: '' }
  const [target] = planBake({
    project,
    groups: groupBuilds(project),
    workspace: '/w',
    set: [],
    variables: { step: {}, file: undefined },
    commit,
  }).targets

  const digest = (name: string): string => `${name}@sha256:${'d'.repeat(64)}`
  const look = (
    labels: (target: Target) => unknown,
    present: string,
    digests = [digest('r.io/app'), digest('r.io/app-web')],
  ) => {
    if (!target) throw new Error('no target')
    const docker = fakeDocker((line) => {
      if (line.startsWith('pull')) return { code: line.endsWith(present) ? 0 : 1 }
      if (line.startsWith('image')) return { stdout: `${JSON.stringify(labels(target))}\n${JSON.stringify(digests)}\n` }
      return {}
    })
    return reuse(target, ['r.io/app', 'r.io/app-web'], 'v1', { run: docker.run, registry, pause })
  }

  test('is used under either name when commit and definition are the same', async () => {
    expect(await look(({ labels }) => labels, ' r.io/app:v1')).toEqual({ pushed: digest('r.io/app') })
    expect(await look(({ labels }) => labels, ' r.io/app-web:v1')).toEqual({ pushed: digest('r.io/app-web') })
  })

  test('whose digest is not certain is pushed once more', async () => {
    const digests = [digest('r.io/app'), 'r.io/app@sha256:other']
    expect(await look(({ labels }) => labels, ' r.io/app:v1', digests)).toEqual({ pushed: undefined })
    expect(await look(({ labels }) => labels, ' r.io/app:v1', [])).toEqual({ pushed: undefined })
  })

  test.each([
    ['is not pushed under the name that it has', 'r.io/app', []],
    ['is pushed under another name', 'r.io/app-web', ['tag work r.io/app:v1', 'push r.io/app:v1']],
  ])('%s', async (_, name, calls) => {
    const docker = fakeDocker((line) =>
      line.startsWith('push') ? { stdout: `v1: digest: sha256:${'d'.repeat(64)} size: 1\n` } : {},
    )
    const image = { reference: 'work', name: 'r.io/app', found: { pushed: digest(name) } }
    const pushed = await push([image], 'v1', { run: docker.run, registry, pause })
    expect(pushed).toEqual(new Map([['r.io/app', digest('r.io/app')]]))
    expect(docker.calls.map(({ args }) => args.join(' '))).toEqual(calls)
  })

  test.each([
    ['another commit', { 'org.opencontainers.image.revision': 'd' }],
    ['another definition', { 'deploy-django.bake': 'd' }],
  ])('is not used with %s', async (_, other) => {
    expect(await look(({ labels }) => ({ ...labels, ...other }), ' r.io/app:v1')).toBeUndefined()
  })

  test('is not used without labels, or when nothing is there', async () => {
    expect(await look(() => null, ' r.io/app:v1')).toBeUndefined()
    expect(await look(({ labels }) => labels, 'nothing')).toBeUndefined()
  })
})
