import { labelOf, type Named } from '../label.ts'
import type { Operation } from './facts.ts'
import type { Judged } from './judge.ts'
import { describeRecipe, findRecipe } from './recipe.ts'
import type { Lock, Verdict } from './verdict.ts'

/** A pending operation with its verdict, as people and later steps see it. */
export type ShownOperation = { kind: string; text: string; reversible: boolean } & Partial<
  Pick<Verdict, 'breaks' | 'reverses' | 'loses' | 'locks' | 'unknown'> & { oldCode: 'lives' | 'breaks'; advice: string }
>

/** A pending migration with its verdicts. `database` is undefined for `default`. */
export type ShownMigration = Named & { operations: readonly ShownOperation[] }

export function showMigration(
  { app, name, database, vendor, atomic, operations, verdicts }: Judged,
  accepted: boolean,
): ShownMigration & { atomic: boolean; accepted: boolean } {
  const shown = operations.map((operation, place): ShownOperation => {
    const { kind, text, reversible } = operation
    const verdict = verdicts[place]
    if (!verdict) return { kind, text, reversible }
    const { breaks, reverses, loses, locks, unknown } = verdict
    const oldCode = breaks.length > 0 ? 'breaks' : 'lives'
    const recipe = findRecipe(operation, verdict, vendor)
    const advice = recipe ? { advice: describeRecipe(recipe) } : {}
    return { kind, text, reversible, oldCode, breaks, reverses, loses, locks, unknown, ...advice }
  })
  return { app, name, ...(database !== undefined && { database }), atomic, accepted, operations: shown }
}

/** The risks of an operation; empty when it has none. */
export function describeVerdict({
  breaks = [],
  reverses = 'fully',
  loses = [],
  locks = [],
  unknown = [],
}: ShownOperation): string {
  return [
    ...(breaks.length > 0 ? [`old code cannot ${breaks.join(', ')}`] : []),
    ...(reverses === 'no' ? ['not reversible'] : []),
    ...(reverses === 'fails' ? ['rows must change before it can be reversed'] : []),
    ...(loses.length > 0 ? [`loses ${loses.join(', ')}`] : []),
    ...locks.filter(isLong).map(describeLock),
    ...(unknown.length > 0 ? [`not known: ${unknown.join(', ')}`] : []),
  ].join('; ')
}

/** Whether others wait for longer the larger the table is. */
const isLong = ({ mode, work }: Lock): boolean => mode !== 'SHARE UPDATE EXCLUSIVE' && work !== 'none'

const WORK: Readonly<Record<Lock['work'], string>> = {
  none: 'is changed',
  scan: 'is scanned',
  index: 'gets an index',
  rewrite: 'is written again',
}

/** `blocks reads and writes of shop_order (about 1,200 rows) while it is scanned` */
function describeLock({ mode, work, table, rows }: Lock): string {
  const blocked = mode === 'ACCESS EXCLUSIVE' ? 'reads and writes' : 'writes'
  const size = rows === null ? '' : ` (about ${rows.toLocaleString('en-US')} rows)`
  return `blocks ${blocked} of ${table}${size} while it ${WORK[work]}`
}

/** The parameters of `warningsOf`, without the verdicts. */
export type WarningFacts = {
  version: string
  /** The version that serves now. */
  serving: string
  order: 'before' | 'stopped' | 'none'
  isApproved: boolean
}

/** An annotation about an operation, with its line in the migration's file. */
export type PlanWarning = { text: string; line: number | undefined }

/** The annotations of a migration: the effects of its unsafe operations, and the safe way to write them. */
export function warningsOf(judged: Judged, facts: WarningFacts): PlanWarning[] {
  return judged.operations.flatMap((operation, place) => {
    const verdict = judged.verdicts[place]
    const text = verdict && warnOf(judged, operation, verdict, facts)
    return text === undefined ? [] : [{ text, line: operation.line ?? undefined }]
  })
}

function warnOf(
  judged: Judged,
  operation: Operation,
  verdict: Verdict,
  { version, serving, order, isApproved }: WarningFacts,
): string | undefined {
  const { breaks, why, newCode } = verdict
  const label = `${labelOf(judged)}: ${operation.text}`
  if (newCode.length > 0)
    return `${label} leaves a column or foreign key in the database that breaks ${version}: ${newCode.join('; ')}`
  if (isApproved) return undefined
  const recipe = findRecipe(operation, verdict, judged.vendor)
  if (breaks.length === 0) {
    const effects = effectsBeside(verdict)
    if (effects.length === 0) return undefined
    return [`${label} ${effects.join('; it ')}`, ...(recipe ? [describeRecipe(recipe)] : [])].join('\n')
  }
  const effect = `${serving} can no longer ${breaks.join(', ')} after it: ${why.join('; ')}.`
  return [
    order === 'before'
      ? `${label}. ${effect} It fails from this operation on until ${version} serves.`
      : `${label} stops the site while it runs. ${effect}`,
    ...(recipe ? [`To deploy it without ${order === 'before' ? 'errors' : 'a stop'}:`, describeRecipe(recipe)] : []),
  ].join('\n')
}

/** A table from this size on blocks others for seconds while an operation works on all of it. */
const LARGE_BYTES = 100_000_000

/** The effects of an operation that the serving code survives. */
function effectsBeside({ reverses, loses, locks }: Verdict): string[] {
  const lost = `cannot be undone without loss. What is lost: ${loses.join(', ')}`
  return [
    ...(loses.length > 0 ? [lost] : reverses === 'no' ? ['has no reverse, so it stays after a rollback'] : []),
    ...locks.filter((lock) => isLong(lock) && (lock.bytes ?? 0) >= LARGE_BYTES).map(describeLock),
  ]
}
