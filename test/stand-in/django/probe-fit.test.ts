import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { existsSync } from 'node:fs'
import { chown, mkdir, mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { approve, makeProject, migration, probe, several, start } from './probe.ts'
import { addField, go, makeWorld, type World } from './world.ts'

let world: World
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'probe-'))
  world = await makeWorld()
})
afterAll(async () => {
  await world.stop()
  await rm(folder, { recursive: true })
})

const note = migration('shop.0002_note', addField('a'))
const record = (app: string, name: string): string =>
  `INSERT INTO django_migrations (app, name, applied) VALUES ('${app}', '${name}', now())`

describe('SQLite and no database', () => {
  test.each(several)(
    'Django %s: a file that is missing is not made by asking, and is made by migrating',
    async (django) => {
      const DATABASE = join(folder, `${django}.sqlite3`)
      const planned = await probe('plan', world.plain, { django, env: { DATABASE } })
      expect(planned).toMatchObject({
        code: 0,
        result: { database: { vendor: 'sqlite', name: DATABASE, empty: true }, applied: [] },
      })
      expect(existsSync(DATABASE)).toBe(false)

      const running = start('migrate', world.plain, {
        django,
        env: { DATABASE, DEPLOY_DJANGO_APPROVED: approve(planned) },
      })
      expect(await go(running)).toMatchObject({ code: 0, result: { failed: null } })
      expect(await probe('fit', world.plain, { django, env: { DATABASE } })).toMatchObject({
        code: 0,
        result: { problems: [] },
      })

      const writes = await makeProject({
        'shop/migrations/0003_w.py': `from shop.models import Order\nOrder.objects.create(number="x")\n${note}`,
      })
      const refused = await probe('verify', writes, { django, env: { DATABASE } })
      expect([refused.code, refused.result.error?.kind]).toEqual([13, 'database-read-only'])
    },
  )

  test('a new file belongs to the owner of its folder, also when root migrates', async () => {
    // Only root can give a file away. For anybody else, both are their own.
    const owner = process.getuid?.() === 0 ? 1700 : process.getuid?.()
    const place = join(folder, 'of another user')
    await mkdir(place)
    if (owner === 1700) await chown(place, owner, owner)
    const env = { DATABASE: join(place, 'db.sqlite3') }
    const planned = await probe('plan', world.plain, { env })
    const migrating = start('migrate', world.plain, { env: { ...env, DEPLOY_DJANGO_APPROVED: approve(planned) } })
    expect(await go(migrating)).toMatchObject({ code: 0, result: { failed: null } })
    expect((await stat(env.DATABASE)).uid).toBe(owner)
  })

  test('a project without a database has nothing to plan', async () => {
    const outcome = await probe('plan', world.plain, { env: { DATABASE: 'none' } })
    expect(outcome).toMatchObject({ code: 0, result: { pending: [], database: { empty: true } } })
    for (const verb of ['migrate', 'verify', 'fit']) {
      expect([verb, (await probe(verb, world.plain, { env: { DATABASE: 'none' } })).code]).toEqual([verb, 0])
    }
  })
})

describe('verify and fit', () => {
  test('verify sees what is pending, recorded twice, or unknown', async () => {
    const project = await makeProject({ 'shop/migrations/0003_a.py': note })
    expect(await world.ask('verify', 'base', project)).toMatchObject({ code: 19, result: { pending: ['shop.0003_a'] } })
    const database = await world.database('verified')
    await world.postgres.query(database, record('old', '0001_gone'))
    expect(await world.ask('verify', database)).toMatchObject({
      code: 0,
      result: { unknown: ['old.0001_gone'], duplicates: [] },
    })
    await world.postgres.query(database, record('shop', '0002_note'))
    expect(await world.ask('verify', database)).toMatchObject({ code: 14, result: { duplicates: ['shop.0002_note'] } })
  })

  test('fit finds columns that are missing, and those that this code would leave out', async () => {
    const database = await world.database('unfit')
    const change = `ALTER TABLE shop_order DROP COLUMN note, ADD required int NOT NULL, ADD given int NOT NULL DEFAULT 1,
      ADD counted int GENERATED ALWAYS AS IDENTITY, ADD serial serial, ADD made int NOT NULL GENERATED ALWAYS AS (1) STORED, ADD optional int;
      DROP TABLE blog_post_tags`
    await world.postgres.query(database, `${change}; ${record('shop', '0009_later')}`)
    const { code, result } = await world.ask('fit', database)
    expect(code).toBe(20)
    expect(result['ahead']).toEqual(['shop.0009_later'])
    expect(result['problems']).toMatchObject([
      { table: 'blog_post_tags', column: null, kind: 'missing' },
      { table: 'shop_order', column: 'note', kind: 'missing' },
      {
        table: 'shop_order',
        column: 'required',
        kind: 'required',
        text: expect.stringContaining('every INSERT fails'),
      },
    ])
  })

  test.each(['audit"."log', '"audit"."log"'])('fit and plan know the table %s of another schema', async (name) => {
    const table = JSON.stringify(name)
    const log = (fields: string): string =>
      `from django.db import models\nclass Log(models.Model):\n    kind = models.TextField()\n${fields}` +
      `    class Meta:\n        db_table = ${table}\n`
    const initial = `from django.db import migrations, models
class Migration(migrations.Migration):
    operations = [migrations.CreateModel("Log", [("id", models.BigAutoField(primary_key=True)), ("kind", models.TextField())], {"db_table": ${table}})]
`
    const files = {
      'blog/migrations/0001_initial.py': initial,
      'blog/models.py': log('    id = models.BigAutoField(primary_key=True)\n'),
    }
    const removes = migration('blog.0001_initial', 'migrations.RemoveField("log", "kind")')
    const [old, newer] = [
      await makeProject(files),
      await makeProject({ ...files, 'blog/migrations/0002_a.py': removes }),
    ]
    const database = await world.postgres.createDatabase(`schemas_${name.length}`)
    await world.postgres.query(database, 'CREATE SCHEMA audit')
    const env = world.env(database)
    const approved = approve(await probe('plan', old, { env }))
    expect(await go(start('migrate', old, { env: { ...env, DEPLOY_DJANGO_APPROVED: approved } }))).toMatchObject({
      code: 0,
    })
    await world.postgres.query(database, `INSERT INTO audit.log (kind) VALUES ('a'), ('b')`)
    expect(await probe('fit', old, { env })).toMatchObject({ code: 0, result: { problems: [] } })

    const { result } = await probe('plan', newer, { env })
    expect(result['pending']).toMatchObject([
      { operations: [{ table: { exists: true, rows: 2 }, field: { exists: true, known: true } }] },
    ])
    await world.postgres.query(
      database,
      'ALTER TABLE audit.log ADD who text NOT NULL DEFAULT 1; ALTER TABLE audit.log ALTER who DROP DEFAULT',
    )
    expect(await probe('fit', old, { env })).toMatchObject({
      code: 20,
      result: { problems: [{ table: name, column: 'who', kind: 'required' }] },
    })
    await world.postgres.query(database, 'DROP TABLE audit.log')
    expect(await probe('fit', old, { env })).toMatchObject({
      code: 20,
      result: { problems: [{ table: name, kind: 'missing' }] },
    })
  })

  test('fit leaves alone what is not managed, a proxy, or of another database', async () => {
    const project = await makeProject({
      'blog/models.py':
        'from django.db import models\nfrom shop.models import Order\n' +
        'class View(models.Model):\n    class Meta:\n        managed = False\n' +
        'class Proxy(Order):\n    class Meta:\n        proxy = True\n' +
        'class Elsewhere(models.Model):\n    pass\n',
      'world/router.py':
        'class Router:\n    def allow_migrate(self, db, app, model_name=None, **_):\n        return model_name != "elsewhere"\n',
      'world/late.py': 'from world.settings import *\nDATABASE_ROUTERS = ["world.router.Router"]\n',
    })
    const env = world.env('base', { DJANGO_SETTINGS_MODULE: 'world.late' })
    expect(await probe('fit', project, { env })).toMatchObject({ code: 0, result: { problems: [] } })
  })
})
