import { afterAll, describe, expect, jest, test } from '@jest/globals'
import { mkdir, readdir, readFile, rm, rmdir, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run, type Finished } from '../../../src/process.ts'
import {
  asNobody,
  call,
  changeState,
  makeClosed,
  makeWorld,
  removeWorld,
  SHELLS,
  stateOf,
  stopDocker,
  type World,
} from './world.ts'
import { deployOf, rollbackTo, stage, type Staged } from './staged.ts'

jest.setTimeout(60_000)
const worlds: World[] = []
afterAll(async () => {
  await Promise.all(worlds.map(removeWorld))
  stopDocker()
})

const v1 = deployOf('v1', 1, ['core.0001'])
const secret = { ...v1, releaseFacts: { ...v1.releaseFacts, images: ['web private/app@sha256:v1'] } }

describe.each(SHELLS)('under %s', (shell) => {
  async function newWorld(): Promise<World> {
    const world = await makeWorld(shell)
    worlds.push(world)
    world.env['XDG_RUNTIME_DIR'] = join(world.root, 'run')
    await mkdir(join(world.root, 'run'))
    return world
  }

  /** Nobody waits: the pauses are written down. */
  async function noteSleep(world: World): Promise<() => Promise<string[]>> {
    const [sleep, notes] = [join(world.root, 'bin/sleep'), join(world.root, 'slept')]
    await rm(sleep, { force: true })
    await writeFile(sleep, `#!/bin/sh\necho "$1" >>${notes}\n`, { mode: 0o755 })
    await writeFile(notes, '')
    return async () => (await readFile(notes, 'utf8')).split('\n').filter((line) => line !== '')
  }

  describe('stage', () => {
    test('puts release, files and plan in place and pulls by digest, with a tag against pruning', async () => {
      const world = await newWorld()
      const kept = join(world.directory, '.deploy/files/aa')
      await mkdir(kept, { recursive: true })
      await writeFile(join(kept, 'nginx.conf'), 'the same content')
      await utimes(kept, 1, 1)
      const files = { 'aa/nginx.conf': 'the same content', 'bb/start.sh': 'echo' }
      expect(await stage(world, { ...v1, files, env: 'A=1\n' })).toEqual({
        code: 0,
        stdout: 'pulling registry/app@sha256:v1\n',
        stderr: '',
      })
      const deploy = join(world.directory, '.deploy')
      expect(await readdir(join(deploy, 'releases/v1-1-1'))).toEqual([
        'compose.yaml',
        'env',
        'facts',
        'run',
        'run.yaml',
      ])
      expect(await readdir(join(deploy, 'plans/v1-1-1'))).toEqual([
        'facts',
        'http.json',
        'probe.py',
        'rollback',
        'steps',
        'transaction.sh',
        'try.json',
      ])
      expect(await readFile(join(deploy, 'files/bb/start.sh'), 'utf8')).toBe('echo')
      expect(await readdir(kept)).toEqual(['nginx.conf'])
      // It counts as new again, so that a prune that runs at the same time leaves it.
      expect((await stat(kept)).mtimeMs).toBeGreaterThan(Date.now() - 60_000)
      expect(await readdir(join(deploy, 'incoming'))).toEqual([])
      expect(await readFile(join(deploy, 'format'), 'utf8')).toBe('1\n')
      expect((await stat(deploy)).mode & 0o777).toBe(0o700)
      expect((await stateOf(world)).images).toMatchObject({ 'registry/app:deploy-django-todo-v1': 'sha256:v1' })

      expect(await stage(world, v1)).toMatchObject({ code: 50 })
    })

    test('an image that is here already is not pulled', async () => {
      const world = await newWorld()
      await changeState(world, ({ images }) => (images['registry/app@sha256:v1'] = 'sha256:v1'))
      expect(await stage(world, v1)).toMatchObject({ code: 0, stdout: '' })
    })

    const fails = 'received unexpected HTTP status: 503 Service Unavailable'
    test.each([
      ['is gone', ['manifest unknown: manifest unknown'], 67, []],
      ['is refused', ['pull access denied for app, repository does not exist'], 66, []],
      ['does not fit', ['write /var/lib/docker/x: no space left on device'], 33, []],
      ['does not come', Array<string>(4).fill(fails), 68, ['1', '4', '10']],
      ['breaks off, then is gone', ['read tcp: connection reset by peer', 'manifest unknown'], 67, ['1']],
      ['comes at last', [fails, 'Get "https://registry/v2/": EOF'], 0, ['1', '4']],
    ])('an image that %s', async (_, trouble, code, pauses) => {
      const world = await newWorld()
      await changeState(world, (state) => Object.assign(state, { trouble: [...trouble] }))
      const slept = await noteSleep(world)
      const staged = await stage(world, v1)
      expect(staged.code).toBe(code)
      expect(await slept()).toEqual(pauses)
      for (const pause of pauses) expect(staged.stdout).toContain(`trying again in ${pause} s`)
      if (code === 0) return
      expect(staged.stderr).toContain('deploy-django: this host could not pull registry/app@sha256:v1')
      expect(staged.stderr).toContain(trouble.at(-1))
    })

    test.each([
      ['is gone', 'manifest unknown: manifest unknown', 69],
      ['is refused', 'pull access denied for app', 69],
      ['does not fit', 'write /var/lib/docker/x: no space left on device', 33],
    ])('an image of an older release that %s', async (_, trouble, code) => {
      const world = await newWorld()
      expect(await stage(world, v1)).toMatchObject({ code: 0 })
      await changeState(world, (state) => Object.assign(state, { images: {}, trouble: [trouble] }))
      expect(await stage(world, rollbackTo(v1.id, 2))).toMatchObject({ code, stderr: expect.stringContaining(trouble) })
    })

    test('an image beside the app is pulled as well, and keeps its name; a wrong one is told before anything is touched', async () => {
      const world = await newWorld()
      const beside = (...images: string[]): Staged => ({
        ...v1,
        releaseFacts: { ...v1.releaseFacts, 'images-beside': images },
      })
      await changeState(world, ({ registry }) => (registry['caddy@sha256:2'] = 'sha256:caddy'))
      expect(await stage(world, beside('nginx:1', 'caddy@sha256:2'))).toMatchObject({ code: 0 })
      const { images } = await stateOf(world)
      expect(Object.keys(images).filter((name) => images[name] === 'sha256:caddy')).toEqual(['caddy@sha256:2'])
      const wrong = { ...beside('postgres:nope'), id: 'v1-2-1', planFacts: { ...v1.planFacts, target: 'v1-2-1' } }
      expect(await stage(world, wrong)).toMatchObject({
        code: 72,
        stderr: expect.stringContaining('could not pull postgres:nope: '),
      })
    })

    test('a login is tried again as well', async () => {
      const world = await newWorld()
      await changeState(world, (state) => Object.assign(state, { trouble: [fails] }))
      await changeState(world, ({ registry }) => (registry['private/app@sha256:v1'] = 'sha256:v1'))
      const slept = await noteSleep(world)
      expect(await stage(world, secret, 'private\nme\nright\n')).toMatchObject({ code: 0 })
      expect(await slept()).toEqual(['1'])
    })

    test('a login lives in memory, for the pull only', async () => {
      const world = await newWorld()
      await changeState(world, ({ registry }) => (registry['private/app@sha256:v1'] = 'sha256:v1'))
      expect(await stage(world, secret, 'other.registry\nme\nright\nprivate\nme\nright\n')).toMatchObject({ code: 0 })
      expect(await readdir(join(world.root, 'run'))).toEqual([])
      expect(await readdir(world.root)).not.toContain('.docker')
    })

    test.each([
      ['a JSON key', '{"type": "service_account","private_key": "a\\nb $HOME `id` \'"}'],
      ['a password with spaces around it', ' pass word\t'],
    ])('%s arrives as it was sent', async (_, password) => {
      const world = await newWorld()
      await changeState(world, (state) => Object.assign(state, { password }))
      await changeState(world, ({ registry }) => (registry['private/app@sha256:v1'] = 'sha256:v1'))
      expect(await stage(world, secret, `private\n_json_key\n${password}\n`)).toMatchObject({ code: 0 })
    })

    test('no login is needed when every image is there', async () => {
      const world = await newWorld()
      await changeState(world, ({ images }) => (images['private/app@sha256:v1'] = 'sha256:v1'))
      expect(await stage(world, secret, 'private\nme\nwrong\n')).toMatchObject({ code: 0 })
    })

    test('a login that is refused ends with 32 and the reason', async () => {
      const world = await newWorld()
      expect(await stage(world, secret, 'private\nme\nwrong\n')).toMatchObject({
        code: 32,
        stderr:
          'deploy-django: the registry private refused the login from this host: ' +
          'Error response from daemon: unauthorized: incorrect username or password\n',
      })
      expect(await readdir(join(world.root, 'run'))).toEqual([])
    })

    test('a format from the future ends with 31, before anything is moved', async () => {
      const world = await newWorld()
      await mkdir(join(world.directory, '.deploy'), { recursive: true })
      await writeFile(join(world.directory, '.deploy/format'), '2\n')
      expect(await stage(world, v1)).toMatchObject({ code: 31 })
      expect(await readdir(join(world.directory, '.deploy'))).toEqual(['format', 'incoming'])
    })
  })

  describe('check', () => {
    async function checkOf(world: World, staged: Staged): Promise<Finished> {
      expect(await stage(world, staged)).toMatchObject({ code: 0 })
      return call(world, 'check', [staged.id])
    }
    const wanting = (wants: object): Staged => deployOf('v1', 1, ['core.0001'], wants)

    test('an env file that is nowhere ends with 34', async () => {
      const staged = { ...v1, releaseFacts: { ...v1.releaseFacts, 'env-files': ['.env', 'with space/.env.db'] } }
      const world = await newWorld()
      await writeFile(join(world.directory, '.env'), '')
      expect(await checkOf(world, staged)).toMatchObject({ code: 34, stderr: 'deploy-django: with space/.env.db\n' })
    })

    test('a folder where a file should be ends with 59, and its path', async () => {
      const world = await newWorld()
      const staged = { ...v1, releaseFacts: { ...v1.releaseFacts, 'bound-files': ['conf/site.conf'] } }
      expect(await checkOf(world, staged)).toMatchObject({ code: 34, stderr: 'deploy-django: conf/site.conf\n' })
      await mkdir(join(world.directory, 'conf/site.conf'), { recursive: true })
      const path = join(world.directory, 'conf/site.conf')
      expect(await call(world, 'check', [v1.id])).toMatchObject({ code: 59, stderr: `deploy-django: ${path}\n` })
      await rmdir(path)
      await writeFile(path, '')
      expect(await call(world, 'check', [v1.id])).toMatchObject({ code: 0 })
      // A commit would move the release's own into it.
      await mkdir(join(world.directory, '.env'))
      const own = join(world.directory, '.env')
      expect(await call(world, 'check', [v1.id])).toMatchObject({ code: 59, stderr: `deploy-django: ${own}\n` })
    })

    test('files below ~ are in the home of who calls Docker', async () => {
      const world = await newWorld()
      const staged = { ...v1, releaseFacts: { ...v1.releaseFacts, 'env-files': ['~/site.env', '~/keys/tls.key'] } }
      await writeFile(join(world.root, 'site.env'), '')
      const key = join(world.root, 'keys/tls.key')
      expect(await checkOf(world, staged)).toMatchObject({ code: 34, stderr: `deploy-django: ${key}\n` })
      await mkdir(join(world.root, 'keys'))
      await writeFile(key, '')
      expect(await call(world, 'check', [v1.id])).toMatchObject({ code: 0 })
    })

    test('a file where only root may look is left to Compose', async () => {
      const world = await newWorld()
      const listed = [join(world.root, 'closed/tls.key')]
      const staged = { ...v1, releaseFacts: { ...v1.releaseFacts, 'env-files': listed } }
      expect(await stage(world, staged)).toMatchObject({ code: 0 })
      const check = ['../transaction.sh', 'check', world.directory, v1.id]
      await run('chmod', ['-R', 'a+rwX', world.root])
      expect(await asNobody(world, check)).toMatchObject({ code: 34 })
      await makeClosed(world)
      // Compose may not be this user's either, which is another error.
      expect((await asNobody(world, check)).code).not.toBe(34)
    })

    test('what Compose refuses ends with 35, on one line and without its warnings', async () => {
      const world = await newWorld()
      const checked = await checkOf(world, wanting({ 'x-required': ['${TAG}'], 'x-variables': ['${OTHER}'] }))
      expect(checked).toMatchObject({ code: 35 })
      expect(checked.stderr).toMatch(/^deploy-django: error while .* required variable TAG is missing a value \n$/)
    })

    test('variables that are set nowhere end with 36; the env that came with the release is read before the own one', async () => {
      const world = await newWorld()
      await writeFile(join(world.directory, '.env'), 'A=1\n')
      const wants = wanting({ 'x-variables': ['${A}', '${B}', '${C}'] })
      expect(await checkOf(world, wants)).toMatchObject({ code: 36, stderr: 'deploy-django: B C \n' })
      const other = await newWorld()
      await writeFile(join(other.directory, '.env'), 'A=1\n')
      expect(await checkOf(other, { ...wants, env: 'B=1\nC=1\n' })).toMatchObject({
        code: 36,
        stderr: 'deploy-django: A \n',
      })
    })

    test('a dollar sign in a value of an env file ends with 51; what stands behind it may be a secret and is not shown', async () => {
      const world = await newWorld()
      const checked = await checkOf(world, wanting({ 'x-variables': ['secret'] }))
      expect(checked).toMatchObject({ code: 51, stderr: 'deploy-django: a value in an env file has a dollar sign\n' })
    })

    test('says nothing about mounts of a release that does not, and what Compose makes of them for one that does', async () => {
      const world = await newWorld()
      expect(await checkOf(world, v1)).toEqual({ code: 0, stdout: '', stderr: '' })
      await writeFile(
        join(world.directory, '.deploy/releases/v1-1-1/mounts.yaml'),
        '{"services":{"web":{"image":"none"}}}',
      )
      expect(await call(world, 'check', [v1.id])).toEqual({
        code: 0,
        stdout: '{"deploy-django": 1, "verb": "mounts", "model": {"services": {"web": {"image": "none"}}}}\n',
        stderr: '',
      })
    })
  })

  describe('prepare', () => {
    test('makes the folders of the directory that containers mount, for any user to read; stops for a missing file', async () => {
      const world = await newWorld()
      expect(await stage(world, v1)).toMatchObject({ code: 0 })
      const at = (path: string): string => join(world.directory, path)
      await mkdir(at('data'), { mode: 0o700 })
      const folders = [at('media/a b'), at('data'), at('.deploy'), join(world.root, 'elsewhere'), world.directory]
      const made = await call(world, 'prepare', [v1.id], folders.map((path) => `folder ${path}\n`).join(''))
      expect(made).toEqual({
        code: 0,
        stderr: '',
        stdout: `created the folder ${at('media/a b')} for containers, owned by user ${process.getuid?.()}\n`,
      })
      for (const path of ['media', 'media/a b']) expect((await stat(at(path))).mode & 0o777).toBe(0o755)
      expect((await stat(at('data'))).mode & 0o777).toBe(0o700)
      await expect(stat(join(world.root, 'elsewhere'))).rejects.toThrow('ENOENT')

      await writeFile(at('site.conf'), '')
      const files = `file ${at('site.conf')}\nfile ${at('.env')}\nfolder ${at('late')}\n`
      const missing = await call(world, 'prepare', [v1.id], files)
      expect(missing).toMatchObject({ code: 34, stderr: `deploy-django: ${at('.env')}\n` })
      await mkdir(at('.env'))
      const folder = await call(world, 'prepare', [v1.id], files)
      expect(folder).toMatchObject({ code: 59, stderr: `deploy-django: ${at('.env')}\n` })
    })
  })

  describe('plan', () => {
    async function planOf(world: World, staged: Staged, verb = 'plan'): Promise<Finished> {
      expect(await stage(world, staged)).toMatchObject({ code: 0 })
      return call(world, 'plan', [staged.id, verb])
    }

    test('asks the image alone before the first deploy, the database when there is one', async () => {
      const world = await newWorld()
      const first = await planOf(world, v1)
      expect(first).toMatchObject({ code: 0 })
      expect(first.stdout).toContain('{"deploy-django": 1, "verb": "list"')
      expect((await stateOf(world)).containers).toEqual([])
      await writeFile(join(world.directory, '.deploy/current'), `${v1.id}\n`)
      await changeState(world, (state) => state.rows.push('core.0001'))
      const second = await planOf(world, deployOf('v3', 3, ['core.0001', 'core.0002']))
      expect(second.stdout).toContain('{"deploy-django": 1, "verb": "plan", "pending": ["core.0002"]}')
      expect((await call(world, 'plan', ['v3-3-1', 'fit'])).stdout).toContain('"verb": "fit"')
    })

    test('what is not deployed yet, on a server where Docker is silent, is no answer', async () => {
      const world = await newWorld()
      expect(await stage(world, v1)).toMatchObject({ code: 0 })
      await writeFile(join(world.root, 'docker/points'), JSON.stringify({ mode: 'away', at: 1, calls: 9 }))
      expect((await call(world, 'plan', [v1.id, 'plan'])).code).not.toBe(0)
    })
  })
})

test('a directory that is not there ends with 30', async () => {
  const world = await makeWorld()
  worlds.push(world)
  expect(await call({ ...world, directory: '/nowhere' }, 'abort', ['x'])).toMatchObject({ code: 30 })
  expect(await call(world, 'destroy')).toMatchObject({ code: 64 })
})
