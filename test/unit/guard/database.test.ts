import { expect, test } from '@jest/globals'
import { readDatabases, type Database } from '../../../src/django/document.ts'
import { checkDatabases, describeChanges } from '../../../src/guard/database.ts'

const before: Database = { vendor: 'postgresql', system: '77', host: 'db', name: 'shop', empty: false }

test.each<[string, Partial<Database>, Partial<Database>, string | undefined]>([
  ['the same', {}, {}, undefined],
  ['another server', {}, { system: '78' }, 'no longer point to the current database'],
  ['another name', {}, { name: 'shop2' }, 'no longer point to the current database'],
  [
    'another kind',
    {},
    { vendor: 'sqlite', system: undefined, host: '', name: '/db.sqlite3' },
    'no longer point to the current database',
  ],
  ['the same server under another address', {}, { host: 'postgres' }, undefined],
  [
    'another address of a server that does not say who it is',
    {},
    { host: 'postgres', system: undefined },
    'no longer point to the current database',
  ],
  ['the same address of a server that did not say who it is', { system: undefined }, {}, undefined],
  ['the same, but empty', {}, { empty: true }, 'database is empty'],
  ['the same, as empty as before', { empty: true }, { empty: true }, undefined],
  ['the same, no more empty', { empty: true }, {}, undefined],
])('%s', (_, change, next, what) => {
  const was = { ...before, ...change }
  const now = { ...before, ...next }
  const check = (): void => checkDatabases([was], [now], 'deploy with force')
  expect(describeChanges([was], [now])).toEqual(what === undefined ? [] : [expect.stringContaining(what)])
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

test.each([
  ['moved', { system: '2' }],
  ['empty', { empty: true }],
])('the fix keeps the volume of a service that was renamed: %s', (_, next) => {
  const check = (): void => checkDatabases([before], [{ ...before, ...next }], 'force')
  expect(check).toThrow(
    expect.objectContaining({ fix: expect.stringMatching(/`name: OLDVOLUME`.*`docker stop CONTAINER`/) }),
  )
})

test('a first deploy has nothing to compare with', () => {
  expect(() => checkDatabases([], [before], '')).not.toThrow()
  expect(() => checkDatabases([before], [], '')).not.toThrow()
})

const archive: Database = { ...before, alias: 'archive', name: 'archive' }

test('each database is compared with the one of the same alias', () => {
  const own: Database = { ...before, alias: 'default' }
  const check = (was: readonly Database[], now: readonly Database[]) => () => checkDatabases(was, now, 'force')
  expect(check([before, archive], [own, archive])).not.toThrow()
  expect(check([own], [own, archive])).not.toThrow()
  expect(check([own, archive], [own])).not.toThrow()
  expect(check([own, archive], [own, { ...archive, name: 'other' }])).toThrow('no longer point to the current database')
  expect(check([archive, own], [{ ...own, empty: true }, archive])).toThrow('database is empty')
})

test('readDatabases finds them in a document of the probe, if they are there', () => {
  const document = { verb: 'verify', database: before, others: [{ alias: 'archive', database: archive }] }
  expect(readDatabases(document)).toEqual([before, archive])
  expect(readDatabases({ verb: 'verify', database: before })).toEqual([before])
  expect(readDatabases({ verb: 'verify' })).toEqual([])
  expect(readDatabases(undefined)).toEqual([])
})
