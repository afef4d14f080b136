import type { Field, Table } from './facts.ts'
import { lockOf, lockOfTarget } from './locks.ts'
import type { Around, OnTable, TakeLock } from './rules.ts'
import { compareTypes, isSameType } from './types.ts'
import { breaks, lives, worst, type Lock, type Part, type Verdict } from './verdict.ts'

/** A column before and after AlterField or RenameField. */
type Alteration = {
  before: Field
  after: Field
  /** Whether the current release's code names the column; if not, the column is new to it. */
  known: boolean
  vendor: string
  lock: TakeLock
}

/** One change of a column: when it applies, and its verdict. An alteration has the worst verdict of its changes. */
type Change = { is: (alteration: Alteration) => boolean; verdict: (alteration: Alteration) => Verdict }

const changes: readonly Change[] = [
  {
    // The column gets another name.
    is: ({ before, after }) => before.column !== after.column,
    verdict: ({ before, known, lock }) => {
      const locks = lock('ACCESS EXCLUSIVE')
      return known
        ? breaks(usesOf(before), `the code that serves names the column ${before.column}`, { locks })
        : lives({ locks })
    },
  },
  { is: ({ before, after }) => !isSameType(before, after), verdict: judgeType },
  {
    // NULL to NOT NULL. Without a default it succeeds only when no row has NULL.
    is: ({ before, after }) => before.null && !after.null,
    verdict: ({ before, after, known, lock }) => {
      const locks = lock('ACCESS EXCLUSIVE', 'scan')
      if (!known) {
        if (after.dbDefault) return lives({ locks })
        return breaks(['insert'], `the code that serves does not know ${before.column}, which must have a value`, {
          locks,
        })
      }
      const fills = after.default || after.dbDefault
      return breaks(['insert', 'update'], `the code that serves may write NULL to ${before.column}`, {
        locks,
        ...(fills && { reverses: 'loses', loses: [`which rows had NULL in ${before.column}`] }),
      })
    },
  },
  {
    // NOT NULL to NULL.
    is: ({ before, after }) => !before.null && after.null,
    verdict: ({ lock }) => lives({ locks: lock('ACCESS EXCLUSIVE') }),
  },
  {
    // The database loses its default. On SQLite, Django before 6.1 writes the value itself.
    is: ({ before, after }) => before.dbDefault && !after.dbDefault,
    verdict: ({ before, after, known, lock }) => {
      const locks = lock('ACCESS EXCLUSIVE')
      const relies = known ? !before.default : true
      if (after.null || !relies) return lives({ locks })
      return breaks(['insert'], `the code that serves leaves ${before.column} to its default in the database`, {
        locks,
      })
    },
  },
  {
    is: ({ before, after }) => after.dbDefault && before.dbDefaultCode !== after.dbDefaultCode,
    verdict: ({ lock }) => lives({ locks: lock('ACCESS EXCLUSIVE') }),
  },
  {
    is: ({ before, after }) => !before.unique && after.unique,
    verdict: ({ after, known, lock }) => {
      const locks = lock('ACCESS EXCLUSIVE', 'index')
      if (!known && after.null && !after.dbDefault) return lives({ locks })
      const parts: Part[] = known ? ['insert', 'update'] : ['insert']
      return breaks(parts, `the code that serves may write the same ${after.column} twice`, { locks })
    },
  },
  {
    is: ({ before, after }) => before.unique && !after.unique,
    verdict: ({ after, lock }) => lives({ locks: lock('ACCESS EXCLUSIVE', after.dbIndex ? 'index' : 'none') }),
  },
  {
    is: ({ before, after }) => !before.dbIndex && after.dbIndex && !after.unique && !before.unique,
    verdict: ({ lock }) => lives({ locks: lock('SHARE', 'index') }),
  },
  {
    is: ({ before, after }) => before.dbIndex && !after.dbIndex && !before.unique && !after.unique,
    verdict: ({ lock }) => lives({ locks: lock('ACCESS EXCLUSIVE') }),
  },
  {
    // A new check, such as that of a positive number.
    is: ({ before, after }) => before.check !== after.check && after.check !== null,
    verdict: ({ after, known, lock }) => {
      const locks = lock('ACCESS EXCLUSIVE', 'scan')
      if (!known) return lives({ locks })
      return breaks(['insert', 'update'], `the code that serves may write what the check of ${after.column} refuses`, {
        locks,
      })
    },
  },
  {
    is: ({ before, after }) => before.check !== null && after.check === null,
    verdict: ({ lock }) => lives({ locks: lock('ACCESS EXCLUSIVE') }),
  },
  {
    is: ({ before, after }) => before.auto && !after.auto,
    verdict: ({ after, lock }) =>
      breaks(['insert'], `the code that serves leaves the number in ${after.column} to the database`, {
        locks: lock('ACCESS EXCLUSIVE'),
      }),
  },
  {
    is: ({ before, after }) => !before.auto && after.auto,
    verdict: ({ lock }) => lives({ locks: lock('ACCESS EXCLUSIVE') }),
  },
  {
    // A foreign key that is new, newly enforced, or points to another table.
    is: ({ before, after }) => isEnforced(after) && (!isEnforced(before) || targetOf(before) !== targetOf(after)),
    verdict: ({ before, after, known, lock }) => {
      const locks = [...lock('SHARE ROW EXCLUSIVE', 'scan'), ...lockOfTarget(after, 'adds')]
      if (!known) return lives({ locks })
      // Code that already has the relation deletes the rows that point to a deleted row.
      const parts: Part[] = targetOf(before) === targetOf(after) ? ['insert', 'update'] : ['insert', 'update', 'delete']
      return breaks(
        parts,
        `the code that serves may keep values in ${after.column} that do not exist in ${targetOf(after)}`,
        {
          locks,
        },
      )
    },
  },
  {
    is: ({ before, after }) => isEnforced(before) && (!isEnforced(after) || targetOf(before) !== targetOf(after)),
    verdict: ({ before, lock }) => lives({ locks: [...lock('ACCESS EXCLUSIVE'), ...lockOfTarget(before, 'drops')] }),
  },
  {
    // The database no longer deletes or clears rows itself, or starts to.
    is: ({ before, after }) => deletes(before) !== deletes(after),
    verdict: ({ before, known, lock }) => {
      const locks = lock('ACCESS EXCLUSIVE')
      if (!known || deletes(before) === undefined) return lives({ locks })
      const why = `the code that serves relies on the database to delete or clear the rows that point to a deleted row of ${targetOf(before)}`
      return breaks(['delete'], why, { locks })
    },
  },
  {
    is: ({ before, after }) => before.collation !== after.collation,
    verdict: ({ lock }) => lives({ locks: lock('ACCESS EXCLUSIVE', 'index') }),
  },
  {
    is: ({ before, after }) => before.comment !== after.comment,
    verdict: ({ lock }) => lives({ locks: lock('ACCESS EXCLUSIVE') }),
  },
]

/** The verdict of AlterField and RenameField. */
export function judgeAlteration({ table, field, referrers }: OnTable, { vendor, lock }: Around): Verdict {
  if (!field?.before || !field.after) return lives()
  const { before, after } = field
  if (before.manyToMany || after.manyToMany) return judgeLinks(field)
  const alteration = { before, after, known: field.known, vendor, lock }
  const found = changes.filter((change) => change.is(alteration)).map((change) => change.verdict(alteration))
  const verdict = worst([...found, lives({ locks: found.length > 0 ? otherLocks(alteration, referrers) : [] })])
  return {
    ...verdict,
    ...(!table.known && { breaks: [], why: [] }),
    // A column that this plan added has no old values.
    ...(!field.exists && { reverses: 'fully', loses: [] }),
  }
}

/** Django recreates the foreign key of a changed column, and the foreign keys that point to it. */
function otherLocks({ before, after, lock }: Alteration, referrers: readonly Table[]): Lock[] {
  const own = isEnforced(before) && isEnforced(after)
  const others = isSameType(before, after) ? [] : referrers
  return [
    ...(own ? [...lock('ACCESS EXCLUSIVE', 'scan'), ...lockOfTarget(before, 'drops')] : []),
    ...others.flatMap((table) => lockOf(table, 'ACCESS EXCLUSIVE', 'rewrite')),
  ]
}

/** The uses of a field that fail when its column, or the table of its links, is gone. */
export function usesOf(field: Field): Part[] {
  if (field.manyToMany) return ['read', 'insert', 'delete']
  // Before Django deletes a row, it reads the rows that point to it.
  return field.relation ? ['read', 'insert', 'update', 'delete'] : ['read', 'insert', 'update']
}

function judgeType({ before, after, known, vendor, lock }: Alteration): Verdict {
  const change = compareTypes(before, after, vendor)
  const rewrite = (rewrites: boolean): Lock[] => lock('ACCESS EXCLUSIVE', rewrites ? 'rewrite' : 'none')
  const types = `${before.column} becomes ${after.dbType ?? 'another type'} instead of ${before.dbType ?? 'its type'}`
  const delegated: Part[] = before.primaryKey ? ['delete'] : []
  if (!known) return lives({ locks: rewrite(true) })
  switch (change.kind) {
    case 'wider':
      return lives({ locks: rewrite(change.rewrites) })
    case 'narrower':
      return breaks(['insert', 'update'], `${types}, and the code that serves may write what no longer fits`, {
        locks: rewrite(change.rewrites),
        ...(change.cuts && { reverses: 'loses', loses: [`values cut off or rounded in ${before.column}`] }),
      })
    case 'other':
      return breaks(
        change.inserts ? ['read'] : ['read', 'insert', 'update'],
        `${types}, which the code that serves does not expect`,
        {
          locks: rewrite(true),
          ...(!change.lossless && {
            reverses: 'loses',
            loses: [`values that do not survive the change of type of ${before.column}`],
          }),
        },
      )
    case 'unknown':
      return breaks(
        [...(['read', 'insert', 'update'] as const), ...delegated],
        `${types}, which the code that serves does not expect`,
        {
          locks: rewrite(true),
          reverses: 'loses',
          loses: [`values that do not survive the change of type of ${before.column}`],
          unknown: [`what happens to values when ${types}`],
        },
      )
  }
}

/** The verdict on a many-to-many field, whose name is part of its table of links. */
function judgeLinks({ known, exists, before, after }: NonNullable<OnTable['field']>): Verdict {
  const links = before?.relation?.links ?? null
  if (links === null || links === after?.relation?.links) return lives()
  const locks = lockOf({ name: links, exists, rows: null, bytes: null }, 'ACCESS EXCLUSIVE')
  if (!before || !known) return lives({ locks })
  return breaks(usesOf(before), `the code that serves uses the table ${links}`, { locks })
}

const isEnforced = (field: Field): boolean => field.relation?.constraint ?? false
const targetOf = (field: Field): string => field.relation?.table ?? 'no table'

/** The database's own action when a row is deleted (Django 6.1). */
function deletes({ relation }: Field): string | undefined {
  const rule = relation?.onDelete ?? ''
  return rule.startsWith('DB_') ? rule : undefined
}
