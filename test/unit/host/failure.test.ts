import { describe, expect, test } from '@jest/globals'
import { readAssets, readProbe } from '../../../src/host/assets.ts'
import { codes, DeployError, explain } from '../../../src/errors.ts'
import { findDocument } from '../../../src/django/document.ts'
import { isKnownExit } from '../../../src/host/exit.ts'
import { explanations, type Explanation } from '../../../src/host/explanation.ts'
import { explainRelease } from '../../../src/host/older-release.ts'
import {
  explainEnding,
  explainForward,
  explainIrreversible,
  explainOvercome,
  explainProbe,
  explainReverted,
  explainStage,
  explainIncompatible,
} from '../../../src/host/failure.ts'
import { conclude, parseJournalLine, type Ending } from '../../../src/host/follow.ts'

/** Numbers of the script that look like exit codes. */
const bareCodes = (text: string): string[] =>
  [
    ...text.matchAll(
      /(?:\b(?:die|exit|return|echo) |-(?:eq|ne) |\| |\b(?:result|http|code|verified|asked|again)=)[1-7]\d\b/g,
    ),
  ].map(([found]) => found.replace(/^\w+=/, '='))

const document = (facts: object): NonNullable<ReturnType<typeof findDocument>> => {
  const found = findDocument(JSON.stringify({ 'deploy-django': 1, ...facts }))
  if (!found) throw new Error('no document')
  return found
}
const stage = (code: number, stderr = ''): DeployError => explainStage({ code, stdout: '', stderr })

const [{ transaction }, probe] = [await readAssets(), await readProbe()]

describe('every exit code has a name and an explanation', () => {
  const table = Object.entries<Explanation>(explanations).map(([name, { exit }]): [string, number] => [name, exit])
  const ours = table.filter(([, exit]) => exit >= 30 && exit < 100)
  const probes = table.filter(([, exit]) => exit < 30)
  const script = transaction.toString()
  const code = script.replace(/^\s*#.*$/gm, '')

  test('no two have the same number', () => {
    expect(new Set(table.map(([, exit]) => exit)).size).toBe(table.length)
  })

  test('the script gets the name of each', () => {
    const named = [...script.matchAll(/^ *exit_(\w+)=(\d+)(?: \\)?$/gm)].map(([, name, exit]) => [name, Number(exit)])
    expect(named).toEqual(table.filter(([, exit]) => exit < 100))
  })

  test('the script uses names of the table, and each of its own', () => {
    const used = new Set([...code.matchAll(/\$\{?exit_(\w+)/g)].map(([, name = '']) => name))
    expect([...used].filter((name) => !(name in explanations))).toEqual([])
    expect(ours.map(([name]) => name).filter((name) => !used.has(name))).toEqual([])
  })

  test.each([
    ['die 42 "aborted"', 'die 42'],
    ['exit 45', 'exit 45'],
    ['return 18', 'return 18'],
    ['http=46', '=46'],
    ['echo 68', 'echo 68'],
    ['case $1 in 1 | 18)', '| 18'],
    ['[ "$code" -eq 19 ]', '-eq 19'],
  ])('a bare number would be seen: %s', (line, seen) => expect(bareCodes(line)).toEqual([seen]))

  test('no bare number is used for an exit code', () => {
    expect(bareCodes(code.slice(code.indexOf('die() {')))).toEqual([])
  })

  test('the probe has the same names and numbers', () => {
    // `A, B, C = 10, 11, 12` and `A = 1`, in capitals at the start of a line.
    const lines = probe.toString().matchAll(/^([A-Z_]+(?:, [A-Z_]+)*) = (\d+(?:, \d+)*)$/gm)
    const assigned = [...lines].flatMap(([, names = '', values = '']) => {
      const numbers = values.split(', ').map(Number)
      return names.split(', ').map((name, index): [string, number] => [name.toLowerCase(), numbers[index] ?? 0])
    })
    const ofProbe = assigned.filter(([, exit]) => exit >= 9 && exit < 30).sort(([, one], [, other]) => one - other)
    expect(ofProbe).toEqual(probes)
  })

  test.each(ours)('%s of the server', (_, code) => {
    expect(isKnownExit(code)).toBe(true)
    const { code: name, what, why, fix } = stage(code)
    expect(codes[name]).toBeTruthy()
    expect(what).toMatch(/^[A-Z]/)
    expect(why ?? fix).toBeTruthy()
  })

  test.each(probes)('%s of the probe', (_, code) => {
    expect(isKnownExit(code)).toBe(true)
    const { code: name, what, fix } = explainProbe(code, document({}), '')
    expect(codes[name]).toBeTruthy()
    expect(what).toMatch(/^[A-Z]/)
    expect(fix).toBeTruthy()
  })

  test('and every other one is at least named, with what to do', () => {
    for (let code = 0; code < 256; code += 1) {
      const failure = stage(code, 'it broke')
      expect(codes[failure.code]).toBeTruthy()
      expect(failure.fix ?? failure.why).toBeTruthy()
      if (!isKnownExit(code)) expect(failure).toMatchObject({ why: `exit code ${code}`, seen: 'it broke' })
    }
  })
})

describe('explainStage', () => {
  test.each([
    [34, 'deploy-django: .env.prod\n', 'env-file-missing', '.env.prod'],
    [36, 'deploy-django: DB_PASSWORD SECRET_KEY \n', 'variable-missing', 'DB_PASSWORD SECRET_KEY'],
    [
      32,
      'noise\ndeploy-django: the registry ghcr.io refused\nmore\n',
      'registry-login-failed',
      'the registry ghcr.io refused',
    ],
    [31, '', 'server-format', undefined],
    [
      41,
      'deploy-django: run 3 is older than run 4, which deployed last\n',
      'newer-run-deployed',
      'run 3 is older than run 4, which deployed last',
    ],
  ])('%d shows the line that says it', (code, stderr, name, seen) => {
    expect(stage(code, stderr)).toMatchObject({ code: name, seen })
  })

  test('the cause of a pull that failed stands before the line that says it', () => {
    const stderr =
      'Error response from daemon: no space left on device\ndeploy-django: this host could not pull x@sha256:aa\n'
    expect(stage(33, stderr)).toMatchObject({ code: 'pull-failed', seen: stderr.trim() })
  })

  test('the error of Compose comes after its warnings', () => {
    const stderr = 'deploy-django: time="…" level=warning msg="old attribute"\nservices.web.image must be a string\n'
    expect(stage(35, stderr).seen).toContain('must be a string')
  })

  test('of a long output the end is shown, and nothing twice', () => {
    const stderr = Array.from({ length: 50 }, (_, index) => `line ${index}`).join('\n')
    expect(stage(1, stderr).seen).toBe('line 42\nline 43\nline 44\nline 45\nline 46\nline 47\nline 48\nline 49')
    expect(stage(124, 'stuck\n').seen).toBe('stuck')
  })

  test('what was said earlier is shown in front of the end', () => {
    const stderr = `deploy-django: the reason\n${'x\n'.repeat(20)}`
    expect(stage(33, stderr).seen).toBe(`the reason\n${'x\n'.repeat(8).trim()}`)
  })
})

describe('explainProbe', () => {
  const error = { kind: 'database-refused', message: 'The database todo at db refused.', detail: 'FATAL: password' }

  test('shows what the probe says', () => {
    expect(explainProbe(13, document({ error }), 'Traceback')).toMatchObject({
      code: 'database-refused',
      seen: 'The database todo at db refused.\nFATAL: password',
      fix: expect.stringContaining('env file'),
    })
  })

  test.each([0, 1, 12, 19])('without a document (exit code %d), Django did not start', (code) => {
    expect(explainProbe(code, undefined, 'KeyError: SECRET_KEY\n')).toMatchObject({
      code: 'settings-import',
      seen: 'KeyError: SECRET_KEY',
      fix: expect.stringContaining('`env-file`'),
    })
  })

  test('shows the first exception of a chain, which manage.py hides', () => {
    const stderr = `Traceback (most recent call last):
  File "/usr/local/lib/python3.13/site-packages/django/utils/version.py", line 4, in <module>
    from distutils.version import LooseVersion
ModuleNotFoundError: No module named 'distutils'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/code/manage.py", line 21, in <module>
${'    main()\n'.repeat(12)}ImportError: Couldn't import Django. Are you sure it's installed and available on your PYTHONPATH?
`
    expect(explainProbe(1, undefined, stderr)).toMatchObject({
      code: 'settings-import',
      seen: expect.stringMatching(/^ModuleNotFoundError: No module named 'distutils'\n[^]*Couldn't import Django/),
      why: 'Python 3.13, which the image has, no longer includes the module distutils, which this Django or a package needs',
      fix: expect.stringContaining('FROM python:3.9'),
    })
    const missing = stderr.replaceAll('distutils', 'rest_framework')
    expect(explainProbe(1, undefined, missing)).toMatchObject({ fix: expect.stringContaining('`env-file`') })
  })

  test.each([127, 18])('a program that the image lacks (exit code %i): the fix is `manage`', (code) => {
    const said = 'OCI runtime create failed: exec: "python": executable file not found in $PATH: unknown'
    expect(
      explainProbe(code, undefined, `docker: Error response from daemon: ${said}\n\nRun 'docker run --help'`),
    ).toMatchObject({
      code: 'settings-import',
      seen: expect.stringContaining(said),
      why: expect.stringContaining('starts python, which is not in the image'),
      fix: expect.stringMatching(/^set `manage` to /),
    })
  })

  test('a schema that nobody has created yet', () => {
    const detail = 'MigrationSchemaMissing: no schema has been selected to create in'
    const unexpected = { kind: 'unexpected', message: 'The probe failed.', detail, exit: 1 }
    expect(explainProbe(1, document({ error: unexpected }), '')).toMatchObject({
      code: 'migration-failed',
      fix: expect.stringMatching(/^create the schema first/),
    })
  })

  test('a module that newer versions of Python lack', () => {
    const gone = { kind: 'not-importable', message: 'No settings.', detail: "No module named 'cgi'", exit: 18 }
    expect(explainProbe(18, document({ error: gone }), '').fix).toContain('FROM python:3.9')
  })

  // Django closes its connections after the probe: settings that do not import end it with 1 there.
  test('the exit code in the document counts, not that of the program around it', () => {
    const error = { kind: 'not-importable', message: 'No settings.', detail: 'ImportError: toolbar', exit: 18 }
    for (const code of [1, 14, 18])
      expect(explainProbe(code, document({ error }), '')).toMatchObject({ code: 'settings-import' })
    expect(explainProbe(1, document({ error: { ...error, exit: 1 } }), '')).toMatchObject({ code: 'internal' })
  })

  test('settings of manage.py that do not import, while the site uses others', () => {
    const error = { kind: 'not-importable', message: 'No settings.', detail: 'No module named debug_toolbar', exit: 18 }
    const serving = { manage: 'a.local', module: 'a.production', file: 'a/wsgi.py', same: false }
    expect(explainProbe(18, document({ error, serving }), '')).toMatchObject({
      code: 'settings-differ',
      seen: expect.stringMatching(/a\/wsgi\.py sets[^]*No module named debug_toolbar$/),
    })
    expect(explainProbe(18, document({ error, serving: null }), '')).toMatchObject({ code: 'settings-import' })
  })

  test('a Django that does not know `shell -c` is too old', () => {
    const stderr = `usage: manage.py shell [-h]\nmanage.py shell: error: unrecognized arguments: -c ${'x'.repeat(9000)}`
    const { code, seen } = explainProbe(2, undefined, stderr)
    expect([code, seen?.length]).toEqual(['django-too-old', 500])
  })

  test('when the server stopped before it asked, that is the failure', () => {
    expect(explainProbe(36, undefined, 'deploy-django: DB_PASSWORD \n')).toMatchObject({
      code: 'variable-missing',
      seen: 'DB_PASSWORD',
    })
    expect(explainProbe(137, undefined, 'Killed\n')).toMatchObject({
      code: 'deployment-failed',
      why: expect.stringContaining('memory'),
    })
  })

  test.each([1, 2, 8])('exit code %d with an error that nobody expected is shown whole', (code) => {
    expect(
      explainProbe(
        code,
        document({ error: { kind: 'unexpected', message: 'The probe failed.', detail: 'RuntimeError: x' } }),
        'noise',
      ),
    ).toMatchObject({
      code: 'internal',
      seen: 'The probe failed.\nRuntimeError: x',
      fix: expect.stringContaining('report it'),
    })
  })
})

describe('explainEnding', () => {
  /** The ending that this journal tells, with the log and documents beside it. */
  const ending = (lines: string[], log: string[] = [], documents: object[] = []): Ending => {
    const journal = ['begin v2-2-1 v2-2-1 from v1-1-1', ...lines].map((line) =>
      parseJournalLine(`2026-01-02T03:04:05Z ${line}`),
    )
    const found = new Map(documents.map((facts) => [String(document(facts)['verb']), document(facts)]))
    return conclude(lines.some((line) => line.startsWith('end ')) ? 'ended' : 'died', journal, found, log)
  }
  const failing = (step: string, code: number, log: string[] = [], documents: object[] = []): DeployError | undefined =>
    explainEnding(
      ending(
        [`${step} begin`, `${step} fail ${code}`, `back begin ${step} ${code}`, 'back end', 'end back v1-1-1'],
        log,
        documents,
      ),
    )

  test.each([['end committed v2-2-1'], ['end unchanged v2-2-1']])('%s: there is nothing to explain', (line) => {
    expect(explainEnding(ending([line]))).toBeUndefined()
  })

  describe('a release that is committed, because nothing led back', () => {
    const forward = (step: string, ...after: string[]): Ending =>
      ending(
        [
          `${step} fail 46`,
          `forward begin ${step} 46`,
          ...after,
          'health end',
          'verify end',
          'commit end',
          'end committed v2-2-1',
        ],
        ['deploy-django: the reason', `going forward: ${step} 46`],
      )

    test.each([
      ['its trial failed', forward('try')],
      ['it became healthy late', forward('health')],
      ['its proxy did so the second time', forward('proxy', 'proxy end')],
    ])('is warned of when %s', (_, overcome) => {
      expect(explainEnding(overcome)).toBeUndefined()
      expect(explainOvercome(overcome)).toMatch(/A revert was impossible, so the release was started.*\n.*the reason/)
    })

    test.each(['static', 'jobs', 'migrate'])('is a failure when %s was never done', (step) => {
      expect(explainEnding(forward(step))).toMatchObject({ fix: expect.stringContaining('deploy a corrected version') })
      expect(explainOvercome(forward(step))).toBeUndefined()
    })

    test('is neither when it only was interrupted, or a step was done the second time', () => {
      const lines = ['forward begin interrupted', 'health end', 'verify end', 'commit end', 'end committed v2-2-1']
      expect([explainEnding(ending(lines)), explainOvercome(ending(lines))]).toEqual([undefined, undefined])
      const again = ending(['commit fail 43', 'commit end', 'end committed v2-2-1'])
      expect([explainEnding(again), explainOvercome(again)]).toEqual([undefined, undefined])
    })
  })

  test.each([
    [['health begin', 'health fail 46'], 'it did not become healthy'],
    [['health begin', 'health fail 47'], 'a container of it does not stay up'],
    [['migrate begin', 'migrate fail 17', 'health begin', 'health end', 'verify fail 19'], undefined],
    [['swap begin', 'swap fail 1'], 'it was not checked'],
  ])('a release that stays, because nothing leads back (%j): %s', (lines, trouble) => {
    const stayed = ending([...lines, 'commit end', 'end forward v2-2-1'])
    expect(explainForward(stayed)).toBe(trouble)
    expect(explainEnding(stayed)?.fix).toMatch(
      /there was no revert, because the old code cannot work with a migration that is applied: deploy a corrected version over it$/,
    )
  })

  test('what was kept for a look tells its reason, and what comes next', () => {
    const lines = ['health begin', 'health fail 46', 'keep begin health 46']
    const journal = lines.map((line) => parseJournalLine(`2026-01-02T03:04:05Z ${line}`))
    const failure = explainEnding(conclude('kept', journal, new Map(), ['deploy-django: not healthy in time']))
    expect(failure).toMatchObject({ code: 'health-timeout', seen: expect.stringContaining('not healthy in time') })
    expect(failure?.fix).toMatch(/raise `health-timeout`.*\nthe new containers were kept for inspection/)
    const trial = lines.map((line) => parseJournalLine(`2026-01-02T03:04:05Z ${line.replaceAll('health', 'try')}`))
    expect(explainEnding(conclude('kept', trial, new Map(), []))?.fix).toContain('its trial container, `PROJECT-try`,')
  })

  test('a trial that failed says so, and how to do without one', () => {
    expect(failing('try', 47, ['last lines of /todo-try:', '  | ImportError: no licence'])).toMatchObject({
      code: 'container-exited',
      what: 'A container of the new release does not stay up (in a trial container, before the swap)',
      seen: expect.stringContaining('ImportError: no licence'),
      fix: expect.stringMatching(/\n.*beside the release that serves, set `try: never`$/),
    })
    const http = {
      verb: 'http',
      url: 'http://127.0.0.1:8000/',
      status: 500,
      answers: 0,
      reason: 'server-error',
      text: 'it answers 500',
    }
    expect(failing('try', 24, [], [http])).toMatchObject({
      code: 'health-server-error',
      what: 'The new release did not become healthy: http://127.0.0.1:8000/ answers 500 (in a trial container, before the swap)',
    })
    expect(failing('try', 42)).toMatchObject({ code: 'aborted', fix: 'run the job again to deploy' })
  })

  test.each([
    ['between two steps', ['back begin aborted', 'back end', 'end back v1-1-1']],
    ['while it waited for the lock', ['end back v1-1-1']],
    [
      'while it waited for health',
      ['health begin', 'health fail 42', 'back begin health 42', 'back end', 'end back v1-1-1'],
    ],
  ])('a job that was cancelled %s', (_, lines) => {
    expect(explainEnding(ending(lines))).toMatchObject({ code: 'aborted', fix: 'run the job again to deploy' })
  })

  test.each([
    ['fence', 41, 'newer-run-deployed'],
    ['fence', 36, 'variable-missing'],
    ['data', 43, 'database-not-up'],
    ['replan', 10, 'plan-differs'],
    ['replan', 11, 'lock-busy'],
    ['migrate', 15, 'migration-failed'],
    ['migrate', 137, 'deployment-failed'],
    ['fit', 20, 'rollback-incompatible'],
    ['swap', 1, 'deployment-failed'],
    ['swap', 124, 'deployment-failed'],
    ['health', 46, 'health-timeout'],
    ['health', 47, 'container-exited'],
    ['verify', 48, 'container-exited'],
    ['verify', 19, 'not-migrated'],
  ])('%s fails with %d: %s', (step, code, name) => {
    const failure = failing(step, code, ['deploy-django: the reason'])
    expect(failure).toMatchObject({ code: name, seen: expect.stringContaining('the reason') })
    expect(failure?.fix ?? failure?.why).toBeTruthy()
  })

  test('what the undo says is not why a step failed', () => {
    const log = ['no such port', 'going back: swap 1', ...Array.from({ length: 12 }, () => 'Container Recreate')]
    expect(failing('swap', 1, log)?.seen).toBe('no such port')
  })

  test('of several containers the last one is shown, from the line that names it on', () => {
    const block = ['last lines of /todo-web-1:', ...Array.from({ length: 14 }, (_, index) => `  | line ${index}`)]
    const log = ['last lines of /todo-worker-1:', '  | ready', ...block, 'deploy-django: not healthy in time']
    expect(failing('health', 46, log)?.seen).toBe([...block, 'deploy-django: not healthy in time'].join('\n'))
    const http = { verb: 'http', reason: 'server-error', text: 'It answered 500.' }
    expect(failing('health', 21, log, [http])?.why).toBe(`the last lines of todo-web-1:\n${block.slice(1).join('\n')}`)
  })

  test('a proxy that does not reach the app is named, with its lines', () => {
    const http = {
      verb: 'http',
      url: 'http://proxy/',
      status: 502,
      reason: 'server-error',
      text: 'proxy asks a wrong port',
    }
    const log = ['last lines of /todo-web-1:', '  | ready', 'last lines of /todo-proxy-1:', '  | connect() failed']
    expect(failing('health', 27, log, [http])).toMatchObject({
      code: 'health-server-error',
      seen: 'proxy asks a wrong port',
      why: 'the last lines of todo-proxy-1:\n  | connect() failed',
    })
  })

  test('an error that a service in front passes on or makes itself has the lines of both', () => {
    const http = { verb: 'http', url: 'http://proxy/', status: 500, reason: 'server-error', text: 'It answered 500.' }
    const log = [
      'last lines of /todo-db-1:',
      '  | ready',
      'worker is running, 0 restarts',
      'last lines of /todo-web-1:',
      '  | KeyError',
      'last lines of /todo-proxy-1:',
      '  | "GET /" 500',
      'deploy-django: not healthy in time',
    ]
    const both = 'the last lines of todo-web-1:\n  | KeyError\nthe last lines of todo-proxy-1:\n  | "GET /" 500'
    expect(failing('health', 24, log, [http])?.why).toBe(both)
    expect(failing('health', 24, log, [{ ...http, status: 404 }])?.why).toBe(both.split('\n').slice(2).join('\n'))
  })

  test.each([
    ['urllib.error.HTTPError: HTTP Error 400: Bad Request', 'health-bad-request', /ALLOWED_HOSTS/],
    ['curl: (22) The requested URL returned error: 400', 'health-bad-request', /ALLOWED_HOSTS/],
    ['wget: server returned error: HTTP/1.1 400 Bad Request', 'health-bad-request', /ALLOWED_HOSTS/],
    ['curl: (22) The requested URL returned error: 500 Internal Server Error', 'health-server-error', /the database/],
    ['urllib.error.HTTPError: HTTP Error 503: Service Unavailable', 'health-server-error', /the database/],
    [
      '<urlopen error [Errno 111] Connection refused>',
      'health-timeout',
      /the process of web runs, but nothing listens/,
    ],
    ['urllib.error.HTTPError: HTTP Error 404: Not Found', 'health-timeout', /^$/],
    ['took 400 ms', 'health-timeout', /^$/],
  ])('a health command that says %s: %s', (said, code, why) => {
    const log = ['last lines of /todo-web-1:', '  | ready', `the health command of web says: ${said}`]
    const failure = failing('health', 46, [...log, 'deploy-django: not healthy in time'])
    expect(failure).toMatchObject({ code, seen: expect.stringContaining(said) })
    expect(failure?.why ?? '').toMatch(why)
  })

  test('what was said before a long way back is not lost', () => {
    const undo = Array.from({ length: 80 }, () => 'Container Recreate')
    const log = ['last lines of /todo-web-1:', '  | KeyError: 1', 'deploy-django: web exit=1', 'going back: health 47']
    expect(failing('health', 47, [...log, ...undo])?.seen).toContain('KeyError: 1')
  })

  test('a step that Docker refused is named, with the last lines', () => {
    expect(failing('swap', 1, ['a', 'Error: no such network'])).toMatchObject({
      what: 'A step of the deployment failed on the host (step swap)',
      seen: 'a\nError: no such network',
      why: 'exit code 1',
    })
  })

  test.each([
    [
      'name-taken',
      /shop_web/,
      'Error response from daemon: Conflict. The container name "/shop_web" is already in use by container "0af". You have to remove (or rename) that container to be able to reuse that name.',
    ],
    ['external-missing', /network create proxy/, 'network proxy declared as external, but could not be found'],
    ['compose-invalid', /`file:`/, 'Error response from daemon: container rootfs is marked read-only'],
    ['external-missing', /volume create pg_data/, 'external volume "pg_data" not found'],
    [
      'container-exited',
      /chmod=\+x/,
      'Error response from daemon: failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "/app/start.sh": permission denied: unknown',
    ],
    ['container-exited', /command:/, 'Error: exec: "gunicorn": executable file not found in $PATH: unknown'],
  ])('%s: %s is what mends it', (code, fix, line) => {
    const failure = failing('swap', 1, ['Container web  Starting', line])
    expect(failure).toMatchObject({ code, seen: line, fix: expect.stringMatching(fix) })
    expect(`${failure?.what}${failure?.why}`).not.toContain('$')
  })

  test('what Docker lacks before Django can be asked is not for Django to mend', () => {
    const missing = 'network proxy declared as external, but could not be found'
    expect(explainProbe(1, undefined, missing)).toMatchObject({ code: 'external-missing', seen: missing })
    const user = 'Error response from daemon: unable to find user nope: no matching entries in passwd file'
    expect(explainProbe(1, undefined, `something\n${user}`)).toMatchObject({ code: 'container-exited', seen: user })
    expect(explainProbe(1, undefined, 'exec: "python": executable file not found')).toMatchObject({
      code: 'settings-import',
    })
  })

  test.each([
    'Error response from daemon: driver failed programming external connectivity on endpoint web (7b65): Bind for 0.0.0.0:8080 failed: port is already allocated',
    'Error response from daemon: driver failed programming external connectivity on endpoint web (7b65): listen tcp4 0.0.0.0:8080: bind: address already in use',
    'Error response from daemon: failed to set up container networking: driver failed programming external connectivity on endpoint web (1d): failed to bind host port for 0.0.0.0:8080:172.18.0.2:80/tcp: address already in use',
    'Error response from daemon: failed to bind host port [::]:8080/tcp: address already in use',
  ])('a port that is taken is named: %s', (line) => {
    const failure = failing('swap', 1, ['Container web  Starting', line, 'something else'])
    expect(failure).toMatchObject({ code: 'port-taken', what: 'Port 8080 of the host is in use' })
  })

  const ALLOCATED = 'Error response from daemon: Bind for 0.0.0.0:8080 failed: port is already allocated'
  test('who holds the port is said, whatever Docker says before it', () => {
    const blog = 'port 8080 is published by the container blog-web-1'
    expect(failing('swap', 1, [ALLOCATED, blog])).toMatchObject({
      code: 'port-taken',
      why: 'the container blog-web-1 publishes it',
      fix: expect.stringContaining('docker stop blog-web-1'),
    })
    const nobody = 'Docker holds port 8080 for no container'
    const restart = { code: 'port-left-over', fix: expect.stringContaining('systemctl restart docker') }
    expect(failing('swap', 1, [ALLOCATED, nobody])).toMatchObject(restart)
    const recovered = { code: 40, stdout: '', stderr: `${nobody}\ndeploy-django: v2-1-1 could not be finished\n` }
    expect(explainStage(recovered)).toMatchObject(restart)
  })

  test.each([
    ['refused', 'health-refused'],
    ['bad-request', 'health-bad-request'],
    ['https-redirect', 'health-https-redirect'],
    ['loopback', 'health-refused'],
    ['server-error', 'health-server-error'],
    ['timeout', 'health-timeout'],
    ['not-http', 'health-timeout'],
    ['status', 'health-timeout'],
  ])('HTTP that is not well (%s) is %s, in the words of the probe', (reason, code) => {
    const http = { verb: 'http', url: 'http://127.0.0.1:8000/', status: 400, reason, text: 'Django says 400.' }
    expect(failing('health', 21, ['last lines of /todo-web-1:', '  | Invalid HTTP_HOST header'], [http])).toMatchObject(
      {
        code,
        what: 'The new release did not become healthy: http://127.0.0.1:8000/ answers 400',
        seen: 'Django says 400.',
        why: 'the last lines of todo-web-1:\n  | Invalid HTTP_HOST header',
        fix: expect.stringContaining('`health-url`'),
      },
    )
  })

  test('what the probe advises is the advice', () => {
    const http = { verb: 'http', reason: 'bad-request', text: 'It answered 400.', fix: 'set ALLOWED_HOSTS' }
    expect(failing('health', 21, [], [http])?.fix).toBe('set ALLOWED_HOSTS')
  })

  test('HTTP without an answer', () => {
    const http = {
      verb: 'http',
      url: 'http://127.0.0.1:8000/',
      status: null,
      reason: 'refused',
      text: 'It cannot be reached.',
    }
    expect(failing('health', 21, [], [http])).toMatchObject({
      code: 'health-refused',
      what: 'The new release did not become healthy: http://127.0.0.1:8000/',
      why: undefined,
    })
  })

  test('a migration that failed is named', () => {
    const migrate = {
      verb: 'migrate',
      applied: [],
      failed: { app: 'todo', name: '0002_due', error: 'IntegrityError: null' },
    }
    expect(failing('migrate', 17, ['noise'], [migrate])).toMatchObject({
      code: 'migration-failed',
      what: 'Migration todo.0002_due failed',
      seen: 'IntegrityError: null',
    })
  })

  test('with it, the schemas of tenants that lack migrations are named', () => {
    const failed = { app: 'todo', name: '0002_due', error: 'IntegrityError: null (schema b)' }
    const migrate = { verb: 'migrate', failed, behind: 'b (todo.0002_due), c (todo.0002_due)' }
    expect(failing('migrate', 17, [], [migrate])).toMatchObject({
      seen: 'IntegrityError: null (schema b)\nthese schemas lack migrations: b (todo.0002_due), c (todo.0002_due)',
    })
  })

  test.each([
    [0, undefined, /^fix the migration and deploy again; the migrations before it stay applied/],
    [1, 'the first of its operations was applied; there is no rollback', /^undo that on the database by hand, or/],
    [2, 'the first 2 of its operations were applied', /^undo that/],
  ])('of a migration that failed %i operations stay', (kept, why, fix) => {
    const failed = { app: 'todo', name: '0002_due', operation: 2, kept, error: 'OperationalError: no such table' }
    const found = failing('migrate', 17, [], [{ verb: 'migrate', applied: [], failed }])
    expect(found?.fix).toMatch(fix)
    if (why === undefined) expect(found?.why).toBeUndefined()
    else expect(found?.why).toContain(why)
  })

  test.each([
    ['migrate', 17],
    ['unapply', 29],
  ])('%s without its lock names who holds it', (verb, exit) => {
    const message = 'todo.0002_due did not get its lock for the table todo_item in 10 tries of 5.0 s'
    const detail = 'held by\n  process 4711, idle in transaction, open for 312 s, application psql: SELECT ?'
    const failed = { app: 'todo', name: '0002_due', error: 'OperationalError: canceling statement due to lock timeout' }
    const report = { verb, failed, error: { kind: 'migration-lock', message, detail, exit } }
    expect(failing(verb, exit, [], [report])).toMatchObject({ code: 'migration-lock', what: message, seen: detail })
  })

  test('an invalid index that it left is named, with the statement that removes it', () => {
    const fix = 'DROP INDEX CONCURRENTLY IF EXISTS "todo_due";'
    const failed = { app: 'todo', name: '0002_due', error: 'ProgrammingError: relation "todo_due" already exists' }
    const migrate = { verb: 'migrate', failed, invalid: [{ name: 'todo_due', table: 'todo_item', fix }] }
    expect(failing('migrate', 17, [], [migrate])).toMatchObject({
      code: 'migration-failed',
      seen: failed.error,
      why: expect.stringContaining('todo_due of todo_item'),
      fix: expect.stringContaining(`run \`${fix}\``),
    })
  })

  test.each([
    'ProgrammingError: relation "todo_item" already exists',
    'OperationalError: (1060, "Duplicate column name \'due\'")',
  ])('what %s says is there can be recorded', (error) => {
    const migrate = { verb: 'migrate', applied: [], failed: { app: 'todo', name: '0002_due', error } }
    expect(failing('migrate', 17, [], [migrate])).toMatchObject({
      seen: error,
      fix: expect.stringContaining("R(c).record_applied('todo', '0002_due')"),
    })
  })

  test('the schema that a first migration needs is created first', () => {
    const error = 'MigrationSchemaMissing: Unable to create the table (no schema has been selected to create in)'
    const failed = { app: 'todo', name: '0001_initial', error }
    expect(failing('migrate', 17, [], [{ verb: 'migrate', applied: [], failed }])).toMatchObject({
      code: 'migration-failed',
      fix: expect.stringMatching(/^create the schema first[^]*migrate: external/),
    })
  })

  test('where nothing serves, no container can record a migration', () => {
    const failed = { app: 'todo', name: '0002_due', error: 'relation "todo_item" already exists' }
    const lines = ['migrate begin', 'migrate fail 17', 'back begin migrate 17', 'back end', 'end back']
    const { fix } = explainEnding(ending(lines, [], [{ verb: 'migrate', applied: [], failed }])) ?? {}
    expect(fix).toContain("VALUES ('todo', '0002_due', CURRENT_TIMESTAMP);")
    expect(fix).not.toContain('exec')
  })

  test('a script with Windows line ends', () => {
    const log = ['last lines of /todo-web-1:', '  | exec /app/entrypoint.sh: no such file or directory']
    expect(failing('health', 47, [...log, 'deploy-django: web exit=1 restarts=3'])).toMatchObject({
      code: 'container-exited',
      seen: '| exec /app/entrypoint.sh: no such file or directory',
      fix: expect.stringContaining('eol=lf'),
    })
  })

  test('old code that does not fit, with the columns and migrations in the way', () => {
    const fit = { verb: 'fit', problems: [{ text: 'todo.due is missing.' }], ahead: ['todo.0002_due'] }
    expect(failing('fit', 20, [], [fit])).toMatchObject({
      code: 'rollback-incompatible',
      seen: 'todo.due is missing.\napplied since: todo.0002_due',
    })
  })

  test('old code that does not fit, when its migrations can be reversed: the fix names the input and what is lost', () => {
    const reversal = {
      unapply: [{ app: 'todo', name: '0002_due', source: 'x' }],
      rewritten: [],
      irreversible: [],
      blocked: [],
      losses: ['todo.0002_due: the values in todo.due (3 rows)'],
      stays: [],
    }
    const fit = { problems: [], ahead: ['todo.0002_due'] }
    expect(explainIncompatible(fit, reversal).fix).toMatch(
      /^set `reverse-migrations: true`: it unapplies todo\.0002_due, which loses the values in todo\.due \(3 rows\); or fix the problem/,
    )
    const old = { ...fit, ahead: ['todo.0001_initial', 'todo.0002_due'] }
    expect(explainIncompatible(old, { ...reversal, stays: ['todo.0001_initial'] }).seen).toBe(
      'applied since: todo.0002_due',
    )
    const two = { ...reversal, unapply: [{ app: 'todo', name: '0003_x', source: 'x' }, ...reversal.unapply] }
    expect(explainIncompatible(fit, two).fix).toContain(
      'unapplies todo.0003_x, todo.0002_due, which loses todo.0002_due: the values in todo.due (3 rows)',
    )
    const stuck = { ...reversal, irreversible: ['todo.0002_due: Raw SQL has no reverse'] }
    expect(explainIncompatible(fit, stuck)).toMatchObject({
      seen: 'applied since: todo.0002_due\nnot reversible: todo.0002_due: Raw SQL has no reverse',
      fix: 'fix the problem in the newer code, and deploy it as a new release',
    })
    expect(explainIncompatible(fit, { ...reversal, unapply: [] }).fix).not.toContain('reverse-migrations')
    expect(explainIrreversible(stuck)).toMatchObject({
      code: 'migration-irreversible',
      seen: 'todo.0002_due: Raw SQL has no reverse',
      fix: expect.stringContaining('give each operation that is named a reverse'),
    })
    const squashed = { ...reversal, rewritten: ['todo.0003_fill of that release is no longer in this image'] }
    const stepwise = /^roll back release by release: first to the newest release that still has both [^]*; or fix the /
    expect(explainIrreversible(squashed).fix).toMatch(stepwise)
    expect(explainIncompatible(fit, squashed).fix).toMatch(stepwise)
  })

  test('a database that refuses the env files of an older release', () => {
    const error = { kind: 'database-refused', message: 'The database site at db refused.', detail: 'FATAL: password' }
    expect(failing('fit', 58, [], [{ verb: 'fit', error }])).toMatchObject({
      code: 'database-refused',
      seen: 'The database site at db refused.\nFATAL: password',
      fix: expect.stringContaining('git tag'),
    })
  })

  test('what the probe said wins over the log', () => {
    const verify = { verb: 'verify', error: { kind: 'pending', message: 'Not applied: todo.0002_due.', detail: '' } }
    expect(failing('verify', 19, ['noise'], [verify])).toMatchObject({
      code: 'not-migrated',
      seen: 'Not applied: todo.0002_due.',
    })
    const unexpected = {
      verb: 'migrate',
      error: { kind: 'unexpected', message: 'The probe failed.', detail: 'KeyError: x' },
    }
    expect(failing('replan', 1, ['noise'], [unexpected])?.seen).toBe('The probe failed.\nKeyError: x')
  })

  test('what the probe said is no reason for a failure of the server itself', () => {
    const verify = { verb: 'verify', error: { kind: 'x', message: 'old', detail: '' } }
    expect(failing('health', 47, ['deploy-django: web exit=1 restarts=3'], [verify])).toMatchObject({
      code: 'container-exited',
      seen: 'deploy-django: web exit=1 restarts=3',
    })
  })

  test('an app that does not listen yet is only slow: the fix is more time', () => {
    const http = { verb: 'http', url: null, status: null, answers: 0, reason: 'nothing-speaks-http', text: 'Nothing.' }
    const slow = failing('try', 25, [], [{ ...http, fix: 'raise `health-timeout`' }])
    expect(slow).toMatchObject({ what: expect.stringContaining('did not become healthy in time'), seen: 'Nothing.' })
    expect(slow?.fix).toMatch(/^raise `health-timeout`/)
    expect(failing('try', 25, [], [http])?.fix).toMatch(/^name an address that does with `health-url`/)
  })

  test('a release that is not new is named, and a rollback does not advise to change its code', () => {
    const failure = failing('health', 46)
    if (!failure) throw new Error('no failure')
    const [rollback, check] = [explainRelease(failure, 'v1', true), explainRelease(failure, 'v1', false)]
    expect(rollback).toMatchObject({ code: 'health-timeout', what: 'v1 did not become healthy in time' })
    expect(rollback.fix).toMatch(/^choose another version, .*raise `health-timeout`/)
    expect(check).toMatchObject({ what: rollback.what, fix: failure.fix })
    const other = new DeployError('internal', { what: 'Another failure', fix: 'x' })
    expect(explainRelease(other, 'v1', true)).toBe(other)
  })

  test('an interruption that was brought to its end', () => {
    const failure = explainEnding(
      ending(['swap begin', 'back begin interrupted', 'back end', 'end back v1-1-1'], ['a', 'b']),
    )
    expect(failure).toMatchObject({
      code: 'deployment-died',
      seen: 'a\nb',
      fix: expect.stringContaining('run the job again'),
    })
  })

  test('an interruption that was not, whatever failed before it', () => {
    const failure = explainEnding(ending(['health fail 46', 'back begin health 46', 'undo begin']))
    expect(failure).toMatchObject({ code: 'deployment-died', cause: { code: 'health-timeout' } })
  })

  test('a way back that failed is told first, and why it was taken below', () => {
    const lines = ['health fail 46', 'back begin health 46', 'undo begin', 'undo fail 1', 'back fail']
    const failure = explainEnding(ending(lines, ['Error response from daemon: no such image']))
    expect(failure).toMatchObject({ code: 'recovery-failed', seen: 'Error response from daemon: no such image' })
    expect(explain(failure)).toContain('cause: The new release did not become healthy in time [health-timeout]')
  })
})

describe('explainReverted', () => {
  const revertOf = (lines: string[], documents: object[] = []): Ending['revert'] => {
    const start = Date.parse('2026-01-02T03:04:00Z')
    const all = ['begin v2-2-1 v2-2-1 from v1-1-1', ...lines, 'back end', 'end back v1-1-1']
    const journal = all.map((line, second) =>
      parseJournalLine(`${new Date(start + second * 1000).toISOString()} ${line}`),
    )
    const found = new Map(documents.map((facts) => [String(document(facts)['verb']), document(facts)]))
    return conclude('ended', journal, new Map(), [], found).revert
  }
  const back = ['swap begin', 'health fail 21', 'back begin health 21', 'undo begin', 'undo end']
  const trouble = (lines: string[], documents: object[] = []): string | undefined => {
    const revert = revertOf([...back, ...lines], documents)
    return revert && explainReverted(revert)
  }
  const fit = { verb: 'fit', problems: [{ text: 'notes.text is missing.' }] }
  const http = { verb: 'http', reason: 'server-error', text: 'http://web answered 500.' }

  test('a release that was found well has no trouble, and says how long it was gone', () => {
    const lines = [...back, 'back_health begin', 'back_health end']
    expect(trouble(lines.slice(5))).toBeUndefined()
    expect(revertOf(lines)).toMatchObject({ seconds: 6, failures: [] })
    expect(revertOf(['migrate fail 17', 'back begin migrate 17'])).toMatchObject({ seconds: undefined, failures: [] })
    expect(explainEnding(conclude('ended', [], new Map(), []))).toMatchObject({ code: 'deployment-died' })
  })

  test.each<[string, string[], object[], string]>([
    [
      'the schema before the answer',
      ['back_fit fail 20', 'back_health fail 24'],
      [fit, http],
      'notes.text is missing.',
    ],
    ['the answer', ['back_health fail 24'], [fit, http], 'http://web answered 500.'],
    ['silence', ['back_health fail 21'], [http], 'http://web answered 500.'],
    ['a container that ends', ['back_health fail 47'], [http], 'a container of it does not stay up'],
    ['a database that is away', ['back_fit fail 12', 'back_health fail 46'], [], 'The database does not answer'],
  ])('names %s', (_, lines, documents, text) => expect(trouble(lines, documents)).toBe(text))

  test('what was found before it went back again does not count', () => {
    const again = ['back_fit begin', 'undo begin', 'undo end', 'back_fit end', 'back_health end']
    expect(trouble(['back_fit fail 20', ...again], [fit])).toBeUndefined()
  })
})
