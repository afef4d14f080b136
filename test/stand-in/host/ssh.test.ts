import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DeployError, explain } from '../../../src/errors.ts'
import { parseHost, parseKnownHosts, type Host } from '../../../src/inputs/login.ts'
import { run, type Run } from '../../../src/process.ts'
import { connect, reconnect, type Connection } from '../../../src/host/connection.ts'
import { freePort, noIPv6, noSshd, startSshd, type Sshd } from './sshd.ts'
import { until } from '../../until.ts'

const suite = noSshd === '' ? describe : describe.skip

suite(`a real sshd${noSshd}`, () => {
  const argv: string[][] = []
  const told: string[] = []
  const watched: Run = (program, args, options) => {
    argv.push([program, ...args])
    return run(program, args, options)
  }
  let folder: string
  let server: Sshd
  let bastion: Sshd

  beforeAll(async () => {
    // ssh hands this path to a shell when there is a bastion.
    folder = await mkdtemp(join(tmpdir(), 'a $(b) 50% '))
    const banner = join(folder, 'banner')
    await writeFile(banner, 'Host key verification failed. Permission denied. Authorized use only.\n')
    server = await startSshd('127.0.0.1', [`Banner "${banner}"`])
    bastion = await startSshd('127.0.0.1', [`AuthorizedKeysFile ${server.keys}`, 'PermitTTY no'])
  })

  afterAll(async () => {
    await server[Symbol.asyncDispose]()
    await bastion[Symbol.asyncDispose]()
    await rm(folder, { recursive: true })
  })

  type Given = { key?: string; knownHosts?: string; host?: Host; jumpHost?: Host; folder?: string }
  const open = async (given: Given): Promise<Connection> => {
    const { host = server.host, jumpHost, key: sshKey = server.key, knownHosts = server.known() } = given
    const place = given.folder ?? (await mkdtemp(join(folder, 'c ')))
    return connect(watched, { host, jumpHost, sshKey, knownHosts: parseKnownHosts(knownHosts) }, place)
  }
  const failureOf = async (given: Given, prepare?: (place: string) => Promise<void>): Promise<DeployError> => {
    const place = await mkdtemp(join(folder, 'c '))
    try {
      const connection = await open({ ...given, folder: place })
      await prepare?.(place)
      await connection.callOrThrow(['true'])
      await connection.close()
    } catch (error) {
      if (!(error instanceof DeployError)) throw error
      told.push(explain(error))
      return error
    }
    throw new Error('the connection was made')
  }

  test('is logged in to once for many calls, also from a later process, until it is closed', async () => {
    const before = server.logins()
    const place = await mkdtemp(join(folder, 'c '))
    const connection = await open({ folder: place })
    expect(
      await connection.callOrThrow(['sh', '-s', 'a', 'b/../c'], { stdin: 'echo "$# $1 $2"; echo no >&2; exit 3' }),
    ).toEqual({
      code: 3,
      stdout: '2 a b/../c\n',
      stderr: 'no\n',
    })
    const lines: string[] = []
    const onLine = (line: string, stream: string): void => void lines.push(`${stream} ${line}`)
    const route = { host: server.host, jumpHost: undefined }
    await Promise.all([connection.call(['echo', 'one'], { onLine }), reconnect(watched, route, place).call(['true'])])
    expect(lines).toEqual(['stdout one'])
    expect(server.logins() - before).toBe(1)

    const check = (): ReturnType<Run> => run('ssh', ['-F', join(place, 'ssh_config'), '-O', 'check', 'server'])
    expect(await check()).toMatchObject({ code: 0 })
    await connection.close()
    expect((await check()).code).not.toBe(0)
    await until('the socket is gone', () => !existsSync(join(place, 's')), 30, 10)
  })

  test('is trusted by a fingerprint', async () => {
    const connection = await open({ knownHosts: server.fingerprint })
    expect(await connection.callOrThrow(['true'])).toMatchObject({ code: 0 })
    await connection.close()
  })

  test('whose key has changed gets nothing, not even a login', async () => {
    const before = server.logins()
    const failure = await failureOf({ knownHosts: bastion.known(server.host.port) })
    expect(failure.code).toBe('ssh-host-key')
    expect(failure.seen).toBe(
      `the host offers ssh-ed25519 ${server.fingerprint}\n` +
        `\`known-hosts\` has [127.0.0.1]:${server.host.port} ssh-ed25519 ${bastion.fingerprint}`,
    )
    expect(failure.fix).toContain(`ssh-keyscan -p ${server.host.port} 127.0.0.1`)
    expect(server.logins()).toBe(before)
  })

  test('whose key is known for another port only is not trusted', async () => {
    expect(await failureOf({ knownHosts: server.known(22) })).toMatchObject({ code: 'ssh-host-key' })
  })

  test('that has none of the fingerprints is not trusted', async () => {
    expect(await failureOf({ knownHosts: `SHA256:${'A'.repeat(43)}` })).toMatchObject({ code: 'ssh-host-key' })
  })

  test('behind a port where nobody listens cannot be reached', async () => {
    const host = { ...server.host, port: await freePort() }
    const failure = await failureOf({ host, knownHosts: server.known(host.port) })
    expect(failure).toMatchObject({ code: 'ssh-unreachable', what: `No SSH connection to 127.0.0.1 port ${host.port}` })
    expect(failure.seen).toContain('Connection refused')
    const pinned = await failureOf({ host, knownHosts: `SHA256:${'A'.repeat(43)}` })
    expect(pinned).toMatchObject({ code: 'ssh-unreachable', seen: expect.stringContaining('Connection refused') })
  })

  test('that takes the connection and then says nothing is not waited for', async () => {
    const silent = createServer().listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const host = { ...server.host, port: (silent.address() as AddressInfo).port }
    const failure = await failureOf({ host, knownHosts: server.known(host.port) }, async (place) => {
      const config = await readFile(join(place, 'ssh_config'), 'utf8')
      await writeFile(join(place, 'ssh_config'), config.replace('ConnectTimeout 15', 'ConnectTimeout 1'))
    })
    silent.close()
    expect(failure).toMatchObject({ code: 'ssh-unreachable', seen: expect.stringContaining('timed out') })
  })

  test('refuses a key that it does not know, and is asked once', async () => {
    const before = [server.connections(), server.refusals()]
    const failure = await failureOf({ key: server.otherKey })
    expect(failure).toMatchObject({ code: 'ssh-login-refused' })
    expect(failure.seen).toContain('Permission denied (publickey)')
    expect(failure.fix).toContain(`as ${server.host.user}`)
    expect([server.connections(), server.refusals()]).toEqual(before.map((count) => count + 1))
  })

  test('is not blamed for a key that ssh cannot read', async () => {
    const failure = await failureOf({ key: server.key.replace(/\n.{20}/, '\n') })
    expect(failure).toMatchObject({ code: 'input-invalid', what: 'ssh cannot read the private key in `ssh-key`' })
  })

  test('an abort ends a call', async () => {
    const connection = await open({})
    const abort = new AbortController()
    const onLine = (): void => abort.abort()
    const call = connection.call(['sh', '-s'], { stdin: 'echo here; exec sleep 10', signal: abort.signal, onLine })
    await expect(call).rejects.toMatchObject({ code: 'aborted' })
    // The connection itself is whole: it can still leave a word.
    expect(await connection.callOrThrow(['true'])).toMatchObject({ code: 0 })
    await connection.close()
  })

  const onIPv6 = noIPv6 === '' ? test : test.skip
  onIPv6(`listens on IPv6${noIPv6}`, async () => {
    await using other = await startSshd('::1')
    const host = parseHost(`${other.host.user}@[::1]:${other.host.port}`)
    for (const knownHosts of [other.known(), other.fingerprint]) {
      const connection = await open({ host, key: other.key, knownHosts })
      expect(await connection.callOrThrow(['true'])).toMatchObject({ code: 0 })
      await connection.close()
    }
    const failure = await failureOf({ host, key: other.key, knownHosts: server.fingerprint })
    expect(failure).toMatchObject({ code: 'ssh-host-key', what: expect.stringContaining(`[::1]:${host.port}`) })
  })

  describe('behind a bastion', () => {
    const both = (): string => `${bastion.known()}\n${server.known()}`
    const through = (given: Given = {}): Given => ({ jumpHost: bastion.host, knownHosts: both(), ...given })

    test('is reached with the same key over one login at each of them', async () => {
      const before = [bastion.logins(), server.logins()]
      const connection = await open(through())
      expect(await connection.callOrThrow(['sh', '-s', 'a'], { stdin: 'echo "$1"' })).toMatchObject({
        code: 0,
        stdout: 'a\n',
      })
      expect(await connection.callOrThrow(['true'])).toMatchObject({ code: 0 })
      await connection.close()
      expect([bastion.logins(), server.logins()]).toEqual(before.map((count) => count + 1))
    })

    test('is trusted by fingerprints of both', async () => {
      const connection = await open(through({ knownHosts: `${bastion.fingerprint}\n${server.fingerprint}` }))
      expect(await connection.callOrThrow(['true'])).toMatchObject({ code: 0 })
      await connection.close()
    })

    test.each([
      ['bastion', (): string => server.known()],
      ['server', (): string => bastion.known()],
      ['bastion', (): string => server.fingerprint],
      ['server', (): string => bastion.fingerprint],
    ])('is not sent anything when the key of the %s is not known', async (name, knownHosts) => {
      const before = [bastion.logins(), server.logins()]
      const of = name === 'bastion' ? bastion : server
      const failure = await failureOf(through({ knownHosts: knownHosts() }))
      expect(failure).toMatchObject({
        code: 'ssh-host-key',
        what: expect.stringContaining(`[127.0.0.1]:${of.host.port} `),
        seen: expect.stringContaining(
          `the ${name === 'server' ? 'host' : name} offers ssh-ed25519 ${of.fingerprint}\n\`known-hosts\` has `,
        ),
      })
      expect(server.logins()).toBe(before[1])
      if (name === 'bastion') expect(bastion.logins()).toBe(before[0])
    })

    test('is not blamed for what the bastion does', async () => {
      const before = bastion.connections()
      const refused = await failureOf(through({ key: server.otherKey }))
      expect(refused).toMatchObject({
        code: 'ssh-login-refused',
        what: expect.stringContaining('The bastion 127.0.0.1'),
      })
      expect(bastion.connections() - before).toBe(1)
      const port = await freePort()
      const absent = await failureOf(through({ jumpHost: { ...bastion.host, port } }))
      expect(absent).toMatchObject({ code: 'ssh-unreachable', what: `No SSH connection to 127.0.0.1 port ${port}` })
      expect(absent.fix).toContain('`jump-host`')
    })

    test('that cannot be reached from there is named', async () => {
      const port = await freePort()
      const failure = await failureOf(through({ host: { ...server.host, port } }))
      expect(failure).toMatchObject({
        code: 'ssh-unreachable',
        what: `No SSH connection through 127.0.0.1 to 127.0.0.1 port ${port}`,
      })
    })

    test('refuses the login by itself', async () => {
      await using other = await startSshd()
      const failure = await failureOf(through({ host: other.host, knownHosts: `${bastion.known()}\n${other.known()}` }))
      expect(failure).toMatchObject({
        code: 'ssh-login-refused',
        what: expect.stringContaining('The host 127.0.0.1'),
      })
    })
  })

  test('never sees a key in an argument, and nobody sees one in an error', () => {
    expect(argv).not.toEqual([])
    expect(told).not.toEqual([])
    for (const key of [server.key, server.otherKey]) {
      const secret = key.split('\n')[2] ?? ''
      expect(secret.length).toBeGreaterThan(20)
      expect(JSON.stringify([told, argv, server.log, bastion.log])).not.toContain(secret)
    }
  })
})
