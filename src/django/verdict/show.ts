import type { Judged } from './judge.ts'
import type { Verdict } from './verdict.ts'

/** A pending operation with its verdict, as people and later steps see it. */
export type ShownOperation = { kind: string; text: string; reversible: boolean } & Partial<
  Pick<Verdict, 'breaks' | 'reverses' | 'loses' | 'locks' | 'unknown'> & { oldCode: 'lives' | 'breaks' }
>

/** A pending migration with its verdicts. */
export type ShownMigration = { app: string; name: string; operations: readonly ShownOperation[] }

export function showMigration({ app, name, atomic, accept, operations, verdicts }: Judged): ShownMigration & {
  atomic: boolean
  accepted: boolean
} {
  const shown = operations.map(({ kind, text, reversible }, place): ShownOperation => {
    const verdict = verdicts[place]
    if (!verdict) return { kind, text, reversible }
    const { breaks, reverses, loses, locks, unknown } = verdict
    const oldCode = breaks.length > 0 ? 'breaks' : 'lives'
    return { kind, text, reversible, oldCode, breaks, reverses, loses, locks, unknown }
  })
  return { app, name, atomic, accepted: accept, operations: shown }
}

/** What is not harmless about an operation; empty for one that is. */
export function describeVerdict({ breaks = [], reverses = 'fully', loses = [], unknown = [] }: ShownOperation): string {
  return [
    ...(breaks.length > 0 ? [`old code cannot ${breaks.join(', ')}`] : []),
    ...(reverses === 'no' ? ['not reversible'] : []),
    ...(reverses === 'fails' ? ['rows must change before it can be reversed'] : []),
    ...(loses.length > 0 ? [`loses ${loses.join(', ')}`] : []),
    ...(unknown.length > 0 ? [`not known: ${unknown.join(', ')}`] : []),
  ].join('; ')
}

/** The annotation of a migration; undefined when nothing has to be said. */
export function warnOf({ app, name, verdict, accept }: Judged, version: string, serving: string): string | undefined {
  const { breaks, why, reverses, loses, newCode } = verdict
  const label = `${app}.${name}`
  if (newCode.length > 0) return `${label} leaves a column behind that ${version} cannot fill: ${newCode.join('; ')}`
  if (accept || (breaks.length === 0 && loses.length === 0)) return undefined
  const lost = loses.length === 0 ? [] : [`What is lost, also when it is reversed: ${loses.join(', ')}.`]
  if (breaks.length === 0) return [`${label} cannot be taken back whole.`, ...lost].join(' ')
  const back = reverses === 'fully' ? [] : [`${serving} cannot get back what it had.`]
  return [
    `${label} changes the database so that ${serving} can no longer ${breaks.join(', ')}: ${why.join('; ')}.`,
    `This lasts until ${version} serves, and comes back with ${serving} if ${version} fails.`,
    ...back,
    ...lost,
    'Safer in two releases: first the code that can do without it, then the migration',
  ].join(' ')
}
