import { cpus, loadavg } from 'node:os'

/** A table in Markdown. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

/** The middle one, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other)
  const middle = sorted.slice(Math.ceil(sorted.length / 2) - 1, Math.floor(sorted.length / 2) + 1)
  return middle.reduce((sum, value) => sum + value, 0) / middle.length
}

export const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(2)} s`

/** The day, the machine, and its load when this was imported and now. */
export function describeMachine(): string {
  const [cpu] = cpus()
  const day = new Date().toISOString().slice(0, 10)
  return `${day}, ${cpus().length} x ${cpu?.model}, load ${before.toFixed(1)} before and ${load().toFixed(1)} after, Node ${process.versions.node}`
}

const load = (): number => loadavg()[0] ?? 0
const before = load()
