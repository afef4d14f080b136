import { describe, expect, test } from '@jest/globals'
import { readAssets } from '../../../src/host/assets.ts'
import type { Course } from '../../../src/deployment/order.ts'
import {
  adopting,
  approve,
  hasMigrations,
  planDeploy,
  planRollback,
  digestPlan,
  type Step,
} from '../../../src/deployment/plan.ts'
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
  dump: { sizeBytes: undefined, user: undefined, serverMajor: undefined, client: undefined, isPooled: false },
  pending,
  unknown: [],
  unrecorded: [],
  invalid: [],
  drift: [],
  problems: [],
  unmigrated: [],
  serving: undefined,
  elsewhere: new Map(),
  others: [],
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

test('the digest covers what decides, and no reasons', () => {
  const plan = { digest: 'dd', steps: ['swap'], order: 'none', return: 'containers' } as const
  const facts = {
    fingerprint: 'f1',
    operations: [{ step: 'replace', object: 'web', reason: 'new image' }],
    counts: { scale: ['web=2'], counts: ['web=1'] },
  }
  const digest = digestPlan(plan, facts)
  expect(digest).toMatch(/^\w{64}$/)
  expect(digestPlan(plan, { ...facts, operations: [{ step: 'replace', object: 'web' }] })).toBe(digest)
  const others = [
    digestPlan({ ...plan, digest: 'ee' }, facts),
    digestPlan({ ...plan, steps: ['migrate', 'swap'] }, facts),
    digestPlan({ ...plan, order: 'stopped' }, facts),
    digestPlan({ ...plan, return: 'reverse' }, facts),
    digestPlan(plan, { ...facts, fingerprint: 'f2' }),
    digestPlan(plan, { ...facts, operations: [...facts.operations, { step: 'start', object: 'monitor' }] }),
    digestPlan(plan, { ...facts, counts: { scale: ['web=3'], counts: ['web=1'] } }),
  ]
  expect(new Set([digest, ...others]).size).toBe(others.length + 1)
})

const nothing = { jobs: [], static: false, try: false }
const all = { jobs: ['assets'], static: true, try: true }
const start = ['recover', 'fence', 'data']
const swap = ['swap', 'proxy', 'health', 'verify', 'commit', 'prune']
const migrating = [...start, 'replan', 'migrate', ...swap]
const before: Course = { order: 'before', return: 'containers' }
const stopped: Course = { order: 'stopped', return: 'reverse' }
const none: Course = { order: 'none', return: 'containers' }

describe('planDeploy', () => {
  type Case = [
    string,
    Parameters<typeof planDeploy>[0],
    Parameters<typeof planDeploy>[1],
    Course,
    boolean,
    string,
    string[],
  ]

  test.each<Case>([
    ['new code and a migration', live(due), 'auto', before, false, 'deploy', migrating],
    ['new code alone is only verified', live(), 'auto', none, false, 'deploy', [...start, ...swap]],
    [
      'a squash whose parts are applied is recorded',
      { ...live(), unrecorded: ['todo.0001_squashed'] },
      'auto',
      before,
      false,
      'deploy',
      migrating,
    ],
    [
      'code that cannot work with a migration',
      live(due),
      'auto',
      stopped,
      false,
      'deploy',
      [...start, 'replan', 'stop', 'migrate', ...swap],
    ],
    ['an image that migrates by itself', live(due), 'external', none, false, 'deploy', [...start, ...swap]],
    ['nobody migrates', live(due), 'none', none, false, 'deploy', [...start, ...swap]],
    ['a first deploy', offline, 'auto', before, false, 'deploy', migrating],
    [
      'the release that runs already',
      live(),
      'auto',
      none,
      true,
      'unchanged',
      ['recover', 'fence', 'health', 'verify'],
    ],
    [
      'the same for who does not migrate',
      live(),
      'none',
      none,
      true,
      'unchanged',
      ['recover', 'fence', 'health', 'verify'],
    ],
    [
      'the same, although something is pending that nobody applies',
      live(due),
      'none',
      none,
      true,
      'unchanged',
      ['recover', 'fence', 'health', 'verify'],
    ],
    ['the same code on a database that lacks a migration', live(due), 'auto', before, true, 'deploy', migrating],
  ])('%s', (_, found, migrate, course, same, kind, steps) => {
    expect(planDeploy(found, migrate, course, same, nothing)).toMatchObject({ kind, steps })
  })

  test('names what is pending, and what identifies the plan', () => {
    expect(planDeploy(live(due), 'auto', stopped, false, nothing)).toMatchObject({
      pending: [due],
      digest: 'dd',
      ...stopped,
    })
    expect(planDeploy(offline, 'auto', before, false, nothing)).toMatchObject({ pending: [initial], digest: 'ee' })
  })
})

test.each([
  ['a pending migration', live(due), true],
  ['nothing', live(), false],
  ['a squash to record', { ...live(), unrecorded: ['todo.0001_squashed'] }, true],
  ['a database that does not exist yet', offline, true],
])('hasMigrations: %s', (_, found, expected) => expect(hasMigrations(found)).toBe(expected))

test('adopting keeps what runs before anything is done to it', () => {
  expect(adopting(planDeploy(live(), 'auto', none, false, nothing).steps)).toEqual([
    'recover',
    'fence',
    'adopt',
    'data',
    ...swap,
  ])
})

test('planRollback asks whether the old code fits, and never migrates', () => {
  expect(planRollback(nothing, false)).toEqual({
    kind: 'rollback',
    steps: [...start, 'fit', ...swap],
    pending: [],
    order: 'none',
    return: 'containers',
    digest: '',
  })
})

test('planRollback with a reversal stops the app, unapplies, and asks then whether the old code fits', () => {
  expect(planRollback(nothing, true)).toMatchObject({
    steps: [...start, 'replan', 'stop', 'unapply', 'fit', ...swap],
    order: 'stopped',
  })
})

describe('every plan', () => {
  const plans = [live(due), live(), offline].flatMap((found) =>
    [before, stopped, none].flatMap((course) =>
      [nothing, all].flatMap((preparation) =>
        [true, false].map((same) => planDeploy(found, 'auto', course, same, preparation)),
      ),
    ),
  )
  const comes = (steps: readonly Step[], first: Step, second: Step): boolean =>
    !steps.includes(second) || (steps.includes(first) && steps.indexOf(first) < steps.indexOf(second))

  test.each([...plans, planRollback(all, false), planRollback(all, true)])(
    '%# keeps the order that safety needs',
    ({ steps }) => {
      expect(new Set(steps).size).toBe(steps.length)
      expect(steps.slice(0, 2)).toEqual(['recover', 'fence'])
      expect(comes(steps, 'replan', 'migrate') && comes(steps, 'replan', 'unapply')).toBe(true)
      if (steps.includes('migrate')) expect(comes(steps, 'migrate', 'swap')).toBe(true)
      if (steps.includes('stop')) expect(['migrate', 'unapply']).toContain(steps[steps.indexOf('stop') + 1])
      if (steps.includes('unapply')) expect(comes(steps, 'unapply', 'fit')).toBe(true)
      for (const step of ['jobs', 'static'] as const)
        if (steps.includes(step)) expect(comes(steps, step, 'swap')).toBe(true)
      if (steps.includes('jobs') && steps.includes('static')) expect(comes(steps, 'jobs', 'static')).toBe(true)
      if (steps.includes('jobs') && steps.includes('migrate')) expect(comes(steps, 'migrate', 'jobs')).toBe(true)
      if (steps.includes('try')) {
        expect(comes(steps, 'try', 'swap')).toBe(true)
        for (const step of ['migrate', 'jobs', 'static'] as const)
          if (steps.includes(step)) expect(comes(steps, step, 'try')).toBe(true)
      }
      if (steps.includes('fit')) expect(comes(steps, 'fit', 'swap')).toBe(true)
      expect(comes(steps, 'health', 'verify')).toBe(true)
      expect(comes(steps, 'verify', 'commit')).toBe(true)
      expect(comes(steps, 'commit', 'prune')).toBe(true)
      if (steps.includes('swap')) expect(comes(steps, 'swap', 'health')).toBe(true)
    },
  )

  test('is made of steps that the server knows', async () => {
    const script = (await readAssets()).transaction.toString()
    const known = [...script.matchAll(/^step_(\w+)\(\)/gm)].map(([, name]) => name)
    expect(known).toEqual(
      expect.arrayContaining([...new Set([...plans, planRollback(all, true)].flatMap(({ steps }) => steps))]),
    )
  })
})

test('approve names each migration with the hash of its source', () => {
  expect(approve([initial, due])).toEqual(['todo.0001_initial=cd', 'todo.0002_due=ab'])
  expect(approve([])).toEqual([])
})
