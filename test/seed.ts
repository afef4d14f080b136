import { createHash, randomInt } from 'node:crypto'

/** What is drawn here depends on it; printed, so that a run can be had again: `SEED=… npm run test:stand-in -- death`. */
const seed = process.env['SEED'] ?? String(randomInt(1_000_000))
process.stdout.write(`SEED=${seed}\n`)

/** A number below `of` for this name, whatever is drawn before it: tests run side by side. */
export function draw(name: string, of: number): number {
  return createHash('sha256').update(`${seed} ${name}`).digest().readUInt32BE() % of
}

/** Whether one of many alike is tried: about one in `of`, and each of them in script/nightly (POINTS=all). */
export const isTried = (name: string, of: number): boolean => process.env['POINTS'] === 'all' || draw(name, of) === 0

/** The items that are tried, at least one. */
export function sample<Item>(name: string, items: readonly Item[], of: number): readonly Item[] {
  const some = items.filter((_, index) => isTried(`${name} ${index}`, of))
  return some.length > 0 ? some : items.slice(0, 1)
}

/** Numbers one after the other, each below its limit. */
export function drawer(name: string): (of: number) => number {
  let count = 0
  return (of) => draw(`${name} ${count++}`, of)
}
