import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeProject, probe, several } from './probe.ts'
import { makeWorld, type World } from './world.ts'

let world: World
beforeAll(async () => {
  world = await makeWorld()
})
afterAll(() => world.stop())

const models = 'from django.db import models\nclass Note(models.Model):\n    pass\n'
const notes = { app: 'notes', module: 'notes', installed: false }

/** The test project with one more app, and these settings. */
async function withNotes(files: Record<string, string>, settings = ''): Promise<string> {
  const project = await makeProject({ 'notes/__init__.py': '', 'notes/models.py': models, ...files })
  await appendFile(join(project, 'world/settings.py'), `\nINSTALLED_APPS.append("notes")\n${settings}\n`)
  return project
}

const unmigrated = async (verb: string, project: string, database: string, django?: string): Promise<unknown> => {
  const { code, result } = await probe(verb, project, { ...(django && { django }), env: world.env(database) })
  return [code, result['unmigrated']]
}

test.each(several)(
  'Django %s: an app whose tables nobody makes is named, in a plan and before there is a database',
  async (django) => {
    const hidden = await withNotes({})
    expect(await unmigrated('plan', hidden, 'base', django)).toEqual([0, [notes]])
    expect(await unmigrated('list', hidden, 'nowhere', django)).toEqual([0, [notes]])
    const empty = await withNotes({ 'notes/migrations/__init__.py': '' })
    expect(await unmigrated('plan', empty, 'base', django)).toEqual([0, [notes]])
  },
)

test('an app without migrations is no fault', async () => {
  expect(await unmigrated('plan', world.plain, 'base')).toEqual([0, []])
  const onPurpose = await withNotes({}, 'MIGRATION_MODULES = {"notes": None}')
  expect(await unmigrated('plan', onPurpose, 'base')).toEqual([0, []])
  const elsewhere = await withNotes(
    { 'world/router.py': 'class Router:\n    def allow_migrate(self, db, app, **_):\n        return app != "notes"\n' },
    'DATABASE_ROUTERS = ["world.router.Router"]',
  )
  expect(await unmigrated('plan', elsewhere, 'base')).toEqual([0, []])
  const unmanaged = await withNotes({
    'notes/models.py': `from django.db import models\nfrom shop.models import Order
class View(models.Model):\n    class Meta:\n        managed = False
class Proxy(Order):\n    class Meta:\n        proxy = True
class Base(models.Model):\n    class Meta:\n        abstract = True\n`,
  })
  expect(await unmigrated('plan', unmanaged, 'base')).toEqual([0, []])
  // Made by syncdb long ago.
  const database = await world.database('legacy')
  await world.postgres.query(database, 'CREATE TABLE notes_note (id serial PRIMARY KEY)')
  expect(await unmigrated('plan', await withNotes({}), database)).toEqual([0, []])
})

test('an app of a package is recognized, and its models are no drift of the project', async () => {
  const project = await withNotes({
    'lib/site-packages/old/__init__.py': '',
    'lib/site-packages/old/models.py': models,
  })
  await appendFile(
    join(project, 'world/settings.py'),
    'sys.path.append(os.path.join(os.getcwd(), "lib/site-packages"))\nINSTALLED_APPS.append("old")\n',
  )
  const { result } = await probe('plan', project, { env: world.env('base') })
  expect(result['unmigrated']).toEqual([notes, { app: 'old', module: 'old', installed: true }])
})
