import { describe, expect, test } from '@jest/globals'
import { readApp, type App } from '../../../src/compose/app.ts'
import {
  backingUp,
  backupLines,
  dumpLines,
  lossOf,
  planBackup,
  type Backup,
  type BackupFacts,
} from '../../../src/deployment/backup.ts'
import type { Database, DumpFacts } from '../../../src/django/document.ts'
import type { Judged } from '../../../src/django/verdict/judge.ts'
import { lives, type Reverses } from '../../../src/django/verdict/verdict.ts'

const judged = (reverses: Reverses, loses: readonly string[] = [], unknown: readonly string[] = []): Judged => ({
  app: 'shop',
  name: '0003_next',
  source: 'ab',
  vendor: 'postgresql',
  needs: [],
  atomic: true,
  accept: false,
  operations: [],
  verdicts: [],
  verdict: lives({ reverses, loses, unknown }),
})
const database = (change: Partial<Database> = {}): Database => ({
  vendor: 'postgresql',
  system: '7123',
  host: 'db:5432',
  name: 'shop',
  empty: false,
  ...change,
})
const noFacts: DumpFacts = {
  sizeBytes: undefined,
  user: undefined,
  serverMajor: undefined,
  client: undefined,
  isPooled: false,
}
const services = (all: Readonly<Record<string, object>>): App => readApp({ services: all })
const facts: BackupFacts = {
  policy: 'auto',
  isMigrating: true,
  loss: 'shop.0003_next loses shop_order.note',
  database: database(),
  facts: noFacts,
  app: services({ web: { image: 'shop@sha256:aa' }, db: { image: 'postgres:17' } }),
  running: ['web', 'db'],
}
const plan = (change: Partial<BackupFacts>): Backup => planBackup({ ...facts, ...change })
const wayOf = (change: Partial<BackupFacts>): string | undefined => {
  const backup = plan(change)
  return backup.kind === 'dump' ? (backup.way.service ?? backup.way.image ?? 'one-off') : backup.kind
}

describe('planBackup', () => {
  test.each<[string, Partial<BackupFacts>, Backup['kind']]>([
    ['a migration that loses data', {}, 'dump'],
    ['one that cannot be reversed', { loss: lossOf([judged('no')]) }, 'dump'],
    ['one of several', { loss: lossOf([judged('fully'), judged('no')]) }, 'dump'],
    ['one that can be reversed', { loss: lossOf([judged('fully')]) }, 'none'],
    ['one before whose reversal rows must change', { loss: lossOf([judged('fails')]) }, 'none'],
    ['one that loses a column that nothing could fill again', { loss: lossOf([judged('fails', ['a.b'])]) }, 'dump'],
    ['any, if a backup is always wanted', { loss: lossOf([judged('fully')]), policy: 'always' }, 'dump'],
    ['none at all', { loss: lossOf([]), policy: 'always', isMigrating: false }, 'none'],
    ['nobody applies it', { isMigrating: false }, 'none'],
    ['an empty database', { database: database({ empty: true }), policy: 'always' }, 'none'],
    ['a person has a backup', { policy: 'never' }, 'unwanted'],
    ['nothing is lost, and no backup is wanted', { policy: 'never', loss: lossOf([judged('fully')]) }, 'none'],
  ])('%s', (_, change, kind) => expect(plan(change).kind).toBe(kind))

  const web = { image: 'shop@sha256:aa' }
  const client = (major: number, serverMajor = 17): DumpFacts => ({ ...noFacts, client: major, serverMajor })
  test.each<[string, Partial<BackupFacts>, string]>([
    ['the service that the settings name', {}, 'db'],
    [
      'by an alias',
      { app: services({ x: { image: 'postgis/postgis:16', networks: { back: { aliases: ['db'] } } } }) },
      'x',
    ],
    ['by its container_name', { app: services({ x: { image: 'postgres', container_name: 'db' } }) }, 'x'],
    ['by its hostname', { app: services({ x: { image: 'postgres', hostname: 'db' } }) }, 'x'],
    [
      'behind a pooler',
      {
        database: database({ host: 'pgbouncer:6432' }),
        app: services({ pgbouncer: { image: 'edoburu/pgbouncer' }, db: { image: 'postgres:17' } }),
      },
      'db',
    ],
    ['through a socket', { database: database({ host: '' }) }, 'db'],
    ['through a socket in a folder', { database: database({ host: '/var/run/postgresql' }) }, 'db'],
    ['built here, without a telling image', { app: services({ web, db: { image: 'shop-db@sha256:bb' } }) }, 'db'],
    [
      'elsewhere, with a client of its version',
      { database: database({ host: 'db.example.com:5432' }), facts: client(17) },
      'one-off',
    ],
    [
      'elsewhere, without a client',
      { database: database({ host: '10.0.0.1' }), facts: { ...noFacts, serverMajor: 16 } },
      'postgres:16-alpine',
    ],
    [
      'elsewhere, with an older client',
      { database: database({ host: '10.0.0.1' }), facts: client(15) },
      'postgres:17-alpine',
    ],
    ['elsewhere, with a newer client', { database: database({ host: '10.0.0.1' }), facts: client(18) }, 'one-off'],
    ['MariaDB', { database: database({ vendor: 'mysql' }), app: services({ db: { image: 'mariadb:11' } }) }, 'db'],
    ['SQLite', { database: database({ vendor: 'sqlite', host: '', name: '/data/db.sqlite3' }) }, 'one-off'],
  ])('dumps %s', (_, change, way) => expect(wayOf(change)).toBe(way))

  test.each<[string, Partial<BackupFacts>, RegExp]>([
    [
      'elsewhere without a client, of an unknown version',
      { database: database({ host: 'db.example.com' }) },
      /db\.example\.com, and its version is unknown/,
    ],
    [
      'elsewhere through a pooler',
      { database: database({ host: 'db.example.com' }), facts: { ...client(17), isPooled: true } },
      /but a connection pooler is, and `pg_dump` would change the sessions of the app/,
    ],
    [
      'MySQL elsewhere',
      { database: database({ vendor: 'mysql', host: 'rds.example.com' }) },
      /no service .* rds\.example\.com/,
    ],
    ['Oracle', { database: database({ vendor: 'oracle' }) }, /a database of oracle/],
    [
      'one of two behind a pooler',
      {
        database: database({ host: 'pgbouncer' }),
        app: services({ pgbouncer: { image: 'pgbouncer' }, a: { image: 'postgres' }, b: { image: 'postgres' } }),
        running: ['pgbouncer', 'a', 'b'],
      },
      /no service of the Compose file is the database server at pgbouncer/,
    ],
    [
      'another database than `default`',
      { database: database({ alias: 'archive' }) },
      /only the database `default` is backed up here, not archive/,
    ],
  ])('refuses %s', (_, change, seen) => {
    expect(plan(change)).toMatchObject({
      kind: 'impossible',
      problem: { code: 'backup-impossible', seen: expect.stringMatching(seen) },
    })
  })

  describe('of code in a migration nobody knows whether it loses anything', () => {
    const code = judged('no', [], ['what the Python code changes'])
    const away = database({ host: 'rds.example.com' })
    const there = database({ alias: 'archive' })
    test.each<[string, Partial<BackupFacts>, Backup['kind']]>([
      ['a backup that can be made is made', { loss: lossOf([code]) }, 'dump'],
      [
        'one that a client image can make is made',
        { loss: lossOf([code]), database: away, facts: { ...noFacts, serverMajor: 17 } },
        'dump',
      ],
      ['without one it does not run', { loss: lossOf([code]), database: away }, 'impossible'],
      ['nor in another database than `default`', { loss: lossOf([code]), database: there }, 'impossible'],
      ['unless nobody wants one', { loss: lossOf([code]), database: away, policy: 'never' }, 'unwanted'],
    ])('%s', (_, change, kind) => expect(plan(change).kind).toBe(kind))
  })

  test('says why, and what the host has to know', () => {
    const backup = plan({ loss: lossOf([judged('loses', ['shop_order.note']), judged('no')]) })
    expect(backup).toMatchObject({ reason: 'shop.0003_next loses shop_order.note; shop.0003_next cannot be reversed' })
    const lines = backup.kind === 'dump' ? backupLines(backup.way) : []
    expect(lines).toEqual(['postgresql', 'db', 'shop', '7123', '-', '-', '-'])
    const sqlite = plan({
      database: database({ vendor: 'sqlite', host: '', name: '/data/db', system: undefined }),
      facts: { ...noFacts, sizeBytes: 4096, user: 'ada' },
    })
    expect(sqlite.kind === 'dump' && backupLines(sqlite.way)).toEqual([
      'sqlite',
      '-',
      '/data/db',
      '-',
      'ada',
      '4096',
      '-',
    ])
  })
})

test('backingUp comes just before whatever migrates', () => {
  expect(backingUp(['data', 'replan', 'migrate', 'jobs', 'swap'])).toEqual([
    'data',
    'replan',
    'backup',
    'migrate',
    'jobs',
    'swap',
  ])
  expect(backingUp(['replan', 'stop', 'unapply', 'fit'])).toEqual(['replan', 'stop', 'backup', 'unapply', 'fit'])
  expect(backingUp(['data', 'jobs', 'static', 'swap'])).toEqual(['data', 'backup', 'jobs', 'static', 'swap'])
  expect(backingUp(['data', 'swap'])).toEqual(['data', 'backup', 'swap'])
})

test.each<[string, Partial<BackupFacts>, readonly string[] | undefined]>([
  ['a service', {}, ['postgresql', 'db', 'shop', '7123', '-', '-', '-']],
  [
    'a client image',
    { database: database({ host: 'db.example.com' }), facts: { ...noFacts, serverMajor: 17 } },
    ['postgresql', '-', 'shop', '7123', '-', '-', 'postgres:17-alpine'],
  ],
  ['no way', { database: database({ host: 'db.example.com' }) }, undefined],
])('dumpLines of %s', (_, change, lines) => expect(dumpLines({ ...facts, ...change })).toEqual(lines))
