import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { networkInterfaces, tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import type { Host } from '../../../src/inputs/login.ts'
import { run } from '../../../src/process.ts'

const program = ['/usr/sbin/sshd', '/usr/local/sbin/sshd', '/usr/bin/sshd'].find((path) => existsSync(path))

/** Why there can be no sshd here; empty when there can. */
export const noSshd = program === undefined ? ' (skipped: no sshd on this machine; install openssh-server)' : ''

const hasIPv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'))

/** Why IPv6 is not tested here; empty when it is. */
export const noIPv6 = hasIPv6 ? '' : ' (skipped: this machine has no ::1)'

/** A real sshd on this machine, which accepts `key`. */
export type Sshd = AsyncDisposable & {
  host: Host
  key: string
  /** Path of its configuration. */
  config: string
  /** Makes sshd read its configuration again. */
  reload(): Promise<void>
  /** A key that it does not let in. */
  otherKey: string
  /** The file with the keys that it lets in. */
  keys: string
  /** Its host key as `known-hosts` takes it: a line for this port or another, or the fingerprint. */
  known(port?: number): string
  fingerprint: string
  /** What it has said. */
  log: readonly string[]
  logins(): number
  connections(): number
  refusals(): number
}

/**
 * Starts an sshd; `settings` are lines of its configuration, which win over those that are set here. It has a host key of
 * the kind `hostKey`.
 */
export async function startSshd(
  address = '127.0.0.1',
  settings: readonly string[] = [],
  { hostKey: kind = 'ed25519' }: { hostKey?: 'ed25519' | 'rsa' } = {},
): Promise<Sshd> {
  const folder = await mkdtemp(join(tmpdir(), 'sshd-'))
  const log: string[] = []
  for (const name of ['host', 'user', 'other-user']) {
    const type = name === 'host' ? kind : 'ed25519'
    await run('ssh-keygen', ['-q', '-t', type, '-N', '', '-C', name, '-f', join(folder, name)])
  }
  const read = (name: string): Promise<string> => readFile(join(folder, name), 'utf8')
  const host = { user: userInfo().username, address, port: await freePort(address) }
  // sshd wants it when root starts it; a service file would make it.
  if (userInfo().uid === 0) await mkdir('/run/sshd', { recursive: true })
  const lines = [
    ...settings,
    `Port ${host.port}`,
    `ListenAddress ${address}`,
    `HostKey ${join(folder, 'host')}`,
    `AuthorizedKeysFile ${join(folder, 'user.pub')}`,
    ...['StrictModes no', 'UsePAM no', 'PasswordAuthentication no', 'PermitRootLogin prohibit-password'],
    ...['KbdInteractiveAuthentication no', 'PidFile none', 'LogLevel VERBOSE'],
    // Else bash reads the ~/.bashrc of the user who runs this test.
    'SetEnv SHLVL=2',
  ]
  await writeFile(join(folder, 'sshd_config'), lines.join('\n') + '\n')
  const config = join(folder, 'sshd_config')
  const args = ['-D', '-e', '-f', config]
  const start = async (): Promise<() => Promise<void>> => {
    const control = new AbortController()
    const { promise: listening, resolve, reject } = Promise.withResolvers<void>()
    const onLine = (line: string): void => {
      log.push(line)
      if (line.startsWith('Server listening on')) resolve()
    }
    const served = run(program ?? '', args, { signal: control.signal, onLine }).then(
      () => reject(new Error(`sshd ended: ${log.join('\n')}`)),
      () => {},
    )
    await listening
    return async () => {
      control.abort()
      await served
    }
  }
  let stop = await start()
  const hostKey = await read('host.pub')
  const shown = await run('ssh-keygen', ['-l', '-f', join(folder, 'host.pub')])
  const count = (start: string): number => log.filter((line) => line.startsWith(start)).length
  return {
    host,
    key: await read('user'),
    otherKey: await read('other-user'),
    keys: join(folder, 'user.pub'),
    known: (port = host.port) => `[${address}]:${port} ${hostKey}`,
    fingerprint: shown.stdout.split(' ')[1] ?? '',
    log,
    logins: () => count('Accepted publickey'),
    connections: () => count('Connection from'),
    refusals: () => count('Failed publickey'),
    config,
    async reload() {
      await stop()
      stop = await start()
    },
    async [Symbol.asyncDispose]() {
      await stop()
      await rm(folder, { recursive: true })
    },
  }
}

/** A port on which nobody listens. */
export function freePort(address = '127.0.0.1'): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, address, () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}
