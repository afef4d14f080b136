import { describe, expect, test } from '@jest/globals'
import { readAssets } from '../../../src/assets.ts'
import { adopting, approve, planDeploy, planRollback, type Step } from '../../../src/deployment/plan.ts'
import type { LivePlan, Migration, OfflinePlan, Pending, Settings } from '../../../src/django/document.ts'

const settings: Settings = {
  allowedHosts: [],
  debug: false,
  sslRedirect: false,
  proxySslHeader: undefined,
  static: { kind: 'none', why: '' },
}
const due: Pending = { app: 'todo', name: '0002_due', source: 'ab', atomic: true, operations: [] }
const live = (...pending: Pending[]): LivePlan => ({
  kind: 'live',
  settings,
  database: { vendor: 'postgresql', system: undefined, host: 'db', name: 'todo', empty: false },
  pending,
  unknown: [],
  unrecorded: [],
  drift: [],
  problems: [],
  unmigrated: [],
  serving: undefined,
  elsewhere: new Map(),
  digest: 'dd',
})
const initial: Migration = { app: 'todo', name: '0001_initial', source: 'cd' }
const offline: OfflinePlan = {
  kind: 'offline',
  settings,
  migrations: [initial],
  drift: [],
  unmigrated: [],
  serving: undefined,
  elsewhere: new Map(),
  digest: 'ee',
}

const nothing = { jobs: [], static: false }
const both = { jobs: ['assets'], static: true }
const start = ['recover', 'fence', 'data']
const swap = ['swap', 'proxy', 'health', 'verify', 'commit', 'prune']
const migrating = [...start, 'replan', 'migrate', ...swap]

describe('planDeploy', () => {
  type Case = [string, Parameters<typeof planDeploy>[0], Parameters<typeof planDeploy>[1], boolean, string, string[]]

  test.each<Case>([
    ['new code and a migration', live(due), 'auto', false, 'deploy', migrating],
    ['new code alone is only verified', live(), 'auto', false, 'deploy', [...start, ...swap]],
    [
      'a squash whose parts are applied is recorded',
      { ...live(), unrecorded: ['todo.0001_squashed'] },
      'auto',
      false,
      'deploy',
      migrating,
    ],
    ['before is what auto does', live(due), 'before', false, 'deploy', migrating],
    ['an image that migrates by itself', live(due), 'external', false, 'deploy', [...start, ...swap]],
    ['nobody migrates', live(due), 'none', false, 'deploy', [...start, ...swap]],
    ['a first deploy', offline, 'auto', false, 'deploy', migrating],
    ['the release that runs already', live(), 'auto', true, 'unchanged', ['recover', 'fence', 'health', 'verify']],
    ['the same for who does not migrate', live(), 'none', true, 'unchanged', ['recover', 'fence', 'health', 'verify']],
    [
      'the same, although something is pending that nobody applies',
      live(due),
      'none',
      true,
      'unchanged',
      ['recover', 'fence', 'health', 'verify'],
    ],
    ['the same code on a database that lacks a migration', live(due), 'auto', true, 'deploy', migrating],
  ])('%s', (_, found, migrate, same, kind, steps) => {
    expect(planDeploy(found, migrate, same, nothing)).toMatchObject({ kind, steps })
  })

  test('names what is pending, and what identifies the plan', () => {
    expect(planDeploy(live(due), 'auto', false, nothing)).toMatchObject({ pending: [due], digest: 'dd' })
    expect(planDeploy(offline, 'auto', false, nothing)).toMatchObject({ pending: [initial], digest: 'ee' })
  })
})

test('adopting keeps what runs before anything is done to it', () => {
  expect(adopting(planDeploy(live(), 'auto', false, nothing).steps)).toEqual([
    'recover',
    'fence',
    'adopt',
    'data',
    ...swap,
  ])
})

test('planRollback asks whether the old code fits, and never migrates', () => {
  expect(planRollback(nothing)).toEqual({
    kind: 'rollback',
    steps: [...start, 'fit', ...swap],
    pending: [],
    digest: '',
  })
})

describe('every plan', () => {
  const plans = [live(due), live(), offline].flatMap((found) =>
    (['auto', 'before', 'external', 'none'] as const).flatMap((migrate) =>
      [nothing, both].flatMap((preparation) =>
        [true, false].map((same) => planDeploy(found, migrate, same, preparation)),
      ),
    ),
  )
  const before = (steps: readonly Step[], first: Step, second: Step): boolean =>
    !steps.includes(second) || (steps.includes(first) && steps.indexOf(first) < steps.indexOf(second))

  test.each([...plans, planRollback(both)])('%# keeps the order that safety needs', ({ steps }) => {
    expect(new Set(steps).size).toBe(steps.length)
    expect(steps.slice(0, 2)).toEqual(['recover', 'fence'])
    expect(before(steps, 'replan', 'migrate')).toBe(true)
    if (steps.includes('migrate')) expect(before(steps, 'migrate', 'swap')).toBe(true)
    for (const step of ['jobs', 'static'] as const)
      if (steps.includes(step)) expect(before(steps, step, 'swap')).toBe(true)
    if (steps.includes('jobs') && steps.includes('static')) expect(before(steps, 'jobs', 'static')).toBe(true)
    if (steps.includes('jobs') && steps.includes('migrate')) expect(before(steps, 'migrate', 'jobs')).toBe(true)
    if (steps.includes('fit')) expect(before(steps, 'fit', 'swap')).toBe(true)
    expect(before(steps, 'health', 'verify')).toBe(true)
    expect(before(steps, 'verify', 'commit')).toBe(true)
    expect(before(steps, 'commit', 'prune')).toBe(true)
    if (steps.includes('swap')) expect(before(steps, 'swap', 'health')).toBe(true)
  })

  test('is made of steps that the server knows', async () => {
    const script = (await readAssets()).transaction.toString()
    const known = [...script.matchAll(/^step_(\w+)\(\)/gm)].map(([, name]) => name)
    expect(known).toEqual(
      expect.arrayContaining([...new Set([...plans, planRollback(both)].flatMap(({ steps }) => steps))]),
    )
  })
})

test('approve names each migration with the hash of its source', () => {
  expect(approve([initial, due])).toEqual(['todo.0001_initial=cd', 'todo.0002_due=ab'])
  expect(approve([])).toEqual([])
})
