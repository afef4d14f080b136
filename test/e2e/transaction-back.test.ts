import { afterAll, describe, expect, test } from '@jest/globals'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { endOf, findFaults, storyOf } from '../transaction/journal.ts'
import { adopt, bare, logOf, namesOf, removeAll, ROWS, serving, v2, v2With } from '../transaction/serving.ts'
import { deployOf, factsOf, rollbackTo, services, transact, type Staged } from '../transaction/staged.ts'
import { call, changeState, copyWorld, imageOf, stateOf } from '../transaction/world.ts'

// Each way in which a transaction fails, on a stand-in for Docker: how it says so, and that the server comes back whole.

afterAll(removeAll)

describe('what fails before anything is replaced', () => {
  test('an older run than the one that served last (41), unless it is forced', async () => {
    const world = await serving()
    expect(await transact(world, deployOf('v5', 5, ROWS))).toBe('committed v5-5-1')
    expect(await logOf(world, v2)).toContain('deploy-django: run 2 is older than run 5, which deployed last')
    expect((await storyOf(world, v2.id)).slice(-4)).toEqual([
      'fence fail 41',
      'back begin fence 41',
      'back end',
      'end back v5-5-1',
    ])
    const forced = deployOf('v3', 3, ROWS)
    expect(await transact(world, { ...forced, planFacts: { ...forced.planFacts, force: 'yes' } })).toBe(
      'committed v3-3-1',
    )
    expect(await transact(world, rollbackTo('v5-5-1', 3))).toBe('committed v5-5-1')
  })

  test('a database that somebody changed since the plan (10): nothing is migrated', async () => {
    const world = await serving()
    const staged = { ...v2, planFacts: { ...v2.planFacts, approved: 'core.0001=source\n' } }
    await logOf(world, staged)
    expect((await storyOf(world, v2.id)).slice(-6)).toEqual([
      'replan fail 10',
      'back begin replan 10',
      'undo begin',
      'undo end',
      'back end',
      'end back v1-1-1',
    ])
    expect(await findFaults(world, 'v1-1-1')).toEqual([])
    const documents = (await call(world, 'follow', [v2.id, '0', '0'])).stdout
      .split('\n')
      .filter((line) => line.startsWith('r '))
    expect(documents).toEqual([expect.stringContaining('"kind": "plan-differs"')])
  })

  test('a migration that does not apply (17): what was applied before it stays, its report is kept', async () => {
    const world = await serving()
    await logOf(world, deployOf('v2', 2, [...ROWS, 'core.0003'], { 'x-fails': 'core.0003' }))
    expect(await storyOf(world, v2.id)).toContain('back begin migrate 17')
    expect(await endOf(world, v2.id)).toBe('back v1-1-1')
    expect(await findFaults(world, 'v1-1-1')).toEqual([])
    expect((await stateOf(world)).rows).toEqual(ROWS)
    const told = (await call(world, 'follow', [v2.id, '0', '0'])).stdout
    expect(told).toContain('r {"deploy-django": 1, "verb": "migrate", "applied": [{"app": "core", "name": "0002"')
  })

  test('old code that does not fit the database (20)', async () => {
    const world = await serving()
    const strict = deployOf('v2', 2, ROWS.slice(0, 1), { 'x-unfit': ['core.0002'] })
    expect(await transact(world, strict)).toBe('committed v2-2-1')
    expect(await transact(world, deployOf('v3', 3, ROWS))).toBe('committed v3-3-1')
    const rollback = rollbackTo('v2-2-1', 4)
    expect(await transact(world, rollback)).toBe('back v3-3-1')
    expect(await storyOf(world, rollback.id)).toContain('fit fail 20')
    expect(await findFaults(world, 'v3-3-1')).toEqual([])
  })

  test('a data service that stopped is started and waited for; one that runs to its end is never started again', async () => {
    const world = await serving()
    await changeState(world, ({ containers }) => {
      for (const container of containers)
        if (container.service === 'db') Object.assign(container, { state: 'exited', started: 0 })
    })
    const facts = { ...factsOf(v2.id, 'v2', 2), data: ['db', 'buckets'], once: ['buckets'] }
    const withOnce = {
      ...v2,
      releaseFacts: facts,
      services: { ...v2.services, buckets: { image: 'postgres:17', 'x-exits': 0 } },
    }
    expect(await transact(world, withOnce)).toBe('committed v2-2-1')
    const buckets = async () => (await stateOf(world)).containers.find((container) => container.service === 'buckets')
    const made = await buckets()
    expect(made).toMatchObject({ state: 'exited', exit: 0 })
    const again = {
      ...withOnce,
      ...deployOf('v3', 3, ROWS),
      services: { ...withOnce.services, ...services('v3', ROWS) },
    }
    expect(
      await transact(world, { ...again, releaseFacts: { ...facts, ...factsOf('v3-3-1', 'v3', 3), data: facts.data } }),
    ).toBe('committed v3-3-1')
    expect(await buckets()).toEqual(made)
  })
})

describe('what fails after the swap goes back', () => {
  const failures: [string, Staged, string, RegExp][] = [
    [
      'HTTP does not answer well (21)',
      v2With({ 'x-health': 'bad', 'x-check': undefined }),
      'health fail 21',
      /web is running, 0 restarts/,
    ],
    ['the health command fails (46)', v2With({ 'x-health': 'bad' }), 'health fail 46', /not healthy in time/],
    [
      'the program crashes again and again (47)',
      v2With({ 'x-exits': 1 }),
      'health fail 47',
      /it does not stay up\n[^]*web exit=1 restarts=5/,
    ],
    ['Docker cannot start it', v2With({ 'x-port-taken': true }), 'swap fail 1', /port is already allocated/],
    [
      'it is not migrated (19)',
      { ...v2, steps: v2.steps.filter((step) => !['replan', 'migrate'].includes(step)) },
      'verify fail 19',
      /./,
    ],
  ]
  test.each(failures)('%s', async (_, staged, line, said) => {
    const world = await serving()
    expect(await logOf(world, staged)).toMatch(said)
    expect(await storyOf(world, v2.id)).toContain(line)
    expect(await endOf(world, v2.id)).toBe('back v1-1-1')
    expect(await findFaults(world, 'v1-1-1')).toEqual([])
  })

  test('on a first deploy: the app and the proxy that it brought are removed, the database stays', async () => {
    const world = await bare()
    expect(await transact(world, deployOf('v1', 1, ROWS, { 'x-health': 'bad' }))).toBe('back ')
    expect(await namesOf(world)).toEqual(['todo-db-1 running'])
    expect(await transact(world, v2)).toBe('committed v2-2-1')
  })

  test('as many of each service as ran before: three stay three, forward and back', async () => {
    const world = await serving()
    await changeState(world, (state) => {
      const web = state.containers.find((container) => container.service === 'web')
      for (const number of [2, 3]) {
        const name = `todo-web-${number}`
        state.containers.push({ ...web!, id: String(number).repeat(64), name, number } as never)
      }
    })
    expect(await transact(world, v2With({ 'x-health': 'bad' }))).toBe('back v1-1-1')
    const webs = async () =>
      (await stateOf(world)).containers.filter(({ service }) => service === 'web').map(({ image }) => image)
    expect(await webs()).toEqual(['sha256:v1', 'sha256:v1', 'sha256:v1'])
    expect(await transact(world, deployOf('v3', 3, ROWS))).toBe('committed v3-3-1')
    expect(await webs()).toEqual(['sha256:v3', 'sha256:v3', 'sha256:v3'])
  })

  const withoutWorker = (staged: Staged): Staged => ({
    ...staged,
    releaseFacts: { ...staged.releaseFacts, services: ['0 web'], images: [`web ${imageOf('v2')}`] },
  })
  test('a service that the new release has no more runs again', async () => {
    const world = await serving()
    expect(await transact(world, withoutWorker(v2With({ 'x-health': 'bad' })))).toBe('back v1-1-1')
    expect(await findFaults(world, 'v1-1-1')).toEqual([])
  })

  test('a service that the new release has no more is stopped, and removed when it is certain', async () => {
    const world = await serving()
    expect(await transact(world, withoutWorker(v2))).toBe('committed v2-2-1')
    expect(await namesOf(world)).toEqual(['todo-db-1 running', 'todo-proxy-1 running', 'todo-web-1 running'])
  })

  test('when going back fails it is tried again, and a new release does not have to wait for it', async () => {
    const world = await serving()
    const compose = join(world.directory, '.deploy/releases/v1-1-1/compose.yaml')
    const good = await readFile(compose, 'utf8')
    await writeFile(compose, JSON.stringify({ services: services('v1', ROWS, { 'x-port-taken': true }) }))
    await logOf(world, v2With({ 'x-health': 'bad' }))
    expect((await storyOf(world, v2.id)).slice(-2)).toEqual(['undo fail 1', 'back fail'])
    const stuck = adopt(await copyWorld(world))

    expect(await call(world, 'recover')).toMatchObject({ code: 40 })
    expect((await storyOf(world, v2.id)).slice(-3)).toEqual(['undo begin', 'undo fail 1', 'back fail'])
    await writeFile(compose, good)
    expect(await call(world, 'recover')).toMatchObject({ code: 0 })
    expect(await findFaults(world, 'v1-1-1')).toEqual([])

    expect(await logOf(stuck, deployOf('v3', 3, ROWS))).toContain('warning: transaction v2-2-1 could not go back')
    expect(await endOf(stuck, v2.id)).toBe('failed v1-1-1')
    expect(await findFaults(stuck, 'v3-3-1')).toEqual([])
  })
})
