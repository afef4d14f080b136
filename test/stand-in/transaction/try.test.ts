import { afterAll, describe, expect, test } from '@jest/globals'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../../../src/process.ts'
import { arm, disarm, takeSnapshots } from './death.ts'
import { endOf, findFaults, journalOf, storyOf } from './journal.ts'
import { adopt, bare, logOf, namesOf, removeAll, ROWS, serving, v1, v2, v2With } from './serving.ts'
import { SERVICES, deployOf, engine, rollbackTo, stage, transact, type Staged } from './staged.ts'
import { call, changeState, copyWorld, runsOf, SHELLS, stateOf, type World } from './world.ts'

afterAll(removeAll)

/** The containers of the site: a trial that fails leaves each as it is. */
const siteOf = async (world: World): Promise<unknown[]> =>
  (await stateOf(world)).containers
    .filter(({ oneoff, service }) => oneoff === 'False' && service !== '')
    .map(({ id, state, started }) => ({ id, state, started }))
const triesOf = async (world: World): Promise<number> =>
  (await runsOf(world)).filter(({ verb }) => verb === 'try').length
const within = (staged: Staged, seconds: number): Staged => ({
  ...staged,
  planFacts: { ...staged.planFacts, 'health-timeout': String(seconds) },
})

describe.each(SHELLS)('under %s', (shell) => {
  test('a release that fails its trial is red, and nothing of the site is touched', async () => {
    const world = await serving(shell)
    const before = await siteOf(world)
    const log = await logOf(world, v2With({ 'x-exits': 3 }))
    expect(await storyOf(world, v2.id)).toEqual(
      expect.arrayContaining(['try begin', 'try fail 47', 'back begin try 47', 'end back v1-1-1']),
    )
    expect(await storyOf(world, v2.id)).not.toContain('swap begin')
    expect(log).toMatch(/last lines of \/todo-try:\n {2}\| Traceback: it does not stay up\ndeploy-django: web exit=3/)
    expect(await siteOf(world)).toEqual(before)
    expect(await findFaults(world, 'v1-1-1')).toEqual([])
  })

  test('a release that passes is swapped in; its trial has no labels and is gone', async () => {
    const world = await serving(shell)
    expect(await transact(world, v2)).toBe('committed v2-2-1')
    const [first] = (await runsOf(world)).filter(({ verb }) => verb === 'try').slice(-1)
    expect(first?.labels).toEqual({ 'deploy-django.tries': 'todo', SERVICE_IGNORE: 'true' })
    expect(await namesOf(world)).not.toContain('todo-try running')
    expect((await stateOf(world)).removed).toContain('todo-try')
  })
})

describe('a trial that fails', () => {
  const sick = { 'x-health': 'bad' }
  test.each<[string, Staged, string, RegExp]>([
    ['its program ends as if it had done its work', v2With({ 'x-exits': 0 }), 'try fail 47', /web exit=0/],
    ['its health command fails', v2With(sick), 'try fail 46', /not healthy in time/],
    ['it answers with an error', within(v2With({ 'x-health': 'refuses' }), 600), 'try fail 24', /not healthy in time/],
    [
      'its workers end over and over',
      within(v2With({ ...sick, 'x-workers': 'dying', 'x-check': undefined }), 600),
      'try fail 21',
      /exited with code 1/,
    ],
  ])('%s', async (_, staged, fails, says) => {
    const world = await serving()
    const before = await siteOf(world)
    const log = await logOf(world, staged)
    expect(await storyOf(world, v2.id)).toContain(fails)
    expect(log).toMatch(says)
    expect(await siteOf(world)).toEqual(before)
    expect(await findFaults(world, 'v1-1-1')).toEqual([])
  })

  test('of a first deploy leaves nothing', async () => {
    const world = await bare()
    expect(await transact(world, deployOf('v1', 1, ROWS.slice(0, 1), sick))).toBe('back ')
    expect(await namesOf(world)).toEqual(['todo-db-1 running'])
    expect(await transact(world, deployOf('v1', 2, ROWS.slice(0, 1)))).toBe('committed v1-2-1')
  })

  test('of a rollback leaves what serves, also by hand', async () => {
    const world = await serving()
    expect(await transact(world, v2)).toBe('committed v2-2-1')
    const before = await siteOf(world)
    const model = join(world.directory, '.deploy/releases/v1-1-1/run.yaml')
    await writeFile(model, (await readFile(model, 'utf8')).replace('"x-migrations"', '"x-health":"bad","x-migrations"'))
    expect(await transact(world, rollbackTo('v1-1-1', 3))).toBe('back v2-2-1')
    expect(await storyOf(world, 'rollback-v1-3-1')).toContain('try fail 46')
    const options = { env: world.env, cwd: world.directory, timeoutMs: 60_000 }
    const hand = await run('sh', ['.deploy/rollback', 'v1'], options)
    expect(hand).toMatchObject({ code: 46, stdout: expect.stringContaining('v1 was not restored; v2-2-1 serves') })
    expect(hand.stdout).toMatch(/ try fail 46\n/)
    expect(await siteOf(world)).toEqual(before)
  })

  test('is not made by hand where a cache changes with the release', async () => {
    const world = await bare()
    const withCache = (staged: Staged, hash: string): Staged => ({
      ...staged,
      services: { ...staged.services, cache: { image: 'nginx:1' } },
      releaseFacts: {
        ...staged.releaseFacts,
        services: [...SERVICES, 'cache 0 cache'],
        behind: ['db 1', `cache ${hash}`],
      },
    })
    expect(await transact(world, withCache(v1, '1'))).toBe('committed v1-1-1')
    expect(await transact(world, withCache(v2, '1'))).toBe('committed v2-2-1')
    expect(await transact(world, withCache(deployOf('v3', 3, ROWS), '2'))).toBe('committed v3-3-1')
    const hand = async (version: string) =>
      (await run('sh', ['.deploy/rollback', version], { env: world.env, cwd: world.directory, timeoutMs: 60_000 }))
        .stdout
    const refused = 'note: web is not tried: a service behind the app may change with it'
    expect(await hand('v2')).toContain(refused)
    expect(await hand('v1')).not.toContain('is not tried')
  })

  test('is kept for a look with `on-failure: keep`, until the next deploy', async () => {
    const world = await serving()
    const kept = v2With({ 'x-exits': 3 })
    await logOf(world, { ...kept, planFacts: { ...kept.planFacts, 'on-failure': 'keep' } })
    expect((await storyOf(world, v2.id)).at(-1)).toBe('keep begin try 47')
    expect(await namesOf(world)).toContain('todo-try exited')
    expect(await call(world, 'recover')).toMatchObject({ code: 0 })
    expect(await namesOf(world)).toContain('todo-try exited')
    expect(await transact(world, deployOf('v3', 3, ROWS))).toBe('committed v3-3-1')
    expect(await endOf(world, v2.id)).toBe('back v1-1-1')
    expect(await findFaults(world, 'v3-3-1')).toEqual([])
  })
})

describe('what cannot be tried is not, and the log says why', () => {
  test.each<[string, (world: World) => Promise<void>, RegExp]>([
    [
      'a socket in a volume',
      (world) =>
        specOf(world, { 'x-sockets': ['/run/app/app.sock'], 'x-mounts': [{ Destination: '/run/app', Source: '/s' }] }),
      /take over the socket \/run\/app\/app\.sock/,
    ],
    [
      'one that is named from the working directory',
      (world) =>
        specOf(world, { 'x-sockets': ['run/app.sock'], 'x-mounts': [{ Destination: '/app/run', Source: '/s' }] }),
      /take over the socket \/app\/run\/app\.sock/,
    ],
    ['too little memory', (world) => specOf(world, { 'x-memory': 2 ** 50 }), /less memory left/],
    ['a container without `cat`', (world) => specOf(world, { 'x-closed': true }), /cannot be inspected/],
  ])('%s', async (_, change, says) => {
    const world = await serving()
    const tries = await triesOf(world)
    await change(world)
    expect(await logOf(world, v2)).toMatch(says)
    expect(await endOf(world, v2.id)).toBe('committed v2-2-1')
    expect(await triesOf(world)).toBe(tries)
  })

  test('a service of which no container is wanted, and a release without a model for it', async () => {
    const world = await serving()
    const none = adopt(await copyWorld(world))
    const tries = await triesOf(world)
    const unstarted = { ...v2, planFacts: { ...v2.planFacts, counts: 'web=0\n', scale: 'web=1\n' } }
    expect(await stage(none, { ...unstarted, planFacts: { ...unstarted.planFacts, scale: 'web=0\n' } })).toMatchObject({
      code: 0,
    })
    expect((await engine(none, v2.id)).log).toContain('note: web is not tried: it is scaled to 0 containers')

    expect(await stage(world, v2)).toMatchObject({ code: 0 })
    await rm(join(world.directory, '.deploy/releases/v2-2-1/run/try.yaml'))
    expect((await engine(world, v2.id)).log).toContain('note: web is not tried: this version of the action')
    expect(await endOf(world, v2.id)).toBe('committed v2-2-1')
    expect(await triesOf(world)).toBe(tries)
  })

  test('a socket that nobody else can reach is no obstacle', async () => {
    const world = await serving()
    const tries = await triesOf(world)
    await specOf(world, {
      'x-sockets': ['/tmp/gunicorn.ctl', '@abstract'],
      'x-mounts': [{ Destination: '/run/app', Source: '/s' }],
    })
    expect(await transact(world, v2)).toBe('committed v2-2-1')
    expect(await triesOf(world)).toBe(tries + 1)
  })
})

test('one that does not listen, as what serves does, is not let through; a port for itself alone is none', async () => {
  const silent = v2With({ 'x-health': 'silent', 'x-check': undefined })
  for (const [address, ends] of [
    ['00000000', 'back v1-1-1'],
    ['00000000000000000000000000000000', 'back v1-1-1'],
    ['0100007F', 'committed v2-2-1'],
    ['0B00007F', 'committed v2-2-1'],
  ] as const) {
    const world = await serving()
    await specOf(world, { 'x-listens': [address] })
    const staged = within(silent, ends.startsWith('back') ? 1 : 60)
    expect([address, await transact(world, staged)]).toEqual([address, ends])
    const failure = (await storyOf(world, v2.id)).find((line) => / fail /.test(line))
    expect(failure).toBe(ends.startsWith('back') ? 'try fail 25' : undefined)
  }
})

test('who answered and cannot be found at the last moment did not pass', async () => {
  const staged = within(v2, 0)
  const template = await serving()
  expect(await stage(template, staged)).toMatchObject({ code: 0 })
  const recorded = adopt(await copyWorld(template))
  const { places } = await takeSnapshots(recorded, () => engine(recorded, staged.id))
  const looks = places.flatMap((place, index) => (place === 'before: inspect todo-try' ? [index + 1] : []))
  expect(looks.length).toBe(2)
  const ends: string[] = []
  for (const at of looks) {
    const world = adopt(await copyWorld(template))
    await arm(world, { mode: 'away', at, calls: 1 })
    await engine(world, staged.id)
    await disarm(world)
    const [end = '', release] = (await endOf(world, staged.id)).split(' ')
    ends.push(end)
    expect([at, await findFaults(world, release)]).toEqual([at, []])
  }
  expect(ends.at(-1)).toBe('back')
})

test('where nobody can ask, it has to run for five seconds', async () => {
  const world = await bare()
  const plain = {
    ...v1.services,
    web: { ...v1.services?.['web'], image: 'registry/app@sha256:v1', 'x-check': undefined, 'x-crashed': [0, 0] },
  }
  expect(await stage(world, { ...v1, http: false, services: plain })).toMatchObject({ code: 0 })
  expect((await engine(world, v1.id)).code).toBe(0)
  expect(await endOf(world, v1.id)).toBe('committed v1-1-1')
  const [begun = 0, ended = 0] = (await journalOf(world, v1.id))
    .filter((line) => / try (begin|end)$/.test(line))
    .map((line) => Date.parse(line.split(' ')[0] ?? ''))
  expect(ended - begun).toBeGreaterThan(4_000)
})

/** Changes what the web container that serves is like. */
async function specOf(world: World, change: object): Promise<void> {
  await changeState(world, ({ containers }) => {
    for (const each of containers.filter(({ service }) => service === 'web')) Object.assign(each.spec, change)
  })
}
