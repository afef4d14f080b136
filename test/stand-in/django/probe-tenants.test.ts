import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readPending } from '../../../src/django/verdict/facts.ts'
import { judge } from '../../../src/django/verdict/judge.ts'
import { startPostgres, type Postgres } from './postgres.ts'
import {
  approve,
  lastingMigration,
  makeProject,
  migration,
  probe,
  removeProjects,
  start,
  type Outcome,
} from './probe.ts'
import { go } from './world.ts'

// Each customer has a schema with tables and a history of its own (django-tenants). After one of them failed, nothing is green.

let postgres: Postgres
beforeAll(async () => {
  postgres = await startPostgres()
})
afterAll(async () => {
  await postgres.stop()
  await removeProjects()
})

const SETTINGS = `import os
SECRET_KEY = "x"
SHARED_APPS = ["django_tenants", "customers", "django.contrib.contenttypes"]
TENANT_APPS = ["notes"]
INSTALLED_APPS = SHARED_APPS + TENANT_APPS
DATABASES = {"default": {"ENGINE": "django_tenants.postgresql_backend", "NAME": os.environ["DATABASE"],
             "USER": os.environ["PGUSER"], "HOST": os.environ["PGHOST"], "PORT": os.environ["PGPORT"]}}
DATABASE_ROUTERS = ("django_tenants.routers.TenantSyncRouter",)
TENANT_MODEL = "customers.Client"
TENANT_DOMAIN_MODEL = "customers.Domain"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
`
const CUSTOMERS = `from django.db import models
from django_tenants.models import DomainMixin, TenantMixin
class Client(TenantMixin):
    auto_create_schema = True
class Domain(DomainMixin):
    pass
`
const CUSTOMERS_INITIAL = `import django.db.models.deletion
import django_tenants.postgresql_backend.base as base
from django.db import migrations, models
class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel("Client", [("id", models.BigAutoField(primary_key=True)),
            ("schema_name", models.CharField(db_index=True, max_length=63, unique=True, validators=[base._check_schema_name]))]),
        migrations.CreateModel("Domain", [("id", models.BigAutoField(primary_key=True)),
            ("domain", models.CharField(db_index=True, max_length=253, unique=True)), ("is_primary", models.BooleanField(db_index=True, default=True)),
            ("tenant", models.ForeignKey("customers.client", models.CASCADE, related_name="domains"))]),
    ]
`
const note = (fields: string): string => `from django.db import models
class Note(models.Model):
    text = models.CharField(max_length=20)
${fields}`
const V1 = {
  'world/settings.py': SETTINGS,
  'customers/__init__.py': '',
  'customers/models.py': CUSTOMERS,
  'customers/migrations/__init__.py': '',
  'customers/migrations/0001_initial.py': CUSTOMERS_INITIAL,
  'notes/__init__.py': '',
  'notes/models.py': note(''),
  'notes/migrations/__init__.py': '',
  'notes/migrations/0001_initial.py': `from django.db import migrations, models
class Migration(migrations.Migration):
    operations = [migrations.CreateModel("Note", [("id", models.BigAutoField(primary_key=True)), ("text", models.CharField(max_length=20))])]
`,
}
const CHECK = `lambda apps, editor: [1 / 0 for each in apps.get_model("notes", "Note").objects.filter(text="block")]`
const EXTRA = migration(
  'notes.0001_initial',
  `migrations.AddField("note", "extra", models.CharField(max_length=20, null=True)), migrations.RunPython(${CHECK})`,
)
const V2 = {
  ...V1,
  'notes/models.py': note('    extra = models.CharField(max_length=20, null=True)\n'),
  'notes/migrations/0002_extra.py': EXTRA,
}
const V3 = {
  ...V2,
  'notes/models.py':
    'from django.db import models\nclass Note(models.Model):\n    text = models.CharField(max_length=20)\n',
  'notes/migrations/0003_gone.py': migration('notes.0002_extra', 'migrations.RemoveField("note", "extra")'),
}

type Site = {
  database: string
  ask: (verb: string, project: string, more?: Record<string, string>) => Promise<Outcome>
  /** Plans, and applies what is pending. */
  deploy: (project: string) => Promise<Outcome>
}

/** A database of v1 with the tenants a, b and c, and a row of b that is in the way of v2. */
async function makeSite(database: string, v1: string): Promise<Site> {
  await postgres.createDatabase(database)
  const env = { ...postgres.env, DATABASE: database }
  const ask: Site['ask'] = (verb, project, more = {}) => probe(verb, project, { env: { ...env, ...more } })
  const deploy: Site['deploy'] = async (project) => {
    const planned = await ask('plan', project)
    expect(planned.code).toBe(0)
    return await go(start('migrate', project, { env: { ...env, DEPLOY_DJANGO_APPROVED: approve(planned) } }))
  }
  const first = await deploy(v1)
  expect([first.code, first.stderr]).toEqual([0, expect.any(String)])
  for (const name of ['a', 'b', 'c']) {
    await postgres.query(
      database,
      `INSERT INTO customers_client (schema_name) VALUES ('${name}'); CREATE SCHEMA ${name}`,
    )
  }
  const second = await deploy(v1)
  expect(second.code).toBe(0)
  await postgres.query(database, "INSERT INTO b.notes_note (text) VALUES ('block')")
  return { database, ask, deploy }
}

const breaksOf = ({ result }: Outcome): unknown =>
  judge(readPending(result['pending']), 'postgresql').map(({ name, verdict }) => [name, verdict.breaks])

test('every schema is planned, migrated and verified; one that failed is named by every run until it is not', async () => {
  const [v1, v2] = [await makeProject(V1), await makeProject(V2)]
  const { database, ask, deploy } = await makeSite('tenants', v1)
  expect((await ask('verify', v1)).code).toBe(0)

  const planned = await ask('plan', v2)
  expect(planned.result['tenants']).toEqual({
    package: 'django_tenants',
    schemas: 3,
    behind: { a: ['notes.0002_extra'], b: ['notes.0002_extra'], c: ['notes.0002_extra'] },
  })
  const failed = await deploy(v2)
  expect(failed.code).toBe(17)
  expect(failed.result.error?.message).toBe(
    'notes.0002_extra (schema b) failed. These schemas lack migrations: b (notes.0002_extra), c (notes.0002_extra).',
  )
  expect(failed.result['behind']).toBe('b (notes.0002_extra), c (notes.0002_extra)')
  expect(failed.result['failed']).toMatchObject({
    app: 'notes',
    name: '0002_extra',
    error: expect.stringContaining('(schema b)'),
  })

  // In the public schema nothing is pending any more.
  const verified = await ask('verify', v2)
  expect([verified.code, verified.result.error?.message]).toEqual([
    19,
    'Not applied in schemas of tenants: b (notes.0002_extra), c (notes.0002_extra).',
  ])
  expect((await ask('plan', v2)).result).toMatchObject({
    pending: [{ app: 'notes', name: '0002_extra' }],
    tenants: { behind: { b: ['notes.0002_extra'], c: ['notes.0002_extra'] } },
  })
  expect((await deploy(v2)).code).toBe(17)

  await postgres.query(database, "DELETE FROM b.notes_note WHERE text = 'block'")
  const done = await deploy(v2)
  expect([done.code, done.result['applied']]).toEqual([
    0,
    [{ app: 'notes', name: '0002_extra', milliseconds: expect.any(Number) }],
  ])
  expect((await ask('verify', v2)).code).toBe(0)
  expect(await postgres.query(database, 'SELECT extra FROM b.notes_note UNION SELECT extra FROM c.notes_note')).toEqual(
    [],
  )
})

test('a migration that is late finishes in its schema with the lock kept, and no other schema follows', async () => {
  const v1 = await makeProject(V1)
  const { database, ask } = await makeSite('late', v1)
  const project = await makeProject({
    ...V1,
    'notes/migrations/0002_lasting.py': lastingMigration('notes.0001_initial'),
  })
  const env = { ...postgres.env, DATABASE: database, DEPLOY_DJANGO_APPROVED: approve(await ask('plan', project)) }
  const running = start('migrate', project, { env: { ...env, DEPLOY_DJANGO_TIMEOUT: '3' } })
  const ended = go(running)
  await running.printed('(migrate-timeout). notes.0002_lasting (schema a) may finish')
  const other = await start('migrate', project, { env: { ...env, DEPLOY_DJANGO_LOCK_WAIT: '0.2' } }).ended
  expect([other.code, other.result.error?.kind]).toEqual([11, 'lock-busy'])
  await writeFile(join(project, 'finish'), '')
  const { code, result } = await ended
  expect([code, result.error?.kind]).toEqual([15, 'out-of-time'])
  expect(result.error?.message).toContain('before notes.0002_lasting (schema b) was applied')
  expect(result.error?.message).toContain('notes.0002_lasting (schema a) was allowed to finish')
  expect((await ask('plan', project)).result).toMatchObject({
    tenants: { behind: { b: ['notes.0002_lasting'], c: ['notes.0002_lasting'] } },
  })
})

test('on a pull request an operation is judged as in the schemas of tenants', async () => {
  const project = await makeProject(V3)
  const source = createHash('sha256').update(V3['notes/migrations/0003_gone.py']).digest('hex')
  const env = { PGUSER: 'x', PGHOST: 'nowhere.invalid', PGPORT: '1', DATABASE: 'nowhere' }
  const judged = await probe('judge', project, { env: { ...env, DEPLOY_DJANGO_NEW: `0003_gone=${source}` } })
  expect(judged.code).toBe(0)
  expect(breaksOf(judged)).toEqual([['0003_gone', ['read', 'insert', 'update']]])
})

test('an operation is judged in the schemas that have its table, and is not unapplied', async () => {
  const [v1, v2, v3] = [await makeProject(V1), await makeProject(V2), await makeProject(V3)]
  const { database, ask, deploy } = await makeSite('judged', v1)
  await postgres.query(database, "DELETE FROM b.notes_note WHERE text = 'block'")
  expect((await deploy(v2)).code).toBe(0)
  const planned = await ask('plan', v3)
  expect(breaksOf(planned)).toEqual([['0003_gone', ['read', 'insert', 'update']]])

  // The models of v1 fit what v2 left; those of v2 do not fit v3.
  const fitting = await ask('fit', v1)
  expect([fitting.code, fitting.result['ahead']]).toEqual([0, ['notes.0002_extra']])
  const target = JSON.stringify(fitting.result)
  const reversed = await ask('reverse', v2, { DEPLOY_DJANGO_TARGET: target })
  expect([reversed.code, reversed.result['irreversible']]).toEqual([
    28,
    ['The schemas of tenants are not unapplied here: run `migrate_schemas APP MIGRATION` with the newer image.'],
  ])
  expect((await deploy(v3)).code).toBe(0)
  const unfit = await ask('fit', v2)
  expect([unfit.code, unfit.result['problems']]).toEqual([
    20,
    [
      expect.objectContaining({
        text: 'In the schema a: notes_note.extra is missing: every query of its model fails.',
      }),
    ],
  ])
})
