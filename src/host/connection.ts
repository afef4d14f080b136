import { randomUUID } from 'node:crypto'
import { appendFile, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DeployError } from '../errors.ts'
import type { Host, KnownHosts } from '../inputs/login.ts'
import type { Finished, Run, RunOptions } from '../process.ts'
import { describeHostKey, readHostKeys, seeHostKeys, wrongHostKey, type Said, type Ssh } from './host-key.ts'
import { explainLogin, isHostKeyRefusal, wordsOf } from './login-failure.ts'
import { askForTrace, divertTrace, showTrace, withoutTrace } from './trace.ts'
import { canShare, configureSsh, hopsOf, serverOf, type Hop, type Route } from './ssh-config.ts'

/** Everything that a login needs, named like the inputs. The key is a secret. */
export type Credentials = Route & { sshKey: string; knownHosts: KnownHosts }

/** One multiplexed SSH connection: every call costs a channel, not a handshake. */
export type Connection = {
  /** The host at the other end. */
  host: Host
  /** Runs a command of plain words. They need no quotes, so the host's login shell may be any shell. */
  call(words: readonly string[], options?: Omit<RunOptions, 'cwd' | 'env'>): Promise<Finished>
  /** Like `call`, but throws when the connection is lost. The command itself may still fail. */
  callOrThrow(words: readonly string[], options?: Omit<RunOptions, 'cwd' | 'env'>): Promise<Finished>
  close(): Promise<void>
}

/** ssh's exit code for its own failures. */
const SSH_FAILED = 255
/** No leading `=`: zsh replaces `=word` by the path of the program `word`. */
const PLAIN_WORD = /^[A-Za-z0-9_@%+:,./][A-Za-z0-9_@%+=:,./-]*$/
/** The log of the connection to the bastion. Only that ssh learns why the bastion cannot reach the host. */
const BASTION_LOG = 'bastion.log'
const OPTION_WORD = /^-[A-Za-z]+$/

/**
 * Prepares the connection: key, known hosts and configuration in files of mode 0600. `folder` is private to this run;
 * its creator removes it. The login to the host waits for the first call. To pin
 * fingerprints, this requests the keys of the host.
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
    if (knownHosts.fingerprints.length > 0) await pin(ssh, hop, knownHosts, folder, run)
    // The login to the bastion is separate, because the login to the host would hide the bastion's messages.
    if (hop.name === 'jump' && canShare(folder))
      await pass(sshIn(run, folder, signal, {}, BASTION_LOG), hop, folder, run)
  }
  return canShare(folder) ? logInOnce(run, credentials, folder, signal) : reconnect(run, credentials, folder, signal)
}

/** The first call logs in before it sends its command, so that a banner stays out of the command's output. */
function logInOnce(run: Run, route: Route, folder: string, signal: AbortSignal | undefined): Connection {
  let login: Promise<Said> | undefined
  return openConnection(run, route, folder, async (words, options) => {
    const { timeoutMs } = options
    login ??= sshIn(run, folder, signal, { timeoutMs })(['-fN', 'server'])
    const said = await login.catch((failure: unknown) => {
      login = undefined
      throw failure
    })
    if (said.code === 0) return await sshIn(run, folder, signal, options)(['server', ...words])
    login = undefined
    return said
  })
}

/** A connection over the files that `connect` left in `folder`. `post` uses it after `main` has ended. */
export function reconnect(run: Run, route: Route, folder: string, signal?: AbortSignal): Connection {
  return openConnection(run, route, folder, (words, options) =>
    sshIn(run, folder, signal, options)(['server', ...words]),
  )
}

type Call = (words: readonly string[], options: RunOptions) => Promise<Said>

function openConnection(run: Run, route: Route, folder: string, send: Call): Connection {
  const call = async (words: readonly string[], options: RunOptions = {}): Promise<Said> =>
    await send(askForTrace(words.map(checkWord)), { ...options, onLine: divertTrace(options.onLine) })
  return {
    host: route.host,
    async call(words, options) {
      const said = await call(words, options)
      const { code, stdout, stderr } = said
      return { code, stdout, stderr: code === SSH_FAILED ? wordsOf(said) : withoutTrace(stderr) }
    },
    async callOrThrow(words, options) {
      const said = await call(words, options)
      if (said.code === SSH_FAILED) throw await explainLoss(sshIn(run, folder), serverOf(route), folder, run, said)
      const { code, stdout, stderr } = said
      return { code, stdout, stderr: withoutTrace(stderr) }
    },
    close: () => disconnect(run, folder),
  }
}

/** Closes the connections that `folder` keeps, if any. */
export async function disconnect(run: Run, folder: string): Promise<void> {
  const ssh = sshIn(run, folder, undefined, { timeoutMs: 5_000 })
  for (const name of ['server', 'jump']) await ssh(['-O', 'exit', name]).catch(() => {})
}

/**
 * The configuration's name is relative, because ssh passes it unquoted to a shell when it uses a bastion. ssh's own
 * messages go into a log, which explains a failure; stderr belongs to the other side.
 */
function sshIn(run: Run, folder: string, signal?: AbortSignal, options: RunOptions = {}, keptLog?: string): Ssh {
  return async (args) => {
    const log = keptLog ?? `log-${randomUUID()}`
    try {
      const words = ['-F', 'ssh_config', '-E', log, '-o', 'LogLevel=DEBUG1', ...args]
      const finished = await run('ssh', words, { signal, ...options, cwd: folder })
      const written = await readFile(join(folder, log), 'utf8').catch(() => '')
      for (const line of written.split('\n')) if (line !== '') showTrace(`ssh: ${line}`)
      return { ...finished, log: written }
    } finally {
      if (keptLog === undefined) await rm(join(folder, log), { force: true })
    }
  }
}

/** Whether the connection failed, not the command. */
export function isLost(finished: Finished): boolean {
  return finished.code === SSH_FAILED
}

/** The threat: the remote login shell reads a value as more than one word. */
function checkWord(word: string): string {
  if (PLAIN_WORD.test(word) || OPTION_WORD.test(word) || word === '-') return word
  throw new DeployError('internal', {
    what: 'An argument of a command for the host has characters that its shell would interpret',
    seen: JSON.stringify(word),
  })
}

/** Replaces `SHA256:` fingerprints by those keys of the host that match one of them. */
async function pin(ssh: Ssh, hop: Hop, { lines, fingerprints }: KnownHosts, folder: string, run: Run): Promise<void> {
  const { keys, said } = await seeHostKeys(ssh, hop, folder)
  if (keys.length === 0) throw await explainLoss(ssh, hop, folder, run, said)
  const matching = keys.filter((key) => fingerprints.includes(key.fingerprint))
  if (matching.length + lines.length === 0) throw wrongHostKey(hop, keys, fingerprints)
  await appendFile(join(folder, 'known_hosts'), matching.map((key) => `${key.line}\n`).join(''))
}

/** Logs in to the bastion. The connection to the host goes through this one. */
async function pass(ssh: Ssh, jump: Hop, folder: string, run: Run): Promise<void> {
  const said = await ssh(['-fN', jump.name])
  if (said.code !== 0) throw await explainLoss(ssh, jump, folder, run, said)
}

async function explainLoss(ssh: Ssh, hop: Hop, folder: string, run: Run, { log, stderr }: Said): Promise<DeployError> {
  if (isHostKeyRefusal({ log })) {
    const known = readHostKeys(await readFile(join(folder, 'known_hosts'), 'utf8').catch(() => ''))
    return wrongHostKey(hop, (await seeHostKeys(ssh, hop, folder)).keys, known.map(describeHostKey))
  }
  const bastionLog = hop.through && (await readFile(join(folder, BASTION_LOG), 'utf8').catch(() => undefined))
  return explainLogin({ hop, log, stderr, bastionLog, publicKey: await readPublicKey(run, folder) })
}

/** The public half of the key, which is not a secret. */
async function readPublicKey(run: Run, folder: string): Promise<string | undefined> {
  const read = await run('ssh-keygen', ['-y', '-P', '', '-f', 'key'], { cwd: folder, timeoutMs: 5_000 }).catch(
    () => undefined,
  )
  return read?.code === 0 && read.stdout.trim() !== '' ? read.stdout.trim() : undefined
}
