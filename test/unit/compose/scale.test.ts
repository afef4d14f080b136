import { describe, expect, test } from '@jest/globals'
import { parseApp } from '../../../src/compose/app.ts'
import { broughtUp } from '../../../src/compose/role.ts'
import {
  checkDjangoRuns,
  checkScale,
  chooseCounts,
  explicitCounts,
  plainCounts,
  type CountFacts,
  type Counts,
  type CountPlan,
  type Scale,
} from '../../../src/compose/scale.ts'
import { release } from './model.ts'

const shop = (web: string): string => `
services:
  web: {build: ., depends_on: [db], ${web}}
  worker: {build: .}
  proxy: {image: nginx, ports: ["80:80"], depends_on: [web]}
  edge: {image: caddy, ports: [{target: 80, published: "8000-8003"}], depends_on: [web]}
  db: {image: "postgres:17"}
`
type Given = Partial<Pick<CountFacts, 'unstarted' | 'running' | 'data'>> & { env?: Record<string, string> }

/** The numbers of a text as the host fills them in. */
function filled(text: string, env: Record<string, string> = {}): Counts {
  return plainCounts(parseApp(text.replace(/"?\$\{WORKERS:-1\}"?/g, env['WORKERS'] ?? '1')))
}

function decide(asked: Scale[], before: string | undefined, now: string, { env, ...given }: Given = {}): CountPlan {
  const app = parseApp(shop(now))
  for (const scale of asked) checkScale(scale, app)
  return chooseCounts({
    asked,
    before: before === undefined ? new Map() : filled(shop(before)),
    now: filled(shop(now), env),
    unstarted: [],
    running: new Map(),
    explicit: explicitCounts(app),
    services: broughtUp(release(shop(now)).roles.services),
    data: ['db'],
    ...given,
  })
}

describe('how many of each', () => {
  test.each([
    ['nothing to say: as many as there are', [], 'scale: 2', 'scale: 2', []],
    ['nor on the first deploy', [], undefined, 'scale: 2', []],
    ['a count that changed in the file is the file’s', [], 'scale: 2', 'deploy: {replicas: 3}', ['web=']],
    ['and so is one that was removed', [], 'deploy: {replicas: 3}', '', ['web=']],
    ['none is a count', [], 'scale: 2', 'deploy: {replicas: 0}', ['web=']],
    ['what is asked for wins', [{ service: 'web', count: 4 }], 'scale: 2', 'scale: 3', ['web=4']],
    ['one is a number as well', [{ service: 'proxy', count: 1 }], '', '', ['proxy=1']],
    ['none is a number as well', [{ service: 'worker', count: 0 }], '', '', ['worker=0']],
    ['a range of ports is for several', [{ service: 'edge', count: 3 }], '', '', ['edge=3']],
  ])('%s', (_, asked, before, now, expected) => {
    const { scale, warnings } = decide(asked, before, now)
    expect(scale).toEqual(expected)
    expect(warnings).toEqual([])
  })

  test('a count that changed in the env is the env’s', () => {
    const text = 'deploy: {replicas: "${WORKERS:-1}"}'
    expect(decide([], text, text, { env: { WORKERS: '0' } })).toMatchObject({ scale: ['web='], unstarted: ['web'] })
    expect(decide([], text, text, { env: { WORKERS: '1' } })).toMatchObject({ scale: [], unstarted: [] })
  })

  test('who has none as the input said keeps none, and a warning says so; not when somebody started it', () => {
    const kept = decide([], '', '', { unstarted: ['worker'] })
    expect(kept).toMatchObject({ scale: ['worker=0'], unstarted: ['worker'] })
    expect(kept.warnings).toEqual([expect.stringContaining('deploy with scale: worker=1')])
    expect(decide([], '', '', { unstarted: ['worker'], running: new Map([['worker', 1]]) }).scale).toEqual([])
    expect(decide([{ service: 'worker', count: 1 }], '', '', { unstarted: ['worker'] }).scale).toEqual(['worker=1'])
    // The file says none: nothing has to be said.
    const none = decide([], 'scale: 0', 'scale: 0', { unstarted: ['web'] })
    expect(none).toEqual({ scale: [], unstarted: ['web'], warnings: [] })
  })

  test('what was started by hand keeps its number; a warning says when the file has another one', () => {
    const running = new Map([['web', 3]])
    expect(decide([], undefined, 'scale: 2', { running }).warnings).toEqual([
      expect.stringContaining('deploy with scale: web=2'),
    ])
    expect(decide([], undefined, '', { running }).warnings).toEqual([])
    expect(decide([], undefined, 'scale: 3', { running }).warnings).toEqual([])
  })

  test('a database keeps its number, and a warning says how to change it', () => {
    const [before, now] = [new Map([['db', 1]]), new Map([['db', 0]])]
    const facts = { asked: [], before, now, unstarted: [], running: new Map(), services: ['web'], data: ['db'] }
    const { scale, warnings } = chooseCounts({ ...facts, explicit: ['db'] })
    expect([scale, warnings]).toEqual([[], [expect.stringContaining('update-services: db')]])
    const taken = { ...facts, services: ['web', 'db'], explicit: ['db'] }
    expect(chooseCounts(taken)).toEqual({ scale: ['db='], unstarted: ['db'], warnings: [] })
  })

  test('no container of Django is no site', () => {
    const decided = decide([{ service: 'web', count: 0 }], '', '')
    expect(() => checkDjangoRuns('web', decided, { files: ['compose.yaml'], sources: [] })).toThrow(
      expect.objectContaining({ code: 'compose-invalid', fix: expect.stringContaining('scale: web=1') }),
    )
    expect(() => checkDjangoRuns('worker', decided, { files: [], sources: [] })).not.toThrow()
  })

  test.each([
    ['db', 2, '', 'which a release does not start'],
    ['wbe', 2, '', 'which a release does not start'],
    ['proxy', 2, '', 'proxy cannot have 2 containers'],
    ['web', 2, 'container_name: site', 'web cannot have 2 containers'],
  ])('%s=%d with {%s} is refused', (service, count, now, message) => {
    expect(() => decide([{ service, count }], undefined, now)).toThrow(message)
  })
})
