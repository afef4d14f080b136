import { afterAll, expect, test } from '@jest/globals'
import { endOf, findFaults, journalOf, storyOf } from './journal.ts'
import { takeSnapshots } from './death.ts'
import { logOf, namesOf, removeAll, ROWS, serving, untriedV2, v2, v2With } from './serving.ts'
import { deployOf, engine, stage, transact, type Staged } from './staged.ts'
import { call, changeState, SHELLS, stateOf, type State, type World } from './world.ts'

// A deploy that stops the app before it migrates: what stops, what goes on, and that a failure starts the same containers again.

afterAll(removeAll)

/** The same deploy with the step `stop`. */
const stopping = (staged: Staged): Staged => ({
  ...staged,
  steps: staged.steps.flatMap((step) => (step === 'migrate' ? ['stop', step] : [step])),
})

test('a trial that fails while the app is stopped is not kept for a look: the app starts again', async () => {
  const world = await serving()
  const before = appOf(await stateOf(world))
  const kept = stopping(v2With({ 'x-exits': 3 }))
  expect(await transact(world, { ...kept, planFacts: { ...kept.planFacts, 'on-failure': 'keep' } })).toBe('back v1-1-1')
  expect(await storyOf(world, v2.id)).toContain('try fail 47')
  expect(appOf(await stateOf(world))).toEqual(before)
})

const failing = stopping(deployOf('v2', 2, [...ROWS, 'core.0003'], { 'x-fails': 'core.0003' }))

const appOf = ({ containers }: State): string[] =>
  containers
    .filter(({ service, oneoff }) => ['web', 'worker'].includes(service) && oneoff === 'False')
    .map(({ name, id, state }) => `${name} ${id.slice(0, 12)} ${state}`)
    .sort()

/** Starts what a test changed behind the script. */
const setState = (world: World, service: string, state: string): Promise<void> =>
  changeState(world, ({ containers }) => {
    for (const container of containers) if (container.service === service) container.state = state
  })

test('no container of the app runs while it migrates; the database and what is in front go on', async () => {
  const world = await serving()
  expect(await stage(world, stopping(v2))).toMatchObject({ code: 0 })
  const before = await stateOf(world)
  const recording = await takeSnapshots(world, () => engine(world, v2.id))
  const during = recording.snapshots.find(({ place }) => place.startsWith('amid, the migration went on'))
  if (!during) throw new Error('nobody saw the migration')
  expect(appOf(await stateOf(during)).map((line) => line.split(' ')[2])).toEqual(['exited', 'exited'])
  const others = ({ containers }: State): unknown =>
    containers.filter(({ service }) => ['db', 'proxy'].includes(service))
  expect(others(await stateOf(during))).toEqual(others(before))
  expect(await storyOf(world, v2.id)).toEqual(
    expect.arrayContaining(['stop begin todo-web-1 todo-worker-1', 'stop end', 'swap begin proxy=1 web=1 worker=1']),
  )
  expect(await endOf(world, v2.id)).toBe('committed v2-2-1')
  expect(await findFaults(world, 'v2-2-1')).toEqual([])
})

test('a proxy that is built here goes on as well', async () => {
  const world = await serving()
  const built = stopping(v2)
  const facts = { ...built.releaseFacts, proxies: ['worker'] }
  expect(await transact(world, { ...built, releaseFacts: facts })).toBe('committed v2-2-1')
  expect(await storyOf(world, v2.id)).toContain('stop begin todo-web-1')
})

test('how long it was stopped is known to the next deploy', async () => {
  const world = await serving()
  expect((await call(world, 'look')).stdout).not.toMatch(/^stop /m)
  expect(await transact(world, failing)).toBe('back v1-1-1')
  expect((await call(world, 'look')).stdout).not.toMatch(/^stop /m)
  expect(
    await transact(world, { ...stopping(v2), id: 'v2-3-1', planFacts: { ...v2.planFacts, target: 'v2-3-1' } }),
  ).toBe('committed v2-3-1')
  const [, milliseconds] = /^stop (\d+)$/m.exec((await call(world, 'look')).stdout) ?? []
  const times = (await journalOf(world, 'v2-3-1')).map((line) => line.split(' '))
  const at = (step: string, state: string) => Date.parse(times.find(([, a, b]) => a === step && b === state)?.[0] ?? '')
  expect(Math.abs(Number(milliseconds) - (at('health', 'end') - at('stop', 'begin')))).toBeLessThan(2)
})

test('a migration that fails: the containers that were stopped run again, no others, and are checked', async () => {
  const world = await serving()
  const { reloads, ...before } = await stateOf(world)
  expect(await transact(world, failing)).toBe('back v1-1-1')
  const after = await stateOf(world)
  expect(appOf(after)).toEqual(appOf({ ...before, reloads }))
  // A container may come back with another address, which nginx looks up once.
  expect(after.reloads).toBe(reloads + 1)
  expect((await storyOf(world, failing.id)).slice(-8)).toEqual([
    'undo begin',
    'undo end',
    'back_fit begin',
    'back_fit end',
    'back_health begin',
    'back_health end',
    'back end',
    'end back v1-1-1',
  ])
  expect(await findFaults(world, 'v1-1-1')).toEqual([])
})

test('as many as ran come back, from the failed migration, from the failed trial and from the failed swap', async () => {
  const sick = { 'x-health': 'bad' }
  for (const second of [failing, stopping(v2With(sick)), stopping(untriedV2(sick)), stopping(v2)]) {
    const world = await serving()
    expect(
      await transact(world, {
        ...deployOf('v1', 1, ROWS.slice(0, 1)),
        id: 'v1-1-2',
        planFacts: { target: 'v1-1-2', scale: 'web=2', approved: '' },
      }),
    ).toBe('committed v1-1-2')
    const end = await transact(world, second)
    expect(end).toBe(second === failing || second.services?.['web']?.['x-health'] ? 'back v1-1-2' : 'committed v2-2-1')
    expect((await namesOf(world)).filter((line) => / running$/.test(line))).toEqual([
      'todo-db-1 running',
      'todo-proxy-1 running',
      'todo-web-1 running',
      'todo-web-2 running',
      'todo-worker-1 running',
    ])
  }
})

test('what did not run before is not started by the undo; what crashes over and over is stopped as well', async () => {
  const world = await serving()
  await setState(world, 'worker', 'exited')
  expect(await transact(world, failing)).toBe('back v1-1-1')
  expect(appOf(await stateOf(world)).map((line) => line.split(' ')[2])).toEqual(['running', 'exited'])

  const other = await serving()
  await setState(other, 'worker', 'restarting')
  expect(await transact(other, failing)).toBe('back v1-1-1')
  expect(await storyOf(other, failing.id)).toContain('stop begin todo-web-1 todo-worker-1')
})

test('a program that only Docker could stop is named', async () => {
  const world = await serving()
  await changeState(world, ({ containers }) => {
    for (const container of containers)
      if (container.service === 'worker') container.spec = { ...container.spec, 'x-stubborn': true }
  })
  expect(await logOf(world, stopping(v2))).toContain(
    'warning: todo-worker-1 did not stop within its grace period, so Docker killed it\n',
  )
})

test.each(SHELLS)('under %s: a program whose stop signal is SIGKILL did not exceed anything', async (shell) => {
  const world = await serving(shell)
  await changeState(world, ({ containers }) => {
    for (const container of containers) container.spec = { ...container.spec, stop_signal: 'SIGKILL' }
  })
  expect(await logOf(world, stopping(v2))).not.toContain('grace period')
  const v3 = deployOf('v3', 3, ROWS)
  await changeState(world, ({ containers }) => {
    for (const container of containers) container.spec = { ...container.spec, stop_signal: 'SIGKILL' }
  })
  expect(await logOf(world, v3)).not.toContain('grace period')
  expect(await endOf(world, v3.id)).toBe('committed v3-3-1')
})

test('where nothing of the app runs there is nothing to stop', async () => {
  const world = await serving()
  await changeState(world, (state) =>
    Object.assign(state, { containers: state.containers.filter(({ service }) => service === 'db') }),
  )
  expect(await transact(world, stopping(v2))).toBe('committed v2-2-1')
  expect(await findFaults(world, 'v2-2-1')).toEqual([])
})
