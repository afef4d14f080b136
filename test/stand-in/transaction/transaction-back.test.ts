import { afterAll, describe, expect, test } from '@jest/globals'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { endOf, findFaults, storyOf } from './journal.ts'
import { adopt, bare, logOf, namesOf, removeAll, ROWS, serving, untriedV2, v1, v2, v2With } from './serving.ts'
import {
  SERVICES,
  DEPLOY,
  deployOf,
  engine,
  factsOf,
  rollbackTo,
  services,
  stage,
  transact,
  untried,
  type Staged,
} from './staged.ts'
import { call, changeState, copyWorld, imageOf, stateOf, type Service, type World } from './world.ts'
import { until } from '../../until.ts'

// Each way in which a transaction fails, on a stand-in for Docker: how it says so, and that the server comes back whole.

afterAll(removeAll)

const UNCOLLECTED = DEPLOY.filter((step) => step !== 'static')

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

  test('a database that changed since the plan (10): nothing is migrated', async () => {
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

  test('static files that cannot be collected (23): those of the release that serves are put back', async () => {
    const world = await serving()
    const log = await logOf(world, v2With({ 'x-uncollected': true }))
    expect(await storyOf(world, v2.id)).toContain('back begin static 23')
    expect(log).not.toContain('warning')
    expect(await findFaults(world, 'v1-1-1')).toEqual([])
  })

  test('static files that the release that serves cannot collect again do not keep it away', async () => {
    const world = await bare()
    await transact(world, { ...deployOf('v1', 1, ROWS, { 'x-uncollected': true }), steps: UNCOLLECTED })
    const log = await logOf(world, untriedV2({ 'x-health': 'bad' }))
    expect(log).toContain('warning: the static files of v1-1-1 were not collected again, those of v2-2-1 stay')
    expect(await endOf(world, v2.id)).toBe('back v1-1-1')
  })

  test('with `collectstatic: never` nobody touches them, also on the way back', async () => {
    const world = await bare()
    const never = (staged: Staged): Staged => ({
      ...staged,
      steps: UNCOLLECTED,
      releaseFacts: { ...staged.releaseFacts, collectstatic: ['never'] },
    })
    await transact(world, never(v1))
    expect(await transact(world, untriedV2({ 'x-health': 'bad' }))).toBe('back v1-1-1')
    expect((await stateOf(world)).static).toBe('sha256:v2')
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

  test('a stateful service that stopped is started and waited for; one that runs to its end is never started again', async () => {
    const world = await serving()
    await changeState(world, ({ containers }) => {
      for (const container of containers)
        if (container.service === 'db') Object.assign(container, { state: 'exited', started: 0 })
    })
    const facts = { ...factsOf('v2'), services: [...SERVICES, 'one-time 0 buckets'] }
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
    expect(await transact(world, { ...again, releaseFacts: { ...factsOf('v3'), services: facts.services } })).toBe(
      'committed v3-3-1',
    )
    expect(await buckets()).toEqual(made)
  })

  describe('while nothing was committed, a stateful service that a failed deploy brought', () => {
    const failing = { image: 'postgres:17', 'x-exits': 1, restart: 'always' }
    const well = { image: 'postgres:17', restart: 'always', environment: { POSTGRES_PASSWORD: 'x' } }
    const withDatabase = (staged: Staged, db: Service): Staged => ({
      ...staged,
      services: { ...staged.services, db },
    })
    const databaseOf = async (world: World) =>
      (await stateOf(world)).containers
        .filter(({ service }) => service === 'db')
        .map(({ id, state }) => ({ id, state }))

    test.each([
      ['keeps restarting', failing],
      ['has ended', { image: 'postgres:17', 'x-exits': 1 }],
    ])('and that %s takes a corrected definition', async (_, db) => {
      const world = await bare()
      expect(await transact(world, withDatabase(v1, db))).toBe('back ')
      const [failed] = await databaseOf(world)
      expect(await transact(world, withDatabase(v2, db))).toBe('back ')
      expect(await transact(world, withDatabase(deployOf('v3', 3, ROWS), well))).toBe('committed v3-3-1')
      expect(await databaseOf(world)).toEqual([{ id: expect.not.stringMatching(failed!.id), state: 'running' }])
    })

    test('stays as it is without a change, and once a release was committed', async () => {
      const world = await bare()
      expect(await transact(world, withDatabase(deployOf('v1', 1, ROWS, { 'x-health': 'bad' }), well))).toBe('back ')
      const made = await databaseOf(world)
      expect(await transact(world, withDatabase(v2, well))).toBe('committed v2-2-1')
      const changed = { ...well, environment: { POSTGRES_PASSWORD: 'y' } }
      expect(await transact(world, withDatabase(deployOf('v3', 3, ROWS), changed))).toBe('committed v3-3-1')
      expect(await databaseOf(world)).toEqual(made)
    })

    test('and that runs to its end runs again when it failed', async () => {
      const world = await bare()
      const withBuckets = (staged: Staged, exit: number): Staged => ({
        ...staged,
        services: { ...staged.services, buckets: { image: 'postgres:17', 'x-exits': exit } },
        releaseFacts: { ...staged.releaseFacts, services: [...SERVICES, 'one-time 0 buckets'] },
      })
      expect(await transact(world, withBuckets(v1, 1))).toBe('back ')
      expect(await transact(world, withBuckets(v2, 0))).toBe('committed v2-2-1')
      const found = (await stateOf(world)).containers.find(({ service }) => service === 'buckets')
      expect(found).toMatchObject({ state: 'exited', exit: 0 })
    })
  })

  test('a database that ends while the app looks for it (43): its last lines say why', async () => {
    const world = await bare()
    const dying = { ...v1, services: { ...v1.services, db: { image: 'postgres:17', 'x-dies': true } } }
    expect(await logOf(world, dying)).toMatch(/last lines of \S*db[^]*FATAL: it is not initialized[^]*db exit=1/)
    expect(await storyOf(world, v1.id)).toContain('replan fail 43')
  })

  test('a database elsewhere that does not answer (12), while the stateful services run', async () => {
    const world = await bare()
    expect(await transact(world, deployOf('v1', 1, ['core.0001'], { 'x-unanswered': true }))).toBe('back ')
    expect(await storyOf(world, v1.id)).toContain('replan fail 12')
  })

  test('a stateful service that ends at once with an error (43); one for which nobody waits may', async () => {
    const tool = { image: 'postgres:17', 'x-exits': 252 }
    const facts = { ...v2.releaseFacts, services: [...SERVICES, 'database 0 tool', 'database 0 next'] }
    const staged = { ...v2, releaseFacts: facts, services: { ...v2.services, tool, next: { image: 'postgres:17' } } }
    const world = await serving()
    expect(await logOf(world, staged)).toMatch(/last lines of \S*tool[^]*tool exit=252/)
    expect(await storyOf(world, v2.id)).toContain('data fail 43')
    // What may need it was not started yet.
    expect((await stateOf(world)).containers.map(({ service }) => service)).not.toContain('next')
    const other = await serving()
    expect(await logOf(other, { ...staged, releaseFacts: { ...facts, optional: ['tool'] } })).toContain(
      'note: tool exit=252',
    )
    expect(await endOf(other, v2.id)).toBe('committed v2-2-1')
  })
})

describe('what fails after the swap goes back', () => {
  const failures: [string, Staged, string, RegExp][] = [
    [
      'HTTP does not answer well (21)',
      untriedV2({ 'x-health': 'bad', 'x-check': undefined }),
      'health fail 21',
      /worker is running, 0 restarts\nlast lines of \S*web/,
    ],
    [
      'HTTP refuses (24), which nobody waits longer than ten seconds for',
      { ...untriedV2({ 'x-health': 'refuses' }), planFacts: { ...v2.planFacts, 'health-timeout': '600' } },
      'health fail 24',
      /not healthy in time/,
    ],
    [
      'a proxy does not reach the app (27), whose lines come last',
      untriedV2({ 'x-health': 'unreached', 'x-check': undefined }),
      'health fail 27',
      /last lines of \S*web[^]*last lines of \S*proxy[^]*not healthy in time/,
    ],
    [
      'the address of another service refuses (24), whose lines come last',
      untriedV2({ 'x-health': 'refuses', 'x-check': undefined, 'x-answered': 'worker' }),
      'health fail 24',
      /last lines of \S*web[^]*last lines of \S*worker[^]*not healthy in time/,
    ],
    ['the health command fails (46)', untriedV2({ 'x-health': 'bad' }), 'health fail 46', /not healthy in time/],
    [
      'the health command cannot run (46), which nobody waits a minute for',
      {
        ...untriedV2({ 'x-health': 'bad', 'x-says': '/bin/sh: 1: curl: not found' }),
        planFacts: { ...v2.planFacts, 'health-timeout': '600' },
      },
      'health fail 46',
      /the health command of web says: \/bin\/sh: 1: curl: not found\n/,
    ],
    [
      'the program crashes again and again (47)',
      untriedV2({ 'x-exits': 1 }),
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

  test('nothing speaks HTTP (25): a release that runs quietly for ten seconds is taken', async () => {
    const world = await serving()
    const silent = v2With({ 'x-health': 'silent' })
    const patient = { ...silent, planFacts: { ...silent.planFacts, 'health-timeout': '60' } }
    expect(await transact(world, patient)).toBe('committed v2-2-1')
  })

  test('nothing, on a first deploy of an app alone: there is no container yet', async () => {
    const world = await bare()
    const alone = { ...v1, services: { web: { ...v1.services?.['web'], image: imageOf('v1') } } }
    const facts = { ...v1.releaseFacts, services: ['app 0 web'], images: [`web ${imageOf('v1')}`] }
    expect(await transact(world, { ...alone, releaseFacts: facts })).toBe('committed v1-1-1')
  })

  test('on a first deploy: the app and the proxy that it brought are removed, the database stays', async () => {
    const world = await bare()
    expect(await transact(world, untried(deployOf('v1', 1, ROWS, { 'x-health': 'bad' })))).toBe('back ')
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
    expect(await transact(world, untriedV2({ 'x-health': 'bad' }))).toBe('back v1-1-1')
    const webs = async () =>
      (await stateOf(world)).containers.filter(({ service }) => service === 'web').map(({ image }) => image)
    expect(await webs()).toEqual(['sha256:v1', 'sha256:v1', 'sha256:v1'])
    expect(await transact(world, deployOf('v3', 3, ROWS))).toBe('committed v3-3-1')
    expect(await webs()).toEqual(['sha256:v3', 'sha256:v3', 'sha256:v3'])
  })

  const renamed = (staged: Staged, app: object = {}): Staged => ({
    ...staged,
    services: {
      app: { ...staged.services?.['web'], image: imageOf('v2'), container_name: 'site', 'x-port': 80, ...app },
      worker: { image: imageOf('v2'), restart: 'always' },
      db: { image: 'postgres:17', 'x-check': ['CMD', 'pg_isready', '-U', 'a b'], restart: 'always' },
      edge: { image: 'nginx:1', 'x-port': 443 },
    },
    releaseFacts: {
      ...staged.releaseFacts,
      services: ['app 0 app', 'app 1 worker', 'front 0 edge', 'database 0 db'],
      images: [`app ${imageOf('v2')}`, `worker ${imageOf('v2')}`],
      django: ['app'],
    },
  })
  test('a renamed service and a renamed proxy give ports and names to the new ones, and get them back', async () => {
    const world = await bare()
    const named = deployOf('v1', 1, ROWS.slice(0, 1), { container_name: 'site', 'x-port': 80 })
    const proxy = { image: 'nginx:1', 'x-port': 443 }
    expect(await transact(world, { ...named, services: { ...named.services, proxy } })).toBe('committed v1-1-1')
    const before = await namesOf(world)
    expect(before).toEqual(['site running', 'todo-db-1 running', 'todo-proxy-1 running', 'todo-worker-1 running'])
    const ids = (await stateOf(world)).containers.filter(({ service }) => ['web', 'proxy'].includes(service))

    expect(await transact(world, untried(renamed(v2, { 'x-health': 'bad' })))).toBe('back v1-1-1')
    expect(await namesOf(world)).toEqual(before)
    const back = (await stateOf(world)).containers.filter(({ service }) => ['web', 'proxy'].includes(service))
    // The very same containers: what they hold in anonymous volumes is still there.
    expect(back.map(({ id }) => id)).toEqual(ids.map(({ id }) => id))

    expect(await transact(world, renamed({ ...deployOf('v2', 3, ROWS), id: 'v2-3-1' }))).toBe('committed v2-3-1')
    expect(await namesOf(world)).toEqual([
      'site running',
      'todo-db-1 running',
      'todo-edge-1 running',
      'todo-worker-1 running',
    ])
  })

  const withCache = (staged: Staged, cache: object, db: object, update = ''): Staged => ({
    ...staged,
    services: {
      ...staged.services,
      cache: { image: 'nginx:1', ...cache },
      db: { image: 'postgres:17', 'x-check': ['CMD', 'pg_isready', '-U', 'a b'], restart: 'always', ...db },
    },
    releaseFacts: { ...staged.releaseFacts, services: [...SERVICES, 'cache 0 cache'] },
    planFacts: { ...staged.planFacts, update },
  })
  test('a changed cache is taken over and goes back, a database only when it is named', async () => {
    const world = await bare()
    expect(await transact(world, withCache(v1, {}, {}))).toBe('committed v1-1-1')
    const idsOf = async (service: string) =>
      (await stateOf(world)).containers.filter((each) => each.service === service).map(({ id }) => id)
    const [cache, db] = [await idsOf('cache'), await idsOf('db')]

    const sick = untriedV2({ 'x-health': 'bad' })
    expect(await transact(world, withCache(sick, { 'x-new': 1 }, { 'x-new': 1 }))).toBe('back v1-1-1')
    expect(await storyOf(world, v2.id)).toContain('swap begin cache=1 proxy=1 web=1 worker=1')
    expect(await idsOf('cache')).not.toEqual(cache)
    expect(await idsOf('db')).toEqual(db)
    const spec = async (service: string) =>
      (await stateOf(world)).containers.find((each) => each.service === service)?.spec
    expect(await spec('cache')).toEqual({ image: 'nginx:1' })

    const named = untried(deployOf('v3', 3, ROWS, { 'x-health': 'bad' }))
    expect(await transact(world, withCache(named, {}, { 'x-new': 1 }, 'db\n'))).toBe('back v1-1-1')
    expect(await idsOf('db')).not.toEqual(db)
    expect(await spec('db')).not.toHaveProperty('x-new')
    const good = deployOf('v4', 4, ROWS)
    expect(await transact(world, withCache(good, { 'x-new': 2 }, { 'x-new': 2 }, 'db\n'))).toBe('committed v4-4-1')
    expect([await spec('cache'), await spec('db')]).toMatchObject([{ 'x-new': 2 }, { 'x-new': 2 }])
  })

  test('a proxy that an upgrade brought goes with it', async () => {
    const world = await serving()
    const sick = untriedV2({ 'x-health': 'bad' })
    const brought = {
      ...sick,
      services: { ...sick.services, edge: { image: 'nginx:1' } },
      releaseFacts: { ...sick.releaseFacts, others: ['edge', 'proxy'] },
    }
    expect(await transact(world, brought)).toBe('back v1-1-1')
    expect(await namesOf(world)).toEqual([
      'todo-db-1 running',
      'todo-proxy-1 running',
      'todo-web-1 running',
      'todo-worker-1 running',
    ])
  })

  test('as many as were asked for, or as the Compose file says now; going back, as many as before', async () => {
    const world = await serving()
    const websOf = async () => (await stateOf(world)).containers.filter(({ service }) => service === 'web').length
    const scaled = (staged: Staged, scale: string): Staged => ({ ...staged, planFacts: { ...staged.planFacts, scale } })
    expect(await transact(world, scaled(untriedV2({ 'x-health': 'bad' }), 'web=3\n'))).toBe('back v1-1-1')
    expect(await websOf()).toBe(1)
    expect(await transact(world, scaled(deployOf('v3', 3, ROWS), 'web=3\n'))).toBe('committed v3-3-1')
    expect(await websOf()).toBe(3)
    // Kept, although the file says two; and the file's, when that is what changed.
    expect(await transact(world, deployOf('v4', 4, ROWS, { scale: 2 }))).toBe('committed v4-4-1')
    expect(await websOf()).toBe(3)
    expect(await transact(world, scaled(deployOf('v5', 5, ROWS, { scale: 2 }), 'web=\n'))).toBe('committed v5-5-1')
    expect(await websOf()).toBe(2)
    expect(await transact(world, scaled(deployOf('v6', 6, ROWS, { scale: 2 }), 'web=1\n'))).toBe('committed v6-6-1')
    expect(await websOf()).toBe(1)
  })

  test('on-failure: keep leaves the new containers for a look; recovery leaves them, the next deploy goes back first', async () => {
    const world = await serving()
    const sick = untriedV2({ 'x-health': 'bad' })
    const kept = { ...sick, planFacts: { ...sick.planFacts, 'on-failure': 'keep' } }
    await logOf(world, kept)
    expect((await storyOf(world, v2.id)).slice(-2)).toEqual(['health fail 46', 'keep begin health 46'])
    expect((await call(world, 'follow', [v2.id, '99', '99'])).stdout).toMatch(/^x kept\n$/m)
    const images = async () => (await stateOf(world)).containers.map(({ name, image }) => `${name} ${image}`)
    expect(await images()).toContain('todo-web-1 sha256:v2')
    expect(await call(world, 'recover')).toMatchObject({ code: 0, stdout: '' })
    expect(await images()).toContain('todo-web-1 sha256:v2')

    const other = adopt(await copyWorld(world))
    expect(await transact(world, deployOf('v3', 3, ROWS))).toBe('committed v3-3-1')
    expect(await endOf(world, v2.id)).toBe('back v1-1-1')
    expect(await findFaults(world, 'v3-3-1')).toEqual([])
    // And so does a rollback, to the release that serves or another one.
    expect(await transact(other, rollbackTo('v1-1-1', 3))).toBe('committed v1-1-1')
    expect(await findFaults(other, 'v1-1-1')).toEqual([])
  })

  test('what fails before the swap, or is cancelled, goes back whatever on-failure says', async () => {
    const world = await serving()
    const failing = deployOf('v2', 2, [...ROWS, 'core.0003'], { 'x-fails': 'core.0003' })
    const keep = { 'on-failure': 'keep' }
    expect(await transact(world, { ...failing, planFacts: { ...failing.planFacts, ...keep } })).toBe('back v1-1-1')
    const sick = untried(deployOf('v3', 3, ROWS, { 'x-health': 'bad' }))
    expect(
      await stage(world, { ...sick, planFacts: { ...sick.planFacts, ...keep, 'health-timeout': '30' } }),
    ).toMatchObject({ code: 0 })
    const running = engine(world, sick.id)
    await until('it asks for health', async () => (await storyOf(world, sick.id)).includes('health begin'), 60, 5)
    await call(world, 'abort', [sick.id])
    await running
    expect(await endOf(world, sick.id)).toBe('back v1-1-1')
  })

  const withoutWorker = (staged: Staged): Staged => ({
    ...staged,
    releaseFacts: {
      ...staged.releaseFacts,
      services: SERVICES.filter((line) => line !== 'app 1 worker'),
      images: [`web ${imageOf('v2')}`],
    },
  })
  test('an image that Compose cannot pull, whose exit code is not one of the probe', async () => {
    const world = await serving()
    const proxy = { image: 'nginx:nope', 'x-nginx': true }
    expect(await logOf(world, { ...v2, services: { ...v2.services, proxy } })).toContain('No such image: nginx:nope')
    expect((await storyOf(world, v2.id)).find((line) => line.startsWith('swap fail'))).toBe('swap fail 1')
    expect(await findFaults(world, 'v1-1-1')).toEqual([])
  })

  test('a service that the new release has no more runs again', async () => {
    const world = await serving()
    expect(await transact(world, withoutWorker(untriedV2({ 'x-health': 'bad' })))).toBe('back v1-1-1')
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
    await logOf(world, untriedV2({ 'x-health': 'bad' }))
    expect((await storyOf(world, v2.id)).slice(-2)).toEqual(['undo fail 1', 'back fail'])
    const stuck = adopt(await copyWorld(world))

    expect(await call(world, 'recover')).toMatchObject({ code: 40 })
    expect((await storyOf(world, v2.id)).slice(-3)).toEqual(['undo begin', 'undo fail 1', 'back fail'])
    await writeFile(compose, good)
    expect(await call(world, 'recover')).toMatchObject({ code: 0 })
    expect(await findFaults(world, 'v1-1-1')).toEqual([])

    expect(await logOf(stuck, deployOf('v3', 3, ROWS))).toContain('warning: deployment v2-2-1 could not be reverted')
    expect(await endOf(stuck, v2.id)).toBe('failed v1-1-1')
    expect(await findFaults(stuck, 'v3-3-1')).toEqual([])
  })
})
