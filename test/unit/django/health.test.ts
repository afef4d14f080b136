import { describe, expect, test } from '@jest/globals'
import { readApp } from '../../../src/compose/app.ts'
import { inputs } from '../../../src/inputs/contract.ts'
import type { Settings } from '../../../src/django/document.ts'
import {
  askHealth,
  askTrial,
  deadHosts,
  headersFor,
  hostsFor,
  isAuto,
  type HealthQuestion,
} from '../../../src/django/health.ts'

const settings: Settings = {
  allowedHosts: [],
  debug: false,
  sslRedirect: false,
  proxySslHeader: undefined,
  static: { kind: 'none', why: '' },
}

test('entries of ALLOWED_HOSTS that no visitor can match', () => {
  const good = ['*', 'shop.example.com', '.example.com', 'localhost', 'web_app', '127.0.0.1', '[::1]', '']
  const dead = [
    'https://shop.example.com',
    'shop.example.com:8000',
    'shop.example.com/',
    ' shop.example.com',
    '*.example.com',
  ]
  expect(deadHosts({ ...settings, allowedHosts: [...good, ...dead] })).toEqual(dead)
})

const image = { image: 'registry/app@sha256:1' }
const app = readApp({
  services: {
    web: { ...image, networks: { default: { aliases: ['shop.internal'] } } },
    staff: image,
    proxy: { image: 'nginx:1' },
    guest: { ...image, network_mode: 'host' },
  },
})
const web = app.services.get('web')

describe('askTrial', () => {
  const ask = (url: HealthQuestion['url'], fronts: readonly (readonly [string, number])[] = []): unknown =>
    JSON.parse(askTrial({ url, headers: {}, status: ['2xx'] }, fronts, settings, web) ?? 'null')

  test('asks its own ports; a redirect to https is left to a proxy, if there is one', () => {
    expect(ask({ kind: 'auto' }, [['web', 8000]])).toEqual({
      format: 1,
      urls: [],
      fronts: [['web', 8000]],
      published: [8000],
      headers: {},
      hosts: [],
      allowed: [],
      status: ['2xx'],
    })
    const both = [['web', 8000] as const, ['proxy', 80] as const]
    expect(ask({ kind: 'auto' }, both)).toMatchObject({ fronts: [['web', 8000]], accept: 'redirects' })
  })

  test('asks those of the addresses that are its own', () => {
    const own = ['http://web:8000/healthz', 'http://LOCALHOST:8000/', 'http://[::1]:8000/', 'http://shop.internal/']
    const all = ask({ kind: 'urls', urls: [...own, 'http://proxy/healthz', 'https://example.com/'] })
    expect(all).toMatchObject({ urls: own })
    expect(all).not.toHaveProperty('accept')
  })

  test('only wants to hear something when all addresses lead elsewhere', () => {
    expect(ask({ kind: 'urls', urls: ['http://proxy/healthz'] })).toMatchObject({ urls: [], accept: 'anything' })
  })

  test('asks nobody', () => expect(ask({ kind: 'none' })).toBeNull())
})

describe('askHealth', () => {
  const question = { url: { kind: 'auto' }, headers: {}, status: ['2xx', '3xx'] } as const
  const site: Settings = {
    ...settings,
    allowedHosts: ['todo.example.org'],
    sslRedirect: true,
    proxySslHeader: ['HTTP_X_FORWARDED_PROTO', 'https'],
  }
  const ask = (...given: Parameters<typeof askHealth>): unknown => JSON.parse(askHealth(...given) ?? 'null')

  test('finds out where to ask, as the settings want it', () => {
    expect(ask(question, [['proxy', 80]], site, app, web)).toEqual({
      format: 1,
      urls: [],
      fronts: [['proxy', 80]],
      published: [],
      siblings: [],
      headers: { 'X-Forwarded-Proto': 'https' },
      hosts: ['todo.example.org'],
      allowed: ['todo.example.org'],
      status: ['2xx', '3xx'],
    })
  })

  test('requests the configured address', () => {
    const urls = ['http://proxy/healthz', 'http://web:8000/']
    expect(ask({ ...question, url: { kind: 'urls', urls }, status: ['204'] }, [], settings, app, web)).toEqual({
      format: 1,
      urls,
      fronts: [],
      published: [],
      headers: {},
      hosts: [],
      allowed: [],
      status: ['204'],
    })
  })

  test('asks the other published services with the image of the app, unless addresses are given', () => {
    const fronts = [['web', 8000] as const, ['staff', 9000] as const, ['proxy', 80] as const]
    expect(ask(question, fronts, site, app, web)).toMatchObject({ siblings: [['staff', 9000]] })
    const given = { ...question, url: { kind: 'urls', urls: ['http://web:8000/'] } } as const
    expect(ask(given, fronts, site, app, web)).not.toHaveProperty('siblings')
  })

  test('knows the ports that lead to the app, unless it shares the network of another service', () => {
    const fronts = [['web', 8000] as const, ['proxy', 80] as const]
    expect(ask(question, fronts, site, app, web)).toMatchObject({ published: [8000] })
    for (const other of [app.services.get('guest'), undefined])
      expect(ask(question, fronts, site, app, other)).toMatchObject({ published: [] })
  })

  test('asks nobody', () => {
    expect(askHealth({ ...question, url: { kind: 'none' } }, [['proxy', 80]], site, app, web)).toBeUndefined()
  })

  test.each(['Host', 'host', 'HOST', 'hOsT'])('a header that is given wins, however it is written: %s', (name) => {
    const headers = { [name]: 'other.example.org', Accept: 'text/html' }
    expect(ask({ ...question, headers }, [], site, app, web)).toMatchObject({
      headers: { ...headers, 'X-Forwarded-Proto': 'https' },
      hosts: [],
    })
  })

  test('is one line, which nothing in a header can leave', () => {
    const text = askHealth({ ...question, headers: { 'X-A': '"\n}' } }, [], site, app, web)
    expect(text).not.toContain('\n')
    expect(JSON.parse(text ?? '')).toMatchObject({ headers: { 'X-A': '"\n}' } })
  })
})

test.each<[string, Partial<HealthQuestion>, boolean]>([
  ['the defaults', {}, true],
  ['an address', { url: { kind: 'urls', urls: ['http://web:8000/'] } }, false],
  ['none', { url: { kind: 'none' } }, false],
  ['a header', { headers: { Host: 'shop.example.com' } }, false],
  ['a status', { status: ['404'] }, false],
])('whether a rollback takes the health check of the release: %s', (_, given, expected) => {
  const status = String(inputs.rollback['health-status'].default).split(' ')
  expect(isAuto({ url: { kind: 'auto' }, headers: {}, status, ...given })).toBe(expected)
})

describe('hostsFor', () => {
  test.each<[string, Partial<Settings>, string[]]>([
    ['nothing is allowed', {}, []],
    ['nothing is said, in DEBUG', { debug: true }, ['localhost']],
    ['one domain', { allowedHosts: ['example.org'] }, ['example.org']],
    ['the first of several', { allowedHosts: ['a.example', 'b.example'] }, ['a.example']],
    ['a domain with all below it', { allowedHosts: ['.example.org'] }, ['example.org']],
    [
      'a domain, which visitors send, before names that only mean this container',
      {
        allowedHosts: ['localhost', '127.0.0.1', '[::1]', 'web', 'Shop.Example.com'],
      },
      ['Shop.Example.com'],
    ],
    [
      'names of the container, one of which may be that of another one',
      {
        allowedHosts: ['8c0ff33a1b2d', '172.18.0.4', 'localhost', '[::1]'],
      },
      ['8c0ff33a1b2d', '172.18.0.4', 'localhost', '[::1]'],
    ],
    ['every host', { allowedHosts: ['*'] }, []],
    ['every host, and a domain', { allowedHosts: ['*', 'example.org'] }, ['example.org']],
    ['every host, and a name of the container', { allowedHosts: ['*', '8c0ff33a1b2d'] }, []],
    [
      'what Django never takes for a Host',
      {
        allowedHosts: ['', 'web_app', 'https://example.org', 'example.org:443', '*.example.org', 'a b', 'localhost'],
      },
      ['localhost'],
    ],
    ['only such', { allowedHosts: ['https://example.org'] }, []],
  ])('%s', (_, given, hosts) => expect(hostsFor({ ...settings, ...given })).toEqual(hosts))
})

describe('headersFor', () => {
  const https = ['HTTP_X_FORWARDED_PROTO', 'https'] as const

  test.each<[string, Partial<Settings>, Record<string, string>]>([
    ['nothing is said', {}, {}],
    [
      'a redirect to https that a header avoids',
      { sslRedirect: true, proxySslHeader: https },
      { 'X-Forwarded-Proto': 'https' },
    ],
    ['a redirect that nothing avoids', { sslRedirect: true }, {}],
    ['a header without a redirect', { proxySslHeader: https }, {}],
    ['another header', { sslRedirect: true, proxySslHeader: ['HTTP_X_SCHEME', 'on'] }, { 'X-Scheme': 'on' }],
    [
      'one that WSGI does not prefix',
      { sslRedirect: true, proxySslHeader: ['FRONT_END_HTTPS', 'on'] },
      { 'Front-End-Https': 'on' },
    ],
  ])('%s', (_, given, headers) => expect(headersFor({ ...settings, ...given })).toEqual(headers))
})
