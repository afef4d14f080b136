import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DeployError, explain } from '../../../src/errors.ts'
import type { Host, KnownHosts } from '../../../src/inputs/login.ts'
import { run, type Finished, type Run } from '../../../src/process.ts'
import { connect, isLost, reconnect } from '../../../src/host/connection.ts'
import { drawer } from '../../seed.ts'

const key = '-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0LWtleS10ZXh0\n-----END OPENSSH PRIVATE KEY-----\n'
const host: Host = { user: 'deploy', address: 'example.org', port: 22 }
const route = { host, jumpHost: undefined }

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ssh-'))
})
afterEach(() => rm(folder, { recursive: true }))

/** A `Run` that answers by program, and the argument lists that it was given; `log` goes to ssh's log file. */
function stand(answers: Record<string, Partial<Finished> & { log?: string }>): { run: Run; argv: string[][] } {
  const argv: string[][] = []
  const stood: Run = async (program, args, options) => {
    argv.push([program, ...args])
    const { log, ...finished } = answers[program] ?? {}
    const file = args[args.indexOf('-E') + 1]
    if (log !== undefined && file !== undefined) await writeFile(join(options?.cwd ?? '', file), log)
    return { code: 0, stdout: '', stderr: '', ...finished }
  }
  return { run: stood, argv }
}

async function failureOf(work: Promise<unknown>): Promise<DeployError> {
  const failure: unknown = await work.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (failure instanceof DeployError) return failure
  throw new Error(`no DeployError but ${String(failure)}`)
}

describe('the words of a call', () => {
  const good = [
    'sh',
    '-s',
    '-',
    '-p',
    '.',
    '../x',
    'a/../b',
    '/srv/to-do',
    'a=b',
    'v1.2.3-rc1+x',
    'u@h:1,2',
    '50%',
    '_',
    '8',
  ]
  const bad = [
    ...['', ' ', 'a b', 'a\tb', 'a\nb', 'a\n', '\n', 'a\rb', '\0'],
    ...["it's", '"x"', '`id`', '$(id)', '$HOME', '${HOME}', 'a;b', 'a&b', 'a|b', '<a', '>a', '(a)', '{a,b}'],
    ...['~', '~root', '*', 'a?', '[a]', 'a\\b', '#a', '!a', '^a', '=ls', 'é', '\u00a0', '\u2028'],
    ...['-o=x', '-oProxyCommand=x', '--rsh=x', '--', '-1', '-a b', '-a;b', '-a/b'],
  ]

  test.each(good)('%j goes to the server as it is', async (word) => {
    const { run, argv } = stand({})
    await reconnect(run, route, folder).call(['x', word])
    const log = ['-E', expect.stringMatching(/^log-/), '-o', 'LogLevel=DEBUG1']
    expect(argv).toEqual([['ssh', '-F', 'ssh_config', ...log, 'server', 'x', word]])
  })

  test.each(bad)('%j is refused before anything is started', async (word) => {
    const { run, argv } = stand({})
    expect(await failureOf(reconnect(run, route, folder).call(['x', word]))).toMatchObject({
      code: 'internal',
      seen: JSON.stringify(word),
    })
    expect(argv).toEqual([])
  })

  test('no character that some shell reads is let through, wherever it stands', async () => {
    const { run, argv } = stand({})
    const connection = reconnect(run, route, folder)
    for (const character of ' \t\n\r\0\'"`$;&|<>(){}[]~*?\\#!^é\u00a0\u2028') {
      for (const word of [character, `${character}a`, `a${character}`, `a${character}b`, `-${character}`]) {
        await expect(connection.call(['x', word])).rejects.toMatchObject({
          code: 'internal',
          seen: JSON.stringify(word),
        })
      }
    }
    expect(argv).toEqual([])
  })

  test('whatever word is let through, a shell reads it as that one word', async () => {
    const characters = [...Array(128).keys(), 0xe4, 0x2028].map((code) => String.fromCodePoint(code))
    const random = drawer('words')
    const { run: stood, argv } = stand({})
    const connection = reconnect(stood, route, folder)
    for (let count = 0; count < 2_000; count += 1) {
      const word = Array.from({ length: 1 + random(4) }, () => characters[random(characters.length)]).join('')
      try {
        await connection.call(['x', word])
      } catch {
        // Refused, as most are.
      }
    }
    const words = argv.map((args) => args.at(-1) ?? '')
    expect(words).not.toEqual([])
    const read = await run('sh', ['-s'], { stdin: `printf '%s\\n' ${words.join(' ')}\n` })
    expect(read.stdout.split('\n').slice(0, -1)).toEqual(words)
  })
})

/** The settings as ssh itself reads them. */
async function settingsOf(of: Host, place: string, names: KnownHosts = lines): Promise<Map<string, string>> {
  await connect(stand({}).run, { ...route, host: of, sshKey: key, knownHosts: names }, place)
  const read = await run('ssh', ['-G', '-F', join(place, 'ssh_config'), 'server'])
  expect(read).toMatchObject({ code: 0, stderr: '' })
  return new Map(read.stdout.split('\n').map((line) => [line.split(' ')[0] ?? '', line.split(' ').slice(1).join(' ')]))
}

const lines: KnownHosts = { lines: ['example.org ssh-ed25519 AAAA'], fingerprints: [] }

describe('the configuration', () => {
  test.each([
    { ...host },
    { user: 'root', address: '192.0.2.7', port: 2222 },
    { user: 'a.b_c-d', address: '2001:db8::1', port: 65_535 },
  ])('leads to $user@$address port $port', async (of) => {
    const settings = await settingsOf(of, folder)
    expect(settings.get('hostname')).toBe(of.address)
    expect(settings.get('user')).toBe(of.user)
    expect(settings.get('port')).toBe(String(of.port))
  })

  test('trusts nobody else, asks nobody, and forwards nothing', async () => {
    const settings = await settingsOf(host, folder)
    expect(Object.fromEntries(settings)).toMatchObject({
      stricthostkeychecking: 'true',
      globalknownhostsfile: '/dev/null',
      updatehostkeys: 'false',
      batchmode: 'yes',
      identitiesonly: 'yes',
      identityagent: 'none',
      preferredauthentications: 'publickey',
      forwardagent: 'no',
      clearallforwardings: 'yes',
      requesttty: 'false',
      controlmaster: 'auto',
      controlpersist: '300',
      connecttimeout: '15',
      serveraliveinterval: '10',
    })
  })

  test.each(['plain', 'with space', '100% own'])('finds its files in a folder named %j', async (name) => {
    const place = join(folder, name)
    await mkdir(place)
    const settings = await settingsOf(host, place)
    const path = (file: string): string => join(place, file)
    // ssh shows the two others before their tokens are replaced.
    expect(settings.get('identityfile')?.replaceAll('%%', '%')).toBe(path('key'))
    expect(settings.get('userknownhostsfile')?.replaceAll('"', '').replaceAll('%%', '%')).toBe(path('known_hosts'))
    expect(settings.get('controlpath')?.replaceAll('%%', '%')).toBe(path('s'))
  })

  test('does without the shared connection where the path is too long for a socket', async () => {
    const place = join(folder, 'x'.repeat(86))
    await mkdir(place)
    const settings = await settingsOf(host, place)
    expect(settings.get('controlmaster')).toBe('false')
    expect(settings.get('controlpath') ?? 'none').toBe('none')
  })

  test('and the key are readable by their owner alone, and nothing else is left', async () => {
    await connect(stand({}).run, { ...route, sshKey: key, knownHosts: lines }, folder)
    const files = (await readdir(folder)).sort()
    expect(files).toEqual(['key', 'known_hosts', 'ssh_config'])
    for (const file of files) expect((await stat(join(folder, file))).mode & 0o777).toBe(0o600)
    expect(await readFile(join(folder, 'key'), 'utf8')).toBe(key)
    expect(await readFile(join(folder, 'known_hosts'), 'utf8')).toBe(`${lines.lines[0]}\n`)
  })
})

describe('fingerprints', () => {
  type HostKey = { type: string; line: string; fingerprint: string }

  let first: HostKey
  let second: HostKey
  beforeEach(async () => {
    const make = async (type: string): Promise<HostKey> => {
      const file = join(folder, `host_${type}`)
      await run('ssh-keygen', ['-q', '-t', type, '-N', '', '-C', '', '-f', file])
      const [name = '', text = ''] = (await readFile(`${file}.pub`, 'utf8')).trim().split(' ')
      const shown = await run('ssh-keygen', ['-l', '-f', `${file}.pub`])
      return { type: name, line: `[example.org]:2222 ${name} ${text}`, fingerprint: shown.stdout.split(' ')[1] ?? '' }
    }
    first = await make('ed25519')
    second = await make('ecdsa')
  })
  const other: Host = { ...host, port: 2222 }
  const noFingerprint = `SHA256:${'A'.repeat(43)}`
  /** Connects to a host that offers these keys, one of a kind in each handshake, or none and these words. */
  const known = async (
    names: KnownHosts,
    offered: HostKey[],
    said = '',
  ): Promise<{ pinned: string; argv: string[][] }> => {
    const { run: stood, argv } = stand({ ssh: { code: 255, log: said } })
    const kinds = [...offered]
    const offering: Run = async (program, args, options) => {
      const key = args.at(-2) === 'server' ? kinds.shift() : undefined
      if (key) await writeFile(join(options?.cwd ?? '', 'offered'), `# a comment\ngarbage\n\n${key.line}\n`)
      return await stood(program, args, options)
    }
    await connect(offering, { ...route, host: other, sshKey: key, knownHosts: names }, folder)
    return { pinned: await readFile(join(folder, 'known_hosts'), 'utf8'), argv }
  }

  test('are exchanged for the keys that match, and for no other; nobody logs in for it', async () => {
    const { pinned, argv } = await known({ lines: [], fingerprints: [noFingerprint, second.fingerprint] }, [
      first,
      second,
    ])
    expect(pinned).toBe(`${second.line}\n`)
    expect(argv).not.toEqual([])
    for (const words of argv) expect(words.join(' ')).toContain('-o PreferredAuthentications=none')
    expect(await readdir(folder)).not.toContain('offered')
  })

  test('of several keys trust each of them', async () => {
    const { pinned } = await known({ lines: [], fingerprints: [first.fingerprint, second.fingerprint] }, [
      first,
      second,
    ])
    expect(pinned).toBe(`${first.line}\n${second.line}\n`)
  })

  test('that match nothing stop, with those that are offered', async () => {
    const failure = await failureOf(known({ lines: [], fingerprints: [noFingerprint] }, [first, second]))
    expect(failure.code).toBe('ssh-host-key')
    expect(failure.seen).toBe(
      `the host offers ${first.type} ${first.fingerprint}, ${second.type} ${second.fingerprint}\n\`known-hosts\` has ${noFingerprint}`,
    )
    expect(failure.fix).toContain('ssh-keyscan -p 2222 example.org')
  })

  test('that match nothing leave the given lines', async () => {
    const { pinned } = await known({ lines: lines.lines, fingerprints: [noFingerprint] }, [first])
    expect(pinned).toBe(`${lines.lines[0]}\n`)
  })

  test('of a server that does not answer mean that it cannot be reached, and it is asked once', async () => {
    const said = 'ssh: connect to host example.org port 2222: Connection refused\n'
    const failure = await failureOf(known({ lines: [], fingerprints: [noFingerprint] }, [], said))
    expect(failure).toMatchObject({ code: 'ssh-unreachable', what: 'No SSH connection to example.org port 2222' })
    expect(failure.seen).toContain('Connection refused')
  })
})

describe('what ssh says', () => {
  test.each([
    ['deploy@example.org: Permission denied (publickey).', 'ssh-login-refused', 'authorized_keys'],
    [
      'Received disconnect from 192.0.2.7 port 22:2: Too many authentication failures',
      'ssh-login-refused',
      'authorized_keys',
    ],
    [
      'No ED25519 host key is known for example.org and you have requested strict checking.\nHost key verification failed.',
      'ssh-host-key',
      'ssh-keyscan -p 22 example.org',
    ],
    [
      '@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.',
      'ssh-host-key',
      'ssh-keygen -lf',
    ],
    [
      'Load key "/tmp/x/key": error in libcrypto\ndeploy@example.org: Permission denied.',
      'input-invalid',
      'ssh-keygen -t ed25519',
    ],
    ['Load key "/tmp/x/key": invalid format', 'input-invalid', 'whole file'],
    ['ssh: Could not resolve hostname example.org: Name or service not known', 'ssh-unreachable', 'correct `host`'],
    ['ssh: connect to host example.org port 22: Connection timed out', 'ssh-unreachable', '`host`'],
    ['kex_exchange_identification: Connection closed by remote host', 'ssh-unreachable', 'again'],
    ['', 'ssh-unreachable', '`host`'],
  ])('%j is explained as %s', async (log, code, fix) => {
    const { run } = stand({ ssh: { code: 255, log } })
    const failure = await failureOf(reconnect(run, route, folder).callOrThrow(['true']))
    expect(failure.code).toBe(code)
    expect(failure.what).toMatch(/example\.org|ssh-key/)
    expect(failure.why).toBeTruthy()
    expect(failure.fix).toContain(fix)
    expect(failure.seen).toBeTruthy()
  })

  test('is not judged when the command itself failed', async () => {
    const { run } = stand({ ssh: { code: 12, stderr: 'Permission denied' } })
    expect(await reconnect(run, route, folder).callOrThrow(['true'])).toMatchObject({ code: 12 })
  })

  test('is left to who follows, with `call`', async () => {
    const { run } = stand({ ssh: { code: 255, log: 'debug1: x\ngone\n' } })
    const finished = await reconnect(run, route, folder).call(['true'])
    expect(finished.stderr).toBe('gone')
    expect(await readdir(folder)).toEqual([])
    expect(isLost(finished)).toBe(true)
    expect(isLost({ ...finished, code: 1 })).toBe(false)
  })
})

describe('debug logging', () => {
  afterEach(() => {
    delete process.env['RUNNER_DEBUG']
  })

  test('asks the script for its trace, which is no part of what it said', async () => {
    process.env['RUNNER_DEBUG'] = '1'
    const write = jest.spyOn(process.stdout, 'write').mockImplementation(() => true)
    const { run, argv } = stand({ ssh: { code: 3, stderr: 'one\ntrace: docker ps -> exit 0 after 0 s\ntwo\n' } })
    const connection = reconnect(run, route, folder)
    expect(await connection.call(['sh', 'x.sh', 'plan'])).toMatchObject({ code: 3, stderr: 'one\ntwo\n' })
    await connection.call(['mkdir', 'x'])
    write.mockRestore()
    expect(argv.map((words) => words.slice(words.indexOf('server') + 1))).toEqual([
      ['env', 'DEPLOY_DJANGO_TRACE=yes', 'sh', 'x.sh', 'plan'],
      ['mkdir', 'x'],
    ])
  })

  test('asks for nothing without it', async () => {
    const { run, argv } = stand({})
    await reconnect(run, route, folder).call(['sh', 'x.sh', 'plan'])
    expect(argv.at(-1)?.slice(-4)).toEqual(['server', 'sh', 'x.sh', 'plan'])
  })
})

test('the key is in no argument and in no error', async () => {
  const told: string[] = []
  const { run: stood, argv } = stand({ ssh: { code: 255, log: 'Permission denied' } })
  const names = { lines: lines.lines, fingerprints: [] }
  const connection = await connect(stood, { ...route, sshKey: key, knownHosts: names }, folder)
  told.push(explain(await failureOf(connection.callOrThrow(['sh', '-s'], { stdin: 'x' }))))
  told.push(
    explain(
      await failureOf(
        connect(stood, { ...route, sshKey: key, knownHosts: { lines: [], fingerprints: ['SHA256:x'] } }, folder),
      ),
    ),
  )
  await connection.close()
  expect(argv.map(([program]) => program)).toEqual(['ssh', 'ssh-keygen', 'ssh', 'ssh-keygen', 'ssh', 'ssh'])
  expect(JSON.stringify([told, argv])).not.toMatch(/c2VjcmV0|PRIVATE KEY/)
})

test('closing never fails', async () => {
  const broken: Run = () => Promise.reject(new DeployError('program-timeout', { what: 'ssh did not end' }))
  await expect(reconnect(broken, route, folder).close()).resolves.toBeUndefined()
})
