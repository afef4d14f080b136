import type { Operation } from './facts.ts'
import { readSql, type Action } from './sql.ts'
import { breaks, lives, PARTS, worst, type Lock, type LockMode, type Verdict, type Work } from './verdict.ts'

type SqlTable = NonNullable<Operation['sql']>['tables'][number]
type Reverse = NonNullable<Operation['reverse']>

/** Judges RunSQL by the statements that can be parsed, and cautiously otherwise. */
export function judgeSql(
  statements: readonly string[] | null,
  tables: readonly SqlTable[],
  reverse: Reverse,
  vendor: string,
): Verdict {
  const actions = statements === null ? [unread] : statements.flatMap(readSql)
  const verdict = worst(actions.map((action) => goingBack(action, judgeAction(action, tables), reverse)))
  return actions.length > 0 || reverse !== 'none'
    ? { ...verdict, ...(vendor !== 'postgresql' && { locks: [] }) }
    : lives({ reverses: 'no' })
}

const unread: Action = { does: 'unknown', text: 'a script that is too long' }

/** The verdict when the migration has its own SQL to reverse it. */
function judgeAction(action: Action, tables: readonly SqlTable[]): Verdict {
  switch (action.does) {
    case 'nothing':
    case 'create':
      return lives()
    case 'drop index':
      return lives()
    case 'unknown':
      return breaks(PARTS, `it is not known what this does: ${action.text}`, {
        unknown: [`what this does: ${action.text}`],
      })
    case 'drop table': {
      const table = find(tables, action.name)
      if (!table) return lives()
      const lost: Partial<Verdict> = {
        locks: locked(table, 'ACCESS EXCLUSIVE'),
        reverses: 'loses',
        loses: [`the rows of ${table.name}`],
      }
      return table.known ? breaks(PARTS, `the code that serves uses ${table.name}`, lost) : lives(lost)
    }
    default: {
      const table = find(tables, action.table)
      return table ? judgeOnTable(action, table) : lives()
    }
  }
}

type OnTable = Extract<Action, { table: string }>

/** Judges an action on a table that exists before the plan. */
function judgeOnTable(action: OnTable, table: SqlTable): Verdict {
  const isUsed = (column: string): boolean => table.known && (table.uses === null || includes(table.uses, column))
  const lock = (mode: LockMode, work: Work = 'none'): { locks: Lock[] } => ({ locks: locked(table, mode, work) })
  const uses = `the code that serves uses ${table.name}`
  switch (action.does) {
    case 'rename table':
      return table.known ? breaks(PARTS, uses, lock('ACCESS EXCLUSIVE')) : lives(lock('ACCESS EXCLUSIVE'))
    case 'add index': {
      const locks = lock(action.concurrently ? 'SHARE UPDATE EXCLUSIVE' : 'SHARE', 'index')
      return action.unique && table.known
        ? breaks(['insert', 'update'], `the code that serves may write to ${table.name} what the index refuses`, locks)
        : lives(locks)
    }
    case 'add column':
      return action.required && table.known
        ? breaks(
            ['insert'],
            `the code that serves does not know ${action.column}, which must have a value`,
            lock('ACCESS EXCLUSIVE'),
          )
        : lives(lock('ACCESS EXCLUSIVE'))
    case 'drop column': {
      const lost: Partial<Verdict> = includes(table.columns, action.column)
        ? { reverses: 'loses', loses: [`the values of ${action.column} in ${table.name}`] }
        : {}
      const more = { ...lock('ACCESS EXCLUSIVE'), ...lost }
      return isUsed(action.column)
        ? breaks(['read', 'insert', 'update'], `the code that serves uses ${action.column}`, more)
        : lives(more)
    }
    case 'rename column':
      return isUsed(action.column)
        ? breaks(['read', 'insert', 'update'], `the code that serves uses ${action.column}`, lock('ACCESS EXCLUSIVE'))
        : lives(lock('ACCESS EXCLUSIVE'))
    case 'drop default':
      return table.known
        ? breaks(['insert'], `the code that serves may leave ${action.column} to its default in the database`, {
            ...lock('ACCESS EXCLUSIVE'),
            unknown: [`whether the code that serves relies on the default of ${action.column}`],
          })
        : lives(lock('ACCESS EXCLUSIVE'))
    case 'set not null':
      return table.known
        ? breaks(
            isUsed(action.column) ? ['insert', 'update'] : ['insert'],
            `the code that serves may write NULL to ${action.column}`,
            lock('ACCESS EXCLUSIVE', 'scan'),
          )
        : lives(lock('ACCESS EXCLUSIVE', 'scan'))
    case 'alter type':
      return isUsed(action.column)
        ? breaks(
            ['read', 'insert', 'update'],
            `the code that serves does not expect the new type of ${action.column}`,
            {
              ...lock('ACCESS EXCLUSIVE', 'rewrite'),
              reverses: 'loses',
              loses: [`values that do not survive the change of type of ${action.column}`],
              unknown: [`what happens to the values of ${action.column}`],
            },
          )
        : lives(lock('ACCESS EXCLUSIVE', 'rewrite'))
    case 'add constraint':
      return table.known
        ? breaks(
            action.kind === 'foreign key' ? ['insert', 'update', 'delete'] : ['insert', 'update'],
            `the code that serves may write to ${table.name} what the constraint refuses`,
            lock('ACCESS EXCLUSIVE', action.validated ? 'scan' : 'none'),
          )
        : lives(lock('ACCESS EXCLUSIVE'))
    case 'validate constraint':
      return lives(lock('SHARE UPDATE EXCLUSIVE', 'scan'))
    case 'set default':
    case 'drop not null':
    case 'drop constraint':
      return lives(lock('ACCESS EXCLUSIVE'))
    case 'insert':
    case 'update':
      return lives({ unknown: [`how the code that serves handles the rows that are written to ${table.name}`] })
    case 'delete':
      return lives({ reverses: 'loses', loses: [`rows of ${table.name}`] })
  }
}

/** Adjusts the verdict to the reverse of RunSQL: none, one that does nothing, or SQL that is trusted. */
function goingBack(action: Action, verdict: Verdict, reverse: Reverse): Verdict {
  if (reverse === 'given') return verdict
  if (reverse === 'none') return { ...verdict, reverses: 'no' }
  if (verdict.breaks.length > 0)
    return { ...verdict, reverses: 'no', why: [...verdict.why, 'its reverse does nothing'] }
  const writes = action.does === 'update' || action.does === 'insert'
  return writes ? { ...verdict, reverses: 'loses', loses: [`what was written to ${action.table}`] } : verdict
}

/** Whether one of the statements gives the column a default in the database. */
export function setsDefault(statements: readonly string[], table: string, column: string): boolean {
  return statements
    .flatMap(readSql)
    .some((action) => action.does === 'set default' && isSame(action.table, table) && isSame(action.column, column))
}

function find(tables: readonly SqlTable[], name: string): SqlTable | undefined {
  return tables.find((table) => isSame(table.name, name) && (table.known || table.exists))
}

const includes = (names: readonly string[], name: string): boolean => names.some((each) => isSame(each, name))
const isSame = (one: string, other: string): boolean => one.toLowerCase() === other.toLowerCase()

function locked(table: SqlTable, mode: LockMode, work: Work = 'none'): Lock[] {
  return [{ mode, work, table: table.name, rows: table.rows, bytes: table.bytes }]
}
