import { expect, test } from '@jest/globals'
import { COMPOSE, DOCKERFILE, makeShape, migration, project, type Files } from './shape.ts'

const inputs = { 'env-file': 'SECRET_KEY=only-for-this-test-1\n' }
const both = { ...inputs, databases: 'default archive' }
const base = project('v1')
const ENTRY = 'class Entry(models.Model):\n    id = models.BigAutoField(primary_key=True)\n'
const CREATE = 'migrations.CreateModel("Entry", [("id", models.BigAutoField(primary_key=True, serialize=False))])'

/** The first version, whose settings have a second database with its own model from `v2` on. */
const first: Files = {
  ...base,
  Dockerfile: DOCKERFILE,
  'compose.yaml': COMPOSE,
  'site_/settings.py': `${base['site_/settings.py']}
DATABASES["archive"] = {"ENGINE": "django.db.backends.sqlite3", "NAME": "/data/archive.sqlite3"}
DATABASE_ROUTERS = ["site_.router.Router"]
`,
  'site_/router.py': `class Router:
    def db_for_read(self, model, **hints):
        return "archive" if model._meta.model_name == "entry" else None
    db_for_write = db_for_read
    def allow_migrate(self, db, app_label, model_name=None, **hints):
        return None if model_name is None else (model_name == "entry") == (db == "archive")
`,
}
const second: Files = {
  'notes/models.py': `${base['notes/models.py']}${ENTRY}`,
  'notes/migrations/0002_entry.py': migration('0001_initial', CREATE),
  'site_/urls.py': `from django.http import HttpResponse
from django.urls import path
from notes.models import Entry, Note
urlpatterns = [path("", lambda request: HttpResponse("%d notes, %d entries" % (Note.objects.count(), Entry.objects.count())))]
`,
}

test('a second database is migrated when the input names it, and a warning says so when it does not', async () => {
  await using shape = await makeShape(first)
  expect((await shape.deploy('v1', inputs)).outputs).toMatchObject({ outcome: 'deployed' })

  // Without the input the page of v2 has no table, and the trial finds that.
  await shape.write(second)
  const forgotten = await shape.deploy('v2', inputs)
  expect(forgotten.outputs).toMatchObject({ outcome: 'failed', serving: 'v1' })
  expect(forgotten.annotations.map(({ message }) => message).join('\n')).toContain('`databases: default archive`')

  const v2 = await shape.deploy('v2', both)
  expect(v2.outputs).toMatchObject({ outcome: 'deployed', serving: 'v2' })
  expect(v2.log).toContain('archive: notes.0002_entry')
  expect((await shape.ask()).text).toBe('0 notes, 0 entries')
  const shown = await shape.sub('exec', { run: 'python manage.py showmigrations --database archive notes' })
  expect(shown.log).toMatch(/\[X\] 0001_initial[^]*\[X\] 0002_entry/)
  expect((await shape.deploy('v2', both)).outputs).toMatchObject({ outcome: 'unchanged', serving: 'v2' })

  // The list belongs to the release, also when nothing is pending.
  expect((await shape.deploy('v2', inputs)).outputs).toMatchObject({ outcome: 'deployed', serving: 'v2' })
  expect((await shape.deploy('v2', inputs)).outputs).toMatchObject({ outcome: 'unchanged', serving: 'v2' })

  // The code of v1 does not look at the second database.
  expect((await shape.rollback({ version: 'v1' })).outputs).toMatchObject({ outcome: 'rolled-back', serving: 'v1' })
  expect((await shape.ask()).text).toBe('v1 with 0 notes')
})
