import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { once } from 'node:events'
import { connect as connectTo, createServer, type AddressInfo, type Server as Listener } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DeployError } from '../../../src/errors.ts'
import { parseKnownHosts, type Host } from '../../../src/inputs/login.ts'
import { run } from '../../../src/process.ts'
import { connect, disconnect } from '../../../src/host/connection.ts'
import { look } from '../../../src/host/look.ts'
import { freePort, noSshd, startSshd, type Sshd } from './sshd.ts'

const suite = noSshd === '' ? describe : describe.skip

type Given = { host?: Host; jumpHost?: Host; key?: string; knownHosts?: string; shown?: Sshd }

suite(`a login that does not work${noSshd}`, () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'login-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  /** Logs in and looks, as each command does; what failed, or nothing. */
  async function failureOf(server: Sshd, given: Given = {}): Promise<DeployError | undefined> {
    const place = await mkdtemp(join(folder, 'c'))
    const { host = server.host, jumpHost, key: sshKey = server.key, knownHosts = server.known() } = given
    try {
      const connection = await connect(run, { host, jumpHost, sshKey, knownHosts: parseKnownHosts(knownHosts) }, place)
      await connection.callOrThrow(['true'])
      await look(connection, 'echo deploy-django look 1; echo home /root; echo end', 'x')
      return undefined
    } catch (error) {
      if (error instanceof DeployError) return error
      throw error
    } finally {
      await disconnect(run, place)
    }
  }

  async function change(server: Sshd, edit: (config: string) => string): Promise<void> {
    await writeFile(server.config, edit(await readFile(server.config, 'utf8')))
    await server.reload()
  }
  const without =
    (name: string) =>
    (config: string): string =>
      config.replace(new RegExp(`^${name} .*\n`, 'gm'), '')

  describe('because the two have no algorithm in common: the words of ssh, and the line to delete', () => {
    test.each([
      ['key exchange method', 'KexAlgorithms', 'diffie-hellman-group1-sha1'],
      ['MAC', 'MACs', 'hmac-md5'],
      ['cipher', 'Ciphers', '3des-cbc'],
    ])('%s', async (kind, setting, algorithm) => {
      const ciphers = setting === 'MACs' ? ['Ciphers aes128-ctr'] : []
      await using server = await startSshd('127.0.0.1', [`${setting} ${algorithm}`, ...ciphers])
      const failure = await failureOf(server)
      expect(failure).toMatchObject({
        code: 'ssh-algorithms',
        what: `The host 127.0.0.1 offers no ${kind} that the ssh of this runner accepts`,
        seen: expect.stringContaining(`no matching ${kind} found. Their offer: ${algorithm}`),
        why: expect.stringMatching(/^OpenSSH_\S+ is too old/),
        fix: expect.stringContaining(`delete the line ${setting} from /etc/ssh/sshd_config`),
      })
      await change(server, without(setting))
      expect(await failureOf(server)).toBeUndefined()
    })

    test.each(['lines', 'fingerprints'])('only the host key ssh-rsa, with %s in known-hosts', async (form) => {
      await using server = await startSshd('127.0.0.1', ['HostKeyAlgorithms ssh-rsa'], { hostKey: 'rsa' })
      const knownHosts = form === 'lines' ? server.known() : server.fingerprint
      expect(await failureOf(server, { knownHosts })).toMatchObject({
        code: 'ssh-algorithms',
        seen: expect.stringContaining('no matching host key type found. Their offer: ssh-rsa'),
        fix: expect.stringMatching(/ssh-keygen -A.*HostKeyAlgorithms.*`known-hosts`/),
      })
      await change(server, without('HostKeyAlgorithms'))
      expect(await failureOf(server, { knownHosts })).toBeUndefined()
    })
  })

  describe('because the host wants a second factor: it is named, and the lines that let the key do', () => {
    test.each([
      ['password', ['PasswordAuthentication yes']],
      ['keyboard-interactive', ['KbdInteractiveAuthentication yes', 'UsePAM yes']],
    ])('%s', async (method, settings) => {
      await using server = await startSshd('127.0.0.1', [`AuthenticationMethods publickey,${method}`, ...settings])
      const failure = await failureOf(server)
      expect(failure).toMatchObject({
        code: 'ssh-second-factor',
        seen: `Authenticated using "publickey" with partial success; it still requires: ${method}`,
      })
      const [, lines] = /:\n([^]*)\nthen `sshd -t/.exec(failure?.fix ?? '') ?? []
      expect(lines?.split('\n')).toHaveLength(3)
      await change(server, (config) => `${config}${lines}\n`)
      expect(await failureOf(server)).toBeUndefined()
    })
  })

  test('because the key is not known: the line to add, and who reads the reason', async () => {
    await using server = await startSshd()
    const key = server.otherKey
    const failure = await failureOf(server, { key })
    expect(failure).toMatchObject({ code: 'ssh-login-refused', seen: expect.stringContaining('Permission denied') })
    const [, line] = /echo '(ssh-ed25519 \S+ other-user)' >>~\/\.ssh\/authorized_keys/.exec(failure?.fix ?? '') ?? []
    await appendFile(server.keys, `${line}\n`)
    expect(await failureOf(server, { key })).toBeUndefined()
  })

  test('because no key is taken', async () => {
    await using server = await startSshd('127.0.0.1', ['PubkeyAuthentication no', 'PasswordAuthentication yes'])
    expect(await failureOf(server)).toMatchObject({
      code: 'ssh-login-refused',
      what: expect.stringContaining('accepts no SSH keys'),
      seen: expect.stringContaining('Permission denied (password)'),
      fix: expect.stringContaining('`PubkeyAuthentication yes`'),
    })
    await change(server, (config) => config.replace('PubkeyAuthentication no', 'PubkeyAuthentication yes'))
    expect(await failureOf(server)).toBeUndefined()
  })

  const asRoot = process.getuid?.() === 0 ? test : test.skip
  asRoot('because it is root', async () => {
    await using server = await startSshd('127.0.0.1', ['PermitRootLogin no'])
    expect(await failureOf(server)).toMatchObject({
      code: 'ssh-login-refused',
      what: 'The host 127.0.0.1 knows this key, but does not let root in',
      fix: expect.stringContaining('`PermitRootLogin prohibit-password`'),
    })
    await change(server, (config) => config.replace('PermitRootLogin no', 'PermitRootLogin prohibit-password'))
    expect(await failureOf(server)).toBeUndefined()
  })

  test('because the user is not in AllowUsers: sshd tells it only to its log, which is named', async () => {
    await using server = await startSshd('127.0.0.1', ['AllowUsers nobody-else'])
    expect(await failureOf(server)).toMatchObject({
      code: 'ssh-login-refused',
      why: expect.stringContaining('AllowUsers'),
      fix: expect.stringContaining('journalctl -u ssh'),
    })
  })

  test('because too many connections wait', async () => {
    await using server = await startSshd('127.0.0.1', ['MaxStartups 1:100:1'])
    const waiting = connectTo(server.host.port, '127.0.0.1')
    await once(waiting, 'data')
    const failure = await failureOf(server)
    waiting.destroy()
    expect(failure).toMatchObject({
      code: 'ssh-unreachable',
      what: expect.stringContaining('closed the connection on port'),
      seen: expect.stringMatching(/kex_exchange_identification|Connection (reset|closed)/),
      why: expect.stringContaining('MaxStartups'),
      fix: expect.stringContaining('again in a few minutes'),
    })
  })

  test.each([
    ['a web server', 'HTTP/1.1 400 Bad Request\r\n\r\n', 'is not an SSH server', 'HTTP/1.1 400 Bad Request'],
    ['a banner only', 'Welcome to the mail server\r\n', 'is not an SSH server', 'Welcome to the mail server'],
    ['nothing', '', 'closed the connection', 'Connection closed'],
  ])('because the port is that of something else: %s', async (_, words, what, seen) => {
    const other: Listener = createServer((socket) => socket.on('error', () => {}).end(words)).listen(0, '127.0.0.1')
    await once(other, 'listening')
    await using server = await startSshd()
    const host = { ...server.host, port: (other.address() as AddressInfo).port }
    const failure = await failureOf(server, { host, knownHosts: server.known(host.port) })
    other.close()
    expect(failure).toMatchObject({
      code: 'ssh-unreachable',
      what: expect.stringContaining(what),
      seen: expect.stringContaining(seen),
    })
  })

  test('because the name is unknown, or nobody listens', async () => {
    await using server = await startSshd()
    const unknown = { ...server.host, address: 'no-such-host.invalid' }
    expect(await failureOf(server, { host: unknown })).toMatchObject({
      code: 'ssh-unreachable',
      what: 'The name no-such-host.invalid cannot be resolved',
      seen: expect.stringContaining('Could not resolve hostname'),
    })
    const host = { ...server.host, port: await freePort() }
    expect(await failureOf(server, { host, knownHosts: server.known(host.port) })).toMatchObject({
      code: 'ssh-unreachable',
      seen: expect.stringContaining('Connection refused'),
      fix: expect.stringContaining('ss -ltnp'),
    })
  })

  describe('because of the key itself', () => {
    let server: Sshd
    beforeAll(async () => {
      server = await startSshd()
    })
    afterAll(async () => await server[Symbol.asyncDispose]())

    test('which is damaged', async () => {
      expect(await failureOf(server, { key: server.key.replace(/\n.{20}/, '\n') })).toMatchObject({
        code: 'input-invalid',
        seen: expect.stringMatching(/Load key .*: (error in libcrypto|invalid format)/),
      })
    })

    test('which is of a kind that ssh no longer uses', async () => {
      const made = await run('ssh-keygen', ['-q', '-C', '', '-t', 'dsa', '-N', '', '-f', join(folder, 'dsa')])
      // OpenSSH 10 cannot even make one.
      if (made.code !== 0) return
      const key = await readFile(join(folder, 'dsa'), 'utf8')
      expect(await failureOf(server, { key })).toMatchObject({
        code: 'input-invalid',
        what: expect.stringContaining('kind of key'),
        seen: expect.stringContaining('ssh-dss'),
      })
    })
  })

  describe('behind a bastion', () => {
    test('that passes nothing on', async () => {
      await using server = await startSshd()
      await using bastion = await startSshd('127.0.0.1', [`AuthorizedKeysFile ${server.keys}`, 'AllowTcpForwarding no'])
      const knownHosts = `${bastion.known()}\n${server.known()}`
      const failure = await failureOf(server, { jumpHost: bastion.host, knownHosts })
      expect(failure).toMatchObject({
        code: 'ssh-unreachable',
        what: expect.stringContaining('through 127.0.0.1'),
        seen: expect.stringContaining('administratively prohibited'),
        fix: expect.stringContaining('`AllowTcpForwarding yes`'),
      })
      await change(bastion, (config) => config.replace('AllowTcpForwarding no', 'AllowTcpForwarding yes'))
      expect(await failureOf(server, { jumpHost: bastion.host, knownHosts })).toBeUndefined()
    })

    test.each([
      ['a port where nobody listens', '127.0.0.1', 'Connection refused'],
      ['a name that the bastion does not know', 'no-such-host.invalid', 'ame or service not known'],
    ])('that does not reach the host: %s', async (_, address, seen) => {
      await using server = await startSshd()
      await using bastion = await startSshd('127.0.0.1', [`AuthorizedKeysFile ${server.keys}`])
      const host = { ...server.host, address, port: await freePort() }
      const failure = await failureOf(server, {
        host,
        jumpHost: bastion.host,
        knownHosts: `${bastion.known()}\n${server.known()}`,
      })
      expect(failure).toMatchObject({ code: 'ssh-unreachable', seen: expect.stringContaining(seen) })
    })
  })

  describe('because something else answers than our command', () => {
    let server: Sshd
    beforeAll(async () => {
      server = await startSshd()
    })
    afterAll(async () => await server[Symbol.asyncDispose]())

    const answering = async (answer: string): Promise<DeployError | undefined> => {
      const keys = await readFile(server.keys, 'utf8')
      await writeFile(server.keys, `command="${answer}" ${keys}`)
      try {
        return await failureOf(server)
      } finally {
        await writeFile(server.keys, keys)
      }
    }

    test.each([
      ['a forced command', 'echo hello', 'hello', 'authorized_keys'],
      ['silence', 'exit 3', 'exit code 3, no output', 'echo ok'],
      [
        'a shell for git',
        'echo fatal: unrecognized command >&2; exit 128',
        'fatal: unrecognized command',
        'usermod -s /bin/sh',
      ],
      [
        'nologin',
        'echo This account is currently not available.; exit 1',
        'This account is currently',
        'usermod -s /bin/sh',
      ],
      ['nologin of BusyBox', 'echo This account is not available; exit 1', 'This account is not', 'usermod -s /bin/sh'],
      ['sftp', 'echo This service allows sftp connections only.; exit 1', 'sftp connections only', 'Match'],
      [
        'an image of a cloud',
        'echo \'Please login as the user \\"ubuntu\\" rather than the user \\"root\\".\'; exit 142',
        'ubuntu',
        'host: ubuntu@127.0.0.1:',
      ],
    ])('%s', async (_, answer, seen, help) => {
      const failure = await answering(answer)
      expect(failure).toMatchObject({ code: 'server-shell', seen: expect.stringContaining(seen) })
      expect(`${failure?.why} ${failure?.fix}`).toContain(help)
    })

    test('and noise around the answer is no failure', async () => {
      expect(
        await answering(
          'echo Welcome; echo bash: warning: setlocale: cannot change locale >&2; eval \\"$SSH_ORIGINAL_COMMAND\\"',
        ),
      ).toBeUndefined()
    })
  })
})
