import { describe, expect, test } from '@jest/globals'
import type { Settings } from '../../../src/django/document.ts'
import { askHealth, headersFor, hostsFor } from '../../../src/django/health.ts'

const settings: Settings = {
  allowedHosts: [],
  debug: false,
  sslRedirect: false,
  proxySslHeader: undefined,
  static: { kind: 'none', why: '' },
}

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
    expect(ask(question, [['proxy', 80]], site)).toEqual({
      format: 1,
      urls: [],
      fronts: [['proxy', 80]],
      headers: { 'X-Forwarded-Proto': 'https' },
      hosts: ['todo.example.org'],
      allowed: ['todo.example.org'],
      status: ['2xx', '3xx'],
    })
  })

  test('asks what it is told to ask', () => {
    const urls = ['http://proxy/healthz', 'http://web:8000/']
    expect(ask({ ...question, url: { kind: 'urls', urls }, status: ['204'] }, [], settings)).toEqual({
      format: 1,
      urls,
      fronts: [],
      headers: {},
      hosts: [],
      allowed: [],
      status: ['204'],
    })
  })

  test('asks nobody', () => {
    expect(askHealth({ ...question, url: { kind: 'none' } }, [['proxy', 80]], site)).toBeUndefined()
  })

  test.each(['Host', 'host', 'HOST', 'hOsT'])('a header that is given wins, however it is written: %s', (name) => {
    const headers = { [name]: 'other.example.org', Accept: 'text/html' }
    expect(ask({ ...question, headers }, [], site)).toMatchObject({
      headers: { ...headers, 'X-Forwarded-Proto': 'https' },
      hosts: [],
    })
  })

  test('is one line, which nothing in a header can leave', () => {
    const text = askHealth({ ...question, headers: { 'X-A': '"\n}' } }, [], site)
    expect(text).not.toContain('\n')
    expect(JSON.parse(text ?? '')).toMatchObject({ headers: { 'X-A': '"\n}' } })
  })
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
