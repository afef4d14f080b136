import { readOtherPending, type Document } from '../document.ts'
import { readPending, type PendingMigration } from './facts.ts'
import { judgeOperation } from './rules.ts'
import { worst, type Verdict } from './verdict.ts'

/** A pending migration with its verdict and the verdicts on its operations. */
export type Judged = PendingMigration & {
  /** The engine of its database. */
  vendor: string
  /** The database that lacks it; undefined for `default`. */
  database?: string
  verdict: Verdict
  verdicts: readonly Verdict[]
}

/** Judges each pending migration of all databases in a plan, or in a judgement without a database. */
export function judgeAll(document: Document, vendor: string): Judged[] {
  const own = judge(readPending(document['pending']), vendor)
  const others = readOtherPending(document).flatMap((other) =>
    judge(readPending(other.pending), other.vendor).map((each) => withoutReverse({ ...each, database: other.alias })),
  )
  return [...own, ...others]
}

/** Judges each pending migration of one database. */
export function judge(pending: readonly PendingMigration[], vendor: string): Judged[] {
  return pending.map((migration) => {
    const { operations } = migration
    const verdicts = operations.map((operation, place) =>
      judgeOperation(operation, vendor, operations.slice(place + 1)),
    )
    return { ...migration, vendor, verdicts, verdict: worst(verdicts) }
  })
}

/**
 * Migrations in tenants' schemas, and in a database other than `default`, are never unapplied. So one that breaks the
 * old code cannot be reverted.
 */
export function withoutReverse(judged: Judged): Judged {
  const { verdict } = judged
  if (verdict.breaks.length === 0) return judged
  return { ...judged, verdict: { ...verdict, reverses: 'no' } }
}
