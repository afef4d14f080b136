import { setTimeout as sleep } from 'node:timers/promises'
import { DeployError } from '../errors.ts'
import { findDocument, readHttpReport } from '../django/document.ts'
import { isLost, type Connection } from './connection.ts'
import { isTrace, showTrace } from './trace.ts'

/** A line of the journal. */
export type JournalLine = { time: string; step: string; state: string; detail: string }

/** Events of a running deployment: a step starts or ends, or a line of the log. */
export type Progress = { kind: 'step'; line: JournalLine } | { kind: 'log'; text: string }

type Document = NonNullable<ReturnType<typeof findDocument>>

/**
 * How a deployment ended. `committed`: it may still remove old releases. `forward`: it failed and its release stays,
 * because no revert was possible. `died`: its process is gone and nothing has finished it yet. `kept`: it failed and
 * its containers stay for inspection.
 */
export type Ending = {
  word: 'committed' | 'unchanged' | 'back' | 'forward' | 'kept' | 'died'
  /** The current release; undefined after a failed first deploy, or when it is unknown. */
  serves: string | undefined
  /** The step that failed and its exit code, or `aborted`. */
  failure: { step: string; code: number } | 'aborted' | undefined
  journal: readonly JournalLine[]
  /** The probe's reports, by verb. */
  documents: ReadonlyMap<string, Document>
  /** The host's warnings, without duplicates. */
  warnings: readonly string[]
  /** The last lines of the log. */
  log: readonly string[]
  /** The last lines of the log before the decision to revert. The output of the undo does not explain the failure. */
  reasons: readonly string[]
  /** Undefined unless the deployment was reverted. */
  revert: Revert | undefined
}

/** The effect of a revert on the earlier release, and the checks of that release afterwards. */
export type Revert = {
  /** Seconds from the first change to its containers until they ran again; undefined when no container was changed. */
  seconds: number | undefined
  /** The failed checks, by step and exit code. */
  failures: readonly { step: string; code: number }[]
  /** The probe's reports about that release, by verb. */
  documents: ReadonlyMap<string, Document>
}

/** The clock, which tests replace. */
export type Clock = { now(): number; pause(milliseconds: number, signal?: AbortSignal): Promise<void> }

/** The host's word for the end of what can be followed. */
type Over = 'ended' | 'committed' | 'kept' | 'died'
const OVER: readonly Over[] = ['ended', 'committed', 'kept', 'died']

const RECONNECT_LIMIT_MS = 10 * 60_000
/** ssh gives up on a failed or dead connection long before this. A longer call had a connection. */
const ATTEMPT_LIMIT_MS = 90_000
const LOG_TAIL = 60

const realTime: Clock = {
  now: Date.now,
  // An abort only ends the pause. The next call throws for the abort.
  pause: (milliseconds, signal) => sleep(milliseconds, undefined, { ...(signal && { signal }) }).catch(() => {}),
}

/**
 * Follows a deployment to its end. The deployment runs without the runner, so a lost connection only loses the view.
 * The connection is opened again for at most ten minutes, and following continues at the same line.
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
      journal.push(parseJournalLine(rest))
    } else if (mark === 'l ') {
      log.push(rest)
      if (isTrace(rest)) showTrace(rest)
      else if (isMark(rest)) show({ kind: 'step', line: parseJournalLine(rest.slice(MARK.length)) })
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
    // A line that was cut off with the connection is requested again.
    if (finished.stdout !== '' && !finished.stdout.endsWith('\n')) forgetLast()
    const isNews = lostSince === undefined
    if (lostSince === undefined || clock.now() - begun > ATTEMPT_LIMIT_MS) lostSince = clock.now()
    if (!isLost(finished) || clock.now() - lostSince > RECONNECT_LIMIT_MS) {
      throw new DeployError('deployment-died', {
        what: 'The deployment continues on the host, but the runner can no longer follow it',
        seen: finished.stderr.trim().split('\n').at(-1) || undefined,
        why: isLost(finished)
          ? 'the connection did not come back within ten minutes'
          : `the journal on the host could not be read (exit code ${finished.code})`,
        fix: 'run the job again: it waits for the deployment (or finishes an interrupted one) and shows its result',
      })
    }
    const text = `The connection to ${connection.host.address} is lost; the deployment continues there. Connecting again`
    if (isNews) show({ kind: 'log', text })
    await clock.pause(1_000, signal)
  }
  const told = log.filter((line) => !isTrace(line) && !isMark(line))
  return conclude(over, journal, documents, told, reverted)
}

/** The words that run a command of the script that came with a deployment. */
export function command(directory: string, transaction: string, name: string): string[] {
  return ['sh', `${directory}/.deploy/plans/${transaction}/transaction.sh`, name, directory, transaction]
}

/**
 * Journal lines that also appear in the log, in their order. An app may print such a line, so they only affect the
 * display.
 */
const MARK = 'step '
const isMark = (line: string): boolean => /^step \d{4}-\d\d-\d\dT\S+Z \w+ \S/.test(line)

/** `<time> <step> <state> <detail…>` */
export function parseJournalLine(text: string): JournalLine {
  const [time = '', step = '', state = '', ...detail] = text.split(' ')
  return { time, step, state, detail: detail.join(' ') }
}

/** Pure: derives the ending from the journal and the log. */
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
  const forward = journal.find((line) => line.step === 'forward')
  return {
    word: over === 'ended' ? readWord(last?.state) : over,
    serves: last ? last.detail || undefined : servesMeanwhile(journal),
    failure: failed
      ? { step: failed.step, code: Number(failed.detail) }
      : back?.detail === 'aborted' || forward?.detail === 'aborted' || (last?.state === 'back' && !back)
        ? 'aborted'
        : undefined,
    journal,
    documents,
    warnings: [
      ...new Set([...log.flatMap((line) => /^warning: (.+)/.exec(line)?.[1] ?? []), ...leftOpen(documents)]),
      ...(journal.some((line) => line.step === 'prune' && line.state === 'fail') ? [unpruned(log)] : []),
    ],
    log: log.slice(-LOG_TAIL),
    reasons: beforeGoingBack(log).slice(-LOG_TAIL),
    revert: back && concludeRevert(journal, reverted),
  }
}

/** Problems that a healthy HTTP answer does not show. */
function leftOpen(documents: Ending['documents']): readonly string[] {
  const http = documents.get('http')
  const { warning, lost } = http ? readHttpReport(http) : {}
  return [warning, lost].filter((text) => text !== undefined)
}

function unpruned(log: readonly string[]): string {
  return `Old releases were not all removed from the host: ${log.at(-1) ?? 'it gave no reason'}. The next deployment tries again`
}

function concludeRevert(journal: readonly JournalLine[], documents: Revert['documents']): Revert {
  const time = (line: JournalLine | undefined): number => Date.parse(line?.time ?? '')
  const touched = journal.find((line) => touchesApp(line.step) && line.state === 'begin')
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

/** Steps that stop the earlier release: it may not answer once one of them has started. */
const touchesApp = (step: string): boolean => step === 'stop' || step === 'swap'

/**
 * Seconds from the stop of the app to its first passed health check; undefined without a stop or without such a check.
 */
export function measureStop(journal: readonly JournalLine[]): number | undefined {
  const stop = journal.find(({ step, state }) => step === 'stop' && state === 'begin')
  const answers = journal.find(({ step, state }) => step === 'health' && state === 'end')
  return stop && answers && (Date.parse(answers.time) - Date.parse(stop.time)) / 1000
}

function beforeGoingBack(log: readonly string[]): readonly string[] {
  const decision = log.findIndex((line) => /^going (back|forward): /.test(line))
  return decision < 0 ? log : log.slice(0, decision)
}

/**
 * Steps that fail after the decision to revert or after the commit. They are never why a deployment missed its goal.
 */
const NO_REASON: readonly string[] = ['return', 'undo', 'back', 'back_fit', 'back_health', 'prune']

/**
 * The current release while the journal has no end; undefined between the first change to a container and the commit.
 */
function servesMeanwhile(journal: readonly JournalLine[]): string | undefined {
  const happened = (step: string, state: string): boolean =>
    journal.some((line) => line.step === step && line.state === state)
  const [target, , from] = journal[0]?.detail.split(' ') ?? []
  if (happened('commit', 'end')) return target
  if (journal.some(({ step, state }) => touchesApp(step) && state === 'begin') && !happened('back', 'end'))
    return undefined
  return from === '-' ? undefined : from || undefined
}

function readWord(word: string | undefined): Ending['word'] {
  return word === 'committed' || word === 'unchanged' || word === 'back' || word === 'forward' ? word : 'died'
}
