import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { insertApplied, recordApplied } from '../../../src/host/migration-failure.ts'
import { run } from '../../../src/process.ts'
import { approve, approveNew, makeProject, migration, probe, python, several, start, type Outcome } from './probe.ts'
import { addField, appliedBy, go, makeWorld, runPython, type World } from './world.ts'

let world: World

beforeAll(async () => {
  world = await makeWorld()
})
afterAll(() => world.stop())

const rowsOf = (database: string): Promise<string[]> =>
  world.postgres.query(database, "SELECT name FROM django_migrations WHERE app = 'shop' ORDER BY id")

/** Of the test's own app: `base` was migrated by a Django that has other migrations of its own. */
const unknownOfShop = ({ result }: Outcome): string[] =>
  (result['unknown'] as string[]).filter((name) => name.startsWith('shop.'))

describe.each(several)('Django %s', (django) => {
  test('plans, migrates, verifies and fits an empty database; a second run has nothing to do', async () => {
    const database = await world.database(`whole_${django.replace('.', '_')}`, 'empty')
    const options = { django, env: world.env(database) }

    const planned = await probe('plan', world.plain, options)
    expect(planned.code).toBe(0)
    expect(planned.result).toMatchObject({
      database: { empty: true, vendor: 'postgresql', name: database },
      applied: [],
    })

    const migrated = await world.migrate(world.plain, database, { DEPLOY_DJANGO_APPROVED: approve(planned) }, django)
    expect(migrated.code).toBe(0)
    expect(appliedBy(migrated)).toHaveLength((planned.result['pending'] as unknown[]).length)
    expect(migrated.result).toMatchObject({ already: [], failed: null })
    expect(
      await world.postgres.query(database, 'SELECT app, name FROM django_migrations GROUP BY 1, 2 HAVING count(*) > 1'),
    ).toEqual([])
    // The receivers of post_migrate did their work.
    expect(
      await world.postgres.query(database, "SELECT codename FROM auth_permission WHERE codename = 'add_order'"),
    ).toEqual(['add_order'])
    expect(migrated.stderr).toMatch(/Applying shop\.0002_note \.\.\. \d+\.\d\d s/)

    const again = await start('migrate', world.plain, {
      django,
      env: world.env(database, { DEPLOY_DJANGO_APPROVED: approve(planned) }),
    }).ended
    expect(again.code).toBe(0)
    expect(again.stdout).not.toContain('replanned')
    expect(appliedBy(again)).toEqual([])
    expect(again.result['already']).toContain('shop.0002_note')

    const verified = await probe('verify', world.plain, options)
    expect(verified).toMatchObject({ code: 0, result: { pending: [], unknown: [] } })
    const fits = await probe('fit', world.plain, options)
    expect(fits).toMatchObject({ code: 0, result: { problems: [], ahead: [] } })
  })

  const byCode = async (database: string): Promise<void> => {
    const words = ['manage.py', 'shell', '-c', recordApplied('shop', '0003_a')]
    const env = { PATH: process.env['PATH'], ...world.env(database) }
    expect(await run(python(django), words, { cwd: world.plain, env })).toMatchObject({ code: 0 })
  }
  const bySql = async (database: string): Promise<void> => {
    await world.postgres.query(database, insertApplied('shop', '0003_a'))
  }
  test.each([
    ['code that does not have it', 'code', byCode],
    ['SQL', 'sql', bySql],
  ])('what an error says marks a migration applied, in %s', async (_, way, mark) => {
    const database = await world.database(`marked_${way}_${django.replace('.', '_')}`)
    const project = await makeProject({
      'shop/migrations/0003_a.py': migration('shop.0002_note', `${addField('b')}, ${addField('a')}`),
    })
    await world.postgres.query(database, 'ALTER TABLE shop_order ADD COLUMN a integer')
    const failed = await world.migrate(project, database, {}, django)
    expect(failed).toMatchObject({
      code: 17,
      result: { failed: { operation: 1, error: expect.stringContaining('already exists') } },
    })
    await mark(database)
    const again = await start('migrate', project, { django, env: world.env(database) }).ended
    expect([again.code, again.result['applied']]).toEqual([0, []])
    expect(await rowsOf(database)).toEqual(['0001_initial', '0002_note', '0003_a'])
  })

  test('is not misled by a row that another runner writes while the database is read', async () => {
    const database = await world.database(`meanwhile_${django.replace('.', '_')}`)
    // Its file is read after the first look at the rows.
    const meanwhile = `from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("SELECT 1 FROM django_migrations WHERE name = '0003_late'")
    if not cursor.fetchone():
        cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('shop', '0003_late', now())")
`
    const late = `${meanwhile}${migration('shop.0002_note', 'migrations.RunSQL("SELECT 1", "")')}`
    const project = await makeProject({ 'shop/migrations/0003_late.py': late })
    const found = await start('migrate', project, { django, env: world.env(database) }).ended
    expect([found.code, found.result['applied'], found.result.error]).toEqual([0, [], undefined])
  })

  test('takes a squash for what it replaces, on a new and on an old database', async () => {
    const name = django.replace('.', '_')
    const squash = migration(
      'auth.0001_initial',
      'migrations.CreateModel("Order", [("id", models.BigAutoField(primary_key=True)), ' +
        '("number", models.CharField(max_length=20)), ("note", models.TextField(null=True))])',
      'replaces = [("shop", "0001_initial"), ("shop", "0002_note")]; initial = True',
    )
    const project = await makeProject({ 'shop/migrations/0001_squashed.py': squash })

    const old = await world.database(`squash_old_${name}`)
    const planned = await probe('plan', project, { django, env: world.env(old) })
    expect(planned).toMatchObject({ code: 0, result: { pending: [], unrecorded: ['shop.0001_squashed'] } })
    expect(unknownOfShop(planned)).toEqual([])
    const migrated = await start('migrate', project, { django, env: world.env(old) }).ended
    expect([migrated.code, migrated.result['applied']]).toEqual([0, []])
    expect(await rowsOf(old)).toEqual(['0001_initial', '0002_note', '0001_squashed'])
    const replaced = { 'shop/migrations/0001_initial.py': null, 'shop/migrations/0002_note.py': null }
    const later = await makeProject({ 'shop/migrations/0001_squashed.py': squash, ...replaced })
    const replanned = await probe('plan', later, { django, env: world.env(old) })
    expect(replanned).toMatchObject({ code: 0, result: { pending: [], unrecorded: [] } })
    expect(unknownOfShop(replanned)).toEqual([])
    // The code before the squash does not find that row strange enough to stop.
    const verified = await probe('verify', world.plain, { django, env: world.env(old) })
    expect([verified.code, verified.result['pending'], unknownOfShop(verified)]).toEqual([
      0,
      [],
      ['shop.0001_squashed'],
    ])

    const fresh = await world.database(`squash_new_${name}`, 'empty')
    const approved = approve(await probe('plan', project, { django, env: world.env(fresh) }))
    const first = await world.migrate(project, fresh, { DEPLOY_DJANGO_APPROVED: approved }, django)
    expect([first.code, appliedBy(first)]).toEqual([0, expect.arrayContaining(['0001_squashed'])])
    expect((await rowsOf(fresh)).sort()).toEqual(['0001_initial', '0001_squashed', '0002_note'])
  })
})

describe('exactly once', () => {
  test('of two runners at the same time one applies, the other finds it done', async () => {
    const database = await world.database('two')
    const project = await makeProject({
      'shop/migrations/0003_index.py': migration(
        'shop.0002_note',
        'postgres.AddIndexConcurrently("order", models.Index(fields=["number"], name="order_number"))',
        'atomic = False',
      ),
      'shop/migrations/0004_data.py': migration(
        'shop.0003_index',
        runPython('apps.get_model("shop", "Order").objects.create(number="once")'),
      ),
      // CREATE INDEX CONCURRENTLY waits for every transaction that keeps a snapshot, as all but short ones do at this level.
      'world/strict.py':
        'from world.settings import *\nDATABASES["default"]["OPTIONS"] = {"isolation_level": 3, "options": "-c idle_in_transaction_session_timeout=300"}\n',
    })
    const strict = { DJANGO_SETTINGS_MODULE: 'world.strict' }
    const one = await world.begin(project, database, strict)
    await one.printed('replanned')
    const other = await world.begin(project, database, strict)
    await other.printed('Another process is migrating')
    const first = await go(one)
    const second = await other.ended
    expect([first.code, appliedBy(first)]).toEqual([0, ['0003_index', '0004_data']])
    expect([second.code, appliedBy(second), second.result['already']]).toEqual([
      0,
      [],
      ['shop.0003_index', 'shop.0004_data'],
    ])
    expect(await world.postgres.query(database, 'SELECT number FROM shop_order')).toEqual(['once'])
    expect(
      await world.postgres.query(
        database,
        "SELECT indisvalid FROM pg_index WHERE indexrelid = 'order_number'::regclass",
      ),
    ).toEqual(['t'])
    expect(await rowsOf(database)).toEqual(['0001_initial', '0002_note', '0003_index', '0004_data'])
  })

  test('a runner that does not get the lock in time says that it is busy', async () => {
    const database = await world.database('busy')
    const project = await makeProject({ 'shop/migrations/0003_a.py': migration('shop.0002_note', addField('a')) })
    const one = await world.begin(project, database)
    await one.printed('replanned')
    const other = await (await world.begin(project, database, { DEPLOY_DJANGO_LOCK_WAIT: '0.2' })).ended
    expect([other.code, other.result.error?.kind]).toEqual([11, 'lock-busy'])
    expect((await go(one)).code).toBe(0)
  })

  test('what a runner without the lock applied is not applied again, and named', async () => {
    const database = await world.database('foreigner')
    const project = await makeProject({ 'shop/migrations/0003_a.py': migration('shop.0002_note', addField('a')) })
    const running = await world.begin(project, database)
    await running.printed('replanned')
    await world.postgres.query(
      database,
      "INSERT INTO django_migrations (app, name, applied) VALUES ('shop', '0003_a', now())",
    )
    const outcome = await go(running)
    expect([outcome.code, appliedBy(outcome), outcome.result['foreign']]).toEqual([0, [], ['shop.0003_a']])
  })

  test('a runner without the lock that is at work stops this one', async () => {
    const database = await world.database('intruder')
    const insert = (name: string): string =>
      `migrations.RunSQL("INSERT INTO django_migrations (app, name, applied) VALUES ('shop', '${name}', now())")`
    const intruded = {
      'shop/migrations/0003_a.py': migration('shop.0002_note', insert('0004_b')),
      'shop/migrations/0004_b.py': migration('shop.0003_a', addField('b')),
    }
    const outcome = await world.migrate(await makeProject(intruded), database)
    expect([outcome.code, appliedBy(outcome), outcome.result.error?.kind]).toEqual([19, ['0003_a'], 'foreign-migrate'])

    const twice = await world.database('twice')
    const doubled = await world.migrate(
      await makeProject({ 'shop/migrations/0003_a.py': migration('shop.0002_note', insert('0003_a')) }),
      twice,
    )
    expect([doubled.code, doubled.result.error?.kind]).toEqual([19, 'rows-changed'])
    expect(doubled.result.error?.message).toContain('not recorded exactly once: shop.0003_a')
  })

  test('a migration and its row are one transaction: without the row nothing stays', async () => {
    const database = await world.database('one_transaction')
    const project = await makeProject({
      // The foreign key is a deferred statement, after which Django alone would commit before it writes the row.
      'shop/migrations/0003_line.py': migration(
        'shop.0002_note',
        'migrations.CreateModel("Line", [("id", models.BigAutoField(primary_key=True)), ' +
          '("order", models.ForeignKey("shop.Order", on_delete=models.CASCADE))])',
      ),
    })
    await world.postgres.query(database, "ALTER TABLE django_migrations ADD CHECK (name <> '0003_line')")
    const outcome = await world.migrate(project, database)
    expect([outcome.code, outcome.result['applied']]).toEqual([17, []])
    expect(await world.postgres.query(database, "SELECT to_regclass('shop_line') IS NULL")).toEqual(['t'])
  })
})

describe('approval', () => {
  const both = {
    'shop/migrations/0003_a.py': migration('shop.0002_note', addField('a')),
    'shop/migrations/0004_b.py': migration('shop.0003_a', addField('b')),
  }

  test('less than what is pending was approved, or another source: the plan differs, nothing happens', async () => {
    const database = await world.database('subset')
    const project = await makeProject(both)
    const approved = await approveNew(project)
    const part = approved.split(' ')[0] ?? ''
    for (const [DEPLOY_DJANGO_APPROVED, named] of [
      [part, 'shop.0004_b'],
      [approved.replace(/=./, '=X'), 'shop.0003_a'],
    ] as const) {
      const outcome = await start('migrate', project, { env: world.env(database, { DEPLOY_DJANGO_APPROVED }) }).ended
      expect([outcome.code, outcome.result.error?.kind]).toEqual([10, 'plan-differs'])
      expect(outcome.result.error?.message).toContain(`form: ${named}.`)
    }
    expect(await rowsOf(database)).toEqual(['0001_initial', '0002_note'])
  })

  test('more than what is pending was approved: the rest is reported as already there', async () => {
    const database = await world.database('superset')
    const project = await makeProject(both)
    const approved = await approveNew(project)
    await world.migrate(await makeProject({ 'shop/migrations/0003_a.py': both['shop/migrations/0003_a.py'] }), database)
    const outcome = await go(
      start('migrate', project, { env: world.env(database, { DEPLOY_DJANGO_APPROVED: approved }) }),
    )
    expect([outcome.code, appliedBy(outcome), outcome.result['already']]).toEqual([0, ['0004_b'], ['shop.0003_a']])
    expect(outcome.stdout).toContain('\ndeploy-django: going\n')
  })

  test('without a go, or asked to end while it waits for it, it does nothing', async () => {
    const database = await world.database('no_go')
    const project = await makeProject(both)
    const silent = await (await world.begin(project, database, { DEPLOY_DJANGO_GO_WAIT: '0.1' })).ended
    expect([silent.code, silent.result.error?.kind]).toEqual([16, 'no-go'])
    const running = await world.begin(project, database)
    await running.printed('replanned')
    running.signal('SIGTERM')
    const stopped = await running.ended
    expect([stopped.code, stopped.stdout.includes('going')]).toEqual([16, false])
    expect(await rowsOf(database)).toEqual(['0001_initial', '0002_note'])
  })
})
