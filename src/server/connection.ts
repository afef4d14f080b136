import { appendFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DeployError } from '../errors.ts'
import type { Host, KnownHosts } from '../login.ts'
import type { Finished, Run, RunOptions } from '../process.ts'
import { describeHostKey, readHostKeys, seeHostKeys, wrongHostKey, type Ssh } from './host-key.ts'
import { canShare, configureSsh, hopsOf, serverOf, type Hop, type Route } from './ssh-config.ts'

/** What is needed to log in, by the names of the inputs; the key is a secret. */
export type Credentials = Route & { sshKey: string; knownHosts: KnownHosts }

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

/**
 * Prepares the connection in `folder` (private to this run, removed by who made it): key, known hosts and configuration in
 * files of mode 0600. Nobody logs in to the server before the first call; for fingerprints it is asked for its keys.
 */
export async function connect(
  run: Run,
  credentials: Credentials,
  folder: string,
  signal?: AbortSignal,
): Promise<Connection> {
  const { knownHosts, sshKey } = credentials
  await writeFile(join(folder, 'key'), sshKey, { mode: 0o600 })
  await writeFile(join(folder, 'known_hosts'), knownHosts.lines.map((line) => `${line}\n`).join(''), { mode: 0o600 })
  await writeFile(join(folder, 'ssh_config'), configureSsh(credentials, folder), { mode: 0o600 })
  const ssh = sshIn(run, folder, signal)
  for (const hop of hopsOf(credentials)) {
    if (knownHosts.fingerprints.length > 0) await pin(ssh, hop, knownHosts, folder)
    // By itself, as ssh does not show what a bastion on its way says.
    if (hop.name === 'jump' && canShare(folder)) await pass(ssh, hop, folder)
  }
  return reconnect(run, credentials, folder, signal)
}

/** A connection over what `connect` left in `folder`; `post` uses it after `main` is gone. */
export function reconnect(run: Run, route: Route, folder: string, signal?: AbortSignal): Connection {
  const call: Connection['call'] = async (words, options = {}) =>
    sshIn(run, folder, signal, options)(['server', ...words.map(checkWord)])
  return {
    call,
    async reach(words, options) {
      const finished = await call(words, options)
      if (finished.code === SSH_FAILED)
        throw await explainLoss(sshIn(run, folder), serverOf(route), folder, finished.stderr)
      return finished
    },
    close: () => disconnect(run, folder),
  }
}

/** Ends the connections that were kept in `folder`, if there are any. */
export async function disconnect(run: Run, folder: string): Promise<void> {
  const ssh = sshIn(run, folder, undefined, { timeoutMs: 5_000 })
  for (const name of ['server', 'jump']) await ssh(['-O', 'exit', name]).catch(() => {})
}

/** The configuration is named from inside its folder: for a bastion ssh hands that name to a shell, as it stands. */
function sshIn(run: Run, folder: string, signal?: AbortSignal, options: RunOptions = {}): Ssh {
  return (args) => run('ssh', ['-F', 'ssh_config', ...args], { signal, ...options, cwd: folder })
}

/** True when a finished call says that the connection, not the command, failed. */
export function isLost(finished: Finished): boolean {
  return finished.code === SSH_FAILED
}

/** The threat is a value that the login shell on the other side would read as more than one word. */
function checkWord(word: string): string {
  if (PLAIN_WORD.test(word) || OPTION_WORD.test(word) || word === '-') return word
  throw new DeployError('internal', {
    what: 'An argument of a command for the host has characters that its shell would read',
    seen: JSON.stringify(word),
  })
}

/** `SHA256:` fingerprints are exchanged for the keys of the host that match one of them. */
async function pin(ssh: Ssh, hop: Hop, { lines, fingerprints }: KnownHosts, folder: string): Promise<void> {
  const { keys, said } = await seeHostKeys(ssh, hop, folder)
  if (keys.length === 0) throw await explainLoss(ssh, hop, folder, said)
  const matching = keys.filter((key) => fingerprints.includes(key.fingerprint))
  if (matching.length + lines.length === 0) throw wrongHostKey(hop, keys, fingerprints)
  await appendFile(join(folder, 'known_hosts'), matching.map((key) => `${key.line}\n`).join(''))
}

/** Logs in to the bastion; the way to the server leads through this connection. */
async function pass(ssh: Ssh, jump: Hop, folder: string): Promise<void> {
  const { code, stderr } = await ssh(['-fN', jump.name])
  if (code !== 0) throw await explainLoss(ssh, jump, folder, stderr)
}

async function explainLoss(ssh: Ssh, hop: Hop, folder: string, stderr: string): Promise<DeployError> {
  const { host } = hop
  const seen = stderr.trim().split('\n').slice(-3).join('\n')
  if (/Host key verification failed|REMOTE HOST IDENTIFICATION|host key is known/i.test(stderr)) {
    const known = readHostKeys(await readFile(join(folder, 'known_hosts'), 'utf8').catch(() => ''))
    return wrongHostKey(hop, (await seeHostKeys(ssh, hop, folder)).keys, known.map(describeHostKey))
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
      what: `The ${hop.name === 'jump' ? 'bastion' : 'server'} ${host.address} does not accept this key for ${host.user}`,
      seen,
      why: 'the public half is not in the ~/.ssh/authorized_keys of that user, or another user is meant',
      fix: `on that host, as ${host.user}: append the public key (ssh-keygen -y -f KEY) to ~/.ssh/authorized_keys`,
    })
  }
  if (hop.through) return unreachableBehind(hop.through, host, seen)
  return new DeployError('ssh-unreachable', {
    what: `No SSH connection to ${host.address} port ${host.port}`,
    seen,
    why: 'the name, the port, or a firewall that does not let the runner in',
    fix: `check \`${hop.name === 'jump' ? 'jump-host' : 'host'}\` (user@host:port) and that port in the firewall of that host`,
  })
}

/** ssh keeps to itself what a bastion says about a connection that it does not make. */
function unreachableBehind(bastion: Host, host: Host, seen: string): DeployError {
  return new DeployError('ssh-unreachable', {
    what: `No SSH connection through ${bastion.address} to ${host.address} port ${host.port}`,
    seen,
    why: 'the name or the port as the bastion sees it, a firewall between them, or `AllowTcpForwarding no` on the bastion',
    fix: `try it on the bastion: ssh-keyscan -p ${host.port} ${host.address}`,
  })
}
