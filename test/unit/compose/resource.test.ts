import { describe, expect, test } from '@jest/globals'
import { parse } from 'yaml'
import { valuesOf } from '../../../src/compose/document.ts'
import { describeResourceDrift, findResourceDrifts } from '../../../src/compose/resource.ts'
import { modelOf, release } from './model.ts'

const THERE = ['network shop_default', 'network shop_back', 'volume shop_pg', 'volume shop_media']
const drifts = (before: string, now: string, there = THERE) =>
  findResourceDrifts(valuesOf(parse(before)), valuesOf(parse(now)), 'shop', there).map(
    ({ kind, key, options, isOpen }) => `${kind} ${key}: ${options.join()}${isOpen ? ' (open)' : ''}`,
  )

describe('a network or volume that the host has', () => {
  test.each<[string, string, string[]]>([
    ['networks: {default: {}}', 'networks: {default: {driver_opts: {mtu: "1400"}}}', ['network default: driver_opts']],
    ['networks: {default: }', 'networks: {default: {labels: {team: shop}}}', ['network default: labels']],
    ['networks: {back: {}}', 'networks: {back: {internal: true}}', ['network back: internal (open)']],
    ['networks: {back: {internal: true}}', 'networks: {back: {}}', ['network back: internal']],
    ['networks: {back: {}}', 'networks: {back: {name: other}}', ['network back: name']],
    ['networks: {back: {name: "${N}"}}', 'networks: {back: {name: "${N}", driver: x}}', ['network back: driver']],
    ['volumes: {pg: {}}', 'volumes: {pg: {driver_opts: {type: none, o: bind}}}', ['volume pg: driver_opts']],
    ['volumes: {pg: {}}', 'volumes: {pg: {name: other}}', []],
    ['volumes: {pg: {}}', 'volumes: {pg: {external: true}}', []],
    ['networks: {back: {}}', 'networks: {back: {}, front: {internal: true}}', []],
    // As Compose resolves it for a stack that was started by hand.
    ['networks: {default: {name: shop_default, ipam: {}}}', 'networks: {default: {internal: false}}', []],
    ['networks: {front: {}}', 'networks: {front: {internal: true}}', []],
  ])('%s, then %s', (before, now, expected) => expect(drifts(before, now)).toEqual(expected))
})

test('the default network, which need not be defined, counts as defined', () => {
  const text = 'services: {web: {build: .}}'
  const changed = release(`${text}\nnetworks: {default: {internal: true}}`, { before: release(text), there: THERE })
  expect(changed.resourceDrifts).toEqual([{ kind: 'network', key: 'default', options: ['internal'], isOpen: true }])
})

test('what is there stays in the model as it was created, so that no Compose touches it', () => {
  const before = release('services: {web: {build: ., volumes: ["pg:/x"]}}\nnetworks: {default: {}}\nvolumes: {pg: {}}')
  const text =
    'services: {web: {build: ., volumes: ["pg:/x"]}}\nnetworks: {default: {internal: true}}\nvolumes: {pg: {driver_opts: {o: a}}}'
  const kept = release(text, { before, there: THERE })
  expect(modelOf(kept)['networks']).toEqual({ default: {} })
  expect(modelOf(kept)['volumes']).toEqual({ pg: {} })
  // They were removed by hand, so that the new ones are created.
  const taken = release(text, { before, there: [] })
  expect(modelOf(taken)['networks']).toEqual({ default: { internal: true } })
  expect(taken.resourceDrifts).toEqual([])
})

test('what is said names the hole, and a way that works', () => {
  const said = describeResourceDrift(
    { kind: 'network', key: 'back', options: ['internal'], isOpen: true },
    'deploy/shop',
  )
  expect(said).toMatch(/internal changed .* NOT internal.* cd deploy\/shop && docker compose down/)
  expect(describeResourceDrift({ kind: 'volume', key: 'pg', options: ['driver_opts'], isOpen: false }, 'd')).toMatch(
    /Its data stays where it is\./,
  )
})
