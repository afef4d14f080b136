import { describe, expect, test } from '@jest/globals'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { probe, python, type Outcome } from './probe.ts'

const server = fileURLToPath(new URL('./server.py', import.meta.url))

type Question = {
  urls?: readonly string[]
  fronts?: readonly (readonly [string, number])[]
  published?: readonly number[]
  siblings?: readonly (readonly [string, number])[]
  headers?: Readonly<Record<string, string>>
  status?: readonly string[]
  hosts?: readonly string[]
  allowed?: readonly string[]
  accept?: 'redirects' | 'anything'
}

/** Asks beside servers that answer as told, in a network of their own, as in a container. */
function ask(
  servers: string,
  question: Question = {},
  inside: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
  verb = 'http',
): Promise<Outcome> {
  const kept = 'DEPLOY_DJANGO,DEPLOY_DJANGO_LISTEN_WAIT,DEPLOY_DJANGO_BEFORE'
  const root = process.getuid?.() === 0 ? [] : ['sudo', '-n', `--preserve-env=${kept}`]
  // In it services have names of their own.
  const names = '127.0.0.1 localhost web web_app\n127.0.0.1 web_proxy\n'
  const script =
    'ip link set lo up && printf "$1" >/dev/shm/hosts.$$ && mount --bind /dev/shm/hosts.$$ /etc/hosts && rm /dev/shm/hosts.$$ && shift && exec "$@"'
  const up = ['unshare', '--net', '--mount', 'sh', '-c', script, 'sh', names]
  const words = [...root, ...up, python(), server, ...servers.split(' ').filter((word) => word !== ''), '--', ...inside]
  const order = { format: 1, urls: [], fronts: [], headers: {}, status: ['2xx', '3xx'], ...question }
  return probe(verb, tmpdir(), { inside: words, stdin: JSON.stringify(order), env })
}

const seen = ({ code, result }: Outcome): unknown => [code, result['status'], result['reason'], result['url']]
const local = 'http://127.0.0.1:8000'

describe('a trial container, which answers for itself alone', () => {
  test.each<[string, 'redirects' | 'anything', number, string | null]>([
    ['https', 'redirects', 0, null],
    ['500', 'redirects', 24, 'server-error'],
    ['400', 'redirects', 24, 'bad-request'],
    ['500', 'anything', 0, null],
    ['400', 'anything', 0, null],
    ['503', 'anything', 21, 'server-error'],
    ['hang', 'anything', 21, 'timeout'],
  ])('that answers %s, where %s will do: exit %i', async (manner, accept, code, reason) => {
    expect((await ask(`8000=${manner}`, { accept })).code).toBe(code)
    expect((await ask(`8000=${manner}`, { accept })).result['reason']).toBe(reason)
  })

  test('may begin to listen a moment later', async () => {
    expect((await ask('8000=late')).code).toBe(25)
    expect((await ask('8000=late', {}, [], { DEPLOY_DJANGO_LISTEN_WAIT: '60' })).code).toBe(0)
  })

  test('may listen for itself alone', async () => {
    expect((await ask('127.0.0.1:8000=https', { accept: 'redirects' })).code).toBe(0)
  })
})

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

  test('of another service names that service', async () => {
    const failing = await ask('8001=500', { urls: ['http://web_proxy:8001/'] })
    expect(failing.result['text']).toContain('answered 500: web_proxy, or what it needs')
    expect(failing.result['fix']).toContain('fix the error in the log of web_proxy;')
    const { result } = await ask('', { urls: ['http://web_proxy:8001/'] })
    expect(result['text']).toContain('The server in web_proxy listens elsewhere')
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
    // In a process namespace of its own the ports belong to another process, as those of a proxy do.
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

  test('nothing listens: the app is still starting, so the fix is more time, not another address', async () => {
    expect((await ask('')).result['fix']).toMatch(/^raise `health-timeout`/)
    expect((await ask('5000=garbage')).result['fix']).toBeNull()
  })

  test('ports of other containers and of the server are not asked', async () => {
    const other = ['unshare', '--pid', '--fork', '--mount-proc', '--']
    expect(seen(await ask('8000=500', {}, other))).toEqual([25, null, 'nothing-speaks-http', null])
  })
})

describe('a port that the Compose file publishes', () => {
  test.each<[string, string, number, string | null]>([
    ['is the one on which the app listens', '8000=200', 0, null],
    ['leads to nothing, because the app listens on another', '8080=200', 24, 'unpublished'],
    ['leads to nothing, because the app listens for this container alone', '127.0.0.1:8000=200', 24, 'loopback'],
    ['leads to nothing of the app, which also listens elsewhere', '127.0.0.1:8000=200 8080=200', 24, 'loopback'],
    ['is one of two that are listened on', '8000=200 8080=200', 0, null],
    ['leads to an app that fails, which counts', '8080=500', 24, 'server-error'],
  ])('%s', async (_, servers, code, reason) => {
    for (const urls of [[], [`http://127.0.0.1:${/8080/.test(servers) ? 8080 : 8000}/`]]) {
      const outcome = await ask(servers, { urls, published: [8000, 5678] })
      expect([outcome.code, outcome.result['reason']]).toEqual([code, reason])
    }
  })

  test('on which nothing listens is named with the port that is meant', async () => {
    const { result } = await ask('8080=200', { published: [8000] })
    expect(result['text']).toBe(
      'The app answers at http://127.0.0.1:8080/, but the Compose file publishes port 8000 of its container, on which nothing listens. So no visitor reaches it.',
    )
    expect(result['fix']).toContain('("…:8080")')
    const alone = await ask('127.0.0.1:8000=200', { published: [8000], accept: 'redirects' })
    expect(alone.result).toMatchObject({
      text: 'The app listens only on 127.0.0.1:8000 in its container, so no visitor reaches it.',
      fix: expect.stringContaining('0.0.0.0:8000'),
    })
  })

  test('may be served by a sidecar in the same network', async () => {
    const apart = ['unshare', '--pid', '--fork', '--mount-proc', '--', python(), server, '8000=app', '--']
    expect((await ask('9000=app', { published: [9000] }, apart)).code).toBe(0)
  })
})

describe('another published service with the image of the app', () => {
  const apart = ['unshare', '--pid', '--fork', '--mount-proc', '--', python(), server, '8000=app', '--']
  const siblings = [['127.0.0.3', 9000] as const]

  test.each<[string, string, number, string | null]>([
    ['answers', '127.0.0.3:9000=app', 0, null],
    ['answers that there is no such page', '127.0.0.3:9000=404', 0, null],
    ['accepts other hosts', '127.0.0.3:9000=400', 0, null],
    ['fails', '127.0.0.3:9000=500', 27, 'server-error'],
    ['does not listen', '', 27, 'refused'],
    ['speaks another protocol', '127.0.0.3:9000=garbage', 0, null],
  ])('%s', async (_, servers, code, reason) => {
    const outcome = await ask(servers, { siblings }, apart)
    expect([outcome.code, outcome.result['reason']]).toEqual([code, reason])
    if (code !== 0) expect(outcome.result['text']).toContain('the service 127.0.0.3')
  })

  test('in another network is not asked; one of its ports is enough', async () => {
    const strange = [['no-such-service.invalid', 80] as const]
    expect((await ask('', { siblings: strange }, apart)).code).toBe(0)
    expect((await ask('127.0.0.3:9000=app', { siblings: [['127.0.0.3', 5678], ...siblings] }, apart)).code).toBe(0)
  })
})

describe('what stands in front of the app', () => {
  const other = ['unshare', '--pid', '--fork', '--mount-proc', '--']
  const fronts = [['127.0.0.3', 9000]] as const
  const front = 'http://127.0.0.3:9000/'
  const apart = ['unshare', '--pid', '--fork', '--mount-proc', '--', python(), server]
  /** The app's servers share the namespace of processes with the probe; the front's do not. */
  const both = (frontServers: string, appServers: string): Promise<Outcome> =>
    ask(frontServers, { fronts }, [...apart, ...appServers.split(' ').filter((word) => word !== ''), '--'])

  test.each<[string, string, string, number, string | null, string | null, string | RegExp]>([
    ['passes on', '127.0.0.3:9000=app', '8000=app', 0, null, `${local}/`, ''],
    ['passes on an error page of Django', '127.0.0.3:9000=api', '8000=api', 0, null, `${local}/`, ''],
    ['passes on a page without a sign of Django', '127.0.0.3:9000=page', '8000=page', 0, null, `${local}/`, ''],
    ['only redirects to https', '127.0.0.3:9000=https', '8000=app', 0, null, `${local}/`, ''],
    [
      'says nothing to the names that are known here',
      '127.0.0.3:9000=silent',
      '8000=app',
      0,
      null,
      `${local}/`,
      /^It is not known whether requests reach Django .*127\.0\.0\.3:9000.*`health-headers/,
    ],
    ['does not listen', '', '8000=app', 0, null, `${local}/`, ''],
    ['accepts no connection', '127.0.0.3:9000=full', '8000=app', 0, null, `${local}/`, ''],
    [
      'answers `/` by itself',
      '127.0.0.3:9000=page',
      '8000=api',
      0,
      null,
      `${local}/`,
      /^It is not known whether requests reach Django .*127\.0\.0\.3:9000.*`health-url`/,
    ],
    [
      'answers 500 to `/`',
      '127.0.0.3:9000=500',
      '8000=app',
      0,
      null,
      `${local}/`,
      /^It is not known whether requests reach Django/,
    ],
    ['answers 500 by itself', '127.0.0.3:9000=nginx-broken', '8000=app', 0, null, `${local}/`, /^It is not known/],
    ["passes on Django's 500", '127.0.0.3:9000=error', '8000=app', 27, 'server-error', front, ''],
    ["passes on the project's page for a 500", '127.0.0.3:9000=broken', '8000=api', 27, 'server-error', front, ''],
    ['stands before a socket in a volume', '127.0.0.3:9000=app', '', 0, null, front, ''],
    [
      'stands before a socket, with a page',
      '127.0.0.3:9000=page',
      '',
      0,
      null,
      front,
      /^It is not known whether requests reach Django/,
    ],
    ['asks a wrong port', '127.0.0.3:9000=502', '8000=app', 27, 'server-error', front, ''],
    ['asks a wrong port of an app that is down', '127.0.0.3:9000=502', '', 21, 'server-error', front, ''],
    ['cannot reach it', '127.0.0.3:9000=page', '127.0.0.1:8000=api', 24, 'loopback', `${local}/`, ''],
    ['cannot reach it, and says so', '127.0.0.3:9000=502', '127.0.0.1:8000=api', 24, 'loopback', `${local}/`, ''],
    ['reaches it nevertheless', '127.0.0.3:9000=api', '127.0.0.1:8000=api', 0, null, front, ''],
    [
      'has a tool beside it',
      '127.0.0.3:9000=page',
      '127.0.0.1:8000=404',
      0,
      null,
      front,
      /^It is not known whether requests reach Django/,
    ],
  ])('%s', async (_, frontServers, appServers, code, reason, url, warning) => {
    const { code: exit, result } = await both(frontServers, appServers)
    expect([exit, result['reason'], result['url']]).toEqual([code, reason, url])
    expect(result['warning'] ?? '').toEqual(warning === '' ? '' : expect.stringMatching(warning))
  })

  test('redirects to https, where it says nothing to the names that are known here: nobody knows what visitors get', async () => {
    const [http, https] = ['127.0.0.3:9000=https', '127.0.0.3:9443=silent']
    const { code, result } = await ask(`${http} ${https}`, { fronts: [...fronts, ['127.0.0.3', 9443]] }, [
      ...apart,
      '8000=app',
      '--',
    ])
    expect([code, result['reason']]).toEqual([0, null])
    expect(result['warning']).toMatch(/^It is not known whether requests reach Django .*127\.0\.0\.3:9443/)
  })

  test('and says nothing to a domain is asked for its www, where ALLOWED_HOSTS has all names below the domain', async () => {
    const names = (allowed: string): Question => ({ fronts, hosts: ['example.com'], allowed: [allowed] })
    const through = (manner: string, allowed = '.example.com'): Promise<Outcome> =>
      ask(`127.0.0.3:9000=${manner}`, names(allowed), [...apart, '8000=app', '--'])
    expect((await through('wwwapp')).result).toMatchObject({ reason: null, warning: null })
    const failed = await through('www502')
    expect([...(seen(failed) as unknown[]), failed.result['host']]).toEqual([
      ...[27, 502, 'server-error', front, 'www.example.com'],
    ])
    for (const unknown of [await through('www502', 'example.com'), await through('silent')])
      expect([unknown.code, unknown.result['warning']]).toEqual([
        0,
        expect.stringContaining('does not answer to the Host example.com (it closed the connection'),
      ])
  })

  test('has an advice that works: a page of the admin only where Django has one', async () => {
    const advice = async (app: string): Promise<unknown> => (await both('127.0.0.3:9000=page', app)).result['warning']
    expect(await advice('8000=admin')).toMatch(/such as http:\/\/127\.0\.0\.3:9000\/admin\/login\/$/)
    expect(await advice('8000=api')).toMatch(/to an address behind that service that Django answers$/)
    expect(await advice('')).toMatch(/to an address behind that service that Django answers$/)
  })

  test('has a page of its own: a page of the admin shows whether it passes on the rest', async () => {
    expect((await both('127.0.0.3:9000=behind', '8000=admin')).result).toMatchObject({ reason: null, warning: null })
    const misled = await both('127.0.0.3:9000=misled', '8000=admin')
    expect(seen(misled)).toEqual([27, 502, 'server-error', `${front}admin/login/`])
    expect(misled.result['fix']).toContain('port 8000')
  })

  test('has a page whose style sheet is not there', async () => {
    const missing = await both('127.0.0.3:9000=unstyled', '8000=unstyled')
    expect([missing.code, missing.result['lost']]).toEqual([
      0,
      expect.stringContaining('links to /static/shop.css, which answers 404'),
    ])
    expect((await both('127.0.0.3:9000=styled', '8000=unstyled')).result['lost']).toBeNull()
    // A proxy that is no part of the project may serve the files.
    const own = { fronts, published: [9000] }
    expect((await ask('9000=unstyled', own)).result['lost']).toBeNull()
  })

  test('answers 500 with a page of Django: the error does not speak of a wrong port', async () => {
    const { result } = await both('127.0.0.3:9000=error', '8000=app')
    expect(result['text']).toContain('the app answers when it is asked directly (http://127.0.0.1:8000/: 200)')
    expect(result['text']).not.toContain('wrong port')
    expect(result['fix']).toContain('log')
  })

  test('is distinguished from the app when it asks a wrong port, also at a given address', async () => {
    const { result } = await both('127.0.0.3:9000=502', '8000=app')
    expect(result['text']).toContain('the app answers when it is asked directly (http://127.0.0.1:8000/: 200)')
    expect(result['fix']).toContain('port 8000')
    const given = { urls: [`${front}healthz`] }
    const app = [...apart, '8000=app', '--']
    expect(seen(await ask('127.0.0.3:9000=502', given, app))).toEqual([27, 502, 'server-error', given.urls[0]])
    const alone = [...apart, '127.0.0.1:8000=app', '--']
    expect((await ask('127.0.0.3:9000=502', given, alone)).result).toMatchObject({
      reason: 'loopback',
      fix: expect.stringContaining('0.0.0.0:8000'),
    })
    expect((await ask('127.0.0.3:9000=502', given, other)).code).toBe(21)
  })
})

describe('what was answered under the release before', () => {
  const fronts = [
    ['127.0.0.3', 9000],
    ['web', 8000],
  ] as const
  const front = 'http://127.0.0.3:9000/'
  const apart = ['unshare', '--pid', '--fork', '--mount-proc', '--', python(), server]
  const shop = { hosts: ['shop.example.com'], allowed: ['shop.example.com'] }
  /** Checks the new release; `before` are the servers of the release before, if there was one. */
  const after = async (now: Servers, before: Servers | undefined, question: Question = {}): Promise<Outcome> => {
    const order = { ...shop, fronts, ...question }
    const inside = ({ app }: Servers): string[] => [...apart, ...app.split(' '), '--']
    const document = before && (await ask(before.front, order, inside(before), {}, 'answers')).result
    const env = document ? { DEPLOY_DJANGO_BEFORE: JSON.stringify(document) } : {}
    return ask(now.front, order, inside(now), env)
  }
  type Servers = { front: string; app: string }
  const servers = (manner: string, app = '8000=app'): Servers => ({ front: `127.0.0.3:9000=${manner}`, app })

  test.each<[string, string, string | undefined, number, string]>([
    ['an error page of its own is new', 'nginx-500', 'page', 27, front],
    ['an error page of its own is new where it passed on the app', 'nginx-500', 'app', 27, front],
    ['an error page of another program is new', '500', 'nginx-404', 27, front],
    ['it redirected to https', 'nginx-500', 'https', 27, front],
    ['the app is published too', 'nginx-502', 'app', 27, front],
    ['the error is old', 'nginx-500', '500', 0, `${local}/`],
    ['it said nothing', 'nginx-500', 'silent', 0, `${local}/`],
    ['there was no release', 'nginx-500', undefined, 0, `${local}/`],
    ['it recovered', 'app', '500', 0, `${local}/`],
  ])('a front: %s', async (_, now, before, code, url) => {
    const outcome = await after(servers(now), before === undefined ? undefined : servers(before))
    expect([outcome.code, outcome.result['url']]).toEqual([code, url])
  })

  test('a front that fails by itself: the error names both answers and where to look', async () => {
    const { result } = await after(servers('nginx-500'), servers('page'))
    expect(result).toMatchObject({ reason: 'server-error', status: 500, warning: null })
    expect(result['text']).toMatch(
      /9000\/ answered 500 .*asked directly .*: 200\)\. Under the release before, 127\.0\.0\.3 answered 200/,
    )
    expect(result['fix']).toBe('fix the error in the log of 127.0.0.3')
  })

  test.each<[string, Servers, Servers | undefined, RegExp | undefined]>([
    [
      'of the app',
      servers('nginx-404', '8000=api'),
      servers('nginx-404'),
      /^http:\/\/127\.0\.0\.1:8000\/ answers 404, but under the release before it answered 200/,
    ],
    [
      'of a front',
      servers('nginx-404', '8000=api'),
      servers('page', '8000=api'),
      /^http:\/\/127\.0\.0\.3:9000\/ answers 404, but under the release before it answered 200/,
    ],
    [
      'of a front to a socket',
      servers('api', '127.0.0.1:7000=api'),
      servers('login', '127.0.0.1:7000=api'),
      /^http:\/\/127\.0\.0\.3:9000\/ answers 404, but under the release before it answered 302/,
    ],
    ['that was only a redirect to https', servers('api', '8000=api'), servers('silent', '8000=https'), undefined],
    ['that there never was', servers('api', '8000=api'), servers('api', '8000=404'), undefined],
    ['that is still there', servers('app'), servers('app'), undefined],
    ['of a release that did not answer', servers('api', '8000=api'), servers('silent', '8000=silent'), undefined],
    ['of no release', servers('api', '8000=api'), undefined, undefined],
  ])('a page %s: a warning if it is lost', async (_, now, before, warning) => {
    const { code, result } = await after(now, before)
    expect([code, result['lost'] ?? '']).toEqual([0, warning ? expect.stringMatching(warning) : ''])
  })

  test('an app that fails is the reason, whatever stands in front of it', async () => {
    expect(seen(await after(servers('nginx-500', '8000=500'), servers('app')))).toEqual([
      ...[24, 500, 'server-error', `${local}/`],
    ])
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
      /the proxy passes on another Host\. FIX pass it on: in nginx, `proxy_set_header Host \$http_host;`/,
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
