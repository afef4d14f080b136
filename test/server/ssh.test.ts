import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { DeployError, explain } from '../../src/errors.ts'
import { parseKnownHosts, type Host } from '../../src/login.ts'
import { run, type Run } from '../../src/process.ts'
import { connect, reconnect, type Connection } from '../../src/server/connection.ts'

const sshd = ['/usr/sbin/sshd', '/usr/local/sbin/sshd', '/usr/bin/sshd'].find((path) => existsSync(path))
const suite = sshd === undefined ? describe.skip : describe

suite(`a real sshd${sshd === undefined ? ' (skipped: none on this machine; install openssh-server)' : ''}`, () => {
  const control = new AbortController()
  const log: string[] = []
  const argv: string[][] = []
  const told: string[] = []
  const watched: Run = (program, args, options) => {
    argv.push([program, ...args])
    return run(program, args, options)
  }
  let folder: string
  let host: Host
  let served: Promise<unknown>

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sshd-'))
    for (const name of ['host', 'other-host', 'user', 'other-user']) {
      await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', join(folder, name)])
    }
    host = { user: userInfo().username, address: '127.0.0.1', port: await freePort() }
    // sshd wants it when root starts it; a service file would make it.
    if (userInfo().uid === 0) await mkdir('/run/sshd', { recursive: true })
    const settings = [
      `Port ${host.port}`,
      'ListenAddress 127.0.0.1',
      `HostKey ${join(folder, 'host')}`,
      `AuthorizedKeysFile ${join(folder, 'user.pub')}`,
      ...['StrictModes no', 'UsePAM no', 'PasswordAuthentication no', 'PermitRootLogin prohibit-password'],
      ...['KbdInteractiveAuthentication no', 'PidFile none', 'LogLevel VERBOSE'],
      // Else bash reads the ~/.bashrc of whoever runs this test.
      'SetEnv SHLVL=2',
    ]
    await writeFile(join(folder, 'sshd_config'), settings.join('\n') + '\n')
    await new Promise<void>((resolve, reject) => {
      const onLine = (line: string): void => {
        log.push(line)
        if (line.startsWith('Server listening on')) resolve()
      }
      const args = ['-D', '-e', '-f', join(folder, 'sshd_config')]
      served = run(sshd ?? '', args, { signal: control.signal, onLine }).then(
        () => reject(new Error(`sshd ended: ${log.join('\n')}`)),
        () => {},
      )
    })
  })

  afterAll(async () => {
    control.abort()
    await served
    await rm(folder, { recursive: true })
  })

  const known = async (name = 'host', port = host.port): Promise<string> =>
    `[127.0.0.1]:${port} ${await readFile(join(folder, `${name}.pub`), 'utf8')}`
  const open = async (given: { key?: string; knownHosts?: string; host?: Host }): Promise<Connection> =>
    connect(
      watched,
      {
        host: given.host ?? host,
        key: given.key ?? (await readFile(join(folder, 'user'), 'utf8')),
        knownHosts: parseKnownHosts(given.knownHosts ?? (await known())),
      },
      await mkdtemp(join(folder, 'c-')),
    )
  const failureOf = async (given: Parameters<typeof open>[0]): Promise<DeployError> => {
    try {
      const connection = await open(given)
      await connection.reach(['true'])
      await connection.close()
    } catch (error) {
      if (!(error instanceof DeployError)) throw error
      told.push(explain(error))
      return error
    }
    throw new Error('the connection was made')
  }
  const logins = (): number => log.filter((line) => line.startsWith('Accepted publickey')).length

  test('is logged in to once for many calls, also from a later process, until it is closed', async () => {
    const before = logins()
    const place = await mkdtemp(join(folder, 'c-'))
    const key = await readFile(join(folder, 'user'), 'utf8')
    const connection = await connect(watched, { host, key, knownHosts: parseKnownHosts(await known()) }, place)
    expect(
      await connection.reach(['sh', '-s', 'a', 'b/../c'], { stdin: 'echo "$# $1 $2"; echo no >&2; exit 3' }),
    ).toEqual({
      code: 3,
      stdout: '2 a b/../c\n',
      stderr: 'no\n',
    })
    const lines: string[] = []
    const onLine = (line: string, stream: string): void => void lines.push(`${stream} ${line}`)
    await Promise.all([connection.call(['echo', 'one'], { onLine }), reconnect(watched, host, place).call(['true'])])
    expect(lines).toEqual(['stdout one'])
    expect(logins() - before).toBe(1)

    const check = (): ReturnType<Run> => run('ssh', ['-F', join(place, 'ssh_config'), '-O', 'check', 'server'])
    expect(await check()).toMatchObject({ code: 0 })
    await connection.close()
    expect((await check()).code).not.toBe(0)
    while (existsSync(join(place, 's'))) await new Promise((resolve) => setImmediate(resolve))
  })

  test('is trusted by a fingerprint', async () => {
    const shown = await run('ssh-keygen', ['-l', '-f', join(folder, 'host.pub')])
    const connection = await open({ knownHosts: shown.stdout.split(' ')[1] ?? '' })
    expect(await connection.reach(['true'])).toMatchObject({ code: 0 })
    await connection.close()
  })

  test('whose key has changed gets nothing, not even a login', async () => {
    const before = logins()
    const failure = await failureOf({ knownHosts: await known('other-host') })
    const offered = await run('ssh-keygen', ['-l', '-f', join(folder, 'host.pub')])
    expect(failure.code).toBe('ssh-host-key')
    expect(failure.seen).toBe(`the server offers ssh-ed25519 ${offered.stdout.split(' ')[1]}`)
    expect(failure.fix).toContain(`ssh-keyscan -p ${host.port} 127.0.0.1`)
    expect(logins()).toBe(before)
  })

  test('whose key is known for another port only is not trusted', async () => {
    expect(await failureOf({ knownHosts: await known('host', 22) })).toMatchObject({ code: 'ssh-host-key' })
  })

  test('that has none of the fingerprints is not trusted', async () => {
    expect(await failureOf({ knownHosts: `SHA256:${'A'.repeat(43)}` })).toMatchObject({ code: 'ssh-host-key' })
  })

  test('behind a port where nobody listens cannot be reached', async () => {
    const port = await freePort()
    const failure = await failureOf({ host: { ...host, port }, knownHosts: await known('host', port) })
    expect(failure).toMatchObject({ code: 'ssh-unreachable', what: `No SSH connection to 127.0.0.1 port ${port}` })
    expect(failure.seen).toContain('Connection refused')
    const pinned = await failureOf({ host: { ...host, port }, knownHosts: `SHA256:${'A'.repeat(43)}` })
    expect(pinned).toMatchObject({ code: 'ssh-unreachable' })
  })

  test('refuses a key that it does not know', async () => {
    const key = await readFile(join(folder, 'other-user'), 'utf8')
    const failure = await failureOf({ key })
    expect(failure).toMatchObject({ code: 'ssh-login-refused' })
    expect(failure.seen).toContain('Permission denied (publickey)')
    expect(failure.fix).toContain(`as ${host.user}`)
  })

  test('is not blamed for a key that ssh cannot read', async () => {
    const whole = await readFile(join(folder, 'user'), 'utf8')
    const failure = await failureOf({ key: whole.replace(/\n.{20}/, '\n') })
    expect(failure).toMatchObject({ code: 'input-invalid', what: 'ssh cannot read the private key in `ssh-key`' })
  })

  test('an abort ends a call', async () => {
    const connection = await open({})
    const abort = new AbortController()
    const onLine = (): void => abort.abort()
    const call = connection.call(['sh', '-s'], { stdin: 'echo here; exec sleep 10', signal: abort.signal, onLine })
    await expect(call).rejects.toMatchObject({ code: 'aborted' })
    // The connection itself is whole: it can still leave a word.
    expect(await connection.reach(['true'])).toMatchObject({ code: 0 })
    await connection.close()
  })

  test('never sees a key in an argument, and nobody sees one in an error', async () => {
    expect(argv.length).toBeGreaterThan(10)
    expect(told.length).toBeGreaterThan(5)
    for (const name of ['user', 'other-user']) {
      const secret = (await readFile(join(folder, name), 'utf8')).split('\n')[2] ?? ''
      expect(secret.length).toBeGreaterThan(20)
      expect(JSON.stringify([told, argv, log])).not.toContain(secret)
    }
  })
})

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}
