import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { after, expectOld, migrateTwice, names, planReverse, shop, unapply, type Case } from './back.ts'
import { makeProject, migration, probe, several, start, usual } from './probe.ts'
import { addField, go, makeWorld, runPython, type World } from './world.ts'

// The release that serves unapplies what an older one does not know: which migrations, what it costs, and when it is refused.

let world: World

beforeAll(async () => {
  world = await makeWorld()
})
afterAll(() => world.stop())

type Files = Readonly<Record<string, string | null>>

/** A database that the newer project has migrated. */
async function migrated(name: string, files: Files, django: string = usual, old: Files = {}): Promise<Case> {
  const database = name.endsWith('.sqlite3') ? name : await world.database(name, 'empty')
  return migrateTwice(world, database, files, django, old)
}

describe.each(several)('Django %s', (django) => {
  const suffix = django.replace('.', '_')

  test('several apps with dependencies and an app that is new go back in order, and forward again', async () => {
    const made = await migrated(
      `apps_${suffix}`,
      {
        [shop('0003_due')]: after('0002_note', addField('due')),
        [shop('0004_code')]: after('0003_due', 'migrations.RenameField("order", "number", "code")'),
        'blog/migrations/0002_extra.py': migration(
          'blog.0001_initial',
          addField('stars').replace('order', 'post'),
        ).replace('dependencies = [', 'dependencies = [("shop", "0004_code"), '),
        'extra/__init__.py': '',
        'extra/models.py': '',
        'extra/migrations/__init__.py': '',
        'extra/migrations/0001_initial.py': migration(
          'blog.0002_extra',
          'migrations.CreateModel("Thing", [("id", models.AutoField(primary_key=True)), ("posts", models.ManyToManyField("blog.Post"))])',
        ),
        'world/settings.py': readFileSync(new URL('./project/world/settings.py', import.meta.url), 'utf8').replace(
          '"shop", "blog"',
          '"shop", "blog", "extra"',
        ),
      },
      django,
    )
    const database = made.env['DATABASE'] ?? ''
    await world.postgres.query(database, "INSERT INTO shop_order (code, due) VALUES ('a', 1), ('b', NULL)")
    await world.postgres.query(database, 'INSERT INTO extra_thing DEFAULT VALUES')
    const planned = await planReverse(made)
    expect(planned.code).toBe(0)
    expect(names(planned.result['unapply'])).toEqual([
      'extra.0001_initial',
      'blog.0002_extra',
      'shop.0004_code',
      'shop.0003_due',
    ])
    expect(planned.result).toMatchObject({
      irreversible: [],
      blocked: [],
      rewritten: [],
      losses: [
        'extra.0001_initial: the table extra_thing (1 row)',
        'shop.0003_due: the values in shop_order.due (1 row)',
      ],
      stays: [],
    })
    const done = await unapply(made, planned.handed)
    expect([done.code, names(done.result['unapplied'])]).toEqual([0, names(planned.result['unapply'])])
    await expectOld(made)
    expect(await world.postgres.query(database, 'SELECT number FROM shop_order ORDER BY 1')).toEqual(['a', 'b'])
    // Nothing is left to do.
    const again = await planReverse(made)
    expect([again.code, again.result['unapply']]).toEqual([0, []])
    // What was unapplied may be applied again, by the same document.
    const forward = await go(start('migrate', made.now, { env: planned.handed, django }))
    expect([forward.code, names(forward.result['applied'])]).toEqual([0, names(planned.result['unapply']).reverse()])
  })

  test('a squash of what the older release knows stays; one that it knows in part is taken apart', async () => {
    const squash = (replaced: string[], ...operations: string[]): string =>
      migration(
        'auth.0001_initial',
        operations.join(', '),
        `replaces = [${replaced.map((name) => `("shop", "${name}")`).join(', ')}]`,
      )
    const order =
      'migrations.CreateModel("Order", [("id", models.BigAutoField(primary_key=True)), ("number", models.CharField(max_length=20)), ("note", models.TextField(null=True))])'
    const whole = await migrated(
      `whole_${suffix}`,
      {
        [shop('0001_squashed')]: squash(['0001_initial', '0002_note'], order),
        [shop('0003_due')]: after('0001_squashed', addField('due')),
      },
      django,
    )
    const kept = await planReverse(whole)
    expect([kept.code, names(kept.result['unapply'])]).toEqual([0, ['shop.0003_due']])
    expect(await unapply(whole, kept.handed)).toMatchObject({ code: 0 })
    expect((await probe('verify', whole.old, { env: whole.env, django })).result).toMatchObject({
      pending: [],
      unknown: ['shop.0001_squashed'],
    })

    // The newer code had both for a while, and the squash in its last release.
    const parts = { [shop('0003_due')]: after('0002_note', addField('due')) }
    const part = await migrated(
      `part_${suffix}`,
      {
        ...parts,
        [shop('0001_squashed')]: squash(['0001_initial', '0002_note', '0003_due'], order, addField('due')),
        [shop('0004_more')]: after('0001_squashed', addField('more')),
      },
      django,
    )
    const apart = await planReverse(part)
    expect([apart.code, names(apart.result['unapply'])]).toEqual([0, ['shop.0004_more', 'shop.0003_due']])
    expect(await unapply(part, apart.handed)).toMatchObject({ code: 0 })
    await expectOld(part)
    const forward = await go(start('migrate', part.now, { env: apart.handed, django }))
    expect([forward.code, names(forward.result['applied'])]).toEqual([0, ['shop.0003_due', 'shop.0004_more']])
    expect((await probe('verify', part.now, { env: part.env, django })).result).toMatchObject({ pending: [] })

    // Without the parts nobody can take it apart; without `replaces` nobody knows what it was.
    const gone = { [shop('0001_initial')]: null, [shop('0002_note')]: null }
    for (const text of [
      squash(['0001_initial', '0002_note', '0003_due'], order, addField('due')),
      migration('auth.0001_initial', order),
    ]) {
      const later = await makeProject({
        [shop('0001_squashed')]: text,
        [shop('0004_more')]: after('0001_squashed', addField('more')),
        'blog/migrations/0001_initial.py': readFileSync(
          new URL('./project/blog/migrations/0001_initial.py', import.meta.url),
          'utf8',
        ).replace('"0001_initial")', '"0001_squashed")'),
        ...gone,
      })
      const refused = await planReverse({ ...part, now: later })
      expect([refused.code, refused.result.error?.kind]).toEqual([28, 'rewritten'])
    }
  })

  test('what cannot be reversed is named, each operation of it, and nothing is touched', async () => {
    const made = await migrated(
      `irreversible_${suffix}`,
      {
        [shop('0003_due')]: after('0002_note', addField('due')),
        [shop('0004_free')]: after(
          '0003_due',
          'migrations.RunPython(print)',
          'migrations.RunSQL("SELECT 1")',
          'migrations.SeparateDatabaseAndState(database_operations=[migrations.RunSQL("SELECT 2")])',
        ),
        [shop('0005_noop')]: after('0004_free', runPython('print("x")')),
      },
      django,
    )
    const planned = await planReverse(made)
    expect([planned.code, planned.result.error?.kind]).toEqual([28, 'irreversible'])
    expect(planned.result['irreversible']).toEqual([
      expect.stringMatching(/^shop\.0004_free: Raw SQL/),
      expect.stringMatching(/^shop\.0004_free: Raw SQL/),
      expect.stringMatching(/^shop\.0004_free: .*\(print\) has no reverse$/),
    ])
    expect(planned.result['losses']).toEqual([
      expect.stringMatching(/^shop\.0005_noop: what .* changed stays as it is$/),
    ])
    const tried = await start('unapply', made.now, { env: planned.handed, django }).ended
    expect([tried.code, tried.result['unapplied']]).toEqual([28, []])
    expect(await probe('verify', made.now, { env: made.env, django })).toMatchObject({ code: 0 })
  })

  test('SQLite goes back as well, and a migration by hand in between is noticed', async () => {
    const folder = await makeProject()
    const made = await migrated(
      `${folder}/db.sqlite3`,
      { [shop('0003_due')]: after('0002_note', addField('due')) },
      django,
    )
    const planned = await planReverse(made)
    expect([planned.code, names(planned.result['unapply'])]).toEqual([0, ['shop.0003_due']])
    const other = JSON.stringify({ unapply: [] })
    const differs = await start('unapply', made.now, {
      env: { ...planned.handed, DEPLOY_DJANGO_REVERSE: other },
      django,
    }).ended
    expect([differs.code, differs.result['unapplied']]).toEqual([10, []])
    expect(await unapply(made, planned.handed)).toMatchObject({ code: 0 })
    await expectOld(made)
  })

  test('the revert of a deploy takes back what that deploy was allowed to apply, and not what others had applied', async () => {
    const folder = await makeProject()
    const files = {
      [shop('0003_due')]: after('0002_note', addField('due')),
      [shop('0004_more')]: after('0003_due', addField('more')),
    }
    const made = await migrated(`${folder}/db.sqlite3`, files, django)
    const approved = {
      ...made.env,
      DEPLOY_DJANGO_APPROVED: 'shop.0003_due=a shop.0004_more=b',
      DEPLOY_DJANGO_GO: 'yes',
    }
    const report = JSON.stringify({ already: ['shop.0003_due'] })
    const env = { ...approved, DEPLOY_DJANGO_REPORT: report }
    const first = await start('unapply', made.now, { env, django }).ended
    expect([first.code, names(first.result['unapplied'])]).toEqual([0, ['shop.0004_more']])
    // A container that died has left no report.
    const second = await start('unapply', made.now, { env: { ...approved, DEPLOY_DJANGO_REPORT: '' }, django }).ended
    expect([second.code, names(second.result['unapplied'])]).toEqual([0, ['shop.0003_due']])
    await expectOld(made)
  })

  test('rows that keep an operation from being reversed are counted', async () => {
    const made = await migrated(
      `rows_${suffix}`,
      {
        [shop('0003_alter')]: after(
          '0002_b',
          'migrations.AlterField("order", "a", models.CharField(max_length=50))',
          'migrations.AlterField("order", "b", models.IntegerField(null=True))',
          'migrations.AlterField("order", "c", models.BigIntegerField())',
          'migrations.RemoveConstraint("order", "positive")',
          'migrations.AlterUniqueTogether("order", set())',
        ),
        [shop('0004_rename')]: after(
          '0003_alter',
          'migrations.RenameField("order", "a", "z")',
          'migrations.RenameModel("Order", "Purchase")',
          'migrations.RemoveField("Purchase", "d")',
        ),
      },
      django,
      {
        [shop('0002_b')]: after(
          '0002_note',
          'migrations.AddField("order", "a", models.CharField(max_length=5, default="x"))',
          'migrations.AddField("order", "b", models.IntegerField(unique=True))',
          'migrations.AddField("order", "c", models.IntegerField())',
          'migrations.AddField("order", "d", models.IntegerField())',
          `migrations.AddConstraint("order", models.CheckConstraint(${Number(django) >= 5.1 ? 'condition' : 'check'}=models.Q(c__gt=0), name="positive"))`,
          'migrations.AlterUniqueTogether("order", {("number", "note")})',
        ),
      },
    )
    const database = made.env['DATABASE'] ?? ''
    await world.postgres.query(
      database,
      "INSERT INTO shop_purchase (number, note, z, b, c) VALUES ('n', 'm', 'abcdefgh', NULL, 1), ('n', 'm', 'b', 7, -1), ('o', 'm', 'c', 7, 2147483648)",
    )
    const planned = await planReverse(made)
    expect([planned.code, planned.result.error?.kind]).toEqual([28, 'blocked'])
    expect(planned.result['blocked']).toEqual([
      'shop.0004_rename: shop_purchase.d must have a value again and has no default; rows: 3',
      'shop.0003_alter: (number, note) of shop_order becomes unique again; values that occur more than once: 1',
      'shop.0003_alter: the constraint positive comes back; rows that break it: 1',
      'shop.0003_alter: shop_order.c becomes integer again; rows that do not fit: 1',
      'shop.0003_alter: shop_order.b must have a value again; rows without one: 1',
      'shop.0003_alter: shop_order.b becomes unique again; values that occur more than once: 1',
      'shop.0003_alter: shop_order.a becomes varchar(5) again; rows that do not fit: 1',
    ])
    // Without these rows it works.
    await world.postgres.query(database, 'DELETE FROM shop_purchase')
    const free = await planReverse(made)
    expect(free.code).toBe(0)
    expect(await unapply(made, free.handed)).toMatchObject({ code: 0 })
    const verified = await probe('verify', made.old, { env: made.env, django })
    expect(verified).toMatchObject({ code: 0, result: { pending: [], unknown: [] } })
  })
})
