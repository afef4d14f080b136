import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Assets } from '../assets.ts'
import { DeployError } from '../errors.ts'
import type { Run } from '../process.ts'
import type { Connection } from './connection.ts'
import { explanationLines } from './exit.ts'
import type { FactLines, PlanFact } from './fact.ts'
import { explainStage } from './failure.ts'
import { command } from './follow.ts'

/** A file to be sent: its path in the archive, what is in it, and its mode. */
export type SentFile = { path: string; content: string | Buffer; mode: number }

/** A login for one pull; it travels on standard input and is never written to a disk of the server. */
export type RegistryLogin = { registry: string; username: string; password: string }

/** The facts as files below `folder`. The server reads them line by line, so no line may hold a line end or control character. */
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

/** A transaction's own folder: the script that will walk it, the probe, and its facts. */
export function planFiles(folder: string, assets: Assets, facts: FactLines<PlanFact>): SentFile[] {
  return [
    { path: `${folder}/transaction.sh`, content: assets.transaction, mode: 0o700 },
    { path: `${folder}/probe.py`, content: assets.probe, mode: 0o600 },
    ...writeFacts(folder, { ...facts, explanations: explanationLines() }),
  ]
}

/** Sends the files into `destination` on the server, which is made private to the user; an archive in one call. */
export async function send(
  run: Run,
  connection: Connection,
  destination: string,
  files: readonly SentFile[],
  folder: string,
): Promise<void> {
  const archive = await pack(run, files, folder)
  const made = await connection.reach(['mkdir', '-p', '-m', '700', destination])
  if (made.code !== 0) throw notWritten(destination, made.stderr)
  const sent = await connection.reach(['tar', '-x', '-p', '-f', '-', '-C', destination], { stdin: archive })
  if (sent.code !== 0) throw notWritten(destination, sent.stderr)
}

async function pack(run: Run, files: readonly SentFile[], folder: string): Promise<Buffer> {
  const tree = await mkdtemp(join(folder, 'send-'))
  try {
    for (const file of files) {
      const path = join(tree, 'tree', file.path)
      // tar gives the folders on the server these modes as well.
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

/** The folders that a container may mount: it reads them as any user, as it would in a checkout. */
function mountable(files: readonly SentFile[]): readonly string[] {
  const folders = new Set<string>()
  for (const { path } of files.filter((file) => file.path.startsWith('files/'))) {
    for (let folder = dirname(path); folder !== '.'; folder = dirname(folder)) folders.add(folder)
  }
  return [...folders]
}

/** Puts what was sent in place and pulls the images by digest; the site is untouched. */
export async function stage(
  connection: Connection,
  directory: string,
  transaction: string,
  logins: readonly RegistryLogin[],
  show: (line: string) => void,
): Promise<void> {
  const script = `${incoming(directory, transaction)}/plan/transaction.sh`
  const staged = await connection.reach(['sh', script, 'stage', directory, transaction], {
    stdin: logins.map(({ registry, username, password }) => `${registry}\n${username}\n${password}\n`).join(''),
    onLine: (line, stream) => {
      if (stream === 'stdout') show(line)
    },
  })
  if (staged.code !== 0) throw explainStage(staged)
}

/** Where an upload waits until `stage` puts it in place. */
export function incoming(directory: string, transaction: string): string {
  return `${directory}/.deploy/incoming/${transaction}`
}

/** Starts the transaction; from here on it lives on the server. */
export async function begin(connection: Connection, directory: string, transaction: string): Promise<void> {
  const begun = await connection.reach(command(directory, transaction, 'begin'))
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
      ? 'free disk space on the host: `df -h` shows the full disk, `docker system df` what Docker takes of it'
      : 'on the host, as root: `chown USER DIRECTORY` with the user of `host` and the folder of the project; move away a file that is in its place',
  })
}
