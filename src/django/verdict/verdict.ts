/** The uses of a table by the old code, which serves now. */
export type Part = 'read' | 'insert' | 'update' | 'delete'

/** All uses, in the order for display. */
export const PARTS: readonly Part[] = ['read', 'insert', 'update', 'delete']

/**
 * Whether it can be unapplied without losing data that is older than this deployment: `fully`; it `loses` data; it
 * `fails` until rows are changed; or `no`.
 */
export type Reverses = 'fully' | 'loses' | 'fails' | 'no'

/** From best to worst. */
const REVERSES: readonly Reverses[] = ['fully', 'loses', 'fails', 'no']

/** PostgreSQL's table locks, from weakest to strongest. The first three allow reads, the first also allows writes. */
const MODES = ['SHARE UPDATE EXCLUSIVE', 'SHARE', 'SHARE ROW EXCLUSIVE', 'ACCESS EXCLUSIVE'] as const
export type LockMode = (typeof MODES)[number]

/** Work that takes longer on a larger table. */
const WORKS = ['none', 'scan', 'index', 'rewrite'] as const
export type Work = (typeof WORKS)[number]

/** A lock on a table that exists before this plan, and the work while it is held. */
export type Lock = { mode: LockMode; work: Work; table: string; rows: number | null; bytes: number | null }

/** The effect of a pending operation on the old code and on the data. */
export type Verdict = {
  /** The uses that fail in the old code, even if only for some values; empty when it survives. */
  breaks: readonly Part[]
  reverses: Reverses
  /** Data older than this deployment that is lost for good. */
  loses: readonly string[]
  /** Only on PostgreSQL. */
  locks: readonly Lock[]
  /** Why the old code breaks. */
  why: readonly string[]
  /** Effects that could not be determined. The verdict is then the cautious one. */
  unknown: readonly string[]
  /** Operations of the new code that the resulting database refuses. */
  newCode: readonly string[]
}

const HARMLESS: Verdict = { breaks: [], reverses: 'fully', loses: [], locks: [], why: [], unknown: [], newCode: [] }

/** The old code keeps working; fully reversible unless `more` says otherwise. */
export function lives(more: Partial<Verdict> = {}): Verdict {
  return { ...HARMLESS, ...more }
}

/** The verdict that the old code can no longer do this. */
export function breaks(parts: readonly Part[], why: string, more: Partial<Verdict> = {}): Verdict {
  return { ...HARMLESS, breaks: parts, why: [why], ...more }
}

/** The worst of several verdicts: of one operation's changes, or of a migration's operations. */
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

/** One lock per table, with the strongest mode and the most work. */
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
