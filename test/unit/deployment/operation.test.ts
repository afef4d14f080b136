import { describe, expect, test } from '@jest/globals'
import { describeOperation, planOperations, type OperationFacts } from '../../../src/deployment/operation.ts'
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
  before: v1,
  model: v2,
  roles: { data: ['db', 'cache'], backing: ['cache'], jobs: [], others: ['proxy'], replaced: ['web', 'worker'] },
  update: [],
  running: ['db', 'cache', 'web', 'proxy', 'old'],
  unstarted: [],
  pending: [],
  adopted: undefined,
}
const lines = (change: Partial<OperationFacts>): string[] =>
  planOperations({ ...facts, ...change }).map(describeOperation)

const check = 'check the site: its containers, its answers and its migrations'

describe('planOperations', () => {
  test('of an upgrade names what is stopped, replaced and kept, and why', () => {
    expect(lines({})).toEqual([
      'stop old: it is no longer in the Compose file',
      'replace web: new image',
      'start worker: it is new',
      'keep cache: unchanged',
      'replace proxy: ports changed',
      'keep db: stateful',
      check,
    ])
  })

  test('of a first deploy starts everything', () => {
    expect(
      lines({
        before: {},
        running: [],
        pending: ['auth.0001', 'auth.0002', 'todo.0001_initial'],
        steps: [...SWAP, 'migrate'],
      }),
    ).toEqual([
      'start db: it does not run',
      'start cache: it does not run',
      'migrate auth: 2 migrations are pending',
      'migrate todo.0001_initial: pending',
      'start web: it is new',
      'start worker: it is new',
      'start proxy: it is new',
      check,
    ])
  })

  test('names jobs, collected files and what is adopted', () => {
    const steps: Step[] = [...SWAP, 'jobs', 'static']
    const roles = { ...facts.roles, jobs: ['assets'] }
    expect(lines({ steps, roles, adopted: 'adopted-1', before: v2, running: ['db', 'cache', 'proxy'] })).toEqual([
      'adopt what runs: it was started by hand; a rollback can go back to adopted-1',
      'run assets: it runs to its end for each release',
      'collect static files: a volume lies over those of the image',
      'replace web: same image, new settings',
      'replace worker: same image, new settings',
      'keep cache: unchanged',
      'keep proxy: unchanged',
      'keep db: stateful',
      check,
    ])
  })

  test('replaces a database that the input names', () => {
    const model = { services: { ...v2.services, db: { image: 'postgres:18' } } }
    expect(lines({ model, update: ['db'] })).toContain('replace db: image changed')
    expect(lines({ model, update: ['db'] })).not.toContain('keep db: stateful')
  })

  test('stops what is to have no container, and starts nothing of it', () => {
    const stopped = lines({ unstarted: ['web', 'worker', 'db'], running: ['web', 'cache', 'proxy'] })
    expect(stopped).toContain('stop web: no container of it is wanted')
    expect(stopped.filter((line) => / (worker|db):/.test(line))).toEqual([])
  })

  test('of a release that runs already changes nothing', () => {
    expect(lines({ steps: ['recover', 'fence', 'health', 'verify'] })).toEqual([
      'keep cache: it is of this release already',
      'keep db: it is of this release already',
      'keep old: it is of this release already',
      'keep proxy: it is of this release already',
      'keep web: it is of this release already',
      check,
    ])
  })
})
