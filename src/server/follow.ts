import { setTimeout as pause } from 'node:timers/promises'
import { DeployError } from '../errors.ts'
import { findDocument } from '../django/document.ts'
import { isLost, type Connection } from './connection.ts'

/** A line of the journal. */
export type JournalLine = { time: string; step: string; state: string; detail: string }

/** What the server tells while a transaction runs. */
export type Progress = { kind: 'journal'; line: JournalLine } | { kind: 'log'; text: string }

type Document = NonNullable<ReturnType<typeof findDocument>>

/** How a transaction ended. `died` means that its process is gone and nothing finished it yet. */
export type Ending = {
  word: 'committed' | 'unchanged' | 'back' | 'died'
  /** The release that serves; undefined after a first deploy that failed, or when it is not known. */
  serves: string | undefined
  /** The step that failed and its exit code, or `aborted`. */
  failure: { step: string; code: number } | 'aborted' | undefined
  journal: readonly JournalLine[]
  /** What the probe reported, by verb. */
  documents: ReadonlyMap<string, Document>
  /** The last lines of the log. */
  log: readonly string[]
}

const RECONNECT_LIMIT_MS = 10 * 60_000
const LOG_TAIL = 60

/**
 * Follows a transaction to its end. It runs without us: a lost connection only loses the view, so it is opened again,
 * for ten minutes at most, and the story goes on where it stopped.
 */
export async function follow(
  connection: Connection,
  directory: string,
  transaction: string,
  show: (progress: Progress) => void,
  signal?: AbortSignal,
): Promise<Ending> {
  const journal: JournalLine[] = []
  const log: string[] = []
  const documents = new Map<string, Document>()
  let logLines = 0
  let over: 'ended' | 'died' | undefined
  let lostSince: number | undefined

  const take = (text: string): void => {
    const [mark, rest] = [text.slice(0, 2), text.slice(2)]
    if (mark === 'j ') {
      const line = parseJournalLine(rest)
      journal.push(line)
      show({ kind: 'journal', line })
    } else if (mark === 'l ') {
      logLines += 1
      log.push(rest)
      if (log.length > LOG_TAIL) log.shift()
      show({ kind: 'log', text: rest })
    } else if (mark === 'r ') {
      const document = findDocument(rest)
      if (document && typeof document['verb'] === 'string') documents.set(document['verb'], document)
    } else if (text === 'x ended' || text === 'x died') over = text === 'x ended' ? 'ended' : 'died'
    lostSince = undefined
  }

  while (over === undefined) {
    const words = [...command(directory, transaction, 'follow'), String(journal.length), String(logLines)]
    const finished = await connection.call(words, {
      onLine: (line, stream) => {
        if (stream === 'stdout') take(line)
      },
      ...(signal && { signal }),
    })
    if (over !== undefined) break
    lostSince ??= Date.now()
    if (!isLost(finished) || Date.now() - lostSince > RECONNECT_LIMIT_MS) {
      throw new DeployError('transaction-died', {
        what: 'The view of the deployment was lost; it goes on by itself on the server',
        seen: finished.stderr.trim().split('\n').at(-1),
        fix: 'run the job again: it waits for the deployment, finishes what is unfinished and reports',
      })
    }
    await pause(1_000, undefined, { ...(signal && { signal }) })
  }
  return conclude(over, journal, documents, log)
}

/** The words that run a verb of the script that a transaction brought with it. */
export function command(directory: string, transaction: string, verb: string): string[] {
  return ['sh', `${directory}/.deploy/plans/${transaction}/transaction.sh`, verb, directory, transaction]
}

/** `<time> <step> <state> <detail…>` */
export function parseJournalLine(text: string): JournalLine {
  const [time = '', step = '', state = '', ...detail] = text.split(' ')
  return { time, step, state, detail: detail.join(' ') }
}

/** Pure: what the journal says about the end. */
export function conclude(
  over: 'ended' | 'died',
  journal: readonly JournalLine[],
  documents: Ending['documents'],
  log: readonly string[],
): Ending {
  const last = journal.findLast((line) => line.step === 'end')
  const failed = journal.find((line) => line.state === 'fail' && line.step !== 'undo' && line.step !== 'prune')
  const back = journal.find((line) => line.step === 'back' && line.state === 'begin')
  const first = journal[0]
  const from = first?.detail.split(' ').at(-1)
  return {
    word: over === 'died' || !last ? 'died' : readWord(last.state),
    serves: last ? last.detail || undefined : from === '-' ? undefined : from,
    failure: failed
      ? { step: failed.step, code: Number(failed.detail) }
      : back?.detail === 'aborted' || (last?.state === 'back' && !back)
        ? 'aborted'
        : undefined,
    journal,
    documents,
    log,
  }
}

function readWord(word: string): Ending['word'] {
  return word === 'committed' || word === 'unchanged' || word === 'back' ? word : 'died'
}
