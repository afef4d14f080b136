import { expect, test } from '@jest/globals'
import { readDatabase, type Database } from '../../../src/django/document.ts'
import { checkDatabase } from '../../../src/guard/database.ts'

const before: Database = { vendor: 'postgresql', system: '77', host: 'db', name: 'shop', empty: false }

test.each<[string, Partial<Database>, Partial<Database>, string | undefined]>([
  ['the same', {}, {}, undefined],
  ['another server', {}, { system: '78' }, 'another database'],
  ['another name', {}, { name: 'shop2' }, 'another database'],
  ['another kind', {}, { vendor: 'sqlite', system: undefined, host: '', name: '/db.sqlite3' }, 'another database'],
  ['the same server under another address', {}, { host: 'postgres' }, undefined],
  [
    'another address of a server that does not say who it is',
    {},
    { host: 'postgres', system: undefined },
    'another database',
  ],
  ['the same address of a server that did not say who it is', { system: undefined }, {}, undefined],
  ['the same, but empty', {}, { empty: true }, 'database is empty'],
  ['the same, as empty as before', { empty: true }, { empty: true }, undefined],
  ['the same, no more empty', { empty: true }, {}, undefined],
])('%s', (_, change, next, what) => {
  const check = (): void => checkDatabase({ ...before, ...change }, { ...before, ...next }, 'deploy with force')
  if (what === undefined) expect(check).not.toThrow()
  else {
    expect(check).toThrow(
      expect.objectContaining({
        code: 'database-changed',
        what: expect.stringContaining(what),
        fix: expect.stringContaining('deploy with force'),
      }),
    )
  }
})

test('a first deploy has nothing to compare with', () => {
  expect(() => checkDatabase(undefined, before, '')).not.toThrow()
  expect(() => checkDatabase(before, undefined, '')).not.toThrow()
})

test('readDatabase finds it in a document of the probe, if it is there', () => {
  expect(readDatabase({ verb: 'verify', database: { ...before, alias: 'default' } })).toEqual(before)
  expect(readDatabase({ verb: 'verify' })).toBeUndefined()
  expect(readDatabase(undefined)).toBeUndefined()
})
