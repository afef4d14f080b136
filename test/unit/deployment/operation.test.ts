import { describe, expect, test } from '@jest/globals'
import { describeOperation, planOperations, type OperationFacts } from '../../../src/deployment/operation.ts'
import { readApp } from '../../../src/compose/app.ts'
import { readRoles } from '../../../src/compose/role.ts'
import type { Step } from '../../../src/deployment/plan.ts'

const SWAP: readonly Step[] = ['recover', 'fence', 'data', 'swap', 'proxy', 'health', 'verify', 'commit', 'prune']

const v1 = {
  services: {
    db: { image: 'postgres:17' },
    cache: { image: 'redis:7' },
    web: { image: 'todo@sha256:aa' },
    proxy: { image: 'nginx:1', ports: ['80:80'] },
    old: { image: 'todo@sha256:aa' },
  },
}
const v2 = {
  services: {
    db: { image: 'postgres:17' },
    cache: { image: 'redis:7' },
    web: { image: 'todo@sha256:bb' },
    proxy: { image: 'nginx:1', ports: ['443:443'] },
    worker: { image: 'todo@sha256:bb' },
  },
}
const facts: OperationFacts = {
  steps: SWAP,
  before: readApp(v1),
  app: readApp(v2),
  services: readRoles(['app 0 web', 'app 1 worker', 'front 0 proxy', 'database 0 db', 'cache 0 cache']),
  servicesBefore: readRoles(['app 0 web', 'app 1 old', 'front 0 proxy', 'database 0 db', 'cache 0 cache']),
  proxies: [],
  update: [],
  running: ['db', 'cache', 'web', 'proxy', 'old'],
  unstarted: [],
  pending: [],
  unapply: [],
  stopReason: undefined,
  backup: undefined,
  adopted: undefined,
  trial: { service: 'web', obstacle: undefined },
}
const lines = (change: Partial<OperationFacts>): string[] =>
  planOperations({ ...facts, ...change }).map(describeOperation)

const tried = 'try web: one container of it, without visitors, before anything is replaced'
const check = 'check the site: its containers, its answers and its migrations'

describe('planOperations', () => {
  test('replaces a proxy in the network of a service that is replaced', () => {
    const beside = (model: { services: object }) =>
      readApp({ services: { ...model.services, proxy: { image: 'nginx:1', network_mode: 'service:web' } } })
    expect(lines({ before: beside(v1), app: beside(v2) })).toContain('replace proxy: it uses the network of web')
  })

  test('names a service whose profile is active no more, and starts one whose profile is active now', () => {
    const models = { before: readApp(v2), app: readApp(v2), servicesBefore: facts.services }
    const running = ['db', 'cache', 'web', 'proxy', 'worker', 'chat']
    const services = facts.services.filter(({ service }) => service !== 'worker')
    const left = lines({ ...models, services, running })
    expect(left).toContain('stop worker: none of its profiles is active')
    expect(left).not.toContainEqual(expect.stringMatching(/^stop (db|cache|chat)/))

    const again = lines({ ...models, servicesBefore: services, running: ['db', 'cache', 'web', 'proxy'] })
    expect(again).toContain('start worker: it does not run')
  })

  test('of an upgrade names what is stopped, replaced and kept, and why', () => {
    expect(lines({})).toEqual([
      tried,
      'stop old: it is no longer in the Compose file',
      'replace web: new image',
      'start worker: it is new',
      'keep cache: unchanged',
      'replace proxy: ports changed',
      'keep db: stateful',
      check,
    ])
  })

  test('tells a service that does not run from one with new settings', () => {
    expect(lines({ before: readApp(v2) })).toContain('replace web: same image, new settings')
    expect(lines({ before: readApp(v2), running: ['db', 'cache', 'proxy'] })).toContain('start web: it does not run')
  })

  test('of a first deploy starts everything', () => {
    expect(
      lines({
        before: readApp({}),
        running: [],
        pending: ['auth.0001', 'auth.0002', 'todo.0001_initial'],
        backup: { database: 'todo', reason: 'todo.0001_initial cannot be reversed' },
        steps: [...SWAP, 'migrate'],
      }),
    ).toEqual([
      'start db: it does not run',
      'start cache: it does not run',
      'back up todo: todo.0001_initial cannot be reversed',
      'migrate auth: 2 migrations are pending',
      'migrate todo.0001_initial: pending',
      tried,
      'start web: it is new',
      'start worker: it is new',
      'start proxy: it is new',
      check,
    ])
  })

  test('names jobs, collected files and what is adopted', () => {
    const steps: Step[] = [...SWAP, 'jobs', 'static']
    const services = [...facts.services, ...readRoles(['job 0 assets'])]
    expect(
      lines({ steps, services, adopted: 'adopted-1', before: readApp(v2), running: ['db', 'cache', 'proxy'] }),
    ).toEqual([
      'adopt what runs: it was started by hand; a rollback can go back to adopted-1',
      'run assets: it runs in each deploy and rollback that replaces the app; nothing undoes what it changes',
      'collect static files: a volume hides those of the image',
      tried,
      'start web: it does not run',
      'start worker: it does not run',
      'keep cache: unchanged',
      'keep proxy: unchanged',
      'keep db: stateful',
      check,
    ])
  })

  test('stops the app before the migration that its code cannot work with, and nothing else', () => {
    const stopReason = 'its code cannot work with todo.0002'
    const pending = ['todo.0002']
    expect(lines({ steps: ['stop', 'migrate', ...SWAP], stopReason, pending }).slice(0, 5)).toEqual([
      'stop web: its code cannot work with todo.0002',
      'migrate todo.0002: pending',
      tried,
      'stop old: it is no longer in the Compose file',
      'replace web: new image',
    ])
  })

  test('stops a service with other code, too, for a reason of its own', () => {
    const withFrontend = (model: { services: object }) =>
      readApp({
        services: { ...model.services, worker: { image: 'todo@sha256:bb' }, frontend: { image: 'front@sha256:cc' } },
      })
    const stopReason = 'its code cannot work with todo.0002'
    const models = { before: withFrontend(v1), app: withFrontend(v2) }
    const services = [...facts.services, ...readRoles(['app 1 frontend'])]
    const running = [...facts.running, 'worker', 'frontend']
    const steps: Step[] = ['stop', 'migrate', ...SWAP]
    expect(lines({ ...models, steps, stopReason, services, running }).slice(0, 3)).toEqual([
      'stop web: its code cannot work with todo.0002',
      'stop worker: its code cannot work with todo.0002',
      'stop frontend: it may use the database that changes',
    ])
  })

  test('unapplies what the older release does not know, one by one', () => {
    const stopReason = 'its code cannot work with the schema of v1'
    const unapply = ['todo.0003', 'todo.0002']
    expect(lines({ steps: ['stop', 'unapply', ...SWAP], stopReason, unapply }).slice(0, 3)).toEqual([
      'stop web: its code cannot work with the schema of v1',
      'unapply todo.0003: the older release does not know it',
      'unapply todo.0002: the older release does not know it',
    ])
  })

  test('says why a release is not tried', () => {
    expect(lines({ trial: { service: 'web', obstacle: '`try: never`' } })).toContain(
      'skip the trial of web: `try: never`',
    )
  })

  test('replaces a database that the input names', () => {
    const app = readApp({ services: { ...v2.services, db: { image: 'postgres:18' } } })
    expect(lines({ app, update: ['db'] })).toContain('replace db: image changed')
    expect(lines({ app, update: ['db'] })).not.toContain('keep db: stateful')
  })

  test('stops what is to have no container, and starts nothing of it', () => {
    const stopped = lines({ unstarted: ['web', 'worker', 'db'], running: ['web', 'cache', 'proxy'] })
    expect(stopped).toContain('stop web: it is scaled to 0 containers')
    expect(stopped.filter((line) => / (worker|db):/.test(line))).toEqual([])
  })

  test('of a release that runs already changes nothing', () => {
    expect(lines({ steps: ['recover', 'fence', 'health', 'verify'] })).toEqual([
      'keep cache: it already runs this release',
      'keep db: it already runs this release',
      'keep old: it already runs this release',
      'keep proxy: it already runs this release',
      'keep web: it already runs this release',
      check,
    ])
  })
})
