import type { JournalLine } from '../host/follow.ts'
import type { TimedStep } from './report.ts'

/**
 * Pure: the timed steps of a journal. The journal has the host's clock; `start` is the runner's time of its first line.
 */
export function timeSteps(journal: readonly JournalLine[], start: number): TimedStep[] {
  const origin = Date.parse(journal[0]?.time ?? '')
  const begun = new Map<string, number>()
  return journal.flatMap((line) => {
    const time = Date.parse(line.time)
    if (line.state === 'begin' && !begun.has(line.step)) begun.set(line.step, time)
    const from = begun.get(line.step)
    if (from === undefined || (line.state !== 'end' && line.state !== 'fail')) return []
    const seconds = (time - from) / 1000
    return [{ name: line.step, place: 'host', begun: start + from - origin, seconds, hasFailed: line.state === 'fail' }]
  })
}
