import { judgeAlteration, usesOf } from './alterations.ts'
import type { Columns, Field, Operation, Table } from './facts.ts'
import { lockOf, lockOfTarget } from './locks.ts'
import { judgeSql, setsDefault } from './statements.ts'
import { breaks, lives, PARTS, worst, type Lock, type LockMode, type Verdict, type Work } from './verdict.ts'

/** An operation on a table. */
export type OnTable = Operation & { table: NonNullable<Operation['table']> }

/** The surroundings of an operation. */
export type Around = {
  vendor: string
  /** The later operations of the same migration. */
  later: readonly Operation[]
  /** Takes a lock on the operation's table. */
  lock: TakeLock
}

/** Takes a lock that is held while this work is done. */
export type TakeLock = (mode: LockMode, work?: Work) => Lock[]

type Rule<Of> = (operation: Of, around: Around) => Verdict

/** Judges one operation. */
export function judgeOperation(operation: Operation, vendor: string, later: readonly Operation[]): Verdict {
  if (operation.skipped) return lives()
  if (operation.nested && operation.unreadable === undefined)
    return judgeNested(operation, operation.nested, vendor, later)
  const { table } = operation
  const around = { vendor, later, lock: (mode: LockMode, work?: Work) => lockOf(table, mode, work) }
  const verdict = applyRule(operation, around)
  const shown = vendor === 'postgresql' ? verdict : { ...verdict, locks: [] }
  if (operation.own === null || verdict.unknown.length > 0) return shown
  return { ...shown, unknown: [`what ${operation.own} does differently from ${operation.kind}`] }
}

function applyRule(operation: Operation, around: Around): Verdict {
  const { table, unreadable } = operation
  if (unreadable !== undefined) return unknownOperation(operation)
  const rule = rules[operation.kind]
  if (rule) return rule(operation, around)
  const onTable = tableRules[operation.kind]
  if (onTable && table) return onTable({ ...operation, table }, around)
  return unknownOperation(operation)
}

function unknownOperation({ kind, reversible, unreadable }: Operation): Verdict {
  const why = unreadable === undefined ? '' : ` (${unreadable})`
  return breaks(PARTS, `it is not known what ${kind} does`, {
    reverses: reversible ? 'loses' : 'no',
    unknown: [`what ${kind} does${why}`],
  })
}

/** Judges an operation with parts by the worst of them. */
function judgeNested(
  { abandoned, enforced }: Operation,
  nested: readonly Operation[],
  vendor: string,
  later: readonly Operation[],
): Verdict {
  const parts = nested.map((part, place) => judgeOperation(part, vendor, [...nested.slice(place + 1), ...later]))
  const newCode = [
    ...abandoned.map(
      ({ table, column }) =>
        `every INSERT into ${table} fails: ${column} stays, must have a value, and the new code does not name it`,
    ),
    ...enforced.map(
      ({ table, to }) =>
        `DELETE from ${to} fails for rows that ${table} references: the foreign key stays in the database, and the new code does not delete the rows of ${table} first`,
    ),
  ]
  return worst([...parts, lives({ newCode })])
}

/** Operations without a table. */
const rules: Readonly<Record<string, Rule<Operation>>> = {
  RunPython: judgePython,
  RunSQL: ({ sql, reverse }, { vendor }) =>
    judgeSql(sql?.statements ?? null, sql?.tables ?? [], reverse ?? 'none', vendor),
  ...same(
    [
      'CreateExtension',
      'BloomExtension',
      'BtreeGinExtension',
      'BtreeGistExtension',
      'CITextExtension',
      'CryptoExtension',
      'HStoreExtension',
      'TrigramExtension',
      'UnaccentExtension',
    ],
    judgeExtension,
  ),
  CreateCollation: () => lives(),
  RemoveCollation: () =>
    breaks(['read'], 'queries of the code that serves may name the collation', {
      unknown: ['whether queries of the code that serves name the collation'],
    }),
}

/** Operations on a model's table. */
const tableRules: Readonly<Record<string, Rule<OnTable>>> = {
  ...same(['AlterModelOptions', 'AlterModelManagers', 'AlterConstraint'], () => lives()),

  CreateModel: ({ relations }) => lives({ locks: relations.flatMap((field) => lockOfTarget(field, 'adds')) }),

  DeleteModel: ({ table, relations }, { lock }) => {
    const locks = [...lock('ACCESS EXCLUSIVE'), ...relations.flatMap((field) => lockOfTarget(field, 'drops'))]
    const lost = table.exists ? { reverses: 'loses' as const, loses: [`the rows of ${table.name}`] } : {}
    return table.known
      ? breaks(PARTS, `the code that serves uses ${table.name}`, { locks, ...lost })
      : lives({ locks, ...lost })
  },

  RenameModel: ({ table, links }, { lock }) => {
    if (table.after !== table.name) return renamed(table, lock)
    // Columns of many-to-many tables contain the model's name.
    const locks =
      links.length === 0
        ? []
        : [...lock('ACCESS EXCLUSIVE'), ...links.flatMap((link) => lockOf(link, 'ACCESS EXCLUSIVE'))]
    const used = links.filter((link) => link.known).map(({ name }) => name)
    if (used.length === 0) return lives({ locks })
    return breaks(['read', 'insert', 'delete'], `the code that serves uses the columns of ${used.join(', ')}`, {
      locks,
    })
  },
  AlterModelTable: ({ table }, { lock }) => (table.after === table.name ? lives() : renamed(table, lock)),
  AlterModelTableComment: (_, { lock }) => lives({ locks: lock('SHARE UPDATE EXCLUSIVE') }),

  AlterUniqueTogether: ({ table, uniqueTogether }, { lock }) =>
    worst([
      ...uniqueTogether.added.map((columns) => onlyOnce(table, columns, lock('ACCESS EXCLUSIVE', 'index'))),
      ...(uniqueTogether.removed ? [lives({ locks: lock('ACCESS EXCLUSIVE') })] : []),
    ]),
  AlterIndexTogether: ({ indexTogether }, { lock }) =>
    worst([
      ...(indexTogether.added.length ? [lives({ locks: lock('SHARE', 'index') })] : []),
      ...(indexTogether.removed ? [lives({ locks: lock('ACCESS EXCLUSIVE') })] : []),
    ]),

  AlterOrderWithRespectTo: ({ table, order: [before, after] }, { lock }) => {
    const locks = lock('ACCESS EXCLUSIVE')
    if (!table.known || (before === null) === (after === null)) return lives({ locks })
    if (before === null)
      return breaks(['insert'], 'the code that serves does not know _order, which must have a value', { locks })
    return breaks(['read', 'insert', 'update'], 'the code that serves uses the column _order', {
      locks,
      reverses: 'loses',
      loses: [`the order of the rows of ${table.name}`],
    })
  },

  AddField: judgeAddField,
  RemoveField: judgeRemoveField,
  ...same(['AlterField', 'RenameField'], judgeAlteration),

  AddIndex: (_, { lock }) => lives({ locks: lock('SHARE', 'index') }),
  AddIndexConcurrently: (_, { lock }) => lives({ locks: lock('SHARE UPDATE EXCLUSIVE', 'index') }),
  RemoveIndex: (_, { lock }) => lives({ locks: lock('ACCESS EXCLUSIVE') }),
  RemoveIndexConcurrently: (_, { lock }) => lives({ locks: lock('SHARE UPDATE EXCLUSIVE') }),
  RenameIndex: () => lives(),

  AddConstraint: ({ table, constraint }, { lock }) => {
    switch (constraint?.type) {
      case 'UniqueConstraint':
        return onlyOnce(
          table,
          constraint.nullsDistinct ? constraint.columns : null,
          lock(constraint.indexed ? 'SHARE' : 'ACCESS EXCLUSIVE', 'index'),
        )
      case 'CheckConstraint':
        return checked(table, constraint.columns, lock('ACCESS EXCLUSIVE', 'scan'))
      default:
        return refuses(table, lock('ACCESS EXCLUSIVE', 'index'))
    }
  },
  AddConstraintNotValid: ({ table, constraint }, { lock }) =>
    checked(table, constraint?.columns ?? null, lock('ACCESS EXCLUSIVE')),
  ValidateConstraint: (_, { lock }) => lives({ locks: lock('SHARE UPDATE EXCLUSIVE', 'scan') }),
  RemoveConstraint: (_, { lock }) => lives({ locks: lock('ACCESS EXCLUSIVE') }),
}

function judgeAddField({ table, field }: OnTable, { later, lock }: Around): Verdict {
  const added = field?.after
  if (!added) return lives()
  if (added.manyToMany) {
    return lives({
      locks: added.relation?.links == null ? [] : [...lock('SHARE ROW EXCLUSIVE'), ...lockOfTarget(added, 'adds')],
    })
  }
  if (added.column === null) return lives()
  const locks = [...lock('ACCESS EXCLUSIVE', workOf(added)), ...lockOfTarget(added, 'adds')]
  const filled = added.null || added.dbDefault || added.generated || isFilledLater(table.name, added.column, later)
  if (!table.known || field.known) return lives({ locks })
  if (!filled) {
    return breaks(['insert'], `the code that serves does not know ${added.column}, which must have a value`, { locks })
  }
  if (added.unique && added.dbDefault && !added.computedDefault) {
    return breaks(['insert'], `every row of the code that serves would have the same ${added.column}`, { locks })
  }
  return lives({ locks })
}

/** `ALTER COLUMN … SET DEFAULT` in the same migration, as was usual before Django 5.0. */
function isFilledLater(table: string, column: string, later: readonly Operation[]): boolean {
  return later.some(({ sql, nested, skipped }) => {
    if (skipped) return false
    if (nested) return isFilledLater(table, column, nested)
    return setsDefault(sql?.statements ?? [], table, column)
  })
}

function judgeRemoveField({ table, field, reversible }: OnTable, { lock }: Around): Verdict {
  const removed = field?.before
  if (!removed) return lives()
  const { links } = removed.relation ?? {}
  if (removed.manyToMany && links == null) return lives() // the model of its links stays
  const linked = removed.manyToMany
    ? lockOf({ name: links ?? '', exists: field.exists, rows: null, bytes: null }, 'ACCESS EXCLUSIVE')
    : []
  const locks = [...lock('ACCESS EXCLUSIVE'), ...linked, ...lockOfTarget(removed, 'drops')]
  const what = removed.manyToMany ? `the rows of ${links}` : `the values of ${removed.column} in ${table.name}`
  const lost: Partial<Verdict> =
    field.exists && !removed.generated ? { reverses: reversible ? 'loses' : 'fails', loses: [what] } : {}
  if (!field.known) return lives({ locks, ...lost })
  return breaks(usesOf(removed), `the code that serves uses ${removed.column ?? links}`, { locks, ...lost })
}

/** Unknown effects of Python code count as a change of data that the old code survives. */
function judgePython({ noop, reverse }: Operation): Verdict {
  if (noop && reverse !== 'none') return lives()
  const unknown = ['what the Python code changes']
  if (reverse === 'given') return lives({ unknown })
  if (reverse === 'noop') return lives({ unknown, reverses: 'loses', loses: ['what the Python code changed'] })
  return lives({ unknown, reverses: 'no' })
}

/** The reverse drops the extension, also one that was there: it is refused if a column uses it or another user owns it. */
function judgeExtension({ extension }: Operation): Verdict {
  if (!extension?.exists) return lives()
  return lives({ reverses: 'fails', loses: [`the extension ${extension.name}, which was there before`] })
}

function renamed(table: Table, lock: TakeLock): Verdict {
  const locks = lock('ACCESS EXCLUSIVE')
  return table.known ? breaks(PARTS, `the code that serves uses the name ${table.name}`, { locks }) : lives({ locks })
}

/** NULL never equals NULL. Rows of old code have NULL in a column that is new to it, so they do not collide. */
function onlyOnce(table: Table, columns: Columns, locks: Lock[]): Verdict {
  if (columns?.some(({ known, null: isNull }) => !known && isNull)) return lives({ locks })
  return refuses(table, locks)
}

/** A check passes for NULL. */
function checked(table: Table, columns: Columns, locks: Lock[]): Verdict {
  if (columns?.length && columns.every(({ known, null: isNull }) => !known && isNull)) return lives({ locks })
  return refuses(table, locks)
}

function refuses(table: Table, locks: Lock[]): Verdict {
  if (!table.known) return lives({ locks })
  return breaks(['insert', 'update'], `the code that serves may write to ${table.name} what the constraint refuses`, {
    locks,
  })
}

function workOf(added: Field): Work {
  const isVolatile = added.computedDefault && !/\bNow\(\)/.test(added.code ?? '')
  if (added.generated || isVolatile) return 'rewrite'
  if (added.unique || added.dbIndex) return 'index'
  return added.check === null ? 'none' : 'scan'
}

function same<Of>(kinds: readonly string[], rule: Rule<Of>): Record<string, Rule<Of>> {
  return Object.fromEntries(kinds.map((kind) => [kind, rule]))
}
