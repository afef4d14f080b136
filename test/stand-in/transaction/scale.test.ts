import { afterAll, describe, expect, test } from '@jest/globals'
import { run } from '../../../src/process.ts'
import { parseLook, type Server } from '../../../src/host/look.ts'
import { removeAll, ROWS, serving } from './serving.ts'
import { deployOf, rollbackTo, transact, untried, type Staged } from './staged.ts'
import { call, SHELLS, stateOf, type World } from './world.ts'

// How many containers of a service there are: none is a number as well.

afterAll(removeAll)

async function workersOf(world: World): Promise<number> {
  return (await stateOf(world)).containers.filter(({ service }) => service === 'worker').length
}

/** A deploy whose Compose file says so many workers; `scale` is what the runner decided. */
function withWorkers(version: string, run: number, count: number, scale = '', web: object = {}): Staged {
  const staged = deployOf(version, run, ROWS, web)
  const worker = { ...staged.services?.['worker'], image: staged.services?.['worker']?.image ?? '', scale: count }
  return {
    ...staged,
    services: { ...staged.services, worker },
    planFacts: { ...staged.planFacts, scale, counts: `web=1\nworker=${count}\n` },
  }
}

async function look(world: World): Promise<Server | undefined> {
  return parseLook((await call(world, 'look')).stdout)
}

describe.each(SHELLS)('under %s', (shell) => {
  test('a service without containers is a whole release, also at the next look', async () => {
    const world = await serving(shell)
    expect(await transact(world, withWorkers('v2', 2, 0, 'worker=\n'))).toBe('committed v2-2-1')
    expect(await workersOf(world)).toBe(0)
    expect(await look(world)).toMatchObject({ whole: true, running: ['db=1', 'proxy=1', 'web=1'] })
    expect((await look(world))?.counts).toEqual(
      new Map([
        ['web', 1],
        ['worker', 0],
      ]),
    )
    // Checked once more, and replaced once more.
    const unchanged = { ...withWorkers('v2', 3, 0), steps: ['recover', 'fence', 'health', 'verify'] }
    expect(await transact(world, unchanged)).toBe('unchanged v2-2-1')
    expect(await transact(world, withWorkers('v4', 4, 0))).toBe('committed v4-4-1')
    expect(await workersOf(world)).toBe(0)
    expect(await transact(world, withWorkers('v5', 5, 2, 'worker=\n'))).toBe('committed v5-5-1')
    expect(await workersOf(world)).toBe(2)
    expect(await look(world)).toMatchObject({ whole: true })
  })

  test('none because the input says so; started by hand they stay, and the look sees it', async () => {
    const world = await serving(shell)
    expect(await transact(world, withWorkers('v2', 2, 1, 'worker=0\n'))).toBe('committed v2-2-1')
    expect(await workersOf(world)).toBe(0)
    const after = await look(world)
    expect(after).toMatchObject({ whole: true, unstarted: ['worker'] })
    // A failed release leaves it so.
    const sick = untried(withWorkers('v3', 3, 1, 'worker=2\n', { 'x-health': 'bad' }))
    expect(await transact(world, sick)).toBe('back v2-2-1')
    expect(await workersOf(world)).toBe(0)
    expect(await look(world)).toMatchObject({ whole: true, unstarted: ['worker'] })
    expect(await transact(world, withWorkers('v4', 4, 1, 'worker=1\n'))).toBe('committed v4-4-1')
    expect(await look(world)).toMatchObject({ whole: true, unstarted: [] })
  })

  test('one that is missing is still missing', async () => {
    const world = await serving(shell)
    // The plan wants it, the Compose file says none.
    expect(
      await transact(world, {
        ...withWorkers('v2', 2, 0),
        planFacts: { ...withWorkers('v2', 2, 1).planFacts, scale: 'worker=\n' },
      }),
    ).toBe('back v1-1-1')
    expect(await workersOf(world)).toBe(1)
  })

  test('going back has as many as before, and so has the rollback by hand', async () => {
    const world = await serving(shell)
    expect(await transact(world, withWorkers('v2', 2, 2, 'worker=\n'))).toBe('committed v2-2-1')
    expect(await transact(world, untried(withWorkers('v3', 3, 0, 'worker=\n', { 'x-health': 'bad' })))).toBe(
      'back v2-2-1',
    )
    expect(await workersOf(world)).toBe(2)
    expect(await transact(world, withWorkers('v4', 4, 0, 'worker=\n'))).toBe('committed v4-4-1')
    expect(await workersOf(world)).toBe(0)
    const back = { ...rollbackTo('v2-2-1', 5) }
    const plan = { ...back.planFacts, scale: 'worker=\n', counts: 'web=1\nworker=2\n' }
    expect(await transact(world, { ...back, planFacts: plan })).toBe('committed v2-2-1')
    expect(await workersOf(world)).toBe(2)
    for (const [version, count] of [
      ['v4', 0],
      ['v2', 2],
    ] as const) {
      const hand = { env: world.env, cwd: world.directory, timeoutMs: 60_000 }
      expect(await run('sh', ['.deploy/rollback', version], hand)).toMatchObject({ code: 0, stderr: '' })
      expect(await workersOf(world)).toBe(count)
      expect(await look(world)).toMatchObject({ whole: true })
    }
  })
})
