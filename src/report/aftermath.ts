import { readMigrateReport, readUnapplied } from '../django/document.ts'
import { labelOf } from '../django/label.ts'
import { explainEnding } from '../host/failure.ts'
import type { Ending } from '../host/follow.ts'
import { HEAD, MARK } from '../host/lines.ts'
import type { Aftermath } from './report.ts'

/**
 * Pure: what a failed deployment left behind; undefined when it reached its goal. `before` is the version that served
 * before.
 */
export function concludeAftermath(ending: Ending, before: string | undefined): Aftermath | undefined {
  if (explainEnding(ending) === undefined) return undefined
  return { ...lastLinesOf(ending.reasons), done: describeDone(ending, before) }
}

/** The last lines of the container that failed last, without the mark in front of each line. */
function lastLinesOf(reasons: readonly string[]): Pick<Aftermath, 'container' | 'lines'> {
  const start = reasons.findLastIndex((line) => line.startsWith(HEAD))
  if (start < 0) return { container: undefined, lines: [] }
  const [name = ''] = (reasons[start] ?? '').slice(HEAD.length).replace(/^\//, '').split(':')
  const rest = reasons.slice(start + 1)
  const end = rest.findIndex((line) => !line.startsWith(MARK))
  const lines = (end < 0 ? rest : rest.slice(0, end)).map((line) => line.slice(MARK.length))
  return { container: name, lines }
}

function describeDone(ending: Ending, before: string | undefined): string[] {
  switch (ending.word) {
    case 'kept':
      return [
        'The failed containers were kept for inspection (on-failure: keep); the next deploy or rollback reverts it first.',
      ]
    case 'back':
      return [...describeContainers(ending, before), ...describeMigrations(ending)]
    case 'committed':
    case 'forward':
      return [describeStay(before), ...describeMigrations(ending)]
    default:
      return ['The deployment was interrupted on the host. The next deploy or rollback finishes it first.']
  }
}

function describeContainers({ journal, revert }: Ending, before: string | undefined): string[] {
  const hasBegun = (step: string): boolean => journal.some((line) => line.step === step && line.state === 'begin')
  const time = revert?.seconds === undefined ? '' : `; it answered again after ${revert.seconds.toFixed(1)} s`
  if (hasBegun('swap')) {
    return before === undefined
      ? ['The new containers were removed; nothing had served before.']
      : [`The new containers were removed and those of ${before} started again${time}.`]
  }
  const tried = hasBegun('try') ? ['The trial container was removed.'] : []
  if (hasBegun('stop') && before !== undefined) return [...tried, `${before} was started again${time}.`]
  return [...tried, 'The containers that serve were not touched.']
}

function describeStay(before: string | undefined): string {
  const old = before ?? 'the version that served before'
  return `There was no revert, because ${old} cannot work with the applied migrations: the new containers stay. Deploy a corrected version over them.`
}

function describeMigrations({ documents, revert }: Ending): string[] {
  const migrate = documents.get('migrate')
  const unapply = revert?.documents.get('unapply')
  const applied = migrate ? readMigrateReport(migrate).applied.map(labelOf) : []
  const gone = unapply ? readUnapplied(unapply) : []
  const stays = applied.filter((name) => !gone.includes(name))
  return [
    ...(gone.length > 0 ? [`Unapplied again: ${gone.join(', ')}.`] : []),
    ...(stays.length > 0 ? [`Stays applied, and is not applied twice: ${stays.join(', ')}.`] : []),
  ]
}
