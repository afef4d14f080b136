import type { PendingMigration } from './facts.ts'
import { judgeOperation } from './rules.ts'
import { worst, type Verdict } from './verdict.ts'

/** A pending migration with its verdict, and those of its operations. */
export type Judged = PendingMigration & { verdict: Verdict; verdicts: readonly Verdict[] }

/** The verdict of each pending migration. */
export function judge(pending: readonly PendingMigration[], vendor: string): Judged[] {
  return pending.map((migration) => {
    const { operations } = migration
    const verdicts = operations.map((operation, place) =>
      judgeOperation(operation, vendor, operations.slice(place + 1)),
    )
    return { ...migration, verdicts, verdict: worst(verdicts) }
  })
}
