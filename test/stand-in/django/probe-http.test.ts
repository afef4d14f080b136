import { describe, expect, test } from '@jest/globals'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { probe, python, type Outcome } from './probe.ts'

const server = fileURLToPath(new URL('./server.py', import.meta.url))

type Question = {
  urls?: readonly string[]
  fronts?: readonly (readonly [string, number])[]
  headers?: Readonly<Record<string, string>>
  status?: readonly string[]
  hosts?: readonly string[]
  allowed?: readonly string[]
}

/** Asks beside servers that answer as told, in a network of their own, as in a container. */
function ask(servers: string, question: Question = {}, inside: readonly string[] = []): Promise<Outcome> {
  const root = process.getuid?.() === 0 ? [] : ['sudo', '-n', '--preserve-env=DEPLOY_DJANGO']
  // In it services have names of their own.
  const names = '127.0.0.1 localhost web web_app\n127.0.0.1 web_proxy\n'
  const script =
    'ip link set lo up && printf "$1" >/dev/shm/hosts.$$ && mount --bind /dev/shm/hosts.$$ /etc/hosts && rm /dev/shm/hosts.$$ && shift && exec "$@"'
  const up = ['unshare', '--net', '--mount', 'sh', '-c', script, 'sh', names]
  const words = [...root, ...up, python(), server, ...servers.split(' ').filter((word) => word !== ''), '--', ...inside]
  const order = { format: 1, urls: [], fronts: [], headers: {}, status: ['2xx', '3xx'], ...question }
  return probe('http', tmpdir(), { inside: words, stdin: JSON.stringify(order) })
}

const seen = ({ code, result }: Outcome): unknown => [code, result['status'], result['reason'], result['url']]
const local = 'http://127.0.0.1:8000'

describe('a given address', () => {
  test.each<[string, number, number | null, string | null, string]>([
    ['200', 0, 200, null, ''],
    ['login', 0, 302, null, ''],
    ['204', 0, 204, null, ''],
    ['404', 24, 404, 'status', 'health-status'],
    ['500', 24, 500, 'server-error', 'log of the service'],
    ['503', 21, 503, 'server-error', 'proxy'],
    ['400', 24, 400, 'bad-request', '400 to the Host "shop.example.org"'],
    ['https', 24, 301, 'https-redirect', 'SECURE_SSL_REDIRECT'],
    ['garbage', 21, null, 'not-http', 'does not speak HTTP'],
    ['silent', 21, null, 'not-http', 'closed the connection'],
    ['tls', 21, null, 'not-http', 'speaks TLS'],
    ['twice', 24, 500, 'server-error', 'fails'],
    ['hang', 21, null, 'timeout', 'within 5 s'],
  ])('%s: exit %i', async (manner, code, status, reason, text) => {
    const outcome = await ask(`8000=${manner}`, { urls: [`${local}/up`], headers: { Host: 'shop.example.org' } })
    expect(seen(outcome)).toEqual([code, status, reason, `${local}/up`])
    expect(outcome.result['answers']).toBe(code === 0 ? 3 : 0)
    expect(outcome.result['text']).toContain(text)
  })

  test('where nobody listens, or that has no name, is refused', async () => {
    for (const url of [`${local}/`, 'http://no-such-service.invalid/']) {
      const outcome = await ask('', { urls: [url] })
      expect(seen(outcome)).toEqual([21, null, 'refused', url])
      expect(outcome.result['fix']).toContain('0.0.0.0')
    }
  })

  test('is asked with the headers of the site, which decide', async () => {
    const urls = [`${local}/`]
    const headers = { Host: 'shop.example.com', 'X-Forwarded-Proto': 'https' }
    expect(seen(await ask('8000=django', { urls, headers }))).toEqual([0, 200, null, `${local}/`])
    expect((await ask('8000=django', { urls })).result['reason']).toBe('bad-request')
    expect((await ask('8000=django', { urls, headers: { host: 'shop.example.com' } })).result['reason']).toBe(
      'https-redirect',
    )
  })

  test('may be told to answer with another status, and each of several must answer', async () => {
    expect((await ask('8000=404', { urls: [`${local}/`], status: ['200', '404'] })).code).toBe(0)
    expect((await ask('8000=401', { urls: [`${local}/`], status: ['4xx'] })).code).toBe(0)
    const both = await ask('8000=200 8001=500', { urls: [`${local}/`, 'http://127.0.0.1:8001/'] })
    expect(seen(both)).toEqual([24, 500, 'server-error', 'http://127.0.0.1:8001/'])
  })
})

describe('auto', () => {
  test.each<[string, string, number, number | null, string | null, string | null]>([
    ['the own port', '8000=404 8080=200', 0, 404, null, `${local}/`],
    ['a login page is fine', '8000=login', 0, 302, null, `${local}/`],
    [
      'a port for everyone before one for this container alone',
      '127.0.0.1:7000=200 8000=403',
      0,
      403,
      null,
      `${local}/`,
    ],
    ['IPv6', '::1:8000=200', 0, 200, null, 'http://[::1]:8000/'],
    ['a 400 is no answer', '8000=400', 24, 400, 'bad-request', `${local}/`],
    ['a 500 is no answer', '8000=500', 24, 500, 'server-error', `${local}/`],
    ['a redirect to https is no answer', '8000=https', 24, 301, 'https-redirect', `${local}/`],
    ['a port that speaks something else is passed over', '5000=garbage 8000=200', 0, 200, null, `${local}/`],
    ['a port that says nothing decides when nobody else does', '8000=silent', 21, null, 'not-http', `${local}/`],
    ["Docker's name server is not asked", '127.0.0.11:8000=500', 25, null, 'nothing-speaks-http', null],
    ['nothing speaks HTTP', '5000=garbage', 25, null, 'nothing-speaks-http', null],
    ['nothing listens', '', 25, null, 'nothing-speaks-http', null],
  ])('%s', async (_, servers, code, status, reason, url) => {
    expect(seen(await ask(servers))).toEqual([code, status, reason, url])
  })

  test('a service in front decides when this one speaks no HTTP, or only redirects', async () => {
    const fronts = [['localhost', 9000]] as const
    const other = ['unshare', '--pid', '--fork', '--mount-proc', '--']
    const front = 'http://localhost:9000/'
    // In a process namespace of its own the ports belong to somebody else, as those of a proxy do.
    expect(seen(await ask('9000=200', { fronts }, other))).toEqual([0, 200, null, front])
    expect(seen(await ask('9000=502', { fronts }, other))).toEqual([21, 502, 'server-error', front])
    expect(seen(await ask('8000=https 9000=200', { fronts: [['localhost', 8000], ...fronts] }, other))).toEqual([
      0,
      200,
      null,
      front,
    ])
    expect(seen(await ask('9000=200', { fronts: [['no-such-service.invalid', 80], ...fronts] }, other))).toEqual([
      0,
      200,
      null,
      front,
    ])
  })

  test('a published port that nobody listens on yet is no silence: the app is still starting', async () => {
    const fronts = [['localhost', 8000]] as const
    expect(seen(await ask('', { fronts }))).toEqual([21, null, 'refused', 'http://localhost:8000/'])
    expect(seen(await ask('9000=200', { fronts }))).toEqual([0, 200, null, 'http://127.0.0.1:9000/'])
    // A front in another network has no name here: it says nothing about the app.
    expect((await ask('', { fronts: [['no-such-service.invalid', 80]] })).result['reason']).toBe('nothing-speaks-http')
  })

  test('a port for this container alone does not help a service in front', async () => {
    const fronts = [['127.0.0.3', 8000]] as const
    const outcome = await ask('127.0.0.1:8000=200', { fronts })
    expect(seen(outcome)).toEqual([21, null, 'refused', 'http://127.0.0.3:8000/'])
    expect(outcome.result['fix']).toContain('on 0.0.0.0')
    // A front without a name here may share this network; the server's own proxy is none that we know of.
    for (const strange of [[['no-such-service.invalid', 80]] as const, []]) {
      expect(seen(await ask('127.0.0.1:8000=200', { fronts: strange }))).toEqual([0, 200, null, `${local}/`])
    }
  })

  test('ports of other containers and of the server are not asked', async () => {
    const other = ['unshare', '--pid', '--fork', '--mount-proc', '--']
    expect(seen(await ask('8000=500', {}, other))).toEqual([25, null, 'nothing-speaks-http', null])
  })
})

describe('the Host that is sent', () => {
  const fronts = [['web_proxy', 9000]] as const
  const other = ['unshare', '--pid', '--fork', '--mount-proc', '--']
  const shop = { hosts: ['shop.example.com'], allowed: ['shop.example.com'] }

  test('is one that Django accepts, also where the name of the service has an underscore', async () => {
    const any = { fronts, allowed: ['*'] }
    expect(seen(await ask('9000=any', any, other))).toEqual([0, 200, null, 'http://web_proxy:9000/'])
    expect(seen(await ask('9000=any', { urls: ['http://web_proxy:9000/up'] }))).toEqual([
      ...[0, 200, null, 'http://web_proxy:9000/up'],
    ])
    const https = { headers: { 'X-Forwarded-Proto': 'https' } }
    expect((await ask('9000=django', { fronts, ...shop, ...https }, other)).code).toBe(0)
    // A name that can be sent as it is, is: a proxy may know nothing else.
    const named = await ask('9000=200', { fronts: [['web', 9000]], allowed: ['*'] }, other)
    expect(named.result['host']).toBe('web:9000')
  })

  test('is each name that only means a container, until one is accepted: it may be that of another container', async () => {
    const hosts = ['8c0ff33a1b2d', 'me', 'localhost']
    const outcome = await ask('8000=container', { hosts, allowed: hosts })
    expect([outcome.code, outcome.result['host']]).toEqual([0, 'me'])
    expect((await ask('8000=container', { hosts: ['8c0ff33a1b2d'], allowed: ['8c0ff33a1b2d'] })).code).toBe(24)
  })

  test('when it is refused all the same, the error says what to change', async () => {
    const why = async (question: Question, servers = '8000=400', inside: readonly string[] = []): Promise<string> => {
      const { result } = await ask(servers, question, inside)
      expect(result['reason']).toBe('bad-request')
      return `${String(result['text'])} FIX ${String(result['fix'])}`
    }
    expect(await why({ allowed: [] })).toMatch(/ALLOWED_HOSTS is empty.* FIX set it to the domain/)
    expect(await why({ allowed: ['https://shop.example.com'] })).toMatch(
      /no entry of ALLOWED_HOSTS \(https:\S+\) is a name .* FIX write the domain alone/,
    )
    expect(await why(shop)).toMatch(
      /"shop.example.com", although ALLOWED_HOSTS, as manage.py reads it.* FIX let wsgi.py/,
    )
    expect(await why({ fronts, allowed: ['*'] }, '9000=400', other)).toMatch(
      /the proxy passes another Host on\. FIX pass it on: in nginx, `proxy_set_header Host \$http_host;`/,
    )
    expect(await why({ headers: { Host: 'a.example' }, ...shop })).toMatch(/FIX add "a.example" to ALLOWED_HOSTS/)
    expect(await why({})).toMatch(/FIX add "127.0.0.1:8000" to ALLOWED_HOSTS/)
  })
})

describe('a socket of uWSGI', () => {
  const hosts = ['shop.example.com']

  test('is asked in its own protocol, and never with HTTP', async () => {
    const outcome = await ask('8000=uwsgi', { hosts, allowed: hosts })
    expect(seen(outcome)).toEqual([0, 200, null, 'uwsgi://127.0.0.1:8000/'])
    expect(outcome.stderr).toBe('')
    expect(seen(await ask('8000=uwsgi', { allowed: ['*'] }))).toEqual([
      ...[24, 400, 'bad-request', 'uwsgi://127.0.0.1:8000/'],
    ])
  })

  test('that speaks HTTP is asked with HTTP', async () => {
    expect(seen(await ask('8000=uwsgi-http'))).toEqual([0, 200, null, `${local}/`])
  })
})
