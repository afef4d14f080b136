import { describe, expect, test } from '@jest/globals'
import { readPending } from '../../../../src/django/verdict/facts.ts'
import { judge, judgeAll, withoutReverse } from '../../../../src/django/verdict/judge.ts'
import type { Verdict } from '../../../../src/django/verdict/verdict.ts'
import { field, operation } from './probed.ts'

function verdictOf(operations: readonly object[], vendor = 'postgresql'): Verdict {
  const migration = { app: 'shop', name: '0002', source: 'x', accept: false, atomic: true, needs: [], operations }
  const [judged] = judge(readPending([migration]), vendor)
  if (!judged) throw new Error('there is no verdict')
  return judged.verdict
}

describe('judge', () => {
  test('a migration has the worst verdict of its operations', () => {
    const index = operation({ kind: 'AddIndex' })
    const required = operation(field(null, { default: true }))
    const python = operation({ kind: 'RunPython', reverse: 'none' })
    expect(verdictOf([index, required, python])).toEqual({
      breaks: ['insert'],
      reverses: 'no',
      loses: [],
      locks: [{ mode: 'ACCESS EXCLUSIVE', work: 'index', table: 'shop_order', rows: 3, bytes: 8192 }],
      why: ['the code that serves does not know it, which must have a value'],
      unknown: ['what the Python code changes'],
      newCode: [],
    })
    expect(verdictOf([])).toMatchObject({ breaks: [], reverses: 'fully' })
  })

  test('an operation that a router keeps away from this database does nothing', () => {
    expect(verdictOf([operation({ kind: 'DeleteModel', skipped: true })])).toMatchObject({ breaks: [], locks: [] })
  })

  test('an operation that nobody knows, or that the probe could not read, breaks everything', () => {
    const everything = ['read', 'insert', 'update', 'delete']
    expect(verdictOf([operation({ kind: 'shop.Own' })])).toMatchObject({
      breaks: everything,
      reverses: 'loses',
      unknown: ['what shop.Own does'],
    })
    expect(verdictOf([operation({ kind: 'AddField', reversible: false, unreadable: 'KeyError: x' })])).toMatchObject({
      breaks: everything,
      reverses: 'no',
      unknown: ['what AddField does (KeyError: x)'],
    })
  })

  test("a project's own kind of an operation of Django is named", () => {
    const own = operation({ kind: 'AddIndex', own: 'shop.SaferAddIndex' })
    expect(verdictOf([own])).toMatchObject({
      breaks: [],
      unknown: ['what shop.SaferAddIndex does differently from AddIndex'],
    })
  })

  test('what the code lets go and an INSERT has to fill breaks the new code', () => {
    const abandoned = [{ table: 'shop_order', column: 'it', code: 'models.IntegerField()' }]
    const { breaks, newCode } = verdictOf([operation({ kind: 'SeparateDatabaseAndState', nested: [], abandoned })])
    expect([breaks, newCode]).toEqual([[], [expect.stringContaining('every INSERT into shop_order fails')]])
  })

  test('a foreign key that only the code drops breaks the new code', () => {
    const enforced = [{ table: 'shop_order', to: 'shop_customer' }]
    const { breaks, newCode } = verdictOf([operation({ kind: 'SeparateDatabaseAndState', nested: [], enforced })])
    expect([breaks, newCode]).toEqual([[], [expect.stringContaining('DELETE from shop_customer fails')]])
  })

  test('a column that the serving code no longer knows can go, but its values are lost', () => {
    const removed = operation({ kind: 'RemoveField', ...field({ null: true }, null, { known: false }) })
    expect(verdictOf([removed])).toMatchObject({
      breaks: [],
      reverses: 'loses',
      loses: ['the values of it in shop_order'],
    })
  })

  test.each([
    ['mysql', 'integer', 'integer UNSIGNED', ['insert', 'update']],
    ['mysql', 'integer UNSIGNED', 'bigint', []],
    ['mysql', 'integer UNSIGNED', 'integer', ['insert', 'update']],
    ['mysql', 'longtext', 'varchar(20)', ['insert', 'update']],
    ['mysql', 'integer', 'bigint', []],
    ['mysql', 'integer AUTO_INCREMENT', 'bigint AUTO_INCREMENT', []],
    ['mysql', 'date', 'datetime(6)', ['read', 'insert', 'update']],
    ['postgresql', 'varchar(20)[]', 'varchar(40)[]', []],
    ['postgresql', 'varchar(20)[]', 'varchar(40)', ['read', 'insert', 'update']],
    ['postgresql', 'char(20)', 'varchar', []],
    ['postgresql', 'numeric(8, 2)', 'numeric', []],
    ['postgresql', 'citext', 'hstore', ['read', 'insert', 'update']],
  ])('on %s a column from %s to %s', (vendor, before, after, breaks) => {
    const altered = operation({ kind: 'AlterField', ...field({ db_type: before }, { db_type: after }) })
    expect(verdictOf([altered], vendor).breaks).toEqual(breaks)
  })

  test('only PostgreSQL has its locks', () => {
    const index = operation({ kind: 'AddIndex' })
    expect([verdictOf([index]).locks.length, verdictOf([index], 'mysql').locks.length]).toEqual([1, 0])
  })

  test('a script that is too long to be read is not trusted', () => {
    const script = operation({ kind: 'RunSQL', reverse: 'given', sql: { statements: null, tables: [] } })
    expect(verdictOf([script])).toMatchObject({
      breaks: ['read', 'insert', 'update', 'delete'],
      unknown: [expect.stringContaining('too long')],
    })
  })

  test.each([
    ['what breaks the old code cannot be unapplied', 'RemoveField', 'no'],
    ['what it lives with stays as it is', 'AddIndex', 'fully'],
  ])('in the schemas of tenants %s', (_, kind, reverses) => {
    const operations = [operation({ kind, ...field({}, null) })]
    const migration = { app: 'shop', name: '0002', source: 'x', accept: false, atomic: true, needs: [], operations }
    const [judged] = judge(readPending([migration]), 'postgresql').map(withoutReverse)
    expect(judged?.verdict.reverses).toBe(reverses)
  })

  test('each database is judged as its own engine takes it', () => {
    const operations = [operation({ kind: 'RemoveField', ...field({}, null) })]
    const migration = { app: 'shop', name: '0002', source: 'x', accept: false, atomic: true, needs: [], operations }
    const skipped = { ...migration, operations: [{ ...operations[0], skipped: true }] }
    const others = [
      { alias: 'archive', database: { vendor: 'sqlite' }, pending: [migration] },
      { alias: 'stats', vendor: 'mysql', pending: [skipped] },
    ]
    const found = judgeAll({ pending: [migration], others }, 'postgresql')
    expect(found.map(({ database, vendor, verdict }) => [database, vendor, verdict.breaks.length > 0])).toEqual([
      [undefined, 'postgresql', true],
      ['archive', 'sqlite', true],
      ['stats', 'mysql', false],
    ])
    expect(found.map(({ verdict }) => verdict.reverses)).toEqual(['loses', 'no', 'fully'])
  })
})
