import { afterAll, describe, expect, test } from '@jest/globals'
import { mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../../../src/process.ts'
import { until } from '../../until.ts'
import { takeSnapshots } from './death.ts'
import { endOf, findFaults, storyOf } from './journal.ts'
import { ROWS, recoverFromAll, v1, v2 } from './recovery.ts'
import { deployOf, engine, reversingTo, services, stage, transact, withBackup, type Staged } from './staged.ts'
import {
  call,
  changeState,
  makeWorld,
  removeWorld,
  SHELLS,
  stateOf,
  stopDocker,
  type Shell,
  type World,
} from './world.ts'

// The step `backup`, on a stand-in for Docker.

const worlds: World[] = []

afterAll(async () => {
  await Promise.all(worlds.map(removeWorld))
  stopDocker()
})

/** A server that serves v1; its database answers a dump in some way. */
async function serving(dump?: object, shell: Shell = 'dash'): Promise<World> {
  const world = await makeWorld(shell)
  worlds.push(world)
  const all = services('v1', ROWS.slice(0, 1))
  const staged = { ...v1, services: { ...all, db: { ...all['db'], image: 'postgres:17', ...dump } } }
  expect(await transact(world, staged)).toBe('committed v1-1-1')
  return world
}

const backupsOf = (world: World): Promise<string[]> =>
  readdir(join(world.directory, '.deploy/backups')).then(
    (names) => names.sort(),
    () => [],
  )

const CLIENT = 'postgres:17-alpine'
const WAY = `postgresql\n-\ntodo\n-\ntodo\n8192\n${CLIENT}\n`

/** A deploy with a dump by a client image. */
const byClient = (web: object = {}): Staged => withBackup(deployOf('v2', 2, ROWS, web), WAY)

async function deployAndReadLog(world: World, staged: Staged): Promise<string> {
  expect(await stage(world, staged)).toMatchObject({ code: 0 })
  return (await engine(world, staged.id)).log
}

describe.each(SHELLS)('%s', (shell) => {
  test('dumps in the container of the database before the migration, and says how to restore', async () => {
    const world = await serving({}, shell)
    const log = await deployAndReadLog(world, v2)
    const story = await storyOf(world, v2.id)
    expect(story).toContain('end committed v2-2-1')
    expect(story.indexOf('backup end')).toBeLessThan(story.indexOf('migrate begin'))
    const names = await backupsOf(world)
    expect(names).toEqual([
      expect.stringMatching(/^\d{8}T\d{6}Z-v2-default\.dump$/),
      expect.stringMatching(/^\d{8}T\d{6}Z-v2-default\.restore$/),
    ])
    const [dump = '', restore = ''] = names.map((name) => join(world.directory, '.deploy/backups', name))
    expect(await readFile(dump, 'utf8')).toBe('dump of todo\n')
    expect(((await stat(dump)).mode & 0o777).toString(8)).toBe('600')
    expect(log).toContain(`backup: 1 kB, .deploy/backups/${names[0]}`)
    expect(log).toContain(`to restore it, on the host: sh '${restore}'`)
    const text = await readFile(restore, 'utf8')
    expect(await run('sh', ['-n', restore])).toMatchObject({ code: 0 })
    expect(text).toContain('docker stop todo-web-1 todo-worker-1')
    expect(text).toContain('docker exec -i todo-db-1 sh -c')
    expect(text.trim().split('\n').at(-1)).toBe('sh .deploy/rollback v1')
    const told = (await call(world, 'follow', [v2.id, '0', '0'])).stdout
    expect(told).toContain(
      `r {"deploy-django": 1, "verb": "backup", "file": ".deploy/backups/${names[0]}", "bytes": 13, "restore": "sh '${restore}'"}`,
    )
    expect(await findFaults(world, v2.id)).toEqual([])
  })

  test('copies a SQLite file out of a one-off container', async () => {
    const world = await serving({}, shell)
    await deployAndReadLog(world, withBackup(deployOf('v2', 2, ROWS), 'sqlite\n-\n/data/db.sqlite3\n-\n-\n4096\n-\n'))
    expect(await endOf(world, v2.id)).toBe('committed v2-2-1')
    const [dump = '', restore = ''] = (await backupsOf(world)).map((name) =>
      join(world.directory, '.deploy/backups', name),
    )
    expect(await readFile(dump, 'utf8')).toBe('SQLite of todo')
    expect(await readFile(restore, 'utf8')).toContain('docker exec -i todo-web-1 python -c')
    expect(await run('sh', ['-n', restore])).toMatchObject({ code: 0 })
    expect(await findFaults(world, v2.id)).toEqual([])
  })

  test('a client image dumps a database that is elsewhere, and no argument or log has the credentials', async () => {
    const world = await serving({}, shell)
    await changeState(world, ({ registry }) => (registry[CLIENT] = 'sha256:client'))
    const staged = byClient()
    expect(await stage(world, staged)).toMatchObject({ code: 0 })
    expect(await call(world, 'dumpable', [v2.id], WAY)).toMatchObject({ code: 0 })
    const { log } = await engine(world, v2.id)
    expect(await endOf(world, v2.id)).toBe('committed v2-2-1')
    expect(log).not.toContain('PGPASSWORD')
    const [dump = '', restore = ''] = (await backupsOf(world)).map((name) =>
      join(world.directory, '.deploy/backups', name),
    )
    expect(await readFile(dump, 'utf8')).toBe('dump of todo\n')
    expect(await readFile(restore, 'utf8')).toContain(
      'docker run -i --rm --network container:todo-web-1 --log-driver none',
    )
    expect(await run('sh', ['-n', restore])).toMatchObject({ code: 0 })
    expect(await findFaults(world, v2.id)).toEqual([])
  })

  test('ends the long dump of a client when the job is cancelled', async () => {
    const world = await serving({}, shell)
    await changeState(world, ({ images }) => (images[CLIENT] = 'sha256:client'))
    expect(await stage(world, byClient({ 'x-dump': 'slow' }))).toMatchObject({ code: 0 })
    const running = engine(world, v2.id)
    await until('it dumps', async () =>
      (await stateOf(world)).containers.some(({ image }) => image === 'sha256:client'),
    )
    await call(world, 'abort', [v2.id])
    await running
    expect(await endOf(world, v2.id)).toBe('back v1-1-1')
    expect(await storyOf(world, v2.id)).toContain('backup fail 42')
    expect(await backupsOf(world)).toEqual([])
    expect(await findFaults(world, 'v1-1-1')).toEqual([])
  })

  test('ends a long dump when the job is cancelled', async () => {
    const world = await serving({ 'x-dump': 'slow' }, shell)
    expect(await stage(world, v2)).toMatchObject({ code: 0 })
    const running = engine(world, v2.id)
    await until('it dumps', async () => (await stateOf(world)).dumpEnded === false)
    await call(world, 'abort', [v2.id])
    await running
    expect(await endOf(world, v2.id)).toBe('back v1-1-1')
    expect(await storyOf(world, v2.id)).toContain('backup fail 42')
    expect(await backupsOf(world)).toEqual([])
    expect(await findFaults(world, 'v1-1-1')).toEqual([])
  })
})

test('a long dump says how far it is; it has the time of the migrations', async () => {
  const world = await serving({ 'x-dump': 'slow' })
  const log = await deployAndReadLog(world, { ...v2, planFacts: { ...v2.planFacts, 'migrate-timeout': '12' } })
  expect(log).toMatch(/backup: 0 kB so far, 1\d s\n/)
  expect(log).toContain('it did not finish within 12 s (migrate-timeout)')
  expect(await storyOf(world, v2.id)).toContain('backup fail 92')
  expect((await stateOf(world)).dumpEnded).toBe(true)
  expect(await findFaults(world, 'v1-1-1')).toEqual([])
})

describe('no migration without a backup', () => {
  test.each<[string, object, number, RegExp]>([
    ['a dump that breaks off', { 'x-dump': 'lost' }, 92, /server closed the connection unexpectedly/],
    ['a dump that is not whole', { 'x-dump': 'torn' }, 92, /the dump is incomplete/],
    [
      'a database that lets nobody in',
      { 'x-dump': 'denied' },
      90,
      /in the container of db: .*password authentication failed/,
    ],
    ['a database larger than the disk', { 'x-size': 1e15 }, 91, /MB free in .*, the database has 1000000000.0 MB/],
  ])('%s', async (_, dump, code, seen) => {
    const world = await serving(dump)
    expect(await deployAndReadLog(world, v2)).toMatch(seen)
    expect(await storyOf(world, v2.id)).toContain(`backup fail ${code}`)
    expect((await stateOf(world)).rows).toEqual(ROWS.slice(0, 1))
    expect(await backupsOf(world)).toEqual([])
    expect(await findFaults(world, 'v1-1-1')).toEqual([])
  })

  test.each<[string, object, number, RegExp]>([
    ['a client whose dump breaks off', { 'x-dump': 'lost' }, 92, /server closed the connection unexpectedly/],
    ['a client whose dump is not whole', { 'x-dump': 'torn' }, 92, /the dump is incomplete/],
  ])('%s', async (_, web, code, seen) => {
    const world = await serving()
    await changeState(world, ({ images }) => (images[CLIENT] = 'sha256:client'))
    expect(await deployAndReadLog(world, byClient(web))).toMatch(seen)
    expect(await storyOf(world, v2.id)).toContain(`backup fail ${code}`)
    expect((await stateOf(world)).rows).toEqual(ROWS.slice(0, 1))
    expect(await backupsOf(world)).toEqual([])
    expect(await findFaults(world, 'v1-1-1')).toEqual([])
  })

  test('a client image that cannot be pulled, or whose login is refused', async () => {
    const world = await serving()
    expect(await stage(world, byClient({ 'x-dump': 'denied' }))).toMatchObject({ code: 0 })
    expect(await call(world, 'dumpable', [v2.id], WAY)).toMatchObject({
      code: 93,
      stderr: expect.stringContaining(`${CLIENT}: Error response from daemon: manifest unknown`),
    })
    await changeState(world, ({ images }) => (images[CLIENT] = 'sha256:client'))
    expect(await call(world, 'dumpable', [v2.id], WAY)).toMatchObject({
      code: 90,
      stderr: expect.stringMatching(/in a container of postgres:17-alpine: .*password authentication failed/),
    })
    expect(await findFaults(world, 'v1-1-1')).toEqual([])
  })

  test('a database that is another server than that of the settings, or is not there', async () => {
    const world = await serving()
    const asked = (lines: string): ReturnType<typeof call> => call(world, 'dumpable', [v1.id], lines)
    expect(await asked('postgresql\ndb\ntodo\n7123\ntodo\n-\n-\n')).toMatchObject({ code: 0 })
    expect(await asked('postgresql\ndb\ntodo\n-\ntodo\n-\n-\n')).toMatchObject({ code: 0 })
    expect(await asked('postgresql\ndb\ntodo\n999\ntodo\n-\n-\n')).toMatchObject({
      code: 90,
      stderr: expect.stringContaining('db is a database server (7123) other than that of the settings (999)'),
    })
    expect(await asked('postgresql\ngone\ntodo\n-\ntodo\n-\n-\n')).toMatchObject({
      code: 90,
      stderr: expect.stringContaining('no container of gone is running'),
    })
    expect(await asked('sqlite\n-\n/data/db\n-\n-\n1000000000000000\n-\n')).toMatchObject({ code: 91 })
  })
})

test('before a reversal, the current release names the connection', async () => {
  const world = await makeWorld()
  worlds.push(world)
  // v1 says that it cannot be dumped (`denied`). The answer of v2, the current release, must count.
  expect(await transact(world, deployOf('v1', 1, ROWS.slice(0, 1), { 'x-dump': 'denied' }))).toBe(`committed ${v1.id}`)
  expect(await transact(world, deployOf('v2', 2, ROWS))).toBe(`committed ${v2.id}`)
  await changeState(world, ({ images }) => (images[CLIENT] = 'sha256:client'))
  const back = withBackup(reversingTo(v1.id, 3), WAY)
  // The runner sends the steps later.
  expect(await stage(world, { ...back, steps: [] })).toMatchObject({ code: 0 })
  for (const verb of ['fit', 'reverse']) expect(await call(world, 'plan', [back.id, verb])).toMatchObject({ code: 0 })
  expect(await call(world, 'dumpable', [back.id], WAY)).toMatchObject({ code: 0 })
  await writeFile(join(world.directory, '.deploy/plans', back.id, 'steps'), `${back.steps.join('\n')}\n`)
  await engine(world, back.id)
  expect(await endOf(world, back.id)).toBe(`committed ${v1.id}`)
  expect((await stateOf(world)).rows).toEqual(ROWS.slice(0, 1))
  expect(await backupsOf(world)).toHaveLength(2)
  expect(await findFaults(world, v1.id)).toEqual([])
})

test('wherever the host dies, nothing is left of the client', async () => {
  const world = await serving()
  await changeState(world, ({ images }) => (images[CLIENT] = 'sha256:client'))
  const staged = byClient()
  expect(await stage(world, staged)).toMatchObject({ code: 0 })
  const { snapshots } = await takeSnapshots(world, () => engine(world, staged.id))
  expect(snapshots.filter(({ place }) => place.includes('dumping'))).toHaveLength(1)
  await recoverFromAll(snapshots, staged, v1.id)
})

test('a copy of SQLite that is not whole is no backup', async () => {
  const world = await serving()
  const staged = deployOf('v2', 2, ROWS, { 'x-dump': 'torn' })
  await deployAndReadLog(world, withBackup(staged, 'sqlite\n-\n/data/db.sqlite3\n-\n-\n4096\n-\n'))
  expect(await storyOf(world, v2.id)).toContain('backup fail 92')
  expect(await backupsOf(world)).toEqual([])
})

test('the newest five stay, and what is younger than a week', async () => {
  const world = await serving()
  const folder = join(world.directory, '.deploy/backups')
  await mkdir(folder)
  for (let day = 1; day <= 9; day += 1) {
    for (const kind of ['dump', 'restore']) {
      const file = join(folder, `2026010${day}T000000Z-v1-default.${kind}`)
      await writeFile(file, '')
      const old = new Date(Date.now() - (day === 2 ? 6 : 9) * 86_400_000)
      await utimes(file, old, old)
    }
  }
  await writeFile(join(folder, '20260101T000009Z-v1-default.restore'), 'of an attempt that died')
  expect(await transact(world, v2)).toBe('committed v2-2-1')
  const days = (await backupsOf(world)).filter((name) => name.endsWith('.dump')).map((name) => name.slice(7, 8))
  expect(days.slice(0, -1)).toEqual(['2', '6', '7', '8', '9'])
  expect((await backupsOf(world)).filter((name) => name.endsWith('.restore'))).toHaveLength(6)
})

test('what the migration waits for does not end its patience', async () => {
  const world = await serving()
  expect(await transact(world, v2)).toBe('committed v2-2-1')
  const runs = (await readFile(join(world.root, 'docker/runs'), 'utf8')).trim().split('\n')
  expect(runs.filter((line) => line.includes('"DEPLOY_DJANGO_GO_WAIT": "3900"'))).toHaveLength(1)
})
