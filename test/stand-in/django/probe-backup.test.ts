import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { createHash } from 'node:crypto'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readAssets } from '../../../src/host/assets.ts'
import { run } from '../../../src/process.ts'
import { probe, python, several, usual, type Outcome } from './probe.ts'
import { makeWorld, type World } from './world.ts'

let world: World
let folder: string

beforeAll(async () => {
  world = await makeWorld()
  folder = await mkdtemp(join(tmpdir(), 'probe-backup-'))
})
afterAll(async () => {
  await world.stop()
  await rm(folder, { recursive: true })
})

/** The bytes between the marks, as the host reads them; undefined when the last mark is missing or does not fit. */
function dumpIn({ stdout }: Outcome): Buffer | undefined {
  const [, text, sum] = /^deploy-django: dump\n([^]*)^deploy-django: dumped (\w{64})$/m.exec(stdout) ?? []
  if (text === undefined) return undefined
  const bytes = Buffer.from(text.replaceAll('\n', ''), 'base64')
  return createHash('sha256').update(bytes).digest('hex') === sum ? bytes : undefined
}

const sqlite = async (...lines: readonly string[]): Promise<string> => {
  const { code, stdout, stderr } = await run(python(), ['-c', ['import sqlite3, sys', ...lines].join('\n')])
  if (code !== 0) throw new Error(stderr)
  return stdout.trim()
}

test.each(several)(
  'Django %s: a whole copy of a SQLite file with a write-ahead log, while the app writes',
  async (django) => {
    const DATABASE = join(folder, `${django}.sqlite3`)
    // More than a part, and rows that are only in the log.
    await sqlite(
      `c = sqlite3.connect("${DATABASE}")`,
      'c.execute("PRAGMA journal_mode = wal")',
      'c.execute("CREATE TABLE t (x)")',
      'c.executemany("INSERT INTO t VALUES (hex(randomblob(500)))", [()] * 2000)',
      'c.commit()',
    )
    const asked = await probe('backup', world.plain, { django, env: { DATABASE } })
    expect([asked.code, asked.result]).toEqual([0, { 'deploy-django': 1, verb: 'backup' }])
    const bytes = dumpIn(asked)
    if (!bytes) throw new Error('the dump is not whole')
    const copy = join(folder, 'copy.sqlite3')
    await writeFile(copy, bytes)
    expect(await sqlite(`print(sqlite3.connect("${copy}").execute("SELECT count(*) FROM t").fetchone()[0])`)).toBe(
      '2000',
    )
  },
)

test('a SQLite file that is damaged is no backup', async () => {
  const DATABASE = join(folder, 'damaged.sqlite3')
  await sqlite(
    `c = sqlite3.connect("${DATABASE}")`,
    'c.execute("CREATE TABLE t (x)")',
    'c.execute("CREATE INDEX i ON t (x)")',
    'c.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(3000)])',
    'c.commit()',
    'c.execute("PRAGMA writable_schema = on")',
    'c.execute("UPDATE sqlite_master SET rootpage = 2 WHERE name = \'i\'")',
    'c.commit()',
  )
  const asked = await probe('backup', world.plain, { env: { DATABASE } })
  expect(asked.code).not.toBe(0)
  expect(dumpIn(asked)).toBeUndefined()
  expect(asked.stderr).toMatch(/damaged|malformed/)
})

test.each(several)('Django %s: PostgreSQL by the client of the image, which restores it', async (django) => {
  const database = await world.database(`backup_${django.replace('.', '_')}`)
  const rows = await world.postgres.query(database, 'SELECT count(*) FROM django_migrations')
  const planned = await probe('plan', world.plain, { django, env: world.env(database) })
  expect(planned.code).toBe(0)
  const asked = await probe('backup', world.plain, { django, env: world.env(database) })
  expect(asked.code).toBe(0)
  const bytes = dumpIn(asked)
  if (!bytes) throw new Error('the dump is not whole')
  const file = join(folder, 'copy.dump')
  await writeFile(file, bytes)
  await world.postgres.createDatabase(`${database}_again`)
  const env = { ...process.env, ...world.postgres.env }
  expect(await run('pg_restore', ['--exit-on-error', '-d', `${database}_again`, file], { env })).toMatchObject({
    code: 0,
  })
  expect(await world.postgres.query(`${database}_again`, 'SELECT count(*) FROM django_migrations')).toEqual(rows)
})

test('a server of others is restored by the client of the app, all of it or nothing', async () => {
  const database = await world.database('backup_by_app')
  const env = { ...world.env(database), DATABASE: database }
  const bytes = dumpIn(await probe('backup', world.plain, { env }))
  if (!bytes) throw new Error('the dump is not whole')
  await writeFile(join(folder, 'app.dump'), bytes)
  // What a container of the app would do.
  const bin = await mkdtemp(join(folder, 'docker-'))
  await writeFile(join(bin, 'docker'), `#!/bin/sh\nshift 3\ncd '${world.plain}' && exec "$@"\n`)
  await chmod(join(bin, 'docker'), 0o755)
  const part = fileURLToPath(new URL('../../../src/host/transaction/restore.sh', import.meta.url))
  const words = `docker=docker app=web whole=${join(folder, 'app')} manage=" '${python()}' 'manage.py'"`
  const script = (await run('sh', ['-c', `. ${part}; ${words}; restore_postgresql_by_app`])).stdout
  const restore = (): ReturnType<typeof run> =>
    run('sh', ['-c', script], { env: { ...process.env, ...env, PATH: `${bin}:${process.env['PATH']}` } })
  const rows = (): Promise<string[]> => world.postgres.query(database, 'SELECT count(*) FROM django_migrations')
  const before = await rows()

  await world.postgres.query(database, 'DELETE FROM django_migrations; ALTER TABLE shop_order DROP COLUMN note')
  expect(await restore()).toMatchObject({ code: 0 })
  expect(await rows()).toEqual(before)
  await world.postgres.query(database, 'SELECT note FROM shop_order')

  await world.postgres.query(
    database,
    'DELETE FROM django_migrations; CREATE TABLE later (id bigint REFERENCES shop_order (id))',
  )
  const failed = await restore()
  expect([failed.code, failed.stderr]).toEqual([expect.any(Number), expect.stringContaining('depends on')])
  expect(failed.code).not.toBe(0)
  expect(await rows()).toEqual(['0'])
})

/** A `docker` on PATH that runs what it is given for a container here: `exec` in the project, `run` anywhere else. */
async function fakeDocker(project: string): Promise<string> {
  const bin = await mkdtemp(join(folder, 'docker-'))
  const script = `#!/bin/sh
case $1 in
  start) exit ;;
  exec) shift; [ "$1" != -i ] || shift; while [ "$1" = -e ]; do export "$2"; shift 2; done; shift; cd '${project}' && exec "$@" ;;
  run) while [ "$1" != -c ]; do shift; done; cd /; unset PGHOST PGPORT PGUSER PGOPTIONS; exec sh "$@" ;;
esac
`
  await writeFile(join(bin, 'docker'), script)
  await chmod(join(bin, 'docker'), 0o755)
  return `${bin}:${process.env['PATH']}`
}

test('a client elsewhere learns how Django connects, and restores all of it or nothing', async () => {
  const database = await world.database('backup_by_client')
  const passfile = join(folder, 'pass file')
  await writeFile(passfile, `*:*:*:*:it's "secret"\n`)
  const env = {
    ...world.env(database),
    DATABASE: database,
    PGPASSFILE: passfile,
    PGOPTIONS: '-c default_transaction_read_only=on',
  }
  const shared = await probe('connection', world.plain, { env })
  const lines = [...shared.stdout.matchAll(/^deploy-django: (\w+) (\w+) (\S+)$/gm)].map(
    ([, kind, name, value = '']) => [kind, name, Buffer.from(value, 'base64').toString()],
  )
  expect(lines).toContainEqual(['file', 'PGPASSFILE', `*:*:*:*:it's "secret"\n`])
  expect(lines).toContainEqual(['variable', 'PGDATABASE', database])
  expect(lines.map(([, name]) => name)).not.toContain('PGOPTIONS')

  const bytes = dumpIn(await probe('backup', world.plain, { env }))
  if (!bytes) throw new Error('the dump is not whole')
  await writeFile(join(folder, 'client.dump'), bytes)
  const { transaction, probe: word } = await readAssets()
  await mkdir(join(folder, '.deploy/plans/t'), { recursive: true })
  await writeFile(join(folder, '.deploy/plans/t/probe.py'), word)
  // All functions of the script, and none of its commands.
  await writeFile(join(folder, 'functions.sh'), transaction.toString().replace(/^command=\$1\n[^]*/m, ''))
  const words = `docker=docker app=web whole=client manage=" '${python()}' 'manage.py'" client_image=postgres:17-alpine transaction=t`
  const script = (await run('sh', ['-c', `. ./functions.sh; ${words}; restore_postgresql_by_client`], { cwd: folder }))
    .stdout
  const PATH = await fakeDocker(world.plain)
  const restore = (): ReturnType<typeof run> =>
    run('sh', ['-c', `set -eu\n${script}`], { cwd: folder, env: { ...process.env, ...env, PATH } })
  const rows = (): Promise<string[]> => world.postgres.query(database, 'SELECT count(*) FROM django_migrations')
  const before = await rows()

  await world.postgres.query(database, 'DELETE FROM django_migrations; ALTER TABLE shop_order DROP COLUMN note')
  const restored = await restore()
  expect([restored.code, restored.stdout]).toEqual([0, 'The database is restored.\n'])
  expect(await rows()).toEqual(before)
  await world.postgres.query(database, 'SELECT note FROM shop_order')

  await world.postgres.query(database, 'DELETE FROM django_migrations')
  await writeFile(join(folder, 'client.dump'), bytes.subarray(0, bytes.length - 1000))
  const torn = await restore()
  expect([torn.code === 0, torn.stdout]).toEqual([false, ''])
  expect(await rows()).toEqual(['0'])
})

test('a client that fails, or a dump that pg_restore cannot list, is no backup', async () => {
  const fake = async (name: string, text: string): Promise<string> => {
    const bin = await mkdtemp(join(folder, 'bin-'))
    await writeFile(join(bin, name), `#!/bin/sh\n${text}\n`)
    await chmod(join(bin, name), 0o755)
    return `${bin}:${process.env['PATH']}`
  }
  for (const PATH of [
    await fake('pg_dump', 'echo PGDMP; echo "pg_dump: error: the server went away" >&2; exit 1'),
    await fake('pg_dump', 'echo no dump'),
  ]) {
    const asked = await probe('backup', world.plain, { env: world.env('base', { PATH }) })
    expect(asked.code).not.toBe(0)
    expect(dumpIn(asked)).toBeUndefined()
    expect(asked.stderr).toMatch(/pg_dump.* failed|pg_restore -l failed/)
  }
})

test('the plan says how large the database is and which client the image has', async () => {
  const empty = await world.database('backup_empty', 'empty')
  const planned = await probe('plan', world.plain, { django: usual, env: world.env(empty) })
  expect(planned.result['dump']).toEqual({
    user: 'postgres',
    bytes: expect.any(Number),
    server: expect.any(Number),
    client: expect.any(Number),
    pooled: false,
  })
  const PATH = '/nowhere'
  expect((await probe('plan', world.plain, { env: world.env(empty, { PATH }) })).result['dump']).toMatchObject({
    client: null,
  })
})
