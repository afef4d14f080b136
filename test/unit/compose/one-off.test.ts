import { describe, expect, test } from '@jest/globals'
import { parse } from 'yaml'
import { oneOffModel, oneOffOverlay, oneOffRest } from '../../../src/compose/one-off.ts'
import { valuesOf, type Values } from '../../../src/compose/document.ts'

/** The one-off model of `web` in the project `shop`. */
const oneOffOf = (text: string) => oneOffModel(valuesOf(parse(text)), 'web', 'shop')
const fileOf = (text: string, path = 'run.yaml'): Values | undefined =>
  oneOffOf(text).files.find((file) => file.path === path)?.model
const webOf = (text: string): Values => valuesOf(valuesOf(fileOf(text)?.['services'])['web'])
const web = (text: string): Values => webOf(`services: {web: {image: a, ${text}}}`)
const BARE = { image: 'a', healthcheck: { disable: true }, logging: { driver: 'json-file' } }

describe('what makes a container part of the site is not in the model', () => {
  test.each([
    ['labels of proxies, watchers and schedulers', 'labels: {caddy: a, autoheal: "true", ofelia.enabled: "true"}'],
    ['labels as a list, and from a file', 'labels: [caddy=a], label_file: ./labels'],
    ['ports', 'ports: ["80:8000"], expose: [8000]'],
    ['names', 'container_name: shop, hostname: shop, domainname: example.com'],
    ['an address', 'mac_address: "02:42:ac:11:65:43"'],
    ['what restarts it', 'restart: always, healthcheck: {test: [CMD, curl, localhost], interval: 1s}'],
    ['copies, and what others wait for', 'scale: 3, depends_on: [db], profiles: [web]'],
    ['commands that run beside its own', 'post_start: [{command: ./migrate}], pre_stop: [{command: ./stop}]'],
    ['labels and copies of a swarm', 'deploy: {labels: {traefik.enable: "true"}, replicas: 2}'],
    ['a log that nobody can read', 'logging: {driver: none}'],
    ['a log of another machine', 'logging: {driver: syslog, options: {syslog-address: "tcp://a:1"}}'],
  ])('%s', (_, text) => expect(web(text)).toEqual(BARE))

  test('what the program needs stays', () => {
    const text =
      'command: run, user: "1000", volumes: [./a:/a], extra_hosts: ["a:1.2.3.4"], secrets: [key], read_only: true, tmpfs: /tmp, links: [db]'
    expect(web(text)).toEqual({ ...BARE, ...valuesOf(parse(`{${text}}`)) })
    expect(web('deploy: {replicas: 2, resources: {limits: {memory: 1G}}}')['deploy']).toEqual({
      resources: { limits: { memory: '1G' } },
    })
  })
})

test('what another service of Django mounts to write in is mounted as well', () => {
  const text = `
services:
  beat: {image: a, volumes: ["own:/media"]}
  web: {image: b, volumes: ["static:/static", "uploads:/media", "./certificates:/certificates:ro", /anonymous]}
  db: {image: c, volumes: ["data:/data"]}
volumes: {own: {}, static: {}, uploads: {}, data: {}}`
  const made = oneOffModel(valuesOf(parse(text)), 'beat', 'shop', ['beat', 'web'])
  const own = made.files.find(({ path }) => path === 'run.yaml')?.model
  expect(valuesOf(valuesOf(own?.['services'])['beat'])['volumes']).toEqual(['own:/media', 'static:/static'])
  expect(made.volumes).toEqual(['own shop_own', 'static shop_static'])
  expect(made.files.map(({ path }) => path)).toContain('run/no-volume-static.yaml')
})

describe('a trial', () => {
  const trial = (text: string): unknown =>
    valuesOf(valuesOf(fileOf(`services: {web: {image: a, ${text}}}`, 'run/try.yaml')?.['services'])['web'])

  test.each<[string, unknown]>([
    ['ports: ["80:8000"]', { healthcheck: { disable: false }, extra_hosts: ['web:127.0.0.1'] }],
    [
      'healthcheck: {test: [CMD, curl, "http://web:8000"], interval: 60s}',
      {
        healthcheck: { disable: false, test: ['CMD', 'curl', 'http://web:8000'], interval: '60s' },
        extra_hosts: ['web:127.0.0.1'],
      },
    ],
    ['healthcheck: {disable: true}', { healthcheck: { disable: true }, extra_hosts: ['web:127.0.0.1'] }],
    [
      'container_name: shop, hostname: "${HOST}", networks: {default: {aliases: [app, web]}}, extra_hosts: {db: 1.2.3.4}',
      { healthcheck: { disable: false }, extra_hosts: { web: '127.0.0.1', shop: '127.0.0.1', app: '127.0.0.1' } },
    ],
  ])('has the health check, and its own names lead to itself: %s', (text, expected) => {
    expect(trial(text)).toEqual(expected)
  })

  test.each(['host', 'service:vpn', 'container:vpn', '${NET}'])('is not made in another network: %s', (mode) => {
    const text = `services: {web: {image: a, network_mode: "${mode}"}, vpn: {image: v}}`
    expect(fileOf(text, 'run/try.yaml')).toBeUndefined()
  })
})

describe('settings that make a container a site of nginx-proxy are empty', () => {
  test.each<[string, unknown]>([
    ['environment: {VIRTUAL_HOST: a.org, LETSENCRYPT_HOST: a.org}', { VIRTUAL_HOST: '', LETSENCRYPT_HOST: '' }],
    [
      'environment: ["VIRTUAL_HOST=a.org", "A=b=c", VIRTUAL_HOST_MULTIPORTS]',
      ['A=b=c', 'VIRTUAL_HOST=', 'VIRTUAL_HOST_MULTIPORTS='],
    ],
    // The app may start on this port, and without a host nobody asks for it.
    ['environment: {VIRTUAL_PORT: "8000", SERVICE_NAME: shop}', { VIRTUAL_PORT: '8000', SERVICE_NAME: 'shop' }],
    ['environment: {A: }', { A: null }],
  ])('%s', (text, expected) => expect(web(text)['environment']).toEqual(expected))

  test('also when an env file may set them', () => {
    expect(web('env_file: .env, environment: {A: b}')['environment']).toEqual({
      A: 'b',
      VIRTUAL_HOST: '',
      VIRTUAL_HOST_MULTIPORTS: '',
      LETSENCRYPT_HOST: '',
    })
  })
})

describe('networks', () => {
  test('of the project are joined as what the host has, without names and addresses', () => {
    const text = `
services: {web: {image: a, networks: {default: {ipv4_address: 10.1.0.5, aliases: [shop]}, back: {priority: 9}}}}
networks: {back: {name: "shop-\${STAGE}", internal: true}}`
    expect(oneOffOf(text).networks).toEqual(['default shop_default', 'back -'])
    expect(webOf(text)).toEqual(BARE)
    expect(fileOf(text, 'run/network-default.yaml')).toEqual({
      services: { web: { networks: { default: null } } },
      networks: { default: { name: 'shop_default', external: true } },
    })
    expect(fileOf(text, 'run/network-back.yaml')).toEqual({
      services: { web: { networks: { back: { priority: 9 } } } },
      networks: { back: { name: 'shop-${STAGE}', external: true } },
    })
    expect(fileOf(text, 'run/new-network-back.yaml')?.['networks']).toEqual({
      back: { name: 'shop-${STAGE}', internal: true },
    })
    expect(fileOf(text, 'run/no-network.yaml')).toEqual({ services: { web: { network_mode: 'bridge' } } })
  })

  test('that are external belong to the model', () => {
    const text = 'services: {web: {image: a, networks: [edge, default]}}\nnetworks: {edge: {external: true}}'
    expect(webOf(text)['networks']).toEqual({ edge: null })
    expect(fileOf(text)?.['networks']).toEqual({ edge: { external: true } })
    expect(oneOffOf(text).networks).toEqual(['default shop_default'])
    expect(fileOf(text, 'run/no-network.yaml')).toBeUndefined()
  })

  test('of the host or of another container stay', () => {
    const text =
      'services: {web: {image: a, network_mode: "service:vpn", volumes_from: [db]}, vpn: {image: v, labels: {a: b}}, db: {image: d}}'
    expect(oneOffOf(text).networks).toEqual([])
    expect(fileOf(text)?.['services']).toEqual({
      web: { ...BARE, network_mode: 'service:vpn', volumes_from: ['db'] },
      vpn: { image: 'v', network_mode: 'none' },
      db: { image: 'd', network_mode: 'none' },
    })
    expect(web('network_mode: host')).toEqual({ ...BARE, network_mode: 'host' })
  })
})

test('a volume that is not there yet can be left out of a look', () => {
  const text = `
services: {web: {image: a, volumes: ["data:/data", "data:/more:ro", {type: volume, source: "\${MEDIA:-media}", target: /media}, "shared:/shared", ./conf:/conf, /anonymous]}}
volumes: {data: , media: {name: shop-media}, shared: {external: true}}`
  expect(oneOffOf(text).volumes).toEqual(['data shop_data', 'media shop-media'])
  expect(fileOf(text, 'run/no-volume-data.yaml')).toEqual({
    services: {
      web: {
        volumes: [
          { type: 'volume', target: '/data' },
          { type: 'volume', target: '/more' },
        ],
      },
    },
  })
  expect(oneOffOf(text).files.map(({ path }) => path)).not.toContain('run/no-volume-shared.yaml')
})

test('secrets and configs are there', () => {
  const text = 'services: {web: {image: a, secrets: [key]}}\nsecrets: {key: {file: ./key}}'
  expect(fileOf(text)?.['secrets']).toEqual({ key: { file: './key' } })
})

describe('over a stack that was started by hand', () => {
  test('what serves is removed, and the networks are those that its container is in', () => {
    const overlay = oneOffOverlay('web', ['shop_default', 'edge'])
    for (const key of ['labels', 'ports', 'container_name', 'networks', 'network_mode', 'logging'])
      expect(overlay).toContain(`  ${key}: !reset null,\n`)
    expect(oneOffRest('web', ['shop_default', 'edge'])).toEqual({
      services: { web: { logging: { driver: 'json-file' }, networks: { joined0: null, joined1: null } } },
      networks: {
        joined0: { name: 'shop_default', external: true },
        joined1: { name: 'edge', external: true },
      },
    })
  })

  test('the network of the host stays', () => {
    expect(oneOffOverlay('web', [])).not.toContain('network')
    expect(oneOffRest('web', [])).toEqual({ services: { web: { logging: { driver: 'json-file' } } }, networks: {} })
  })
})
