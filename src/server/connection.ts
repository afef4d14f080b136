import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DeployError } from '../errors.ts'
import type { Host, KnownHosts } from '../login.ts'
import type { Finished, Run, RunOptions } from '../process.ts'

/** What is needed to log in; the key is a secret. */
export type Credentials = { host: Host; key: string; knownHosts: KnownHosts }

/** One multiplexed SSH connection: every call costs a channel, not a handshake. */
export type Connection = {
  /** Runs a command made of plain words. The server's login shell sees no quotes, so it may be any shell. */
  call(words: readonly string[], options?: Omit<RunOptions, 'cwd' | 'env'>): Promise<Finished>
  /** Like `call`, for a command that may fail for its own reasons but not because the connection is lost. */
  reach(words: readonly string[], options?: Omit<RunOptions, 'cwd' | 'env'>): Promise<Finished>
  close(): Promise<void>
}

/** ssh's own exit code for everything that is not the remote command's. */
const SSH_FAILED = 255
/** Not `=` in front: zsh would put the path of a program in its place. */
const PLAIN_WORD = /^[A-Za-z0-9_@%+:,./][A-Za-z0-9_@%+=:,./-]*$/
const OPTION_WORD = /^-[A-Za-z]+$/
/** The path of a socket has 103 bytes at most (macOS), and ssh first makes it under a name that is 17 bytes longer. */
const LONGEST_SOCKET_PATH = 86

/**
 * Prepares the connection in `folder` (private to this run, removed by who made it): key, known hosts and configuration in
 * files of mode 0600. Nothing is sent before the first call.
 */
export async function connect(
  run: Run,
  credentials: Credentials,
  folder: string,
  signal?: AbortSignal,
): Promise<Connection> {
  const { host } = credentials
  const knownHosts = await pin(run, host, credentials.knownHosts, signal)
  await writeFile(join(folder, 'key'), credentials.key, { mode: 0o600 })
  await writeFile(join(folder, 'known_hosts'), knownHosts.join('\n') + '\n', { mode: 0o600 })
  await writeFile(join(folder, 'ssh_config'), configure(host, folder), { mode: 0o600 })
  return reconnect(run, host, folder, signal)
}

/** A connection over what `connect` left in `folder`; `post` uses it after `main` is gone. */
export function reconnect(run: Run, host: Host, folder: string, signal?: AbortSignal): Connection {
  const config = ['-F', join(folder, 'ssh_config')]
  const call: Connection['call'] = async (words, options = {}) =>
    run('ssh', [...config, 'server', ...words.map(checkWord)], { signal, ...options })
  return {
    call,
    async reach(words, options) {
      const finished = await call(words, options)
      if (finished.code === SSH_FAILED) throw await explainLoss(run, host, finished.stderr)
      return finished
    },
    close: () => disconnect(run, folder),
  }
}

/** Ends the connection that was kept in `folder`, if there is one. */
export async function disconnect(run: Run, folder: string): Promise<void> {
  await run('ssh', ['-F', join(folder, 'ssh_config'), '-O', 'exit', 'server'], { timeoutMs: 5_000 }).catch(() => {})
}

/** True when a finished call says that the connection, not the command, failed. */
export function isLost(finished: Finished): boolean {
  return finished.code === SSH_FAILED
}

/** The threat is a value that the login shell on the other side would read as more than one word. */
function checkWord(word: string): string {
  if (PLAIN_WORD.test(word) || OPTION_WORD.test(word) || word === '-') return word
  throw new DeployError('internal', {
    what: 'A word for the server has characters that a shell would read',
    seen: word,
  })
}

function configure(host: Host, folder: string): string {
  const settings = [
    ['HostName', host.address],
    ['User', host.user],
    ['Port', String(host.port)],
    ['IdentityFile', quote(join(folder, 'key'))],
    ['IdentitiesOnly', 'yes'],
    ['IdentityAgent', 'none'],
    ['UserKnownHostsFile', quote(join(folder, 'known_hosts'))],
    ['GlobalKnownHostsFile', '/dev/null'],
    ['StrictHostKeyChecking', 'yes'],
    ['UpdateHostKeys', 'no'],
    // One attempt with one key: servers that punish failed logins (Debian 13's PerSourcePenalties) stay calm.
    ['BatchMode', 'yes'],
    ['PreferredAuthentications', 'publickey'],
    ['ConnectTimeout', '15'],
    ['ConnectionAttempts', '1'],
    ['ServerAliveInterval', '10'],
    ['ServerAliveCountMax', '6'],
    ...share(join(folder, 's')),
    ['RequestTTY', 'no'],
    ['ForwardAgent', 'no'],
    ['ClearAllForwardings', 'yes'],
    ['LogLevel', 'ERROR'],
  ]
  return ['Host server', ...settings.map(([name, value]) => `  ${name} ${value}`), ''].join('\n')
}

/** One connection for all calls. Where the path is too long for a socket, each call logs in anew: slower, but it works. */
function share(socket: string): [string, string][] {
  if (Buffer.byteLength(socket) > LONGEST_SOCKET_PATH) return []
  return [
    ['ControlMaster', 'auto'],
    ['ControlPath', quote(socket)],
    ['ControlPersist', '300'],
  ]
}

/** A path may have spaces, and ssh reads `%` as the begin of a token. */
function quote(path: string): string {
  return `"${path.replaceAll('%', '%%')}"`
}

/** Known-hosts lines as they are; `SHA256:` fingerprints are exchanged for the server's keys that match one of them. */
async function pin(
  run: Run,
  host: Host,
  { lines, fingerprints }: KnownHosts,
  signal: AbortSignal | undefined,
): Promise<readonly string[]> {
  if (fingerprints.length === 0) return lines
  const offered = await offeredKeys(run, host, signal)
  if (offered.length === 0) throw unreachable(host, 'no host key was offered')
  const matching = offered.filter((key) => fingerprints.includes(key.fingerprint)).map((key) => key.line)
  if (matching.length + lines.length === 0) throw wrongHostKey(host, offered.map(describeKey))
  return [...lines, ...matching]
}

type OfferedKey = { line: string; type: string; fingerprint: string }

const describeKey = (key: OfferedKey): string => `${key.type} ${key.fingerprint}`

async function offeredKeys(run: Run, host: Host, signal?: AbortSignal): Promise<OfferedKey[]> {
  const scan = await run('ssh-keyscan', ['-T', '10', '-p', String(host.port), '--', host.address], { signal })
  return scan.stdout.split('\n').flatMap((line) => {
    const [name, type, key] = line.split(' ')
    if (!name || !type || !key || name.startsWith('#')) return []
    const fingerprint = createHash('sha256').update(Buffer.from(key, 'base64')).digest('base64').replace(/=+$/, '')
    return [{ line, type, fingerprint: `SHA256:${fingerprint}` }]
  })
}

async function explainLoss(run: Run, host: Host, stderr: string): Promise<DeployError> {
  const seen = stderr.trim().split('\n').slice(-3).join('\n')
  if (/Host key verification failed|REMOTE HOST IDENTIFICATION|host key is known/i.test(stderr)) {
    return wrongHostKey(host, (await offeredKeys(run, host)).map(describeKey))
  }
  // ssh goes on without a key that it cannot read, so the server's refusal follows.
  if (/error in libcrypto|invalid format|incorrect passphrase/i.test(stderr)) {
    return new DeployError('input-invalid', {
      what: 'ssh cannot read the private key in `ssh-key`',
      seen,
      why: 'the key has a passphrase, or the secret was copied incompletely',
      fix: 'make a key without passphrase (ssh-keygen -t ed25519 -N "" -f deploy-key) and store the whole file',
    })
  }
  if (/Permission denied|Too many authentication failures/.test(stderr)) {
    return new DeployError('ssh-login-refused', {
      what: `The server ${host.address} does not accept this key for ${host.user}`,
      seen,
      why: 'the public half is not in the ~/.ssh/authorized_keys of that user, or another user is meant',
      fix: `on the server, as ${host.user}: append the public key (ssh-keygen -y -f KEY) to ~/.ssh/authorized_keys`,
    })
  }
  return unreachable(host, seen)
}

function wrongHostKey(host: Host, offered: readonly string[]): DeployError {
  const name = host.port === 22 ? host.address : `[${host.address}]:${host.port}`
  return new DeployError('ssh-host-key', {
    what: `The host key of ${name} is not one of \`known-hosts\`, so nothing was sent`,
    seen: offered.length === 0 ? 'no host key' : `the server offers ${offered.join(', ')}`,
    why: 'the server was reinstalled, `known-hosts` is for another host or port, or somebody stands in between',
    fix: `compare with \`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub\` on the server; if it is the same, store the output of \`ssh-keyscan -p ${host.port} ${host.address}\` as known-hosts`,
  })
}

function unreachable(host: Host, seen: string): DeployError {
  return new DeployError('ssh-unreachable', {
    what: `No SSH connection to ${host.address} port ${host.port}`,
    seen,
    why: 'the name, the port, or a firewall that does not let the runner in',
    fix: 'check `host` (user@host:port) and that port in the firewall of the server',
  })
}
