import { afterAll, describe, expect, test } from '@jest/globals'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { run } from '../../../src/process.ts'
import { bare, removeAll } from './serving.ts'
import { SHELLS } from './world.ts'

// Which lines of a container's log are shown when it fails.

afterAll(removeAll)

const part = await readFile(fileURLToPath(new URL('../../../src/host/transaction/lines.sh', import.meta.url)), 'utf8')

const OURS = [
  '127.0.0.1 - - [28/Nov/2026:21:28:57 +0000] "GET / HTTP/1.1" 500 145 "-" "deploy-django"',
  '172.18.0.4 - - [28/Nov/2026:21:28:57 +0000] "GET / HTTP/1.1" 502 157 "-" "deploy-django" "-"',
  '127.0.0.1 - - [28/Nov/2026:21:28:57 +0000] "GET /health/ HTTP/1.1" 500 145 "-" "curl/8.14.1"',
  'INFO:     127.0.0.1:45874 - "GET / HTTP/1.1" 500 Internal Server Error',
  'INFO:     ::1:45874 - "HEAD / HTTP/1.1" 500 Internal Server Error',
  '127.0.0.1:52990 - - [28/Nov/2026:21:00:00] "GET /" 500 145',
  '[28/Nov/2026 21:28:57] "GET / HTTP/1.1" 500 145',
  '[pid: 8|app: 0|req: 1/1] 127.0.0.1 () {28 vars in 300 bytes} [Sat Nov 28 21:28:46 2026] GET / => generated 0 bytes in 3 msecs (HTTP/1.1 500)',
  'invalid request block size: 21573 (max 4096)...skip',
  'uwsgi_proto_http_parser() -> client closed connection',
]
const VISITOR = '203.0.113.7 - - [28/Nov/2026:21:28:57 +0000] "GET /cart HTTP/1.1" 500 145 "-" "Mozilla/5.0"'
const NGINX =
  '2026/11/28 21:28:57 [error] 7#7: *1 connect() failed (111: Connection refused), client: 127.0.0.1, request: "GET / HTTP/1.1", upstream: "http://172.18.0.3:8000/"'
const FRAMES = ['  File "/app/site_/wsgi.py", line 3, in <module>', '    from notes import nothing']
const HEAD = 'Traceback (most recent call last):'
const ERROR = "ImportError: cannot import name 'nothing' from 'notes'"

describe.each(SHELLS)('under %s', (shell) => {
  const told = async (lines: readonly string[]): Promise<string[]> => {
    const world = await bare(shell)
    const script = `export LC_ALL=C\n${part}\nrelevant_lines`
    const { stdout, stderr } = await run('sh', ['-c', script], { env: world.env, stdin: `${lines.join('\n')}\n` })
    expect(stderr).toBe('')
    return stdout.split('\n').slice(0, -1)
  }

  test('the last lines, without requests of health checks', async () => {
    expect(await told([...OURS, 'one', ...OURS, VISITOR, NGINX, ...OURS])).toEqual(['one', VISITOR, NGINX])
    const many = Array.from({ length: 40 }, (_, index) => `line ${index}`)
    expect(await told([...many, ...OURS])).toEqual(many.slice(-15))
    for (const nothing of [OURS, ['']]) expect(await told(nothing)).toEqual(['(nothing that says why)'])
  })

  test('a line that a program repeats is shown once, as it said it last', async () => {
    const nginx = (at: number, upstream = 8000): string =>
      `2026/11/28 21:28:${at} [error] ${at}#${at}: *${at} connect() failed, upstream: "http://172.18.0.3:${upstream}/"`
    const often = Array.from({ length: 30 }, (_, index) => nginx(index + 10))
    expect(await told(['start', ...often, nginx(40, 9000), 'end', 'end'])).toEqual([
      ...['start', `${nginx(39)} (30 times)`, nginx(40, 9000), 'end (2 times)'],
    ])
    const gunicorn = [
      '[2026-11-28 21:28:57 +0000] [7] [ERROR] Timeout',
      '[2026-11-28 21:28:58 +0000] [8] [ERROR] Timeout',
    ]
    expect(await told(gunicorn)).toEqual([`${gunicorn[1]} (2 times)`])
    expect(await told(['2026-11-28T21:28:57.123Z status 500', '2026-11-28T21:28:58.456Z status 502'])).toHaveLength(2)
  })

  test('the first traceback to its last line, whatever comes later', async () => {
    const second = [HEAD, '  File "x.py", line 1, in f', 'OSError: because of the first']
    const log = [
      '[7] [ERROR] Exception in worker process',
      HEAD,
      ...FRAMES,
      ERROR,
      '[7] [INFO] Worker exiting (pid: 7)',
    ]
    expect(await told([...log, ...second, 'Shutting down: Master'])).toEqual([HEAD, ...FRAMES, ERROR])
  })

  test('a cause and its consequence are one', async () => {
    const chain = ['', 'During handling of the above exception, another exception occurred:', '']
    const outer = [HEAD, '  File "y.py", line 2, in g', 'ImproperlyConfigured: SECRET_KEY is not set']
    expect(await told(['start', HEAD, ...FRAMES, 'KeyError: 1', ...chain, ...outer, 'end'])).toEqual([
      ...[HEAD, ...FRAMES, 'KeyError: 1', chain[1], ...outer],
    ])
  })

  test('a long one is shown with its head and its end', async () => {
    const frames = Array.from({ length: 30 }, (_, index) => `  File "x.py", line ${index}, in f`)
    expect(await told([HEAD, ...frames, ERROR])).toEqual([HEAD, '  …', ...frames.slice(-11), ERROR])
  })

  test('without colours, line ends of a terminal, and what a tool writes in front of each line', async () => {
    const red = (text: string): string => `\u001b[1;31m${text}\u001b[0m\r`
    expect(await told([red(HEAD), ...FRAMES.map(red), red(ERROR)])).toEqual([HEAD, ...FRAMES, ERROR])
    const marked = [HEAD, ...FRAMES, ERROR, 'exiting'].map((line, at) => `21:28:5${at} web.1  | ${line}`)
    expect(await told(['21:28:57 web.1  | started', ...marked])).toEqual([HEAD, ...FRAMES, ERROR])
  })
})
