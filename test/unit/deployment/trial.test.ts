import { describe, expect, test } from '@jest/globals'
import { parseApp, type App } from '../../../src/compose/app.ts'
import { planTrial, type TrialFacts } from '../../../src/deployment/trial.ts'

const app = (web: string, more = ''): App =>
  parseApp(`services: {web: {image: a, ${web}}, cache: {image: redis}, worker: {image: a, depends_on: [web]}${more}}`)
const facts: TrialFacts = {
  choice: 'auto',
  service: 'web',
  before: app(''),
  app: app(''),
  env: undefined,
  changing: ['cache'],
  running: ['web', 'cache', 'worker'],
  unstarted: [],
  replaced: ['web', 'worker'],
  migratesItself: false,
}
const obstacle = (change: Partial<TrialFacts>): string | undefined => planTrial({ ...facts, ...change }).obstacle

describe('planTrial', () => {
  test('tries an upgrade, and a first deploy', () => {
    expect(planTrial(facts)).toEqual({ service: 'web', obstacle: undefined })
    expect(obstacle({ before: parseApp(undefined), running: ['cache'] })).toBeUndefined()
    expect(obstacle({ app: app('network_mode: bridge') })).toBeUndefined()
  })

  const built = app('depends_on: [api]', ', api: {image: b, links: [broker]}, broker: {image: c}')
  const secret = parseApp('services: {web: {image: a}, cache: {image: redis, command: "--requirepass ${P}"}}')
  const newCache = parseApp('services: {web: {image: a}, cache: {image: redis, command: --requirepass x}}')
  test.each<[string, Partial<TrialFacts>, string]>([
    ['when it must not', { choice: 'never' }, '`try: never`'],
    ['a release that never wrote down what a trial needs', { choice: undefined }, 'did not deploy it'],
    ['what is not to run', { unstarted: ['web'] }, 'it is scaled to 0 containers'],
    ['on the network of the host', { app: app('network_mode: host') }, 'the network of the host'],
    ['on that of a VPN', { app: app('network_mode: "service:vpn"') }, 'the network of another container'],
    ['on one that a variable names', { app: app('network_mode: "${NET}"') }, 'the network of what a variable names'],
    [
      'behind a proxy in its network',
      { app: app('', ', nginx: {image: n, network_mode: "service:web"}') },
      'nginx uses its network, and may answer for it',
    ],
    ['an entrypoint that would migrate', { migratesItself: true }, 'would apply migrations'],
    ['with a cache that changes in the swap', { app: newCache }, 'cache changes with it'],
    [
      'with a cache whose password changes',
      { before: secret, app: secret, env: { before: new Map([['P', 'old']]), now: new Map([['P', 'new']]) } },
      'cache changes with it',
    ],
    [
      'without a service that the swap starts',
      { app: built, replaced: ['web', 'broker', 'worker'] },
      'broker, which it needs, does not run yet',
    ],
  ])('does not try %s', (_, change, reason) => expect(obstacle(change)).toContain(reason))

  test('tries beside the older release of a service that it needs', () => {
    expect(obstacle({ app: built, replaced: ['web', 'api'], running: ['web', 'api'] })).toBeUndefined()
  })
})
