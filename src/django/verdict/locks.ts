import type { Field, Table } from './facts.ts'
import type { Lock, LockMode, Work } from './verdict.ts'

/** The lock on a table. A table that this plan creates has neither rows nor users, so it needs none. */
export function lockOf(table: Omit<Table, 'known'> | undefined, mode: LockMode, work: Work = 'none'): Lock[] {
  if (!table?.exists) return []
  return [{ mode, work, table: table.name, rows: table.rows, bytes: table.bytes }]
}

/** A foreign key has triggers on its target table. Dropping them takes the strongest lock. */
export function lockOfTarget({ relation }: Field, change: 'adds' | 'drops'): Lock[] {
  if (!relation?.constraint || relation.table === null) return []
  const mode = change === 'adds' ? 'SHARE ROW EXCLUSIVE' : 'ACCESS EXCLUSIVE'
  return lockOf({ name: relation.table, exists: relation.exists, rows: null, bytes: null }, mode)
}
