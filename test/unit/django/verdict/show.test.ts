import { describe, expect, test } from '@jest/globals'
import { readPending } from '../../../../src/django/verdict/facts.ts'
import type { Judged } from '../../../../src/django/verdict/judge.ts'
import { describeVerdict, showMigration, warningsOf, type WarningFacts } from '../../../../src/django/verdict/show.ts'
import { breaks, lives, type Lock, type Verdict } from '../../../../src/django/verdict/verdict.ts'
import { field, operation } from './probed.ts'

const judged = (verdict: Verdict, facts: object = { kind: 'RunPython', reverse: 'given' }): Judged => {
  const operations = [operation({ line: 7, ...facts })]
  const raw = { app: 'shop', name: '0007_note', source: 'x', accept: false, atomic: true, needs: [], operations }
  const [migration] = readPending([raw])
  if (!migration) throw new Error('there is no migration')
  return { ...migration, vendor: 'sqlite', verdicts: [verdict], verdict }
}

const lock = (change: Partial<Lock> = {}): Lock => ({
  mode: 'ACCESS EXCLUSIVE',
  work: 'rewrite',
  table: 'shop_order',
  rows: 1200,
  bytes: 65_536,
  ...change,
})

describe('warningsOf', () => {
  const dropped = breaks(['read', 'insert'], 'the code that serves uses it', {
    reverses: 'loses',
    loses: ['the values of it in shop_order'],
  })
  const removal = {
    kind: 'RemoveField',
    text: 'Remove field it from order',
    model: 'order',
    ...field({ null: true }, null),
  }
  const facts: WarningFacts = {
    version: 'v2',
    serving: 'v1',
    order: 'stopped',
    isApproved: false,
  }
  const texts = (verdict: Verdict, change: Partial<WarningFacts> = {}, what?: object): string[] =>
    warningsOf(judged(verdict, what), { ...facts, ...change }).map(({ text }) => text)

  test('says what the stop is for, and how to do without it, on the line of the operation', () => {
    expect(warningsOf(judged(dropped, removal), facts)).toEqual([
      {
        line: 7,
        text: `shop.0007_note: Remove field it from order stops the site while it runs. v1 can no longer read, insert after it: the code that serves uses it.
To deploy it without a stop:
Release 1: remove it from the code and the model, and keep its column:
    migrations.SeparateDatabaseAndState(state_operations=[migrations.RemoveField("order", "it")]),
Release 2: remove the column:
    migrations.SeparateDatabaseAndState(state_operations=[migrations.AddField("order", "it", models.IntegerField())]),
    migrations.RemoveField("order", "it"),`,
      },
    ])
  })

  test('says that pages fail meanwhile when the input wants it before the swap', () => {
    expect(texts(dropped, { order: 'before' })).toEqual([
      expect.stringMatching(
        /^shop\.0007_note: an operation\. v1 can no longer .*\. It fails from this operation on until v2 serves\.\nTo deploy it without errors:/,
      ),
    ])
  })

  test('is silent for what is harmless, and for what was approved', () => {
    expect(texts(lives())).toEqual([])
    expect(texts(lives({ locks: [lock({ bytes: 99_000_000 })] }))).toEqual([])
    expect(texts(lives({ locks: [lock({ work: 'none', bytes: 2e9 })] }))).toEqual([])
    expect(texts(lives({ locks: [lock({ mode: 'SHARE UPDATE EXCLUSIVE', bytes: 2e9 })] }))).toEqual([])
    expect(texts(lives({ reverses: 'no' }), { isApproved: true })).toEqual([])
    expect(texts(dropped, { isApproved: true })).toEqual([])
  })

  test('says that others wait while a large table is worked on, and what cannot be undone, with the better way', () => {
    const large = lock({ mode: 'SHARE', work: 'index', bytes: 2e9 })
    const index = { kind: 'AddIndex', text: 'Create index i', model: 'order' }
    expect(texts(lives({ locks: [large] }), {}, index)).toEqual([
      expect.stringMatching(
        /^shop\.0007_note: Create index i blocks writes of shop_order \(about 1,200 rows\) while it gets an index/,
      ),
    ])
    expect(texts(lives({ reverses: 'no' }), {}, { kind: 'RunPython', reverse: 'none' })).toEqual([
      `shop.0007_note: an operation has no reverse, so it stays after a rollback
Give it a reverse, so that a failed deploy can go back: a function, or \`noop\` if nothing has to be undone:
    migrations.RunPython(forwards, reverse_code=migrations.RunPython.noop)`,
    ])
  })

  test('says what is lost although the serving code lives, and what the new code cannot do', () => {
    expect(texts(lives({ reverses: 'loses', loses: ['the rows of a'] }))).toEqual([
      'shop.0007_note: an operation cannot be undone without loss. What is lost: the rows of a',
    ])
    expect(texts(lives({ newCode: ['every INSERT into a fails'] }), { isApproved: true })).toEqual([
      'shop.0007_note: an operation leaves a column or foreign key in the database that breaks v2: every INSERT into a fails',
    ])
  })
})

describe('describeVerdict', () => {
  const shown = { kind: 'AddField', text: 'Add field', reversible: true }

  test.each([
    [{}, ''],
    [lives(), ''],
    [breaks(['insert'], 'x'), 'old code cannot insert'],
    [
      lives({ locks: [lock(), lock({ mode: 'SHARE', work: 'scan', table: 'shop_item', rows: null })] }),
      'blocks reads and writes of shop_order (about 1,200 rows) while it is written again; blocks writes of shop_item while it is scanned',
    ],
    [lives({ locks: [lock({ work: 'none' }), lock({ mode: 'SHARE UPDATE EXCLUSIVE', work: 'index' })] }), ''],
    [
      lives({ reverses: 'no', unknown: ['what the Python code changes'] }),
      'not reversible; not known: what the Python code changes',
    ],
    [
      lives({ reverses: 'fails', loses: ['the values of a'] }),
      'rows must change before it can be reversed; loses the values of a',
    ],
  ])('%j', (verdict, text) => expect(describeVerdict({ ...shown, ...verdict })).toBe(text))
})

test('a migration is shown without what only the verdict needed, and with advice', () => {
  const renamed = { kind: 'AlterModelTable', text: 'Rename table' }
  const verdict = breaks(['read'], 'x')
  expect(showMigration(judged(verdict, renamed), true)).toEqual({
    app: 'shop',
    name: '0007_note',
    atomic: true,
    accepted: true,
    operations: [
      {
        kind: 'AlterModelTable',
        text: 'Rename table',
        reversible: true,
        oldCode: 'breaks',
        breaks: ['read'],
        reverses: 'fully',
        loses: [],
        locks: [],
        unknown: [],
        advice: 'In one release: keep the name of the table:\n    db_table = "shop_order"  # in class Meta',
      },
    ],
  })
  expect(showMigration(judged(lives()), false)).toMatchObject({
    accepted: false,
    operations: [{ oldCode: 'lives' }],
  })
})
