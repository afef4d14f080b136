import { describe, expect, test } from '@jest/globals'
import type { Judged } from '../../../../src/django/verdict/judge.ts'
import { describeVerdict, showMigration, warnOf } from '../../../../src/django/verdict/show.ts'
import { breaks, lives, type Verdict } from '../../../../src/django/verdict/verdict.ts'

const judged = (verdict: Verdict, accept = false): Judged => ({
  app: 'shop',
  name: '0007_note',
  source: 'x',
  accept,
  atomic: true,
  needs: [],
  operations: [],
  verdicts: [],
  verdict,
})

describe('warnOf', () => {
  const dropped = breaks(['read', 'insert'], 'the code that serves uses note', {
    reverses: 'loses',
    loses: ['the values of note in shop_order'],
  })

  test('says what the serving code can no longer do, why, and what is lost', () => {
    expect(warnOf(judged(dropped), 'v2', 'v1')).toBe(
      'shop.0007_note changes the database so that v1 can no longer read, insert: the code that serves uses note. ' +
        'This lasts until v2 serves, and comes back with v1 if v2 fails. v1 cannot get back what it had. ' +
        'What is lost, also when it is reversed: the values of note in shop_order. ' +
        'Safer in two releases: first the code that can do without it, then the migration',
    )
  })

  test('is silent for what is harmless, and for what was accepted in the file', () => {
    expect(warnOf(judged(lives()), 'v2', 'v1')).toBeUndefined()
    expect(warnOf(judged(lives({ reverses: 'no' })), 'v2', 'v1')).toBeUndefined()
    expect(warnOf(judged(dropped, true), 'v2', 'v1')).toBeUndefined()
  })

  test('says what is lost although the serving code lives, and what the new code cannot do', () => {
    expect(warnOf(judged(lives({ reverses: 'loses', loses: ['the rows of a'] })), 'v2', 'v1')).toContain(
      'the rows of a',
    )
    expect(warnOf(judged(lives({ newCode: ['every INSERT into a fails'] }), true), 'v2', 'v1')).toContain(
      'that v2 cannot fill',
    )
  })
})

describe('describeVerdict', () => {
  const shown = { kind: 'AddField', text: 'Add field', reversible: true }

  test.each([
    [{}, ''],
    [lives(), ''],
    [breaks(['insert'], 'x'), 'old code cannot insert'],
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

test('a migration is shown without what only the verdict needed', () => {
  expect(showMigration(judged(lives()))).toEqual({
    app: 'shop',
    name: '0007_note',
    atomic: true,
    accepted: false,
    operations: [],
  })
})
