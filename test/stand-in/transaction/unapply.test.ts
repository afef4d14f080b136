import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { rm } from 'node:fs/promises'
import { run } from '../../../src/process.ts'
import { sample } from '../../seed.ts'
import { arm, disarm, forEach, takeSnapshots } from './death.ts'
import { endOf, findFaults, storyOf } from './journal.ts'
import { inCopy, isCall, recover, sideOf } from './recovery.ts'
import { adopt, bare, removeAll } from './serving.ts'
import { deployOf, DUMP, engine, reversingTo, stage, transact, withBackup, type Staged } from './staged.ts'
import { call, changeState, copyWorld, runsOf, SHELLS, stateOf, type World } from './world.ts'

// A rollback that reverses migrations: the release that serves unapplies them while the app is stopped, or applies them again.

afterAll(removeAll)

const ROWS = ['core.0001', 'core.0002', 'core.0003']
const BEFORE = ROWS.slice(0, 1)
/** Its code cannot work with what v2 does. */
const v1 = deployOf('v1', 1, BEFORE, { 'x-unfit': ['core.0002'] })
const v2With = (web: object): Staged => {
  const staged = deployOf('v2', 2, ROWS, web)
  return { ...staged, planFacts: { ...staged.planFacts, dump: DUMP } }
}
const back = withBackup(reversingTo(v1.id, 3))

/** A server on which v2 serves, with the planned rollback to v1. */
async function planned(web: object = {}, from: Staged = v1, world?: World): Promise<World> {
  const made = world ?? (await bare())
  expect(await transact(made, from)).toBe('committed v1-1-1')
  expect(await transact(made, v2With(web))).toBe('committed v2-2-1')
  expect(await stage(made, back)).toMatchObject({ code: 0 })
  expect(await call(made, 'plan', [back.id, 'fit'])).toMatchObject({
    code: 'x-unfit' in (from.services?.['web'] ?? {}) ? 20 : 0,
  })
  return made
}

const reverse = (world: World) => call(world, 'plan', [back.id, 'reverse'])

describe.each(SHELLS)('under %s', (shell) => {
  test('the newer code unapplies, while the app is stopped, what the older one does not know', async () => {
    const world = await planned({}, v1, await bare(shell))
    const answer = await reverse(world)
    expect(answer).toMatchObject({ code: 0, stdout: expect.stringContaining('"unapply": ["core.0003", "core.0002"]') })
    const recording = await takeSnapshots(world, () => engine(world, back.id))
    expect(await endOf(world, back.id)).toBe('committed v1-1-1')
    expect((await storyOf(world, back.id)).filter((line) => / begin/.test(line))).toEqual([
      'recover begin',
      'fence begin',
      'data begin',
      'replan begin',
      'stop begin todo-web-1 todo-worker-1',
      'backup begin',
      'unapply begin',
      'fit begin',
      'static begin',
      'try begin',
      'swap begin proxy=1 web=1 worker=1',
      'proxy begin',
      'health begin',
      'verify begin',
      'commit begin v1-1-1 after v2-2-1',
      'prune begin',
    ])
    expect((await stateOf(world)).rows).toEqual(BEFORE)
    expect(await findFaults(world, 'v1-1-1')).toEqual([])
    // Of the newer image, and never beside a container of the app.
    for (const snapshot of recording.snapshots) {
      const { containers, rows } = await stateOf(snapshot)
      const running = containers.filter(({ state, oneoff }) => state === 'running' && oneoff === 'False')
      if (rows.length === 2) expect(running.map(({ service }) => service).sort()).toEqual(['db', 'proxy'])
    }
    const did = (await runsOf(world)).filter(({ verb }) => verb === 'unapply')
    expect(did).toHaveLength(1)
    expect(did[0]?.environment).toHaveProperty('DEPLOY_DJANGO_TARGET')
    const told = (await call(world, 'follow', [back.id, '0', '0'])).stdout
    expect(told).toMatch(/^r .*"verb": "unapply", "unapplied": \[.*"0003".*"0002"/m)
    // And forward again.
    expect(await transact(world, deployOf('v3', 4, ROWS))).toBe('committed v3-4-1')
    expect((await stateOf(world)).rows).toEqual(ROWS)
  })
})

test('through the entrypoint, which cannot hear a word to go', async () => {
  const entry = { 'x-entrypoint': true }
  const world = await planned(entry, deployOf('v1', 1, BEFORE, { 'x-unfit': ['core.0002'], ...entry }))
  expect(await reverse(world)).toMatchObject({ code: 0 })
  await engine(world, back.id)
  expect([await endOf(world, back.id), (await stateOf(world)).rows]).toEqual(['committed v1-1-1', BEFORE])
})

test('one that does not go back: what was unapplied is applied again, and the newer release serves', async () => {
  const world = await planned({ 'x-stuck': 'core.0002' })
  expect(await reverse(world)).toMatchObject({ code: 0 })
  await engine(world, back.id)
  expect(await storyOf(world, back.id)).toContain('unapply fail 29')
  expect(await endOf(world, back.id)).toBe('back v2-2-1')
  expect((await stateOf(world)).rows).toEqual(ROWS)
  expect(await findFaults(world, 'v2-2-1')).toEqual([])
  const told = (await call(world, 'follow', [back.id, '0', '0'])).stdout
  expect(told).toMatch(/^b .*"verb": "migrate", "applied": \[.*"0003"/m)
  expect(told).not.toMatch(/^r .*"verb": "migrate"/m)
})

test('older code that does not fit even then: the same', async () => {
  const world = await planned({}, deployOf('v1', 1, BEFORE, { 'x-unfit': ['core.0002', 'other.0001'] }))
  await changeState(world, ({ rows }) => rows.push('other.0001'))
  expect(await reverse(world)).toMatchObject({ code: 0 })
  await engine(world, back.id)
  expect(await storyOf(world, back.id)).toContain('fit fail 20')
  expect(await endOf(world, back.id)).toBe('back v2-2-1')
  expect((await stateOf(world)).rows.sort()).toEqual([...ROWS, 'other.0001'])
  expect(await findFaults(world, 'v2-2-1')).toEqual([])
})

test('what cannot be applied again does not keep the newer release away, and is said', async () => {
  const other = await planned({ 'x-stuck': 'core.0002' })
  expect(await reverse(other)).toMatchObject({ code: 0 })
  // It must not fail on its way there.
  const model = `${other.directory}/.deploy/releases/v2-2-1/run.yaml`
  expect(await run('sed', ['-i', 's/"x-stuck":/"x-fails":"core.0003","x-stuck":/', model])).toMatchObject({ code: 0 })
  const { log } = await engine(other, back.id)
  expect(log).toContain('warning: migrations of v2-2-1 are unapplied and could not be applied again: deploy it again')
  expect([await endOf(other, back.id), (await stateOf(other)).rows]).toEqual(['back v2-2-1', ROWS.slice(0, 2)])
  expect(await findFaults(other, 'v2-2-1')).toEqual([])
})

test('a database that somebody changed since the plan: the app is not stopped', async () => {
  const world = await planned()
  expect(await reverse(world)).toMatchObject({ code: 0 })
  const before = (await stateOf(world)).containers.map(({ id, state }) => `${id} ${state}`)
  expect(
    await run('sed', ['-i', 's/"core.0003", //', `${world.directory}/.deploy/plans/${back.id}/reverse.json`]),
  ).toMatchObject({ code: 0 })
  await engine(world, back.id)
  expect(await storyOf(world, back.id)).toContain('replan fail 10')
  expect((await storyOf(world, back.id)).filter((line) => line.startsWith('stop'))).toEqual([])
  expect((await stateOf(world)).containers.map(({ id, state }) => `${id} ${state}`)).toEqual(before)
})

describe('by hand', () => {
  const byHand = (world: World, ...words: string[]) =>
    run('sh', ['.deploy/rollback', ...words], { env: world.env, cwd: world.directory, timeoutMs: 60_000 })

  test('without the option it is refused, with it the migrations go back', async () => {
    const world = await planned()
    expect(await byHand(world)).toMatchObject({ code: 20, stderr: expect.stringContaining('--reverse-migrations') })
    // Its id is the second in which it was started.
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    const gone = await byHand(world, '--reverse-migrations', 'v1')
    expect(gone).toMatchObject({ code: 0 })
    // The journal and the log are two files, so their lines may come in another order.
    expect(gone.stdout).toMatch(/ backup begin\n[^]* unapply begin\n[^]*\nv1 serves\n$/)
    expect(gone.stdout).toContain('to restore it, on the host: ')
    expect((await stateOf(world)).rows).toEqual(BEFORE)
    expect(await findFaults(world, 'v1-1-1')).toEqual([])
  })

  test('without a way to dump the database nothing stops, until somebody says that no backup is wanted', async () => {
    const world = await planned()
    await rm(`${world.directory}/.deploy/plans/v2-2-1/facts/dump`)
    const before = (await stateOf(world)).containers
    const refused = await byHand(world, '--reverse-migrations')
    expect(refused).toMatchObject({ code: 90, stderr: expect.stringContaining('`--no-backup`') })
    expect((await stateOf(world)).containers).toEqual(before)
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    const gone = await byHand(world, '--reverse-migrations', '--no-backup', 'v1')
    expect(gone).toMatchObject({ code: 0 })
    expect(gone.stdout).not.toContain(' backup begin')
    expect((await stateOf(world)).rows).toEqual(BEFORE)
  })

  test('what cannot be reversed is refused before anything stops', async () => {
    const world = await planned({ 'x-irreversible': ['core.0002'] })
    const before = (await stateOf(world)).containers
    const refused = await byHand(world, '--reverse-migrations')
    expect(refused).toMatchObject({ code: 28, stderr: expect.stringContaining('cannot be reversed') })
    expect((await stateOf(world)).containers).toEqual(before)
  })
})

describe('whatever dies', () => {
  let template: World
  beforeAll(async () => {
    template = await planned()
    expect(await reverse(template)).toMatchObject({ code: 0 })
    expect(await stage(template, deployOf('v4', 5, ROWS))).toMatchObject({ code: 0 })
  })

  const expectWhole = async (place: string, world: World, side: string | undefined): Promise<void> => {
    const { rows } = await stateOf(world)
    expect([place, side, rows]).toEqual([place, side, side === v1.id ? BEFORE : ROWS])
    expect([place, await findFaults(world, side)]).toEqual([place, []])
  }

  test('everything at once, at each point: the newer release with its schema, or the older one with its own', async () => {
    const world = adopt(await copyWorld(template))
    const recording = await takeSnapshots(world, () => engine(world, back.id))
    expect(await endOf(world, back.id)).toBe('committed v1-1-1')
    const sides = new Set<string | undefined>()
    await forEach(recording.snapshots, (snapshot) =>
      inCopy(snapshot, async (copy) => {
        const place = `${snapshot.number} (${snapshot.place})`
        const side = await sideOf(copy, back, 'v2-2-1')
        sides.add(side)
        await recover(place, copy, back, 'v2-2-1')
        await expectWhole(place, copy, side)
        if (snapshot.number % 7 !== 0) return
        await engine(copy, 'v4-5-1')
        await expectWhole(`${place}, then v4`, copy, 'v4-5-1')
      }),
    )
    expect(sides).toEqual(new Set([v1.id, 'v2-2-1']))
  })

  test('while it goes back', async () => {
    const world = await planned({ 'x-stuck': 'core.0002' })
    expect(await reverse(world)).toMatchObject({ code: 0 })
    const recording = await takeSnapshots(world, () => engine(world, back.id))
    const turned: (typeof recording.snapshots)[number][] = []
    for (const snapshot of recording.snapshots)
      if ((await storyOf(snapshot, back.id)).includes('unapply fail 29')) turned.push(snapshot)
    expect(turned.length).toBeGreaterThan(5)
    await forEach(turned, (snapshot) =>
      inCopy(snapshot, async (copy) => {
        await recover(snapshot.place, copy, back, 'v2-2-1')
        await expectWhole(snapshot.place, copy, 'v2-2-1')
      }),
    )
  })

  test('the engine alone, while a call of Docker goes on; and Docker is away for a while', async () => {
    const camera = adopt(await copyWorld(template))
    const { places } = await takeSnapshots(camera, () => engine(camera, back.id))
    const from = places.findIndex((place) => place.startsWith('before: stop'))
    const calls = [...places.entries()].filter(([at, place]) => at >= from && isCall(place)).map(([at]) => at + 1)
    const tried = sample('unapply', calls, 3)
    await forEach(tried, (at) =>
      inCopy(template, async (copy) => {
        const place = `${at} (${places[at - 1]})`
        if (at % 2 === 0) {
          await arm(copy, { mode: 'kill', at, spare: 'nothing' })
          expect((await engine(copy, back.id)).code).not.toBe(0)
          await disarm(copy)
          const side = await sideOf(copy, back, 'v2-2-1')
          await recover(place, copy, back, 'v2-2-1')
          return expectWhole(place, copy, side)
        }
        await arm(copy, { mode: 'away', at, calls: 40, questions: 2 })
        await engine(copy, back.id)
        await disarm(copy)
        expect([place, await endOf(copy, back.id)]).toEqual([place, 'committed v1-1-1'])
        await expectWhole(place, copy, v1.id)
      }),
    )
  })
})
