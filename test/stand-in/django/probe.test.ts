import { readdir } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { freePort } from './postgres.ts'
import { makeProject, migration, probe, several } from './probe.ts'
import { addField, makeWorld, type World } from './world.ts'

let world: World

beforeAll(async () => {
  world = await makeWorld()
})
afterAll(() => world.stop())

const note = migration('shop.0002_note', addField('a'))
const record = (app: string, name: string): string =>
  `INSERT INTO django_migrations (app, name, applied) VALUES ('${app}', '${name}', now())`

describe('list', () => {
  test.each(several)('Django %s: the migrations of the image, without a database', async (django) => {
    const port = String(await freePort())
    const { code, result, stdout } = await probe('list', world.plain, {
      django,
      env: world.env('nowhere', { PGPORT: port }),
    })
    expect(code).toBe(0)
    expect(result).toMatchObject({ django: expect.stringMatching(`^${django}\\.`), models_drift: [] })
    expect(result['migrations']).toContainEqual({
      app: 'shop',
      name: '0002_note',
      source: expect.stringMatching(/^[0-9a-f]{64}$/),
      accept: false,
      replaces: [],
    })
    expect(stdout.trimEnd().split('\n').pop()).toMatch(/^\{"deploy-django": 1, "verb": "list"/)
  })

  test('names what the models have and no migration makes', async () => {
    const project = await makeProject({
      'shop/models.py':
        'from django.db import models\nclass Order(models.Model):\n    number = models.CharField(max_length=20)\n    note = models.TextField(null=True)\n    paid = models.BooleanField()\n',
    })
    expect((await world.ask('list', 'nowhere', project)).result['models_drift']).toEqual([
      'shop: Add field paid to order',
    ])
  })

  test('refuses to let a module ask the database while it is imported', async () => {
    const project = await makeProject({
      'shop/migrations/0003_asks.py': `from shop.models import Order\nOrder.objects.count()\n${note}`,
    })
    const { code, result } = await world.ask('list', 'base', project)
    expect([code, result.error?.kind]).toEqual([18, 'database-at-import'])
  })
})

describe('plan', () => {
  test('says what is pending, with every operation, and a digest that changes with what decides', async () => {
    const text = migration(
      'shop.0002_note',
      `
        migrations.SeparateDatabaseAndState(database_operations=[migrations.RunSQL("SELECT 1")]),
        migrations.RunSQL("SELECT 1", migrations.RunSQL.noop),
        migrations.RemoveField("order", "number"),
        migrations.CreateModel("Line", [("id", models.BigAutoField(primary_key=True))]),
        migrations.AddField("line", "text", models.TextField(default="")),
        Own()`,
    ).replace(
      'class Migration',
      'class Own(migrations.operations.base.Operation):\n    def state_forwards(self, *_): pass\n\nclass Migration',
    )
    const first = await world.ask('plan', 'base', await makeProject({ 'shop/migrations/0003_many.py': text }))
    expect(first.code).toBe(0)
    expect(first.result).toMatchObject({
      settings: {
        allowed_hosts: ['shop.example.com', '.example.org'],
        ssl_redirect: false,
        debug: false,
        proxy_ssl_header: ['HTTP_X_FORWARDED_PROTO', 'https'],
        static: { kind: 'none', why: 'django.contrib.staticfiles is not in INSTALLED_APPS' },
        media_root: null,
      },
      database: {
        alias: 'default',
        vendor: 'postgresql',
        host: `127.0.0.1:${world.postgres.env.PGPORT}`,
        name: 'base',
        empty: false,
        system: expect.stringMatching(/^\d+$/),
      },
      unknown: [],
      conflicts: {},
      inconsistent: null,
      duplicates: [],
      pending: [{ app: 'shop', name: '0003_many', atomic: true, accept: false }],
    })
    const [pending] = first.result['pending'] as { operations: unknown[] }[]
    expect(pending?.operations).toMatchObject([
      {
        kind: 'SeparateDatabaseAndState',
        line: 11,
        reversible: false,
        nested: [{ kind: 'RunSQL', reverse: 'none', sql: { statements: ['SELECT 1'], tables: [] } }],
      },
      { kind: 'RunSQL', reversible: true, reverse: 'noop' },
      // Django says reversible; a column that must have a value cannot come back.
      {
        kind: 'RemoveField',
        text: 'Remove field number from order',
        line: 13,
        reversible: false,
        table: { name: 'shop_order', known: true, exists: true, rows: 0, bytes: expect.any(Number) },
        field: {
          known: true,
          exists: true,
          before: { type: 'CharField', null: false, default: false, code: 'models.CharField(max_length=20)' },
          after: null,
        },
      },
      { kind: 'CreateModel', table: { name: 'shop_line', known: false, exists: false, rows: null } },
      {
        kind: 'AddField',
        table: { name: 'shop_line', known: false, exists: false },
        field: { name: 'text', before: null, after: { type: 'TextField', default: true, default_code: "''" } },
      },
      { kind: 'shop.migrations.0003_many.Own', own: null },
    ])
    expect(first.result['drift']).not.toEqual([])

    const same = await world.ask('plan', 'base', await makeProject({ 'shop/migrations/0003_many.py': text }))
    const other = await world.ask(
      'plan',
      'base',
      await makeProject({ 'shop/migrations/0003_many.py': `${text}# changed\n` }),
    )
    expect(same.result['digest']).toBe(first.result['digest'])
    expect(other.result['digest']).not.toBe(first.result['digest'])
    const project = await makeProject({ 'shop/migrations/0003_many.py': text })
    const image = await probe('plan', project, { env: { ...world.env('base'), DEPLOY_DJANGO_IMAGES: 'app@sha256:1' } })
    expect(image.result['digest']).not.toBe(first.result['digest'])
  })

  test('knows the models of the code that serves, which may be older than the database', async () => {
    const project = await makeProject({
      'shop/migrations/0003_gone.py': migration('shop.0002_note', 'migrations.RemoveField("order", "note")'),
    })
    const known = async (serves: object): Promise<unknown> => {
      const env = world.env('base', { DEPLOY_DJANGO_SERVES: JSON.stringify(serves) })
      const { result } = await probe('plan', project, { env })
      const [pending] = result['pending'] as { operations: { field: { known: boolean; exists: boolean } }[] }[]
      return pending?.operations.map(({ field }) => [field.known, field.exists])
    }
    expect(await known({})).toEqual([[true, true]])
    expect(await known({ alias: 'default', unknown: [], others: [] })).toEqual([[true, true]])
    expect(await known({ alias: 'default', unknown: ['shop.0002_note'] })).toEqual([[false, true]])
    expect(await known({ unknown: [], others: [{ alias: 'other', unknown: ['shop.0002_note'] }] })).toEqual([
      [true, true],
    ])
  })

  test('an operation that it does not get through is named, and does not stop the plan', async () => {
    const project = await makeProject({
      'shop/migrations/0003_odd.py': migration(
        'shop.0002_note',
        'Odd("order", "odd", models.IntegerField(null=True)), migrations.RemoveField("order", "odd")',
      ).replace(
        'class Migration',
        'class Odd(migrations.AddField):\n    @property\n    def new_name(self): raise ValueError("odd")\n\nclass Migration',
      ),
    })
    const { code, result } = await world.ask('plan', 'base', project)
    const [pending] = result['pending'] as { operations: unknown[] }[]
    expect(code).toBe(0)
    expect(pending?.operations).toMatchObject([
      { kind: 'AddField', unreadable: 'ValueError: odd' },
      { kind: 'RemoveField', field: { known: false, exists: false } },
    ])
  })

  test.each(several)(
    'Django %s: a database that is ahead of this image is no error: its migrations are unknown',
    async (django) => {
      const database = await world.database(`ahead_${django.replace('.', '_')}`)
      const ask = (project = world.plain) => probe('plan', project, { django, env: world.env(database) })
      await world.postgres.query(database, record('shop', '0009_later'))
      expect(await ask()).toMatchObject({
        code: 0,
        // An older Django does not know the last one of `auth` either.
        result: { pending: [], unknown: expect.arrayContaining(['shop.0009_later']), problems: [] },
      })
      await world.postgres.query(database, 'ALTER TABLE shop_order ADD COLUMN later integer NOT NULL')
      const [problem] = (await ask()).result['problems'] as { text: string }[]
      expect(problem?.text).toContain('shop_order.later must have a value')
      // A migration of this image may repair it.
      const repairing = await makeProject({ 'shop/migrations/0003_note.py': note })
      expect((await ask(repairing)).result['problems']).toEqual([])
    },
  )

  test('names what the routers send to another database and nobody applied there', async () => {
    const folder = await makeProject({
      'world/two.py': `from world.settings import *
DATABASES["stats"] = {**DATABASES["default"], "NAME": os.environ["STATS"]}
DATABASES["replica"] = DATABASES["default"]
DATABASES["file"] = {"ENGINE": "django.db.backends.sqlite3", "NAME": "not-there.sqlite3"}
DATABASE_ROUTERS = ["world.two.Router"]
class Router:
    def allow_migrate(self, db, app_label, **hints):
        return db in ("stats", "file") if app_label == "blog" else None
`,
    })
    const stats = await world.database('stats', 'empty')
    const ask = async (verb: string, database: string): Promise<unknown> => {
      const env = { ...world.env('base', { STATS: database }), DJANGO_SETTINGS_MODULE: 'world.two' }
      return (await probe(verb, folder, { env })).result['elsewhere']
    }
    const all = ['blog.0001_initial']
    expect(await ask('plan', stats)).toEqual({ stats: all, file: all })
    expect(await ask('list', stats)).toEqual({ stats: all, file: all })
    expect(await ask('plan', 'base')).toEqual({ stats: [], file: all })
    expect(await ask('plan', 'no_such_database')).toEqual({ file: all })
    expect(await readdir(folder)).not.toContain('not-there.sqlite3')
  })

  test.each<[string, Record<string, string | null>, string]>([
    ['conflict', { 'shop/migrations/0002_other.py': note.replace('0002_note', '0001_initial') }, ''],
    ['inconsistent', {}, "DELETE FROM django_migrations WHERE name = '0001_initial' AND app = 'shop'"],
    ['hidden', { 'blog/migrations/0001_initial.py': null }, ''],
    ['duplicates', {}, record('shop', '0002_note')],
  ])('%s stops, with the plan all the same', async (kind, files, statement) => {
    const project = await makeProject(files)
    for (const django of several) {
      const database = await world.database(`${kind}_${django.replace('.', '_')}`)
      if (statement) await world.postgres.query(database, statement)
      const ask = (verb: string) => probe(verb, project, { django, env: world.env(database) })
      const [planned, migrated] = [await ask('plan'), await ask('migrate')]
      expect([django, planned.code, planned.result.error?.kind]).toEqual([django, 14, kind])
      expect([django, migrated.code, migrated.result.error?.kind]).toEqual([django, 14, kind])
      expect(planned.result).toMatchObject({ digest: expect.any(String), applied: expect.any(Array) })
    }
  })

  test.each(several)('Django %s: nothing can be written', async (django) => {
    const database = await world.database(`read_only_${django.replace('.', '_')}`)
    const project = await makeProject({
      // An app that opens its connection while it starts, and a module that writes.
      'shop/migrations/0003_writes.py': `from shop.models import Order\nOrder.objects.create(number="x")\n${note}`,
      'shop/apps.py':
        'from django.apps import AppConfig\nclass Shop(AppConfig):\n    name = "shop"\n    def ready(self):\n' +
        '        from django.db import connection\n        connection.ensure_connection()\n',
      'shop/__init__.py': 'default_app_config = "shop.apps.Shop"\n',
    })
    for (const verb of ['plan', 'verify', 'fit']) {
      const { code, result } = await probe(verb, project, { django, env: world.env(database) })
      expect([verb, code, result.error?.kind]).toEqual([verb, 13, 'database-read-only'])
    }
    expect(await world.postgres.query(database, 'SELECT count(*) FROM shop_order')).toEqual(['0'])
  })

  test.each(several)('Django %s: code that reads while it is imported may, and fail', async (django) => {
    const database = await world.database(`reads_${django.replace('.', '_')}`)
    const project = await makeProject({
      'shop/migrations/0003_reads.py': `from django.db import connection, transaction
from shop.models import Order
try:
    Order.objects.raw("SELECT nothing")[0]
except Exception:
    pass
with transaction.atomic():
    try:
        with transaction.atomic():
            Order.objects.extra(where=["nothing"]).count()
    except Exception:
        pass
    Order.objects.count()
for order in Order.objects.iterator():
    Order.objects.count()
transaction.set_autocommit(False)
Order.objects.count()
transaction.commit()
transaction.set_autocommit(True)
with connection.cursor() as cursor:
    cursor.execute("SHOW default_transaction_read_only")
    assert cursor.fetchone() == ("off",)
    try:
        cursor.execute("DELETE FROM shop_order")
    except Exception as error:
        assert "read-only" in str(error), error
    else:
        raise AssertionError("it was written")
${note}`,
    })
    await world.postgres.query(database, "INSERT INTO shop_order (number) SELECT 'x' FROM generate_series(1, 3)")
    const { code, stderr } = await probe('plan', project, { django, env: world.env(database) })
    expect([code, stderr]).toEqual([0, expect.not.stringContaining('Traceback')])
    expect(await world.postgres.query(database, 'SELECT count(*) FROM shop_order')).toEqual(['3'])
  })

  test('the database that does not answer is distinguished from the one that refuses', async () => {
    const port = String(await freePort())
    const outcomes = [
      { PGPORT: port },
      { PGHOST: 'no-such-host.invalid' },
      { DATABASE: 'no_such_database' },
      { PGUSER: 'no_such_user' },
      { PGUSER: 'stranger', PGPASSWORD: 'wrong' },
    ].map(async (more) => (await probe('plan', world.plain, { env: world.env('base', more) })).code)
    expect(await Promise.all(outcomes)).toEqual([12, 12, 13, 13, 13])
    const file = await world.ask('migrate', '/no/such/folder/x.sqlite3')
    expect([file.code, file.result.error?.message]).toEqual([13, expect.stringContaining('cannot be opened')])
  })

  test('an image whose migrations do not load', async () => {
    const project = await makeProject({ 'shop/migrations/0003_x.py': note.replace('0002_note', '0002_gone') })
    const { code, result } = await world.ask('plan', 'base', project)
    expect([code, result.error?.kind, result.error?.detail]).toEqual([
      18,
      'migrations-broken',
      expect.stringContaining('0002_gone'),
    ])
  })
})
