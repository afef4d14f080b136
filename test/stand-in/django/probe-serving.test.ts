import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeProject, probe, removeProjects, several } from './probe.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'probe-'))
})
afterAll(async () => {
  await removeProjects()
  await rm(folder, { recursive: true })
})

const entry = (kind: 'wsgi' | 'asgi', module: string, before = ''): string =>
  `import os\n${before}\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "${module}")\n` +
  `from django.core.${kind} import get_${kind}_application\napplication = get_${kind}_application()\n`
const production = (database: string): string =>
  `from world.settings import *\nDATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "${database}"}}\n`

/** manage.py uses world.settings. */
async function serving(
  files: Record<string, string>,
  env: Record<string, string> = {},
  django?: string,
): Promise<unknown> {
  const project = await makeProject(files)
  const DATABASE = join(folder, 'local.sqlite3')
  const { code, result } = await probe('plan', project, { ...(django && { django }), env: { DATABASE, ...env } })
  return [code, result['serving']]
}

test.each(several)('Django %s: the settings that wsgi.py uses, when they are others', async (django) => {
  const files = {
    'world/production.py': production('/data/site.sqlite3'),
    'world/wsgi.py': entry('wsgi', 'world.production'),
  }
  const differs = { manage: 'world.settings', module: 'world.production', file: 'world/wsgi.py', same: false }
  expect(await serving(files, {}, django)).toEqual([0, differs])
  const given = { DJANGO_SETTINGS_MODULE: 'world.production' }
  expect(
    await serving({ ...files, 'world/production.py': production(join(folder, 'x.sqlite3')) }, given, django),
  ).toEqual([...[0, null]])
})

test('the same database with the same apps is said to be so', async () => {
  const files = {
    'world/production.py': 'from world.settings import *\n',
    'world/asgi.py': entry('asgi', 'world.production'),
  }
  expect(await serving(files)).toEqual([0, expect.objectContaining({ file: 'world/asgi.py', same: true })])
})

test.each<[string, Record<string, string>]>([
  ['the same settings', { 'world/wsgi.py': entry('wsgi', 'world.settings') }],
  [
    'one of two that agrees',
    { 'world/wsgi.py': entry('wsgi', 'world.production'), 'world/asgi.py': entry('asgi', 'world.settings') },
  ],
  [
    'a file that is read before',
    {
      'world/wsgi.py': entry(
        'wsgi',
        'world.production',
        'os.environ["DJANGO_SETTINGS_MODULE"] = str("world.settings")',
      ),
    },
  ],
  ['a wsgi.py that names none', { 'world/wsgi.py': 'import os\n' }],
  ['a wsgi.py that fails', { 'world/wsgi.py': entry('wsgi', 'world.production', 'raise ValueError()') }],
  ['none', {}],
])('nothing is said of %s', async (_, files) => {
  expect(await serving({ 'world/production.py': production('/data/x'), ...files })).toEqual([0, null])
})

const files = {
  'world/production.py': production('/data/site.sqlite3'),
  'world/wsgi.py': entry('wsgi', 'world.settings'),
  'world/wsgi_live.py': entry('wsgi', 'world.production'),
}
test.each([
  ['its settings', 'settings=world.production', { module: 'world.production', file: 'the start command', same: false }],
  ['the settings of manage.py', 'settings=world.settings module=world.wsgi_live', null],
  ['another module', 'module=world.wsgi_live', { module: 'world.production', file: 'world/wsgi_live.py' }],
  ['a module that is not there', 'module=world.other', null],
])('the start command names %s', async (_, start, found) => {
  const expected = found && expect.objectContaining(found)
  expect(await serving(files, { DEPLOY_DJANGO_START: start })).toEqual([0, expected])
})

test('settings of manage.py that do not import, while the site uses others', async () => {
  const project = await makeProject({
    'world/settings.py': 'import debug_toolbar\n',
    'world/production.py': 'SECRET_KEY = "x"\n',
    'world/wsgi.py': entry('wsgi', 'world.production'),
  })
  const { code, result } = await probe('plan', project)
  expect([code, result.error?.kind, result['serving']]).toMatchObject([
    18,
    'not-importable',
    { module: 'world.production' },
  ])
})
