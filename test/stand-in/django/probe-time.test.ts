import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeEngine, type Engine } from './engine.ts'
import { lastingMigration, makeProject, migration, several } from './probe.ts'
import { addField, appliedBy, go, makeWorld, type World } from './world.ts'

let world: World

beforeAll(async () => {
  world = await makeWorld()
})
afterAll(() => world.stop())

const rowsOf = (database: string): Promise<string[]> =>
  world.postgres.query(database, "SELECT name FROM django_migrations WHERE app = 'shop' ORDER BY id")
const columnsOf = (database: string): Promise<string[]> =>
  world.postgres.query(database, "SELECT column_name FROM information_schema.columns WHERE table_name = 'shop_order'")

const first = { 'shop/migrations/0003_first.py': migration('shop.0002_note', addField('a')) }
/** Changes the table, and then takes half a minute. */
const slow = (operation: string): Record<string, string> => ({
  ...first,
  'shop/migrations/0004_slow.py': migration('shop.0003_first', `${addField('b')}, ${operation}`),
})
const SLEEP = 'migrations.RunSQL("SELECT pg_sleep(30)", "")'
const CANCELLED =
  'The time for migrations is over (migrate-timeout). shop.0004_slow is cancelled and rolled back whole.'

test.each(several)(
  'Django %s: an atomic migration is cancelled at the end of the time, and leaves nothing',
  async (django) => {
    const database = await world.database(`atomic_${django.replace('.', '_')}`)
    const started = Date.now()
    const outcome = await world.migrate(
      await makeProject(slow(SLEEP)),
      database,
      { DEPLOY_DJANGO_TIMEOUT: '5' },
      django,
    )
    expect(Date.now() - started).toBeLessThan(32_000)
    expect([outcome.code, appliedBy(outcome), outcome.result.error?.kind]).toEqual([15, ['0003_first'], 'out-of-time'])
    expect(outcome.result['failed']).toMatchObject({
      name: '0004_slow',
      error: expect.stringContaining('user request'),
    })
    expect(outcome.result.error?.message).toContain('while shop.0004_slow ran. It was cancelled and rolled back whole')
    expect(outcome.stderr).toContain(CANCELLED)
    expect(await rowsOf(database)).toEqual(['0001_initial', '0002_note', '0003_first'])
    expect(await columnsOf(database)).toEqual(expect.not.arrayContaining(['b']))
  },
)

test.each([
  ['between two statements', 'time.sleep(7), editor.execute("SELECT pg_sleep(30)")'],
  ['that hides its errors', '[hide(editor) for _ in range(3)]'],
])('so is Python %s', async (_, python) => {
  const database = await world.database(`python_${_.replaceAll(' ', '_')}`)
  const files = slow(`migrations.RunPython(lambda apps, editor: (${python},), migrations.RunPython.noop)`)
  const hide = [
    'from django.db import transaction',
    'def hide(editor):',
    '    try:',
    '        with transaction.atomic(), editor.connection.cursor() as cursor:',
    '            cursor.execute("SELECT pg_sleep(30)")',
    '    except Exception:',
    '        pass',
    '',
  ].join('\n')
  const file = 'shop/migrations/0004_slow.py'
  const outcome = await world.migrate(await makeProject({ ...files, [file]: `${hide}${files[file]}` }), database, {
    DEPLOY_DJANGO_TIMEOUT: '5',
  })
  expect([outcome.code, appliedBy(outcome), outcome.result.error?.kind]).toEqual([15, ['0003_first'], 'out-of-time'])
  expect(await columnsOf(database)).toEqual(expect.not.arrayContaining(['b']))
})

test.each([1, 2])('behind a pooler with %d connections it is cancelled as well', async (size) => {
  const pooler = await world.pooler(size)
  const database = await world.database(`pooled_time_${size}`)
  const outcome = await world.migrate(await makeProject(slow(SLEEP)), database, {
    PGPORT: pooler.port,
    DEPLOY_DJANGO_TIMEOUT: '5',
  })
  expect([outcome.code, appliedBy(outcome), outcome.result.error?.kind]).toEqual([15, ['0003_first'], 'out-of-time'])
  expect(await columnsOf(database)).toEqual(expect.not.arrayContaining(['b']))
  const running = "SELECT query FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' AND state = 'active'"
  expect((await world.postgres.query(database, running)).filter((query) => !query.includes('pg_stat'))).toEqual([])
})

test('who held it up is named when the time is over meanwhile', async () => {
  const database = await world.database('late_lock')
  const holder = await world.postgres.hold(database, 'SELECT 1 FROM shop_order')
  const outcome = await world.migrate(await makeProject(first), database, {
    DEPLOY_DJANGO_TIMEOUT: '8',
    DEPLOY_DJANGO_LOCK_TIMEOUT: '60000',
  })
  expect([outcome.code, outcome.result.error?.kind]).toEqual([15, 'out-of-time'])
  expect(outcome.result.error?.detail).toMatch(
    /It waited for the table shop_order for\n {2}process \d+, idle in transaction/,
  )
  await holder.release()
})

const next = { 'shop/migrations/0004_next.py': migration('shop.0003_lasting', addField('b')) }
const LEFT = 'The time for migrations is over (migrate-timeout). shop.0003_lasting may finish'

describe.each([
  [
    'PostgreSQL, and is not atomic',
    'atomic = False',
    async (): Promise<Engine> => ({ ...world, query: world.postgres.query }),
  ],
  ['MariaDB', '', () => makeEngine('MariaDB')],
  ['SQLite', '', () => makeEngine('SQLite')],
])('a migration that is late on %s', (vendor, attributes, make) => {
  let engine: Engine
  beforeAll(async () => {
    engine = await make()
    // The server closes a connection that is idle for longer.
    if (vendor === 'MariaDB') await engine.query('base', 'SET GLOBAL wait_timeout = 2')
  })
  afterAll(() => (vendor.startsWith('PostgreSQL') ? undefined : engine.stop()))

  test('is left to finish with the lock kept, and the next one does not start', async () => {
    const database = await engine.database('lasting')
    const project = await makeProject({
      'shop/migrations/0003_lasting.py': lastingMigration('shop.0002_note', attributes),
      ...next,
    })
    const running = await engine.begin(project, database, { DEPLOY_DJANGO_TIMEOUT: '3' })
    await running.printed('replanned')
    if (vendor === 'MariaDB') await new Promise((resolve) => setTimeout(resolve, 3000))
    const ended = go(running)
    await running.printed(LEFT)
    const other = await (await engine.begin(project, database, { DEPLOY_DJANGO_LOCK_WAIT: '0.2' })).ended
    expect([other.code, other.result.error?.kind]).toEqual([11, 'lock-busy'])
    await writeFile(join(project, 'finish'), '')
    const outcome = await ended
    expect([outcome.code, appliedBy(outcome), outcome.result.error?.kind]).toEqual([
      15,
      ['0003_lasting'],
      'out-of-time',
    ])
    expect(outcome.result.error?.message).toContain('shop.0003_lasting was allowed to finish')
    expect(await engine.query(database, "SELECT name FROM django_migrations WHERE app = 'shop' ORDER BY id")).toEqual([
      '0001_initial',
      '0002_note',
      '0003_lasting',
    ])
  })

  test('is applied when it was the last one', async () => {
    const database = await engine.database('last')
    const file = lastingMigration('shop.0002_note', attributes)
    const project = await makeProject({ 'shop/migrations/0003_lasting.py': file })
    const running = await engine.begin(project, database, { DEPLOY_DJANGO_TIMEOUT: '3' })
    const ended = go(running)
    await running.printed(LEFT)
    await writeFile(join(project, 'finish'), '')
    const outcome = await ended
    expect([outcome.code, outcome.result.error, appliedBy(outcome)]).toEqual([0, undefined, ['0003_lasting']])
  })
})
