import {
  findDocument,
  readHttpReport,
  readProbeError,
  readRows,
  type HttpReport,
  type Row,
} from '../django/document.ts'
import { DeployError } from '../errors.ts'
import type { Connection } from './connection.ts'

/** A container of the project as it is now. */
export type RunningContainer = {
  service: string
  state: string
  /** What Docker says about its health check; undefined without one. */
  health: string | undefined
  restarts: number
  image: string
}

/** A transaction of the past, or one that has not ended. */
export type Deployment = {
  id: string
  release: string
  begun: string
  ended: string | undefined
  outcome: 'committed' | 'unchanged' | 'back' | 'failed' | 'running' | 'interrupted'
  /** The step that failed, or in which it is. */
  step: string | undefined
}

/** What only the server knows at this moment. */
export type Status = {
  /** Who holds the lock: a transaction and the page of its run. */
  lock: string | undefined
  /** Who finishes an interrupted transaction when the server boots; undefined when only the next deploy does. */
  boot: string | undefined
  /** Ports of the containers that Docker holds for no container. */
  leftOverPorts: readonly string[]
  containers: readonly RunningContainer[]
  /** What the running code says about its database; undefined when it could not be asked. */
  migrations: { rows: readonly Row[]; trouble: string | undefined } | undefined
  http: HttpReport | undefined
  /** The newest first. */
  deployments: readonly Deployment[]
  /** Of the releases: our own files, and what their images would take if they shared nothing. */
  disk: { files: number; images: number }
}

const HEADER = 'deploy-django status 1'

/** Asks what is true now; nothing is changed. `script` is transaction.sh. */
export async function askStatus(connection: Connection, script: string, directory: string): Promise<Status> {
  const finished = await connection.reach(['sh', '-s', 'status', directory], { stdin: script, timeoutMs: 180_000 })
  const status = parseStatus(finished.stdout)
  if (status) return status
  throw new DeployError('internal', {
    what: 'The status of the host could not be read',
    fix: 're-run the job with debug logging, and report the log as an issue of the action',
    seen: (finished.stderr || finished.stdout).trim().slice(-500),
  })
}

/** Reads the answer; undefined when it is not whole. */
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
    migrations: migrations && { rows: readRows(migrations), trouble: readProbeError(migrations)?.message },
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
  return word === 'committed' || word === 'unchanged' || word === 'back' ? word : 'failed'
}

function known(word: string): string | undefined {
  return word === '-' || word === '' ? undefined : word
}
