import { expect, test } from '@jest/globals'
import { DOCKERFILE, makeShape, migration, project, type Files, type Shape } from './shape.ts'
import { codes } from './story.ts'

// Each customer has a schema (django-tenants). After one of them failed, no run is green until it is migrated.

const SETTINGS = `import os
SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "site_.urls"
SHARED_APPS = ["django_tenants", "customers", "django.contrib.contenttypes"]
TENANT_APPS = ["notes"]
INSTALLED_APPS = SHARED_APPS + TENANT_APPS
DATABASES = {"default": {"ENGINE": "django_tenants.postgresql_backend", "NAME": "site", "USER": "site", "HOST": "db", "PASSWORD": "x"}}
DATABASE_ROUTERS = ("django_tenants.routers.TenantSyncRouter",)
TENANT_MODEL = "customers.Client"
TENANT_DOMAIN_MODEL = "customers.Domain"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
`
const URLS = `from django.http import HttpResponse
from django.urls import path
from django_tenants.utils import schema_context
from notes.models import Note
def of(request, schema):
    with schema_context(schema):
        return HttpResponse("@VERSION@ %s: %d notes" % (schema, len(Note.objects.values_list())))
urlpatterns = [path("", lambda request: HttpResponse("@VERSION@")), path("of/<str:schema>", of)]
`
const CUSTOMERS = `from django.db import models
from django_tenants.models import DomainMixin, TenantMixin
class Client(TenantMixin):
    auto_create_schema = True
class Domain(DomainMixin):
    pass
`
const CUSTOMERS_INITIAL = `import django_tenants.postgresql_backend.base as base
from django.db import migrations, models
class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel("Client", [("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
            ("schema_name", models.CharField(db_index=True, max_length=63, unique=True, validators=[base._check_schema_name]))], options={"abstract": False}),
        migrations.CreateModel("Domain", [("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
            ("domain", models.CharField(db_index=True, max_length=253, unique=True)), ("is_primary", models.BooleanField(db_index=True, default=True)),
            ("tenant", models.ForeignKey("customers.client", models.CASCADE, related_name="domains"))], options={"abstract": False}),
    ]
`
const COMPOSE = `services:
  web: { build: ., env_file: .env, ports: ["@PORT@:8000"], depends_on: [db] }
  db: { image: postgres:17, environment: { POSTGRES_USER: site, POSTGRES_DB: site, POSTGRES_PASSWORD: x }, volumes: ["pg:/var/lib/postgresql/data"] }
volumes: { pg: {} }
`
/** It fails in the schema of a customer who has a certain row. */
const EXTRA = migration(
  '0001_initial',
  `migrations.AddField("note", "extra", models.CharField(max_length=20, null=True)), migrations.RunPython(check, migrations.RunPython.noop)`,
).replace(
  'class Migration',
  `def check(apps, schema_editor):
    if apps.get_model("notes", "Note").objects.filter(text="block").exists():
        raise RuntimeError("a row is in the way")
class Migration`,
)

const files = (version: 'v1' | 'v2'): Files => ({
  ...project(version),
  ...(version === 'v2' && { 'notes/migrations/0002_extra.py': EXTRA }),
  'site_/settings.py': SETTINGS,
  'site_/urls.py': URLS.replaceAll('@VERSION@', version),
  'customers/__init__.py': '',
  'customers/models.py': CUSTOMERS,
  'customers/migrations/__init__.py': '',
  'customers/migrations/0001_initial.py': CUSTOMERS_INITIAL,
  'compose.yaml': COMPOSE,
  Dockerfile: DOCKERFILE.replace('gunicorn\n', 'gunicorn "psycopg[binary]" django-tenants\n'),
})

/** Rows of a statement, columns divided by `|`. */
async function query({ server, name }: Shape, statement: string): Promise<string[]> {
  const client = ['psql', '-U', 'site', '-d', 'site', '-XqAtc', statement]
  return (await server.docker('exec', `${name}-db-1`, ...client)).split('\n').filter((row) => row !== '')
}

test('a customer whose schema fails is named by every run, until it is migrated as well', async () => {
  const inputs = { 'env-file': 'SECRET_KEY=only-for-this-test-1\n' }
  await using site = await makeShape(files('v1'))
  expect((await site.deploy('v1', inputs)).outputs).toMatchObject({ outcome: 'deployed', serving: 'v1' })
  const make = 'from customers.models import Client; [Client.objects.create(schema_name=name) for name in "abc"]'
  await site.server.docker('exec', `${site.name}-web-1`, 'python', 'manage.py', 'shell', '-v', '0', '-c', make)
  await query(site, "INSERT INTO b.notes_note (text) VALUES ('block')")
  const applied = (schema: string): Promise<string[]> =>
    query(site, `SELECT name FROM ${schema}.django_migrations WHERE app = 'notes' ORDER BY id`)

  await site.write(files('v2'))
  for (const when of ['the first run', 'the next one, without a fix']) {
    const red = await site.deploy('v2', inputs)
    expect([when, codes(red).at(-1)]).toEqual([when, 'Deploy Django: migration-failed'])
    expect(red.annotations.at(-1)?.message).toMatch(
      /serves v1 .*\n.*RuntimeError: a row is in the way \(schema b\)\n.*these schemas lack migrations: b \(notes\.0002_extra\), c \(/,
    )
    expect(red.outputs).toMatchObject({ outcome: 'failed', serving: 'v1' })
    expect((await site.ask('/of/b')).text).toBe('v1 b: 1 notes')
    expect(await applied('b')).toEqual(['0001_initial'])
  }

  await query(site, 'DELETE FROM b.notes_note')
  const green = await site.deploy('v2', inputs)
  expect(green.outputs).toMatchObject({ outcome: 'deployed', serving: 'v2' })
  for (const schema of ['a', 'b', 'c']) {
    expect([schema, ...(await applied(schema))]).toEqual([schema, '0001_initial', '0002_extra'])
    expect((await site.ask(`/of/${schema}`)).text).toBe(`v2 ${schema}: 0 notes`)
  }
})
