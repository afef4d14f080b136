import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { fileURLToPath } from 'node:url'
import { run } from '../../../src/process.ts'
import { makeProject, migration, python, several, start } from './probe.ts'
import { addField, appliedBy, go, makeWorld, type World } from './world.ts'

// Jest has no import.meta.dirname.
const watch = fileURLToPath(new URL('../../../src/django/probe/watch.py', import.meta.url))
let world: World

beforeAll(async () => {
  world = await makeWorld()
})
afterAll(() => world.stop())

const fieldA = { 'shop/migrations/0003_a.py': migration('shop.0002_note', addField('a')) }

/** A session that read a row and left its transaction open. */
const READ = "SELECT 1 FROM shop_order WHERE number = 'secret' AND id = 4711"
const READ_MASKED = 'SELECT ? FROM shop_order WHERE number = ? AND id = ?'

const heldBy = (query: string): RegExp => {
  const session = '^ {2}process \\d+, idle in transaction, open for \\d+ s, application psql, user postgres: '
  return new RegExp(`${session}${query.replace(/[?()]/g, '\\$&')}$`, 'm')
}

test.each(several)(
  'Django %s: a lock that another session holds is tried for with short timeouts; its holder is reported',
  async (django) => {
    const database = await world.database(`locked_${django.replace('.', '_')}`)
    const project = await makeProject(fieldA)
    const holder = await world.postgres.hold(database, READ)
    const running = await world.begin(project, database, { DEPLOY_DJANGO_LOCK_TIMEOUT: '200' }, django)
    const ended = go(running)
    await running.printed('Waiting for locks: shop.0003_a was rolled back, next try in 1.0 s (try 2 of 10)')
    await holder.release()
    const outcome = await ended
    expect([outcome.code, appliedBy(outcome), outcome.result['failed']]).toEqual([0, ['0003_a'], null])
    expect(outcome.stderr).toContain('The lock for the table shop_order is held by\n')
    expect(outcome.stderr).toMatch(heldBy(READ_MASKED))
    expect(outcome.stderr).not.toMatch(/secret|4711/)
  },
)

test('a lock that never comes ends after so many tries, and names who holds it', async () => {
  const database = await world.database('never')
  const holder = await world.postgres.hold(database, READ)
  const outcome = await world.migrate(await makeProject(fieldA), database, {
    DEPLOY_DJANGO_LOCK_TIMEOUT: '100',
    DEPLOY_DJANGO_LOCK_TRIES: '2',
  })
  expect([outcome.code, outcome.result['applied'], outcome.result.error?.kind]).toEqual([17, [], 'migration-lock'])
  expect(outcome.result['failed']).toMatchObject({ name: '0003_a', error: expect.stringContaining('lock timeout') })
  expect(outcome.result.error?.message).toBe(
    'shop.0003_a did not get its lock for the table shop_order in 2 tries of 0.1 s',
  )
  expect(outcome.result.error?.detail).toMatch(heldBy(READ_MASKED))
  await holder.release()
})

test('no try begins that the time has no room for', async () => {
  const database = await world.database('no_time')
  const holder = await world.postgres.hold(database, READ)
  const outcome = await world.migrate(await makeProject(fieldA), database, {
    DEPLOY_DJANGO_LOCK_TIMEOUT: '100',
    DEPLOY_DJANGO_TIMEOUT: '0.5',
  })
  expect([outcome.code, outcome.result.error?.kind]).toEqual([17, 'migration-lock'])
  await holder.release()
})

test('an index that is made concurrently waits as long as it takes, once; the session that it waits for is reported', async () => {
  const database = await world.database('one_index')
  const project = await makeProject({
    'shop/migrations/0003_index.py': migration(
      'shop.0002_note',
      'postgres.AddIndexConcurrently("order", models.Index(fields=["number"], name="order_number"))',
      'atomic = False',
    ),
  })
  const holder = await world.postgres.hold(database, "INSERT INTO shop_order (number) VALUES ('secret')")
  const running = await world.begin(project, database, { DEPLOY_DJANGO_LOCK_TIMEOUT: '200' })
  const ended = go(running)
  await running.printed('shop.0003_index waits')
  await holder.release()
  const outcome = await ended
  expect([outcome.code, appliedBy(outcome)]).toEqual([0, ['0003_index']])
  expect(outcome.stderr).toMatch(heldBy('INSERT INTO shop_order (number) VALUES (?)'))
  expect(outcome.stderr).not.toContain('was rolled back')
  const valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'order_number'::regclass"
  expect(await world.postgres.query(database, valid)).toEqual(['t'])
})

test.each(several)(
  'Django %s: a constraint that is added last does not get its lock either, and is tried again',
  async (django) => {
    const database = await world.database(`deferred_${django.replace('.', '_')}`)
    const fields =
      '[("id", models.BigAutoField(primary_key=True)), ("order", models.ForeignKey("shop.Order", models.CASCADE))]'
    const project = await makeProject({
      'shop/migrations/0003_line.py': migration('shop.0002_note', `migrations.CreateModel("Line", ${fields})`),
    })
    const holder = await world.postgres.hold(database, "INSERT INTO shop_order (number) VALUES ('x')")
    const running = await world.begin(project, database, { DEPLOY_DJANGO_LOCK_TIMEOUT: '200' }, django)
    const ended = go(running)
    await running.printed('shop.0003_line was rolled back')
    await holder.release()
    const outcome = await ended
    expect([outcome.code, outcome.result.error, appliedBy(outcome)]).toEqual([0, undefined, ['0003_line']])
    expect(await world.postgres.query(database, 'SELECT count(*) FROM shop_line')).toEqual(['0'])
  },
)

test.each([1, 2, 3])('behind a pooler with %d connections it is known as well', async (size) => {
  const pooler = await world.pooler(size)
  const database = await world.database(`pooled_lock_${size}`)
  const holder = await world.postgres.hold(database, READ)
  const running = await world.begin(await makeProject(fieldA), database, {
    PGPORT: pooler.port,
    DEPLOY_DJANGO_LOCK_TIMEOUT: '200',
  })
  const ended = go(running)
  await running.printed('is held by')
  await holder.release()
  const outcome = await ended
  expect([outcome.code, appliedBy(outcome)]).toEqual([0, ['0003_a']])
  expect(outcome.stderr).toMatch(heldBy(READ_MASKED))
})

test('a way back that does not get its lock names who holds it', async () => {
  const database = await world.database('reversed')
  const project = await makeProject(fieldA)
  expect((await world.migrate(project, database)).code).toBe(0)
  const holder = await world.postgres.hold(database, READ)
  const outcome = await start('unapply', project, {
    env: world.env(database, {
      DEPLOY_DJANGO_APPROVED: 'shop.0003_a=x',
      DEPLOY_DJANGO_GO: 'yes',
      DEPLOY_DJANGO_LOCK_TIMEOUT: '100',
      DEPLOY_DJANGO_LOCK_TRIES: '2',
    }),
  }).ended
  expect([outcome.code, outcome.result.error?.kind]).toEqual([29, 'migration-lock'])
  expect(outcome.result.error?.detail).toMatch(heldBy(READ_MASKED))
  await holder.release()
})

test.each([
  ["SELECT 'it''s', E'a\\'b', 1.5e3, -2, $1 FROM \"a'b\" AS t1", 'SELECT ?, ?, ?, -?, $1 FROM "a\'b" AS t1'],
  ['SELECT $$a$$, $x$b $$ c$x$ /* d */, größe -- e', 'SELECT ?, ? , größe'],
  ["SELECT N'a', interval'1 day', 0x1F, date '2020-01-01';", 'SELECT ?, interval?, ?, date ?'],
  ["SELECT 'cut off in the mid", 'SELECT ?'],
  // Whether a backslash ends this string is a setting.
  ["SELECT 'a\\', 'b'", 'SELECT ?'],
])('the values of %s are masked', async (query, masked) => {
  const program = 'import re, sys; exec(open(sys.argv[1]).read()); print(mask_literals(sys.argv[2]))'
  const { stdout } = await run(python(), ['-X', 'utf8', '-c', program, watch, query])
  expect(stdout).toBe(`${masked}\n`)
})
