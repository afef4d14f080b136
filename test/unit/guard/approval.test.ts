import { describe, expect, test } from '@jest/globals'
import { readPending } from '../../../src/django/verdict/facts.ts'
import { judge, type Judged } from '../../../src/django/verdict/judge.ts'
import { explain } from '../../../src/errors.ts'
import { explainUnapproved, findSurplus, placeOfMigration } from '../../../src/guard/approval.ts'
import { field, operation } from '../django/verdict/probed.ts'

const judgeOne = (name: string, ...operations: object[]): Judged => {
  const [judged] = judge(
    readPending([{ app: 'shop', name, source: 'x', accept: false, atomic: true, needs: [], operations }]),
    'sqlite',
  )
  if (!judged) throw new Error('there is no verdict')
  return judged
}
const removal = judgeOne(
  '0007_gone',
  operation({
    kind: 'RemoveField',
    text: 'Remove field it from order',
    model: 'order',
    line: 9,
    ...field({ null: true }, null),
  }),
)
const python = judgeOne('0008_python', operation({ kind: 'RunPython', text: 'Raw Python operation', reverse: 'none' }))
const rename = judgeOne(
  '0009_named',
  operation({ kind: 'RenameField', text: 'Rename it', model: 'order', ...field({}, { column: 'that' }) }),
)

const repository = (...paths: string[]) => ({
  files: new Map(paths.map((path) => [path, false])),
  read: () => Buffer.from(''),
})
const facts = { version: 'v2', serving: 'v1', repository: repository('shop/migrations/0007_gone.py') }

describe('explainUnapproved', () => {
  test('is a lesson: what happens, the safe way for this operation, and the line that approves it', () => {
    const error = explainUnapproved({ ...facts, unapproved: [removal], judged: [removal] })
    expect(error.annotation).toEqual({ file: 'shop/migrations/0007_gone.py', line: 9 })
    expect(explain(error, { serving: 'shop serves v1 (it was not touched)' })).toBe(
      `v2 needs an approval: after shop.0007_gone, a failed deployment cannot revert to v1; shop serves v1 (it was not touched) [migration-unsafe]
  seen:  shop.0007_gone
           Remove field it from order: v1 can no longer read, insert, update: the code that serves uses it; lost: the values of it in shop_order; unapplying it does not bring the data back
  why:   v1 does not work with the new schema, and unapplying the migrations loses data or is impossible
  fix:   the safe way for "Remove field it from order":
           Release 1: remove it from the code and the model, and keep its column:
               migrations.SeparateDatabaseAndState(state_operations=[migrations.RemoveField("order", "it")]),
           Release 2: remove the column:
               migrations.SeparateDatabaseAndState(state_operations=[migrations.AddField("order", "it", models.IntegerField())]),
               migrations.RemoveField("order", "it"),
         or approve it: v1 is then stopped while it runs, unless \`migrate: before\` is set, and v2 stays even if it fails. In the step:
           accept-migrations: shop.0007_gone
         or in review: the line \`# deploy-django: accept\` in shop/migrations/0007_gone.py
  see:   docs/troubleshooting.md#migration-unsafe`,
    )
  })

  test('what cannot be unapplied holds back what could be', () => {
    const text = explain(explainUnapproved({ ...facts, unapproved: [python], judged: [python, rename] }))
    expect(text).toContain('Raw Python operation: it cannot be unapplied; not known: what the Python code changes')
    expect(text).toContain('v1 cannot come back after shop.0009_named unless this one is unapplied too')
    expect(text).toContain('reverse_code=migrations.RunPython.noop')
  })

  test('several are approved by name, each kind of operation is taught once', () => {
    const other = { ...removal, name: '0010_gone' }
    const unapproved = [removal, python, other]
    const text = explain(explainUnapproved({ ...facts, unapproved, judged: unapproved }))
    expect(text).toContain(
      '           accept-migrations: |\n             shop.0007_gone\n             shop.0008_python\n             shop.0010_gone\n',
    )
    expect(text.match(/the safe way for/g)).toHaveLength(2)
  })

  test('one line approves a migration in every database', () => {
    const unapproved = [removal, { ...removal, database: 'archive' }]
    const text = explain(explainUnapproved({ ...facts, unapproved, judged: unapproved }))
    expect(text).toContain('after shop.0007_gone, archive: shop.0007_gone, a failed deployment cannot')
    expect(text).toContain('accept-migrations: shop.0007_gone\n')
  })
})

test.each([
  [['shop/migrations/0007_gone.py'], 'shop/migrations/0007_gone.py'],
  [['src/shop/migrations/0007_gone.py'], 'src/shop/migrations/0007_gone.py'],
  [['blog/migrations/0007_gone.py', 'shop/migrations/0007_gone.py'], 'shop/migrations/0007_gone.py'],
  [['orders/migrations/0007_gone.py'], 'orders/migrations/0007_gone.py'],
  [['orders/migrations/0007_gone.py', 'blog/migrations/0007_gone.py'], undefined],
  [['a/shop/migrations/0007_gone.py', 'b/shop/migrations/0007_gone.py'], undefined],
  [[], undefined],
])('the file of a migration among %j is %s', (paths, file) =>
  expect(placeOfMigration(repository(...paths), removal, 9)?.file).toBe(file),
)

test.each<[string[], string[], string[]]>([
  [[], [], []],
  [['all'], [], []],
  [['shop.0007_gone'], [], []],
  [['shop.0001_initial'], ['shop.0001_initial'], []],
  [['shop.0007_gonne', 'shop.0001_initial', 'shop.0007_gone'], ['shop.0001_initial'], ['shop.0007_gonne']],
])('of the accepted %j, %j are applied and %j are unknown', (accepted, done, unknown) =>
  expect(findSurplus(accepted, ['shop.0007_gone'], ['shop.0001_initial'])).toEqual({ done, unknown }),
)
