import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { forEach, takeSnapshots } from './death.ts'
import { endOf, findFaults, storyOf } from './journal.ts'
import { inCopy, recover, sideOf } from './recovery.ts'
import { adopt, removeAll, serving, v1 } from './serving.ts'
import { deployOf, engine, stage, transact, type Staged } from './staged.ts'
import { call, changeState, copyWorld, runsOf, stateOf, type World } from './world.ts'

// A deploy whose plan says `return: reverse`: when it fails, the new image unapplies what this deploy applied, and nothing else.

afterAll(removeAll)

const ROWS = ['core.0001', 'core.0002', 'core.0003']
const BEFORE = ROWS.slice(0, 1)

/** v2 with the app stopped while it migrates, unless it is to go on serving. */
function reversing(web: object, order: 'stopped' | 'before' = 'stopped'): Staged {
  const staged = deployOf('v2', 2, ROWS, web)
  return {
    ...staged,
    steps: staged.steps.flatMap((step) => (step === 'migrate' && order === 'stopped' ? ['stop', step] : [step])),
    planFacts: {
      ...staged.planFacts,
      approved: 'core.0002=source\ncore.0003=source\n',
      return: 'reverse',
      breaking: 'core.0002\ncore.0003\n',
    },
  }
}

const expectBack = async (place: string, world: World): Promise<void> => {
  expect([place, (await stateOf(world)).rows]).toEqual([place, BEFORE])
  expect([place, await findFaults(world, v1.id)]).toEqual([place, []])
}

let base: World
beforeAll(async () => {
  base = await serving()
})

test.each([
  ['that is not healthy', { 'x-health': 'bad' }, 'stopped'],
  ['whose migration fails half-way', { 'x-fails': 'core.0003' }, 'stopped'],
  ['whose migration fails while the app serves', { 'x-fails': 'core.0003' }, 'before'],
  ['that is not healthy, and migrated while the app served', { 'x-health': 'bad' }, 'before'],
] as const)('a deploy %s', async (_, web, order) => {
  const world = adopt(await copyWorld(base))
  const before = await stateOf(world)
  expect(await transact(world, reversing(web, order))).toBe('back v1-1-1')
  await expectBack('back', world)
  const again = (await stateOf(world)).containers.map(({ id }) => id)
  if ('x-fails' in web) expect(again).toEqual(expect.arrayContaining(before.containers.map(({ id }) => id)))
  expect((await runsOf(world)).at(-1)?.verb).toMatch(/unapply|collect/)
  const told = (await call(world, 'follow', ['v2-2-1', '0', '0'])).stdout
  expect(told).toMatch(/^b .*"verb": "unapply"/m)
  expect(told).toMatch(/^r .*"verb": "migrate"/m)
  expect(told).toMatch(/^b .*"verb": "fit"/m)
})

test('what others applied stays', async () => {
  const world = adopt(await copyWorld(base))
  const staged = reversing({ 'x-health': 'bad' })
  await changeState(world, ({ rows }) => rows.push('core.0002'))
  expect(await transact(world, staged)).toBe('back v1-1-1')
  expect((await stateOf(world)).rows).toEqual(ROWS.slice(0, 2))
})

test('one that cannot be unapplied does not keep the old release away, and is said', async () => {
  const world = adopt(await copyWorld(base))
  const staged = reversing({ 'x-health': 'bad', 'x-stuck': 'core.0002' })
  expect(await stage(world, staged)).toMatchObject({ code: 0 })
  const { log } = await engine(world, staged.id)
  expect(log).toContain('warning: the migrations of v2-2-1 could not be unapplied: v1-1-1 may not work with them')
  expect(await endOf(world, staged.id)).toBe('back v1-1-1')
  expect(await findFaults(world, v1.id)).toEqual([])
})

test('whatever dies in it, what others applied stays, and what the step reported', async () => {
  const world = adopt(await copyWorld(base))
  const staged = reversing({ 'x-health': 'bad' })
  await changeState(world, ({ rows }) => rows.push('core.0002'))
  expect(await stage(world, staged)).toMatchObject({ code: 0 })
  const { snapshots } = await takeSnapshots(world, () => engine(world, staged.id))
  const stories = await Promise.all(snapshots.map((snapshot) => storyOf(snapshot, staged.id)))
  const undoing = snapshots.filter((_, at) => stories[at]?.includes('undo begin'))
  expect(undoing.length).toBeGreaterThan(5)
  await forEach(undoing, (snapshot) =>
    inCopy(snapshot, async (copy) => {
      const place = `${snapshot.number} (${snapshot.place})`
      await recover(place, copy, staged, v1.id)
      expect([place, (await stateOf(copy)).rows]).toEqual([place, ROWS.slice(0, 2)])
      const told = (await call(copy, 'follow', [staged.id, '0', '0'])).stdout
      expect([place, told]).toEqual([place, expect.stringMatching(/^r .*"verb": "migrate"/m)])
      expect([place, told]).toEqual([place, expect.stringMatching(/^b .*"verb": "unapply"/m)])
    }),
  )
})

test('whatever dies in it, from the stop on: the old release with its schema', async () => {
  const world = adopt(await copyWorld(base))
  const staged = reversing({ 'x-health': 'bad' })
  expect(await stage(world, staged)).toMatchObject({ code: 0 })
  const { snapshots } = await takeSnapshots(world, () => engine(world, staged.id))
  const from = snapshots.findIndex(({ place }) => place.startsWith('before: stop'))
  await forEach(snapshots.slice(from), (snapshot) =>
    inCopy(snapshot, async (copy) => {
      const place = `${snapshot.number} (${snapshot.place})`
      expect([place, await sideOf(copy, staged, v1.id)]).toEqual([place, v1.id])
      await recover(place, copy, staged, v1.id)
      await expectBack(place, copy)
      expect([place, (await storyOf(copy, staged.id)).at(-1)]).toEqual([place, 'end back v1-1-1'])
    }),
  )
})
