import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { startPostgres, freePort, type Postgres } from '../django/postgres.ts'
import {
  approve,
  approveNew,
  makeProject,
  migration,
  probe,
  removeProjects,
  several,
  start,
  usual,
  type Outcome,
  type Running,
} from '../django/probe.ts'

let postgres: Postgres
let empty: string

beforeAll(async () => {
  postgres = await startPostgres()
  // The database after the project as it is in the repository; the tests copy it.
  empty = await makeProject()
  await postgres.createDatabase('base')
  const approved = approve(await probe('plan', empty, { env: envOf('base') }))
  expect((await migrateAll(empty, 'base', { DEPLOY_DJANGO_APPROVED: approved })).code).toBe(0)
})
afterAll(async () => {
  await postgres.stop()
  await removeProjects()
})

const envOf = (database: string, more: Readonly<Record<string, string>> = {}): Record<string, string> => ({
  ...postgres.env,
  DATABASE: database,
  ...more,
})

/** Starts `migrate` with everything approved that this project has more than the one in the repository. */
async function begin(
  project: string,
  database: string,
  more: Readonly<Record<string, string>> = {},
  django: string = usual,
) {
  const approved = await approveNew(project)
  return start('migrate', project, { django, env: envOf(database, { DEPLOY_DJANGO_APPROVED: approved, ...more }) })
}

async function go(running: Running): Promise<Outcome> {
  await running.printed('deploy-django: replanned')
  running.signal('SIGUSR1')
  return running.ended
}

const migrateAll = async (project: string, database: string, more = {}, django: string = usual): Promise<Outcome> =>
  go(await begin(project, database, more, django))

const rows = (database: string, app = 'shop'): Promise<string[]> =>
  postgres.query(database, `SELECT name FROM django_migrations WHERE app = '${app}' ORDER BY id`)

const names = (outcome: Outcome): string[] => (outcome.result['applied'] as { name: string }[]).map((each) => each.name)

const python = (...lines: string[]): string =>
  `migrations.RunPython(lambda apps, editor: (${lines.join(', ')}), migrations.RunPython.noop)`
const addField = (name: string): string => `migrations.AddField("order", "${name}", models.IntegerField(null=True))`

describe.each(several)('Django %s', (django) => {
  test('plans, migrates, verifies and fits an empty database; a second run has nothing to do', async () => {
    const database = await postgres.createDatabase(`whole_${django.replace('.', '_')}`)
    const options = { django, env: envOf(database) }

    const planned = await probe('plan', empty, options)
    expect(planned.code).toBe(0)
    expect(planned.result).toMatchObject({
      database: { empty: true, vendor: 'postgresql', name: database },
      applied: [],
    })

    const migrated = await migrateAll(empty, database, { DEPLOY_DJANGO_APPROVED: approve(planned) }, django)
    expect(migrated.code).toBe(0)
    expect(names(migrated)).toHaveLength((planned.result['pending'] as unknown[]).length)
    expect(migrated.result).toMatchObject({ already: [], failed: null })
    expect(
      await postgres.query(database, 'SELECT app, name FROM django_migrations GROUP BY 1, 2 HAVING count(*) > 1'),
    ).toEqual([])
    // The receivers of post_migrate did their work.
    expect(await postgres.query(database, "SELECT codename FROM auth_permission WHERE codename = 'add_order'")).toEqual(
      ['add_order'],
    )
    expect(migrated.stderr).toMatch(/Applying shop\.0002_note \.\.\. \d+\.\d\d s/)

    const again = await start('migrate', empty, {
      django,
      env: envOf(database, { DEPLOY_DJANGO_APPROVED: approve(planned) }),
    }).ended
    expect(again.code).toBe(0)
    expect(again.stdout).not.toContain('replanned')
    expect(names(again)).toEqual([])
    expect(again.result['already']).toContain('shop.0002_note')

    const verified = await probe('verify', empty, options)
    expect(verified).toMatchObject({ code: 0, result: { pending: [], unknown: [] } })
    const fits = await probe('fit', empty, options)
    expect(fits).toMatchObject({ code: 0, result: { problems: [], ahead: [] } })
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

    const old = await postgres.createDatabase(`squash_old_${name}`, 'base')
    const planned = await probe('plan', project, { django, env: envOf(old) })
    expect(planned).toMatchObject({ code: 0, result: { pending: [], unknown: [] } })
    const migrated = await start('migrate', project, { django, env: envOf(old) }).ended
    expect([migrated.code, migrated.result['applied']]).toEqual([0, []])
    expect(await rows(old)).toEqual(['0001_initial', '0002_note', '0001_squashed'])
    // The code before the squash does not find that row strange enough to stop.
    expect((await probe('verify', empty, { django, env: envOf(old) })).result).toMatchObject({
      pending: [],
      unknown: ['shop.0001_squashed'],
    })

    const fresh = await postgres.createDatabase(`squash_new_${name}`)
    const approved = approve(await probe('plan', project, { django, env: envOf(fresh) }))
    const first = await migrateAll(project, fresh, { DEPLOY_DJANGO_APPROVED: approved }, django)
    expect([first.code, names(first)]).toEqual([0, expect.arrayContaining(['0001_squashed'])])
    expect((await rows(fresh)).sort()).toEqual(['0001_initial', '0001_squashed', '0002_note'])
  })
})

describe('exactly once', () => {
  test('of two runners at the same time one applies, the other finds it done', async () => {
    const database = await postgres.createDatabase('two', 'base')
    const project = await makeProject({
      'shop/migrations/0003_index.py': migration(
        'shop.0002_note',
        'AddIndexConcurrently("order", models.Index(fields=["number"], name="order_number"))',
        'atomic = False',
      ),
      'shop/migrations/0004_data.py': migration(
        'shop.0003_index',
        python('apps.get_model("shop", "Order").objects.create(number="once")', 'time.sleep(0.3)'),
      ),
    })
    const one = await begin(project, database)
    await one.printed('replanned')
    const other = await begin(project, database)
    await other.printed('Another runner is migrating')
    const first = await go(one)
    const second = await other.ended
    expect([first.code, names(first)]).toEqual([0, ['0003_index', '0004_data']])
    expect([second.code, names(second), second.result['already']]).toEqual([
      0,
      [],
      ['shop.0003_index', 'shop.0004_data'],
    ])
    expect(await postgres.query(database, 'SELECT number FROM shop_order')).toEqual(['once'])
    expect(
      await postgres.query(database, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'order_number'::regclass"),
    ).toEqual(['t'])
    expect(await rows(database)).toEqual(['0001_initial', '0002_note', '0003_index', '0004_data'])
  })

  test('a runner that does not get the lock in time says that it is busy', async () => {
    const database = await postgres.createDatabase('busy', 'base')
    const project = await makeProject({ 'shop/migrations/0003_a.py': migration('shop.0002_note', addField('a')) })
    const one = await begin(project, database)
    await one.printed('replanned')
    const other = await (await begin(project, database, { DEPLOY_DJANGO_LOCK_WAIT: '0.2' })).ended
    expect([other.code, other.result.error?.kind]).toEqual([11, 'lock-busy'])
    expect((await go(one)).code).toBe(0)
  })

  test('what a runner without the lock applied is not applied again, and named', async () => {
    const database = await postgres.createDatabase('foreigner', 'base')
    const project = await makeProject({ 'shop/migrations/0003_a.py': migration('shop.0002_note', addField('a')) })
    const running = await begin(project, database)
    await running.printed('replanned')
    await postgres.query(
      database,
      "INSERT INTO django_migrations (app, name, applied) VALUES ('shop', '0003_a', now())",
    )
    const outcome = await go(running)
    expect([outcome.code, names(outcome), outcome.result['foreign']]).toEqual([0, [], ['shop.0003_a']])
  })

  test('a runner without the lock that is at work stops this one', async () => {
    const database = await postgres.createDatabase('intruder', 'base')
    const insert = (name: string): string =>
      `migrations.RunSQL("INSERT INTO django_migrations (app, name, applied) VALUES ('shop', '${name}', now())")`
    const intruded = {
      'shop/migrations/0003_a.py': migration('shop.0002_note', insert('0004_b')),
      'shop/migrations/0004_b.py': migration('shop.0003_a', addField('b')),
    }
    const outcome = await migrateAll(await makeProject(intruded), database)
    expect([outcome.code, names(outcome), outcome.result.error?.kind]).toEqual([19, ['0003_a'], 'foreign-migrate'])

    const twice = await postgres.createDatabase('twice', 'base')
    const doubled = await migrateAll(
      await makeProject({ 'shop/migrations/0003_a.py': migration('shop.0002_note', insert('0003_a')) }),
      twice,
    )
    expect([doubled.code, doubled.result.error?.kind]).toEqual([19, 'rows-changed'])
    expect(doubled.result.error?.message).toContain('not recorded exactly once: shop.0003_a')
  })

  test('a migration and its row are one transaction: without the row nothing stays', async () => {
    const database = await postgres.createDatabase('one_transaction', 'base')
    const project = await makeProject({
      // The foreign key is a deferred statement, after which Django alone would commit before it writes the row.
      'shop/migrations/0003_line.py': migration(
        'shop.0002_note',
        'migrations.CreateModel("Line", [("id", models.BigAutoField(primary_key=True)), ' +
          '("order", models.ForeignKey("shop.Order", on_delete=models.CASCADE))])',
      ),
    })
    await postgres.query(database, "ALTER TABLE django_migrations ADD CHECK (name <> '0003_line')")
    const outcome = await migrateAll(project, database)
    expect([outcome.code, outcome.result['applied']]).toEqual([17, []])
    expect(await postgres.query(database, "SELECT to_regclass('shop_line') IS NULL")).toEqual(['t'])
  })
})

describe('approval', () => {
  const both = {
    'shop/migrations/0003_a.py': migration('shop.0002_note', addField('a')),
    'shop/migrations/0004_b.py': migration('shop.0003_a', addField('b')),
  }

  test('less than what is pending was approved, or another source: the plan differs, nothing happens', async () => {
    const database = await postgres.createDatabase('subset', 'base')
    const project = await makeProject(both)
    const approved = await approveNew(project)
    const part = approved.split(' ')[0] ?? ''
    for (const [DEPLOY_DJANGO_APPROVED, named] of [
      [part, 'shop.0004_b'],
      [approved.replace(/=./, '=X'), 'shop.0003_a'],
    ] as const) {
      const outcome = await start('migrate', project, { env: envOf(database, { DEPLOY_DJANGO_APPROVED }) }).ended
      expect([outcome.code, outcome.result.error?.kind]).toEqual([10, 'plan-differs'])
      expect(outcome.result.error?.message).toContain(`form: ${named}.`)
    }
    expect(await rows(database)).toEqual(['0001_initial', '0002_note'])
  })

  test('more than what is pending was approved: the rest is reported as already there', async () => {
    const database = await postgres.createDatabase('superset', 'base')
    const project = await makeProject(both)
    const approved = await approveNew(project)
    await migrateAll(await makeProject({ 'shop/migrations/0003_a.py': both['shop/migrations/0003_a.py'] }), database)
    const outcome = await go(start('migrate', project, { env: envOf(database, { DEPLOY_DJANGO_APPROVED: approved }) }))
    expect([outcome.code, names(outcome), outcome.result['already']]).toEqual([0, ['0004_b'], ['shop.0003_a']])
  })

  test('without a go, or asked to end while it waits for it, it does nothing', async () => {
    const database = await postgres.createDatabase('no_go', 'base')
    const project = await makeProject(both)
    const silent = await (await begin(project, database, { DEPLOY_DJANGO_GO_WAIT: '0.1' })).ended
    expect([silent.code, silent.result.error?.kind]).toEqual([16, 'no-go'])
    const running = await begin(project, database)
    await running.printed('replanned')
    running.signal('SIGTERM')
    expect((await running.ended).code).toBe(16)
    expect(await rows(database)).toEqual(['0001_initial', '0002_note'])
  })
})

describe('trouble on the way', () => {
  test('a migration that fails half-way is undone; what came before stays and is reported', async () => {
    const database = await postgres.createDatabase('fails', 'base')
    const create = 'apps.get_model("shop", "Order").objects.create(number="%s")'
    const project = await makeProject({
      'shop/migrations/0003_good.py': migration('shop.0002_note', python(create.replace('%s', 'good'))),
      'shop/migrations/0004_bad.py': migration(
        'shop.0003_good',
        `${python(create.replace('%s', 'half'))}, migrations.RunSQL("CREATE UNIQUE INDEX u ON shop_order ((1))")`,
      ),
      'shop/migrations/0005_never.py': migration('shop.0004_bad', addField('c')),
    })
    const outcome = await migrateAll(project, database)
    expect([outcome.code, names(outcome)]).toEqual([17, ['0003_good']])
    expect(outcome.result['failed']).toEqual({
      app: 'shop',
      name: '0004_bad',
      error: 'IntegrityError: could not create unique index "u"',
    })
    expect(outcome.result['rows']).not.toContain('shop.0004_bad')
    expect(await postgres.query(database, 'SELECT number FROM shop_order')).toEqual(['good'])
    // The values of rows are nobody's business.
    expect(outcome.stderr + outcome.stdout).not.toContain('is duplicated')
  })

  test('a lock that others hold is waited for in short turns, so that they are not held up', async () => {
    const database = await postgres.createDatabase('locked', 'base')
    const project = await makeProject({ 'shop/migrations/0003_a.py': migration('shop.0002_note', addField('a')) })
    const holder = await postgres.hold(database, 'LOCK TABLE shop_order IN ACCESS SHARE MODE')
    const running = await begin(project, database, { DEPLOY_DJANGO_LOCK_TIMEOUT: '100' })
    const ended = go(running)
    await running.printed('Waiting for locks: shop.0003_a')
    await holder.release()
    const outcome = await ended
    expect([outcome.code, names(outcome), outcome.result['failed']]).toEqual([0, ['0003_a'], null])
  })

  test('a lock that never comes ends with the time', async () => {
    const database = await postgres.createDatabase('locked_for_ever', 'base')
    const project = await makeProject({ 'shop/migrations/0003_a.py': migration('shop.0002_note', addField('a')) })
    const holder = await postgres.hold(database, 'LOCK TABLE shop_order IN ACCESS SHARE MODE')
    const outcome = await migrateAll(project, database, {
      DEPLOY_DJANGO_LOCK_TIMEOUT: '100',
      DEPLOY_DJANGO_TIMEOUT: '0.5',
    })
    expect([outcome.code, outcome.result['applied']]).toEqual([15, []])
    expect(outcome.result['failed']).toMatchObject({ name: '0003_a', error: expect.stringContaining('lock timeout') })
    await holder.release()
  })

  const slow = {
    'shop/migrations/0003_slow.py': migration('shop.0002_note', 'migrations.RunSQL("SELECT pg_sleep(1.2)", "")'),
    'shop/migrations/0004_next.py': migration('shop.0003_slow', addField('a')),
  }

  test('time that runs out ends between two migrations', async () => {
    const database = await postgres.createDatabase('deadline', 'base')
    const outcome = await migrateAll(await makeProject(slow), database, { DEPLOY_DJANGO_TIMEOUT: '1' })
    expect([outcome.code, names(outcome), outcome.result.error?.kind]).toEqual([15, ['0003_slow'], 'out-of-time'])
    expect(await rows(database)).toEqual(['0001_initial', '0002_note', '0003_slow'])
  })

  test.each(several)('Django %s: SIGTERM ends after the migration that runs, not in it', async (django) => {
    const database = await postgres.createDatabase(`sigterm_${django.replace('.', '_')}`, 'base')
    const project = await makeProject(slow)
    const running = await begin(project, database, {}, django)
    const ended = go(running)
    while (
      (
        await postgres.query(
          database,
          "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()",
        )
      ).length === 0
    );
    running.signal('SIGTERM')
    const outcome = await ended
    expect([outcome.code, names(outcome), outcome.result.error?.kind]).toEqual([15, ['0003_slow'], 'stopped'])
  })

  test('a receiver of post_migrate that fails is told apart from a migration', async () => {
    const database = await postgres.createDatabase('receiver', 'base')
    const project = await makeProject({
      'shop/migrations/0003_a.py': migration('shop.0002_note', addField('a')),
      'shop/apps.py': [
        'from django.apps import AppConfig',
        'from django.db.models.signals import post_migrate',
        'def fail(**facts):',
        '    raise ValueError("no fixture")',
        'class Shop(AppConfig):',
        '    name = "shop"',
        '    def ready(self):',
        '        post_migrate.connect(fail)',
      ].join('\n'),
      'shop/__init__.py': 'default_app_config = "shop.apps.Shop"\n',
    })
    const outcome = await migrateAll(project, database)
    expect([outcome.code, names(outcome), outcome.result['failed']]).toEqual([17, ['0003_a'], null])
    expect(outcome.result.error).toMatchObject({
      detail: 'ValueError: no fixture',
      message: expect.stringContaining('post_migrate'),
    })
  })

  test('a database that comes up late is waited for', async () => {
    const database = await postgres.createDatabase('late', 'base')
    const PGPORT = String(await freePort())
    const late = start('migrate', empty, { env: { ...envOf(database), PGPORT } })
    await late.printed('Waiting for the database')
    const gate = createServer((client) => client.pipe(connect(Number(postgres.env.PGPORT), '127.0.0.1')).pipe(client))
    gate.listen(Number(PGPORT), '127.0.0.1')
    expect((await late.ended).code).toBe(0)
    gate.close()
    const never = await start('migrate', empty, {
      env: { ...envOf(database), PGPORT, DEPLOY_DJANGO_DATABASE_WAIT: '0.1' },
    }).ended
    expect([never.code, never.result.error?.kind]).toEqual([12, 'database-not-up'])
  })

  test('code that was changed between plan and go is noticed', async () => {
    const database = await postgres.createDatabase('edited', 'base')
    const project = await makeProject({ 'shop/migrations/0003_a.py': migration('shop.0002_note', addField('a')) })
    const approved = await approveNew(project)
    await writeFile(join(project, 'shop/migrations/0003_a.py'), migration('shop.0002_note', addField('other')))
    const outcome = await start('migrate', project, { env: envOf(database, { DEPLOY_DJANGO_APPROVED: approved }) })
      .ended
    expect(outcome.code).toBe(10)
  })
})
