import { setTimeout as sleep } from 'node:timers/promises'
import { DeployError } from '../errors.ts'
import { findDocument } from '../django/document.ts'
import { isLost, type Connection } from './connection.ts'
import { isTrace, showTrace } from './trace.ts'

/** A line of the journal. */
export type JournalLine = { time: string; step: string; state: string; detail: string }

/** What the server tells while a transaction runs. */
export type Progress = { kind: 'journal'; line: JournalLine } | { kind: 'log'; text: string }

type Document = NonNullable<ReturnType<typeof findDocument>>

/**
 * How a transaction ended. `died` means that its process is gone and nothing finished it yet; `kept`, that it failed and its
 * containers stay for a look.
 */
export type Ending = {
  word: 'committed' | 'unchanged' | 'back' | 'kept' | 'died'
  /** The release that serves; undefined after a first deploy that failed, or when it is not known. */
  serves: string | undefined
  /** The step that failed and its exit code, or `aborted`. */
  failure: { step: string; code: number } | 'aborted' | undefined
  journal: readonly JournalLine[]
  /** What the probe reported, by verb. */
  documents: ReadonlyMap<string, Document>
  /** What the server warned of, each once. */
  warnings: readonly string[]
  /** The last lines of the log. */
  log: readonly string[]
  /** The last lines before the decision to go back: what the undo says is not why. */
  reasons: readonly string[]
  /** Undefined unless it went back. */
  revert: Revert | undefined
}

/** What going back did to the release that served before, and what was found of it afterwards. */
export type Revert = {
  /** Seconds from the first touch of its containers until they ran again; undefined when none was touched. */
  seconds: number | undefined
  /** Checks that it did not pass, by step and exit code. */
  failures: readonly { step: string; code: number }[]
  /** What the probe reported of it, by verb. */
  documents: ReadonlyMap<string, Document>
}

/** How time passes. */
export type Clock = { now(): number; pause(milliseconds: number, signal?: AbortSignal): Promise<void> }

/** What the server says when there is nothing more to follow. */
type Over = 'ended' | 'kept' | 'died'
const OVER: readonly Over[] = ['ended', 'kept', 'died']

const RECONNECT_LIMIT_MS = 10 * 60_000
/** ssh gives up on a connection that it cannot make, or that died, long before; a longer call was connected. */
const ATTEMPT_LIMIT_MS = 90_000
const LOG_TAIL = 60

const realTime: Clock = {
  now: Date.now,
  // An abort only ends the pause: the next call says that it was an abort.
  pause: (milliseconds, signal) => sleep(milliseconds, undefined, { ...(signal && { signal }) }).catch(() => {}),
}

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
  clock: Clock = realTime,
): Promise<Ending> {
  const journal: JournalLine[] = []
  const log: string[] = []
  const documents = new Map<string, Document>()
  const reverted = new Map<string, Document>()
  let lastMark = ''
  let over: Over | undefined
  let lostSince: number | undefined

  const take = (text: string): void => {
    const [mark, rest] = [text.slice(0, 2), text.slice(2)]
    if (mark === 'j ') {
      const line = parseJournalLine(rest)
      journal.push(line)
      show({ kind: 'journal', line })
    } else if (mark === 'l ') {
      log.push(rest)
      if (isTrace(rest)) showTrace(rest)
      else show({ kind: 'log', text: rest })
    } else if (mark === 'r ' || mark === 'b ') {
      const document = findDocument(rest)
      const found = mark === 'r ' ? documents : reverted
      if (document && typeof document['verb'] === 'string') found.set(document['verb'], document)
    } else if (mark === 'x ') over = OVER.find((word) => word === rest)
    lastMark = mark
    lostSince = undefined
  }
  const forgetLast = (): void => {
    if (lastMark === 'j ') journal.pop()
    if (lastMark === 'l ') log.pop()
  }

  while (over === undefined) {
    const words = [...command(directory, transaction, 'follow'), String(journal.length), String(log.length)]
    const begun = clock.now()
    const finished = await connection.call(words, {
      onLine: (line, stream) => {
        if (stream === 'stdout') take(line)
      },
      ...(signal && { signal }),
    })
    if (over !== undefined) break
    // A line that broke off with the connection is asked for again.
    if (finished.stdout !== '' && !finished.stdout.endsWith('\n')) forgetLast()
    if (lostSince === undefined || clock.now() - begun > ATTEMPT_LIMIT_MS) lostSince = clock.now()
    if (!isLost(finished) || clock.now() - lostSince > RECONNECT_LIMIT_MS) {
      throw new DeployError('deployment-died', {
        what: 'The deployment goes on alone on the host; the runner can no longer follow it',
        seen: finished.stderr.trim().split('\n').at(-1) || undefined,
        why: isLost(finished)
          ? 'the connection did not come back within ten minutes'
          : `the journal on the host could not be read (exit code ${finished.code})`,
        fix: 'run the job again: it waits for the deployment, finishes what is unfinished and reports',
      })
    }
    await clock.pause(1_000, signal)
  }
  const told = log.filter((line) => !isTrace(line))
  return conclude(over, journal, documents, told, reverted)
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

/** Pure: what the journal and the log say about the end. */
export function conclude(
  over: Over,
  journal: readonly JournalLine[],
  documents: Ending['documents'],
  log: readonly string[],
  reverted: Ending['documents'] = new Map(),
): Ending {
  const last = journal.findLast((line) => line.step === 'end')
  const failed = journal.find((line) => line.state === 'fail' && !NO_REASON.includes(line.step))
  const back = journal.find((line) => line.step === 'back' && line.state === 'begin')
  return {
    word: over === 'ended' ? readWord(last?.state) : over,
    serves: last ? last.detail || undefined : servesMeanwhile(journal),
    failure: failed
      ? { step: failed.step, code: Number(failed.detail) }
      : back?.detail === 'aborted' || (last?.state === 'back' && !back)
        ? 'aborted'
        : undefined,
    journal,
    documents,
    warnings: [...new Set(log.flatMap((line) => /^warning: (.+)/.exec(line)?.[1] ?? []))],
    log: log.slice(-LOG_TAIL),
    reasons: beforeGoingBack(log).slice(-LOG_TAIL),
    revert: back && concludeRevert(journal, reverted),
  }
}

function concludeRevert(journal: readonly JournalLine[], documents: Revert['documents']): Revert {
  const time = (line: JournalLine | undefined): number => Date.parse(line?.time ?? '')
  const touched = journal.find((line) => line.step === 'swap' && line.state === 'begin')
  const undone = journal.findLastIndex((line) => line.step === 'undo' && line.state === 'begin')
  const checks = journal.slice(undone + 1).filter((line) => line.step.startsWith('back_'))
  const again = checks.findLast((line) => line.step === 'back_health' && line.state === 'end')
  const ran = again ?? journal.findLast((line) => line.step === 'undo' && line.state === 'end')
  return {
    seconds: touched && ran && (time(ran) - time(touched)) / 1000,
    failures: checks.flatMap(({ step, state, detail }) => (state === 'fail' ? [{ step, code: Number(detail) }] : [])),
    documents,
  }
}

function beforeGoingBack(log: readonly string[]): readonly string[] {
  const decision = log.findIndex((line) => line.startsWith('going back: '))
  return decision < 0 ? log : log.slice(0, decision)
}

/** Steps that fail after the decision to go back or after the commit: they are not why a transaction missed its goal. */
const NO_REASON: readonly string[] = ['undo', 'back', 'back_fit', 'back_health', 'prune']

/** What serves while nothing says how it ended; undefined between the first touch of a container and the commit. */
function servesMeanwhile(journal: readonly JournalLine[]): string | undefined {
  const happened = (step: string, state: string): boolean =>
    journal.some((line) => line.step === step && line.state === state)
  const [target, , from] = journal[0]?.detail.split(' ') ?? []
  if (happened('commit', 'end')) return target
  if (happened('swap', 'begin') && !happened('back', 'end')) return undefined
  return from === '-' ? undefined : from || undefined
}

function readWord(word: string | undefined): Ending['word'] {
  return word === 'committed' || word === 'unchanged' || word === 'back' ? word : 'died'
}
