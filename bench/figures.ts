import type { Outage } from './outage.ts'
import { runnerPart } from './parts.ts'
import { median, seconds, table } from './table.ts'

/** What was measured of one deploy, in milliseconds. */
export type Figures = {
  /** From the first command to the end of the last. */
  wall: number
  /** From the first command to the first answer of the new release after which no other one came. */
  serves: number
  /** Containers that were started on the host. */
  started: number
  outage: Outage
  parts: ReadonlyMap<string, number>
}

/** What was measured when the release that serves was deployed once more. */
export type NoOp = {
  wall: number
  /** Containers of the project that were made, started, stopped or removed. */
  touched: number
  parts: ReadonlyMap<string, number>
}

const MOST_OUTAGE = 1
const MOST_MORE_MS = 2_000
const MOST_NO_OP_MS = 3_000

/** Medians of both with their range, how they compare, and the goals; a table in Markdown. */
export function showComparison(bare: readonly Figures[], ours: readonly Figures[], noOps: readonly NoOp[]): string {
  const row = (title: string, read: (figures: Figures) => number): string[] => {
    const [theirs, own] = [bare.map(read), ours.map(read)]
    return [title, range(theirs), range(own), (median(own) / median(theirs)).toFixed(2)]
  }
  const of = (read: (figures: Figures) => number): [number, number] => [median(bare.map(read)), median(ours.map(read))]
  const outage = of(({ outage }) => outage.sum)
  const wall = of(({ wall }) => wall)
  const started = of((figures) => figures.started)
  const again = noOps.map((noOp) => noOp.wall)
  const touched = Math.max(...noOps.map((noOp) => noOp.touched))
  return table(
    ['median (range)', 'plain recipe', 'Deploy Django', 'ratio', 'goal', ''],
    [
      [
        ...row('outage, all gaps', ({ outage }) => outage.sum),
        `at most ${MOST_OUTAGE}`,
        kept(outage[1] <= outage[0] * MOST_OUTAGE),
      ],
      [...row('outage, longest gap', ({ outage }) => outage.longest), '', ''],
      [
        ...row('wall', ({ wall }) => wall),
        `at most + ${MOST_MORE_MS / 1000} s`,
        kept(wall[1] <= wall[0] + MOST_MORE_MS),
      ],
      [...row('wall from the upload on', ({ wall, parts }) => wall - runnerPart(parts)), '', ''],
      [...row('new release answers after', ({ serves }) => serves), '', ''],
      ['containers started on the host', String(started[0]), String(started[1]), '', '', ''],
      ['no-op: wall', '', range(again), '', `at most ${MOST_NO_OP_MS / 1000} s`, kept(median(again) <= MOST_NO_OP_MS)],
      ['no-op: containers touched', '', String(touched), '', 'none', kept(touched === 0)],
    ],
  )
}

/** Where the time goes; a table in Markdown. */
export function showBudget(bare: readonly Figures[], ours: readonly Figures[], noOps: readonly NoOp[]): string {
  const rows = (prefix: string, all: readonly { parts: Figures['parts'] }[]): string[][] =>
    [...(all[0]?.parts.keys() ?? [])].map((part) => {
      const times = all.map(({ parts }) => parts.get(part) ?? Number.NaN)
      return [`${prefix}${part}`, seconds(median(times)), times.map(seconds).join(', ')]
    })
  return table(
    ['part', 'median', 'each'],
    [...rows('plain recipe: ', bare), ...rows('', ours), ...rows('no-op: ', noOps)],
  )
}

function range(values: readonly number[]): string {
  return `${seconds(median(values))} (${seconds(Math.min(...values))} to ${seconds(Math.max(...values))})`
}

const kept = (isKept: boolean): string => (isKept ? 'kept' : 'missed')
