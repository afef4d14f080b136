import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Assets } from './assets.ts'
import { DeployError } from '../errors.ts'
import type { Run } from '../process.ts'
import type { Connection } from './connection.ts'
import { explanationLines } from './exit.ts'
import { ROLLBACK_FACTS, type FactLines, type PlanFact } from './fact.ts'
import { explainStage } from './failure.ts'
import { command } from './follow.ts'

/** A file to send: its path in the archive, its content and its mode. */
export type SentFile = { path: string; content: string | Buffer; mode: number }

/** A login for one pull. It travels on standard input, and no disk of the host ever holds it. */
export type RegistryLogin = { registry: string; username: string; password: string }

/**
 * The facts as files below `folder`. The host reads them line by line, so no value may contain a line end or control
 * character.
 */
export function writeFacts(folder: string, facts: FactLines): SentFile[] {
  return Object.entries(facts).map(([name, lines]: [string, readonly string[]]) => {
    const bad = lines.find((line) => !/^[^\p{Cc}]*$/u.test(line))
    if (bad !== undefined) {
      throw new DeployError('input-invalid', {
        what: `A value of "${name}" has a line end or a control character`,
        seen: JSON.stringify(bad),
        fix: 'remove it from the name in the Compose file or from the input',
      })
    }
    return { path: `${folder}/facts/${name}`, content: lines.map((line) => `${line}\n`).join(''), mode: 0o600 }
  })
}

/**
 * The files of a deployment's own folder: the script, the probe, its facts, and the facts of a rollback without GitHub.
 */
export function planFiles(
  folder: string,
  assets: Assets,
  facts: FactLines<PlanFact>,
  manage: readonly string[] | undefined,
): SentFile[] {
  const byHand = { ...ROLLBACK_FACTS, explanations: explanationLines(manage), compare: ['yes'] }
  return [
    { path: `${folder}/transaction.sh`, content: assets.transaction, mode: 0o700 },
    { path: `${folder}/probe.py`, content: assets.probe, mode: 0o600 },
    ...writeFacts(folder, facts),
    ...writeFacts(`${folder}/rollback`, byHand),
  ]
}

/** Sends the files into `destination` on the host, as one archive in one call. Only this user can read the folder. */
export async function send(
  run: Run,
  connection: Connection,
  destination: string,
  files: readonly SentFile[],
  folder: string,
): Promise<void> {
  const archive = await pack(run, files, folder)
  const made = await connection.callOrThrow(['mkdir', '-p', '-m', '700', destination])
  if (made.code !== 0) throw notWritten(destination, made.stderr)
  const sent = await connection.callOrThrow(['tar', '-x', '-p', '-f', '-', '-C', destination], { stdin: archive })
  if (sent.code !== 0) throw notWritten(destination, sent.stderr)
}

async function pack(run: Run, files: readonly SentFile[], folder: string): Promise<Buffer> {
  const tree = await mkdtemp(join(folder, 'send-'))
  try {
    for (const file of files) {
      const path = join(tree, 'tree', file.path)
      // tar also gives these modes to the folders on the host.
      await mkdir(dirname(path), { recursive: true, mode: 0o700 })
      await writeFile(path, file.content, { mode: 0o600 })
      await chmod(path, file.mode)
    }
    await Promise.all(mountable(files).map((path) => chmod(join(tree, 'tree', path), 0o755)))
    const archive = join(tree, 'archive.tar')
    const packed = await run('tar', ['-C', join(tree, 'tree'), '-c', '-f', archive, '--owner=0', '--group=0', '.'])
    if (packed.code !== 0) throw new DeployError('internal', { what: 'tar failed on the runner', seen: packed.stderr })
    return await readFile(archive)
  } finally {
    await rm(tree, { recursive: true, force: true })
  }
}

/** Folders that a container may mount. It may run as any user, so they are readable for all, as in a checkout. */
function mountable(files: readonly SentFile[]): readonly string[] {
  const folders = new Set<string>()
  for (const { path } of files.filter((file) => file.path.startsWith('files/'))) {
    for (let folder = dirname(path); folder !== '.'; folder = dirname(folder)) folders.add(folder)
  }
  return [...folders]
}

/** Moves the upload into place and pulls the images by digest. The site does not change. */
export async function stage(
  connection: Connection,
  directory: string,
  transaction: string,
  logins: readonly RegistryLogin[],
  show: (line: string) => void,
): Promise<void> {
  const script = `${incoming(directory, transaction)}/plan/transaction.sh`
  const staged = await connection.callOrThrow(['sh', script, 'stage', directory, transaction], {
    stdin: logins.map(({ registry, username, password }) => `${registry}\n${username}\n${password}\n`).join(''),
    onLine: (line, stream) => {
      if (stream === 'stdout') show(line)
    },
  })
  if (staged.code !== 0) throw explainStage(staged)
}

/** The folder where an upload waits until `stage` moves it into place. */
export function incoming(directory: string, transaction: string): string {
  return `${directory}/.deploy/incoming/${transaction}`
}

/** Starts the deployment. From here on it runs on the host without the runner. */
export async function begin(connection: Connection, directory: string, transaction: string): Promise<void> {
  const begun = await connection.callOrThrow(command(directory, transaction, 'begin'))
  if (begun.code !== 0) throw explainStage(begun)
}

function notWritten(destination: string, stderr: string): DeployError {
  const isFull = /no space left|quota/i.test(stderr)
  return new DeployError(isFull ? 'server-disk' : 'server-directory', {
    what: `The release could not be written to ${destination} on the host`,
    seen: stderr.trim(),
    why: isFull
      ? 'the disk is full, or the quota of the user is used up'
      : 'the folder belongs to another user, or a file is in its place',
    fix: isFull
      ? 'free disk space on the host: `df -h` shows which disk is full, `docker system df` shows what Docker uses'
      : 'on the host, as root: `chown USER DIRECTORY` with the user of `host` and the folder of the project; move away a file that is in its place',
  })
}
