import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { readPending } from '../../../../src/django/verdict/facts.ts'
import { judge, type Judged } from '../../../../src/django/verdict/judge.ts'
import type { Verdict } from '../../../../src/django/verdict/verdict.ts'
import { startMariadb, type Mariadb } from '../mariadb.ts'
import { startPostgres, type Postgres } from '../postgres.ts'
import { several, usual } from '../probe.ts'
import { appOf, experiment, type Experiment, type Seen } from './experiment.ts'
import { rows, type Row } from './rows.ts'

const REVERSES: readonly string[] = ['fully', 'loses', 'fails', 'no']

/** The usual Django and the newest. */
const two = [...new Set([usual, ...several.slice(-1)])]

/** As PostgreSQL's own table of locks names them. */
const MODES: Readonly<Record<string, string>> = {
  ShareUpdateExclusiveLock: 'SHARE UPDATE EXCLUSIVE',
  ShareLock: 'SHARE',
  ShareRowExclusiveLock: 'SHARE ROW EXCLUSIVE',
  AccessExclusiveLock: 'ACCESS EXCLUSIVE',
}

const ONLY_POSTGRESQL =
  /Concurrently|Extension|Collation|NotValid|ValidateConstraint|Exclusion|RunSQL|GeneratedField|ArrayField|RangeField|SearchVector/

let postgres: Postgres
let folder: string

beforeAll(async () => {
  postgres = await startPostgres()
  folder = await mkdtemp(join(tmpdir(), 'verdict-'))
})
afterAll(async () => {
  await postgres.stop()
  await rm(folder, { recursive: true })
})

describe.each(several)('PostgreSQL, Django %s', (django) => {
  const known = rows.filter((row) => isSince(row, django))
  const found = experimentWith(known, django, 'postgresql', async () => ({
    ...postgres.env,
    DATABASE: await postgres.createDatabase(`d${django.replace('.', '_')}`),
  }))

  test.each(known.map((row, place) => [row.title, row, appOf(place)] as const))('%s', (_, row, app) => {
    const { verdict, seen } = found(app)
    checkVerdict(row, verdict, seen)
    const locks = Object.fromEntries(verdict.locks.map(({ table, mode, work }) => [nameOf(table), `${mode} ${work}`]))
    if (row.locks) expect(locks).toEqual(row.locks)
    if (row.unknown || row.atomic === false) return
    expect(Object.fromEntries(verdict.locks.map(({ table, mode }) => [table, mode]))).toEqual(modesOf(seen))
    expect(verdict.locks.filter(({ work }) => work === 'rewrite').map(({ table }) => table)).toEqual(seen.rewritten)
  })
})

describe.each(two)('SQLite, Django %s', (django) => {
  const known = rows
    .filter(
      (row) => isSince(row, django) && row.sqlite !== null && !ONLY_POSTGRESQL.test([...row.old, ...row.new].join()),
    )
    .map((row) => ({ ...row, ...row.sqlite }))
  const found = experimentWith(known, django, 'sqlite', async () => ({
    DATABASE: join(folder, `${django}.sqlite3`),
  }))

  test.each(known.map((row, place) => [row.title, row, appOf(place)] as const))('%s', (_, row, app) => {
    const { verdict, seen } = found(app)
    checkVerdict(row, verdict, seen)
    expect(verdict.locks).toEqual([])
  })
})

describe.each(two)('MariaDB, Django %s', (django) => {
  let mariadb: Mariadb
  beforeAll(async () => {
    mariadb = await startMariadb()
  })
  afterAll(() => mariadb.stop())
  const known = rows
    .filter(
      (row) => isSince(row, django) && row.mariadb !== null && !ONLY_POSTGRESQL.test([...row.old, ...row.new].join()),
    )
    .map((row) => ({ ...row, ...row.mariadb }))
  const found = experimentWith(known, django, 'mysql', async () => ({
    ...mariadb.env,
    DATABASE: await mariadb.createDatabase('verdicts'),
  }))

  test.each(known.map((row, place) => [row.title, row, appOf(place)] as const))('%s', (_, row, app) => {
    const { verdict, seen } = found(app)
    checkVerdict(row, verdict, seen)
  })
})

/** Makes the experiment before the tests; gives what it found for an app. */
function experimentWith(
  some: readonly Row[],
  django: string,
  vendor: string,
  makeDatabase: () => Promise<Record<string, string>>,
) {
  let judged: Judged[]
  let experimented: Experiment
  beforeAll(async () => {
    experimented = await experiment(some, django, join(folder, `${vendor}-${django}`), await makeDatabase())
    judged = judge(readPending(experimented.pending), vendor)
  })
  return (app: string): { verdict: Verdict; seen: Seen } => {
    const [verdict, seen] = [judged.find((each) => each.app === app)?.verdict, experimented.seen[app]]
    if (!verdict || !seen) throw new Error('there is no verdict')
    return { verdict, seen }
  }
}

function checkVerdict(row: Row, verdict: Verdict, seen: Seen): void {
  expect(seen.error).toBeUndefined()
  const unknown = row.unknown ?? false
  expect({ ...pick(verdict), unknown: verdict.unknown.length > 0 }).toEqual({ ...pick(row), unknown })
  expect(happened(row, seen)).toEqual(row.atMost ? { breaks: true, reverses: true } : pick(row))
}

const pick = ({ breaks, reverses }: Pick<Row, 'breaks' | 'reverses'> | Verdict) => ({ breaks, reverses })

/** What counts of that; where the verdict may be more, whether it is. */
function happened(row: Row, { breaks, reverses, errors, reversing }: Seen): object {
  const counted = breaks.filter((part) => !row.besides?.some((other) => other === part))
  if (!row.atMost) return { breaks: counted, reverses }
  return {
    breaks: counted.every((part) => row.breaks.some((other) => other === part)) || errors,
    reverses: REVERSES.indexOf(reverses) <= REVERSES.indexOf(row.reverses) || reversing,
  }
}

function modesOf({ locks }: Seen): Record<string, string> {
  return Object.fromEntries(Object.entries(locks).map(([table, mode]) => [table, MODES[mode] ?? mode]))
}

/** Without the label of the row's app. */
function nameOf(table: string): string {
  return table.replace(/^r\d+_/, '')
}

function isSince(row: Row, django: string): boolean {
  return django.localeCompare(row.since ?? '0', undefined, { numeric: true }) >= 0
}
