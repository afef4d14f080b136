import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { insertApplied } from '../../../src/host/migration-failure.ts'
import { after, expectOld, names, planReverse, shop, unapply, type Case } from './back.ts'
import { makeEngine, vendors, type Engine } from './engine.ts'
import { approve, makeProject, migration, start } from './probe.ts'
import { addField, appliedBy, go, runPython } from './world.ts'

const due = { [shop('0003_due')]: after('0002_note', addField('due')) }

/** What must hold on every database with every Django. The other tests see more of it, on PostgreSQL. */
export function testCore(vendor: keyof typeof vendors, django: string): void {
  let engine: Engine
  beforeAll(async () => {
    engine = await makeEngine(vendor, django)
  })
  afterAll(() => engine.stop())

  /** A database that this newer project has migrated. */
  async function migrated(name: string, files: Readonly<Record<string, string>>): Promise<Case & { database: string }> {
    const [database, now] = [await engine.database(name), await makeProject(files)]
    const { code, stderr } = await engine.migrate(now, database)
    if (code !== 0) throw new Error(stderr)
    return { env: engine.env(database), old: engine.plain, now, django, database }
  }
  const rowsOf = (database: string): Promise<string[]> =>
    engine.query(database, "SELECT name FROM django_migrations WHERE app = 'shop' ORDER BY id")

  test('plans, migrates and verifies an empty database; a second run has nothing to do', async () => {
    const { planned, migrated: first } = engine.first
    const database = await engine.database('whole')
    expect(planned.result).toMatchObject({ database: { empty: true, vendor: vendors[vendor] }, applied: [] })
    expect([first.code, first.result.error, first.result['failed']]).toEqual([0, undefined, null])
    expect(appliedBy(first)).toHaveLength((planned.result['pending'] as unknown[]).length)
    const doubled = 'SELECT app, name FROM django_migrations GROUP BY app, name HAVING count(*) > 1'
    expect(await engine.query(database, doubled)).toEqual([])
    const approved = { DEPLOY_DJANGO_APPROVED: approve(planned) }
    const again = await (await engine.begin(engine.plain, database, approved)).ended
    expect([again.code, appliedBy(again)]).toEqual([0, []])
    expect(again.result['already']).toContain('shop.0002_note')
    const verified = await engine.ask('verify', database)
    expect(verified).toMatchObject({ code: 0, result: { pending: [], unknown: [], database: { name: database } } })
  })

  test('goes back and forward again; what that loses is counted', async () => {
    const rename = 'migrations.RenameField("order", "number", "code")'
    const made = await migrated('back', { ...due, [shop('0004_code')]: after('0003_due', rename) })
    await engine.query(made.database, "INSERT INTO shop_order (code, due) VALUES ('a', 1), ('b', NULL)")
    const planned = await planReverse(made)
    expect([planned.code, names(planned.result['unapply'])]).toEqual([0, ['shop.0004_code', 'shop.0003_due']])
    expect(planned.result).toMatchObject({
      irreversible: [],
      blocked: [],
      losses: ['shop.0003_due: the values in shop_order.due (1 row)'],
    })
    const done = await unapply(made, planned.handed)
    expect([done.code, names(done.result['unapplied'])]).toEqual([0, names(planned.result['unapply'])])
    await expectOld(made)
    expect(await engine.query(made.database, 'SELECT number FROM shop_order ORDER BY 1')).toEqual(['a', 'b'])
    const forward = await go(start('migrate', made.now, { env: planned.handed, django }))
    expect([forward.code, names(forward.result['applied'])]).toEqual([0, ['shop.0003_due', 'shop.0004_code']])
  })

  test('rows that keep an operation from being reversed are counted, and nothing is touched', async () => {
    const made = await migrated('blocked', {
      [shop('0003_null')]: after('0002_note', 'migrations.AlterField("order", "number", models.TextField(null=True))'),
    })
    await engine.query(made.database, "INSERT INTO shop_order (number) VALUES (NULL), ('x')")
    const planned = await planReverse(made)
    expect([planned.code, planned.result.error?.kind]).toEqual([28, 'blocked'])
    expect(planned.result['blocked']).toContain(
      'shop.0003_null: shop_order.number must have a value again; rows without one: 1',
    )
    const tried = await start('unapply', made.now, { env: planned.handed, django }).ended
    expect([tried.code, tried.result['unapplied']]).toEqual([28, []])
    expect(await engine.ask('verify', made.database, made.now)).toMatchObject({ code: 0 })
  })

  test('a database that is ahead of this image is no error: its migrations are unknown', async () => {
    const database = await engine.database('ahead')
    await engine.query(database, insertApplied('shop', '0009_later'))
    expect(await engine.ask('plan', database)).toMatchObject({
      code: 0,
      result: { pending: [], unknown: ['shop.0009_later'], problems: [] },
    })
    // Two statements: SQLite adds no column without a default to a table that is there.
    await engine.query(database, 'DROP TABLE blog_post_tags')
    await engine.query(
      database,
      'CREATE TABLE blog_post_tags (id integer PRIMARY KEY, post_id bigint, tag_id bigint, later integer NOT NULL)',
    )
    expect((await engine.ask('plan', database)).result['problems']).toMatchObject([
      { text: expect.stringContaining('blog_post_tags.later must have a value') },
    ])
  })

  test('a migration that fails after its first operation says whether that stays', async () => {
    const [failing, database] = ['migrations.RunSQL("SELECT 1 FROM nowhere", "")', await engine.database('half')]
    const project = await makeProject({ [shop('0003_half')]: after('0002_note', `${addField('half')}, ${failing}`) })
    const failed = await engine.migrate(project, database)
    const kept = vendor === 'MariaDB' ? 1 : 0
    expect(failed).toMatchObject({ code: 17, result: { failed: { name: '0003_half', operation: 1, kept } } })
    const column = engine.query(database, 'SELECT half FROM shop_order')
    await (kept === 0 ? expect(column).rejects.toThrow() : expect(column).resolves.toEqual([]))
  })

  test.each<[string, Record<string, string>, string]>([
    ['conflict', { [shop('0002_other')]: after('0001_initial', addField('a')) }, ''],
    ['inconsistent', {}, "DELETE FROM django_migrations WHERE name = '0001_initial' AND app = 'shop'"],
    ['duplicates', {}, insertApplied('shop', '0002_note')],
  ])('%s stops, with the plan all the same', async (kind, files, statement) => {
    const [project, database] = [await makeProject(files), await engine.database(kind)]
    if (statement) await engine.query(database, statement)
    const planned = await engine.ask('plan', database, project)
    expect([planned.code, planned.result.error?.kind]).toEqual([14, kind])
    expect(planned.result).toMatchObject({ digest: expect.any(String), applied: expect.any(Array) })
    if (kind !== 'conflict') return // the others are refused in the same place
    const tried = await engine.ask('migrate', database, project)
    expect([tried.code, tried.result.error?.kind]).toEqual([14, kind])
  })

  test('takes a squash for what it replaces, on a new and on an old database', async () => {
    const squash = migration(
      'auth.0001_initial',
      'migrations.CreateModel("Order", [("id", models.BigAutoField(primary_key=True)), ' +
        '("number", models.CharField(max_length=20)), ("note", models.TextField(null=True))])',
      'replaces = [("shop", "0001_initial"), ("shop", "0002_note")]; initial = True',
    )
    const project = await makeProject({ [shop('0001_squashed')]: squash })
    const old = await engine.database('squash_old')
    const planned = await engine.ask('plan', old, project)
    expect(planned).toMatchObject({ code: 0, result: { pending: [], unrecorded: ['shop.0001_squashed'] } })
    const recorded = await (await engine.begin(project, old)).ended
    expect([recorded.code, recorded.result['applied']]).toEqual([0, []])
    expect(await rowsOf(old)).toEqual(['0001_initial', '0002_note', '0001_squashed'])

    const fresh = await engine.database('squash_new', 'empty')
    const approved = approve(await engine.ask('plan', fresh, project))
    const first = await engine.migrate(project, fresh, { DEPLOY_DJANGO_APPROVED: approved })
    expect([first.code, appliedBy(first)]).toEqual([0, expect.arrayContaining(['0001_squashed'])])
    expect((await rowsOf(fresh)).sort()).toEqual(['0001_initial', '0001_squashed', '0002_note'])
  })

  test('nothing is written while the database is inspected; reading is possible', async () => {
    const database = await engine.database('inspected')
    const inspected = async (code: string): Promise<unknown[]> => {
      const imported = `from shop.models import Order\n${code}\n${after('0002_note')}`
      const { code: exit, result } = await engine.ask(
        'plan',
        database,
        await makeProject({ [shop('0003_x')]: imported }),
      )
      return [exit, result.error?.kind]
    }
    expect(await inspected('Order.objects.create(number="x")')).toEqual([13, 'database-read-only'])
    expect(await engine.query(database, 'SELECT count(*) FROM shop_order')).toEqual(['0'])
    const reads = [
      'from django.db import transaction',
      'with transaction.atomic():',
      '    assert Order.objects.count() == 0',
      'assert list(Order.objects.iterator()) == []',
    ]
    expect(await inspected(reads.join('\n'))).toEqual([0, undefined])
  })

  test('of two runners at the same time one applies, the other finds it done', async () => {
    const database = await engine.database('two')
    const once = runPython('apps.get_model("shop", "Order").objects.create(number="once")')
    const project = await makeProject({ ...due, [shop('0004_data')]: after('0003_due', once) })
    const one = await engine.begin(project, database)
    await one.printed('replanned')
    const other = await engine.begin(project, database)
    await other.printed('Another process is migrating')
    const busy = await (await engine.begin(project, database, { DEPLOY_DJANGO_LOCK_WAIT: '0.1' })).ended
    expect([busy.code, busy.result.error?.kind]).toEqual([11, 'lock-busy'])
    const [first, second] = [await go(one), await other.ended]
    expect([first.code, appliedBy(first)]).toEqual([0, ['0003_due', '0004_data']])
    expect([second.code, appliedBy(second)]).toEqual([0, []])
    expect(second.result['already']).toEqual(['shop.0003_due', 'shop.0004_data'])
    expect(await engine.query(database, 'SELECT number FROM shop_order')).toEqual(['once'])
    expect(await rowsOf(database)).toEqual(['0001_initial', '0002_note', '0003_due', '0004_data'])
  })
}
