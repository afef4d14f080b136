import type { Outage } from './outage.ts'
import { runnerPart } from './parts.ts'

/** What was measured of one deploy, in milliseconds. */
export type Figures = {
  /** From the first command to the end of the last. */
  wall: number
  /** From the first command to the first answer of the new release after which no other one came. */
  serves: number
  /** Containers that were started on the server. */
  started: number
  outage: Outage
  parts: ReadonlyMap<string, number>
}

const MOST_OUTAGE = 1.1
const MOST_MORE_MS = 3_000

/** Medians of both with their range, how they compare, and the goals; a table in Markdown. */
export function showComparison(bare: readonly Figures[], ours: readonly Figures[]): string {
  const row = (title: string, read: (figures: Figures) => number): string[] => {
    const [theirs, own] = [bare.map(read), ours.map(read)]
    return [title, range(theirs), range(own), (median(own) / median(theirs)).toFixed(2)]
  }
  const of = (read: (figures: Figures) => number): [number, number] => [median(bare.map(read)), median(ours.map(read))]
  const outage = of(({ outage }) => outage.sum)
  const wall = of(({ wall }) => wall)
  const started = of((figures) => figures.started)
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
      ['containers started on the server', String(started[0]), String(started[1]), '', '', ''],
    ],
  )
}

/** Where the time goes; a table in Markdown. */
export function showBudget(bare: readonly Figures[], ours: readonly Figures[]): string {
  const rows = [bare, ours].flatMap((all, index) =>
    [...(all[0]?.parts.keys() ?? [])].map((part) => [
      `${index === 0 ? 'plain recipe: ' : ''}${part}`,
      seconds(median(all.map(({ parts }) => parts.get(part) ?? Number.NaN))),
      all.map(({ parts }) => seconds(parts.get(part) ?? Number.NaN)).join(', '),
    ]),
  )
  return table(['part', 'median', 'each'], rows)
}

/** The middle one, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other)
  const middle = sorted.slice(Math.ceil(sorted.length / 2) - 1, Math.floor(sorted.length / 2) + 1)
  return middle.reduce((sum, value) => sum + value, 0) / middle.length
}

function range(values: readonly number[]): string {
  return `${seconds(median(values))} (${seconds(Math.min(...values))} to ${seconds(Math.max(...values))})`
}

const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(2)} s`
const kept = (isKept: boolean): string => (isKept ? 'kept' : 'missed')

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
