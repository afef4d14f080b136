import { afterAll, expect, test } from '@jest/globals'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { endOf } from './journal.ts'
import { bare, removeAll } from './serving.ts'
import { deployOf, engine, REPLACE, reversingTo, rollbackTo, stage, transact, type Staged } from './staged.ts'
import { call, execsOf, runsOf, type OneOffRun, type World } from './world.ts'

// Each start of the probe gets the databases of its release.

afterAll(removeAll)

const ROWS = ['core.0001', 'core.0002']

/** A deploy of a release that lists these databases. */
function listing(staged: Staged, ...databases: string[]): Staged {
  return { ...staged, releaseFacts: { ...staged.releaseFacts, databases } }
}

/** The databases that the starts of these verbs got since the last time. */
async function databasesOf(world: World, verb: string, name = 'DATABASES'): Promise<string[]> {
  const starts: Pick<OneOffRun, 'verb' | 'environment'>[] = [...(await runsOf(world)), ...(await execsOf(world))]
  return starts
    .filter((each) => each.verb === verb)
    .map(({ environment }) => environment[`DEPLOY_DJANGO_${name}`] ?? '-')
}

test('a release is planned, migrated, verified and reversed with its own databases', async () => {
  const world = await bare()
  await transact(world, deployOf('v1', 1, ROWS.slice(0, 1)))
  expect(await databasesOf(world, 'migrate')).toEqual([''])

  const v2 = listing(deployOf('v2', 2, ROWS), 'default', 'archive')
  expect(await stage(world, v2)).toMatchObject({ code: 0 })
  await call(world, 'plan', [v2.id, 'plan'])
  expect(await databasesOf(world, 'plan')).toEqual(['default archive '])
  await engine(world, v2.id)
  expect(await endOf(world, v2.id)).toBe('committed v2-2-1')
  expect((await databasesOf(world, 'migrate')).at(-1)).toBe('default archive ')

  const v3 = listing({ ...deployOf('v3', 3, ROWS), steps: REPLACE }, 'archive', 'default')
  expect(await transact(world, v3)).toBe('committed v3-3-1')
  expect((await databasesOf(world, 'verify')).at(-1)).toBe('archive default ')

  // Older code must fit what newer code has migrated, also where it migrates nothing itself.
  const back = reversingTo('v1-1-1', 4)
  await stage(world, back)
  await call(world, 'plan', [back.id, 'fit'])
  expect((await databasesOf(world, 'fit')).at(-1)).toBe('')
  expect((await databasesOf(world, 'fit', 'MIGRATED')).at(-1)).toBe('archive default ')
  expect(await transact(world, rollbackTo('v2-2-1', 5))).toBe('committed v2-2-1')
  expect((await databasesOf(world, 'fit')).at(-1)).toBe('default archive ')
  expect((await databasesOf(world, 'verify')).at(-1)).toBe('default archive ')
  await call(world, 'status', [])
  expect((await databasesOf(world, 'plan')).at(-1)).toBe('default archive ')
})

test('a plan knows which migrations the code that serves has, also after a rollback', async () => {
  const world = await bare()
  const answer = async (id: string, verb: string): Promise<string> =>
    (await readFile(join(world.directory, `.deploy/journal/${id}.${verb}.json`), 'utf8')).trim()
  const planned = async (staged: Staged): Promise<string | undefined> => {
    expect(await stage(world, staged)).toMatchObject({ code: 0 })
    await call(world, 'plan', [staged.id, 'plan'])
    return (await databasesOf(world, 'plan', 'SERVES')).at(-1)
  }
  const v2 = deployOf('v2', 2, ROWS)
  await transact(world, deployOf('v1', 1, ROWS.slice(0, 1)))
  expect(await planned(v2)).toBe(await answer('v1-1-1', 'migrate'))
  await engine(world, v2.id)
  expect(await transact(world, rollbackTo('v1-1-1', 3))).toBe('committed v1-1-1')
  expect(await planned(deployOf('v4', 4, ROWS))).toBe(await answer('rollback-v1-3-1', 'verify'))
})

test('after a failure, the old code must fit the databases of both releases', async () => {
  const world = await bare()
  await transact(world, deployOf('v1', 1, ROWS.slice(0, 1)))
  const v2 = deployOf('v2', 2, ROWS, { 'x-health': 'bad' })
  const end = await transact(
    world,
    listing({ ...v2, steps: v2.steps.filter((step) => step !== 'try') }, 'default', 'archive'),
  )
  expect(end).toBe('back v1-1-1')
  expect((await databasesOf(world, 'fit', 'MIGRATED')).at(-1)).toBe('default archive ')
})
