import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../../../src/process.ts'
import { forEach, takeSnapshots } from './death.ts'
import { endOf, findFaults, storyOf } from './journal.ts'
import { inCopy } from './recovery.ts'
import { adopt, bare, logOf, removeAll, ROWS, serving, untriedV2 } from './serving.ts'
import { deployOf, engine, stage, transact } from './staged.ts'
import { call, copyWorld, stateOf, type World } from './world.ts'

// A revert is verified like a release: what it finds is said, and the server is at rest all the same.

afterAll(removeAll)

/** v1 cannot work with what the second migration of v2 does. */
const strict = deployOf('v1', 1, ROWS.slice(0, 1), { 'x-unfit': ['core.0002'] })
const sick = untriedV2({ 'x-health': 'bad' })

let broken: World
beforeAll(async () => {
  broken = await bare()
  expect(await transact(broken, strict)).toBe('committed v1-1-1')
})

const backIn = async (world: World, id: string): Promise<string[]> =>
  (await storyOf(world, id)).filter((line) => line.startsWith('back_'))

describe('after going back', () => {
  test('the old release is asked as its own deploy was, and is well', async () => {
    const world = await serving()
    expect(await transact(world, sick)).toBe('back v1-1-1')
    expect(await backIn(world, sick.id)).toEqual([
      'back_fit begin',
      'back_fit end',
      'back_health begin',
      'back_health end',
    ])
    const told = (await call(world, 'follow', [sick.id, '0', '0'])).stdout
    expect(told).toMatch(/^b \{"deploy-django": 1, "verb": "fit"/m)
    expect(told).toMatch(/^b \{"deploy-django": 1, "verb": "http".*200/m)
    expect(told).toMatch(/^r \{"deploy-django": 1, "verb": "migrate"/m)
  })

  test('old code that cannot work with the database is told; the server is at rest with it', async () => {
    const world = adopt(await copyWorld(broken))
    expect(await transact(world, sick)).toBe('back v1-1-1')
    expect(await backIn(world, sick.id)).toEqual([
      'back_fit begin',
      'back_fit fail 20',
      'back_health begin',
      'back_health fail 24',
    ])
    expect(await findFaults(world, 'v1-1-1')).toEqual([])
    expect((await call(world, 'follow', [sick.id, '0', '0'])).stdout).toMatch(/^b .*"core.0002 is gone."/m)
    expect((await call(world, 'status')).stdout).toMatch(/^deployment \S+ v2-2-1 v2-2-1 \S+ back health$/m)
  })

  test('nothing is asked when neither a container nor the schema was touched', async () => {
    const world = await serving()
    expect(await transact(world, { ...deployOf('v5', 5, ROWS), steps: ['recover', 'fence', 'nothing'] })).toBe(
      'back v1-1-1',
    )
    expect(await backIn(world, 'v5-5-1')).toEqual([])
  })

  test('a rollback by hand says it as well', async () => {
    const world = adopt(await copyWorld(broken))
    const good = deployOf('v2', 2, ROWS.slice(0, 1), { 'x-health': undefined })
    expect(await transact(world, good)).toBe('committed v2-2-1')
    const third = deployOf('v3', 3, ROWS, {})
    expect(await transact(world, third)).toBe('committed v3-3-1')
    const hand = await run('sh', ['.deploy/rollback', 'v1'], {
      env: world.env,
      cwd: world.directory,
      timeoutMs: 60_000,
    })
    expect(hand.code).toBe(20)
    expect(hand.stdout).toContain('v1 was not restored; v3-3-1 serves')
  })
})

test('whatever dies while the old release is checked, it serves and the journal is closed', async () => {
  const world = adopt(await copyWorld(broken))
  expect(await stage(world, sick)).toMatchObject({ code: 0 })
  const recording = await takeSnapshots(world, () => engine(world, sick.id))
  expect(await endOf(world, sick.id)).toBe('back v1-1-1')
  const checking: (typeof recording.snapshots)[number][] = []
  for (const snapshot of recording.snapshots)
    if ((await storyOf(snapshot, sick.id)).includes('undo end')) checking.push(snapshot)
  expect(checking.length).toBeGreaterThan(3)
  await forEach(checking, (snapshot) =>
    inCopy(snapshot, async (copy) => {
      const place = `${snapshot.number} (${snapshot.place})`
      const before = (await stateOf(copy)).containers.map(({ id }) => id)
      expect([place, (await call(copy, 'recover')).code]).toEqual([place, 0])
      expect([place, await findFaults(copy, 'v1-1-1')]).toEqual([place, []])
      expect((await stateOf(copy)).containers.map(({ id }) => id)).toEqual(before)
      const story = (await storyOf(copy, sick.id)).filter((line) => line.startsWith('back_'))
      expect([place, story]).toEqual([place, expect.arrayContaining(['back_fit fail 20', 'back_health fail 24'])])
    }),
  )
})

test.each(['dying', 'silent'])('workers that end over and over while their master lives: %s', async (workers) => {
  const world = await serving()
  const cycling = untriedV2({ 'x-health': 'bad', 'x-workers': workers, 'x-check': undefined })
  const begun = Date.now()
  const log = await logOf(world, { ...cycling, planFacts: { ...cycling.planFacts, 'health-timeout': '600' } })
  expect(Date.now() - begun).toBeLessThan(60_000)
  expect(log).toContain(workers === 'dying' ? 'Worker (pid:7) exited with code 1' : 'Booting worker with pid: 8')
  expect(await storyOf(world, cycling.id)).toContain('health fail 21')
})

test('what refuses with its health command is not waited for, and the error shows only what failed', async () => {
  const world = await serving()
  const said = 'curl: (22) The requested URL returned error: 500'
  const refusing = untriedV2({ 'x-health': 'bad', 'x-says': said })
  const log = await logOf(world, { ...refusing, planFacts: { ...refusing.planFacts, 'health-timeout': '600' } })
  expect(log).toMatch(/worker is running, 0 restarts\nlast lines of \S*web\S*:\n/)
  expect(log).not.toMatch(/last lines of \S*worker/)
  expect(log).toContain('the health command of web ended with 1: curl -f localhost || exit 1\n')
  expect(log).toContain(`the health command of web says: ${said}`)
})

test.each([
  ['during the last check', 1],
  ['and is up again', 3],
])('what crashes again and again is named, not the healthy app: %s', async (_, limit) => {
  const world = await serving()
  const v2 = untriedV2({})
  const worker = { ...v2.services?.['worker'], image: v2.services?.['worker']?.image ?? '', 'x-loops': 2 }
  const planFacts = { ...v2.planFacts, 'health-timeout': `${limit}` }
  const log = await logOf(world, { ...v2, planFacts, services: { ...v2.services, worker } })
  expect(log).toMatch(/web is running, 0 restarts\nlast lines of \S*worker\S*:\n.*it crashes again\n/)
  expect(log).not.toMatch(/last lines of \S*web/)
  expect(log).toMatch(/worker exit=3 restarts=[12]\b/)
  expect(await storyOf(world, v2.id)).toContain('health fail 47')
})

describe('what is only slow has all of health-timeout', () => {
  const slow: [string, object, string][] = [
    ['four workers that start many seconds apart', { 'x-workers': 'starting', 'x-check': undefined }, ''],
    [
      'a health command that its own limit ended, whatever it said until then',
      { 'x-says': 'curl: (22) The requested URL returned error: 500', 'x-check-exit': 124 },
      'the health command of web did not end within 10 s: curl -f localhost || exit 1\n',
    ],
  ]
  test.each(slow)('%s', async (_, web, said) => {
    const world = await serving()
    const staged = untriedV2({ 'x-health': 'bad', ...web })
    const begun = Date.now()
    const log = await logOf(world, { ...staged, planFacts: { ...staged.planFacts, 'health-timeout': '17' } })
    expect(Date.now() - begun).toBeGreaterThan(16_000)
    expect(await endOf(world, staged.id)).toBe('back v1-1-1')
    expect(log).toContain(said)
  })
})

test('without health-timeout: the start period, and 30 s or four times what the previous release needed', async () => {
  const world = await serving()
  const limit = async (begun: string, ended: string): Promise<string> => {
    await writeFile(
      join(world.directory, '.deploy/journal/v1-1-1'),
      `2026-01-01T${begun}Z health begin\n2026-01-02T${ended}Z health end\n`,
    )
    const lines =
      'cd "$1" && sed "/^command=/,\\$d" "$2" >lib.sh && . ./lib.sh && start_period() { echo 20; } && health_limit'
    const words = ['-c', lines, 'sh', world.directory, `${world.root}/transaction.sh`]
    return (await run('sh', words, { env: world.env })).stdout.trim()
  }
  expect(await limit('12:00:00.500', '12:00:03.100')).toBe('50')
  // Over midnight; and what has no fractions.
  expect(await limit('23:59:50.500', '00:00:05.000')).toBe('80')
  expect(await limit('12:00:00', '12:01:00')).toBe('260')
})
