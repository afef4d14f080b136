/** What the code that serves does with its tables. */
export type Part = 'read' | 'insert' | 'update' | 'delete'

/** All of them, in the order in which people read them. */
export const PARTS: readonly Part[] = ['read', 'insert', 'update', 'delete']

/**
 * Whether it can be unapplied without losing data that is older than this deployment: `fully`; it `loses` data; it `fails`
 * unless rows are changed first; `no`.
 */
export type Reverses = 'fully' | 'loses' | 'fails' | 'no'

/** From best to worst. */
const REVERSES: readonly Reverses[] = ['fully', 'loses', 'fails', 'no']

/** PostgreSQL's locks of a table, from weakest to strongest. The first three let others read, the first also write. */
const MODES = ['SHARE UPDATE EXCLUSIVE', 'SHARE', 'SHARE ROW EXCLUSIVE', 'ACCESS EXCLUSIVE'] as const
export type LockMode = (typeof MODES)[number]

/** What takes longer the larger the table is. */
const WORKS = ['none', 'scan', 'index', 'rewrite'] as const
export type Work = (typeof WORKS)[number]

/** A lock on a table that is there before this plan, and what is done while it is held. */
export type Lock = { mode: LockMode; work: Work; table: string; rows: number | null; bytes: number | null }

/** What a pending operation does to the code that serves now and to the data. */
export type Verdict = {
  /** What that code can no longer do, be it for some values only; empty when it lives. */
  breaks: readonly Part[]
  reverses: Reverses
  /** Data that is older than this deployment and does not come back. */
  loses: readonly string[]
  /** On PostgreSQL. */
  locks: readonly Lock[]
  /** Why the old code breaks. */
  why: readonly string[]
  /** What could not be known; the verdict is the cautious one then. */
  unknown: readonly string[]
  /** What the new code cannot do with the database that it gets. */
  newCode: readonly string[]
}

const HARMLESS: Verdict = { breaks: [], reverses: 'fully', loses: [], locks: [], why: [], unknown: [], newCode: [] }

/** The verdict that the old code lives, and that all comes back. */
export function lives(more: Partial<Verdict> = {}): Verdict {
  return { ...HARMLESS, ...more }
}

/** The verdict that the old code can no longer do this. */
export function breaks(parts: readonly Part[], why: string, more: Partial<Verdict> = {}): Verdict {
  return { ...HARMLESS, breaks: parts, why: [why], ...more }
}

/** The worst of several: of the changes of one operation, or the operations of a migration. */
export function worst(verdicts: readonly Verdict[]): Verdict {
  const broken = verdicts.flatMap((verdict) => verdict.breaks)
  const texts = (key: 'loses' | 'why' | 'unknown' | 'newCode'): string[] => [
    ...new Set(verdicts.flatMap((verdict) => verdict[key])),
  ]
  return {
    breaks: PARTS.filter((part) => broken.includes(part)),
    reverses: REVERSES.findLast((each) => verdicts.some(({ reverses }) => reverses === each)) ?? 'fully',
    loses: texts('loses'),
    locks: strongest(verdicts.flatMap(({ locks }) => locks)),
    why: texts('why'),
    unknown: texts('unknown'),
    newCode: texts('newCode'),
  }
}

/** One lock for each table: the strongest mode, the most work. */
function strongest(locks: readonly Lock[]): Lock[] {
  const found = new Map<string, Lock>()
  for (const lock of locks) {
    const other = found.get(lock.table) ?? lock
    found.set(lock.table, {
      ...lock,
      mode: later(MODES, lock.mode, other.mode),
      work: later(WORKS, lock.work, other.work),
    })
  }
  return [...found.values()]
}

function later<T>(order: readonly T[], one: T, other: T): T {
  return order.indexOf(one) < order.indexOf(other) ? other : one
}
