import {
  findDocument,
  readDatabases,
  readHttpReport,
  readProbeError,
  readRows,
  readServing,
  type Database,
  type Document,
  type HttpReport,
  type Row,
  type Serving,
} from '../django/document.ts'
import { DeployError } from '../errors.ts'
import type { Connection } from './connection.ts'

/** The current state of a container of the project. */
export type RunningContainer = {
  service: string
  state: string
  /** Docker's result of its health check; undefined without a health check. */
  health: string | undefined
  restarts: number
  image: string
}

/** A deployment that has ended or still runs. */
export type Deployment = {
  id: string
  release: string
  begun: string
  ended: string | undefined
  outcome: 'committed' | 'unchanged' | 'back' | 'forward' | 'failed' | 'running' | 'interrupted'
  /** The step that failed or that runs now. */
  step: string | undefined
}

/** The running code's report about its databases. */
export type MigrationReport = {
  rows: readonly Row[]
  databases: readonly Database[]
  /** The settings of the site, if manage.py uses others, and the command that started it. */
  serving: (Serving & { command: string }) | undefined
  trouble: string | undefined
}

/** The state that only the host knows. */
export type Status = {
  /** The holder of the lock: a deployment and the page of its run. */
  lock: string | undefined
  /**
   * The mechanism that finishes an interrupted deployment when the host boots; undefined when only the next deploy
   * does.
   */
  boot: string | undefined
  /** Ports of the project that Docker holds although no container publishes them. */
  leftOverPorts: readonly string[]
  containers: readonly RunningContainer[]
  /** The running code's report about its databases; undefined when the code could not report it. */
  migrations: MigrationReport | undefined
  http: HttpReport | undefined
  /** Newest first. */
  deployments: readonly Deployment[]
  /** Disk space of the releases: our own files, and their images as if these shared no layers. */
  disk: { files: number; images: number }
}

const HEADER = 'deploy-django status 1'

/** Reads the current state and changes nothing. `script` is transaction.sh. */
export async function askStatus(connection: Connection, script: string, directory: string): Promise<Status> {
  const finished = await connection.callOrThrow(['sh', '-s', 'status', directory], {
    stdin: script,
    timeoutMs: 180_000,
  })
  const status = parseStatus(finished.stdout)
  if (status) return status
  throw new DeployError('internal', {
    what: 'The status of the host could not be read',
    fix: 're-run the job with debug logging, and report the log as an issue of the action',
    seen: (finished.stderr || finished.stdout).trim().slice(-500),
  })
}

/** Reads the answer; undefined when it is incomplete. */
export function parseStatus(text: string): Status | undefined {
  const lines = text.split('\n')
  const start = lines.indexOf(HEADER)
  const end = lines.indexOf('end', start)
  if (start < 0 || end < 0) return undefined
  const told = lines.slice(start + 1, end)
  const all = (word: string): string[] =>
    told.flatMap((line) => (line.startsWith(`${word} `) ? [line.slice(word.length + 1)] : []))
  const open = new Map(
    all('open').map((line): [string, string] => [line.split(' ')[0] ?? '', line.split(' ')[1] ?? '']),
  )
  const [migrations, http] = ['migrations', 'http'].map((word) => findDocument(all(word)[0] ?? ''))
  return {
    lock: all('lock')[0],
    boot: all('boot')[0],
    leftOverPorts: all('port-left-over'),
    containers: all('container').map(readContainer),
    migrations: migrations && readMigrations(migrations, all('command')[0] ?? ''),
    http: http && readHttpReport(http),
    deployments: all('deployment')
      .map((line) => readDeployment(line, open))
      .reverse(),
    disk: {
      files: Number(all('files')[0] ?? 0) * 1024,
      images: all('image').reduce((sum, line) => sum + Number(line.split(' ')[1] ?? 0), 0),
    },
  }
}

function readMigrations(document: Document, command: string): MigrationReport {
  const serving = readServing(document)
  return {
    rows: readRows(document),
    databases: readDatabases(document),
    serving: serving && { ...serving, command },
    trouble: readProbeError(document)?.message,
  }
}

function readContainer(line: string): RunningContainer {
  const [service = '', state = '', health = '', restarts = '', image = ''] = line.split(' ')
  return { service, state, health: known(health), restarts: Number(restarts), image }
}

function readDeployment(line: string, open: ReadonlyMap<string, string>): Deployment {
  const [begun = '', id = '', release = '', ended = '', word = '', step = ''] = line.split(' ')
  const outcome = open.has(id) ? (open.get(id) === 'running' ? 'running' : 'interrupted') : readWord(word)
  const isDone = outcome === 'committed' || outcome === 'unchanged'
  return { id, release, begun, ended: known(ended), outcome, step: isDone ? undefined : known(step) }
}

function readWord(word: string): Deployment['outcome'] {
  return word === 'committed' || word === 'unchanged' || word === 'back' || word === 'forward' ? word : 'failed'
}

function known(word: string): string | undefined {
  return word === '-' || word === '' ? undefined : word
}
