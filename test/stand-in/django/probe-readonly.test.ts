import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from '../../../src/process.ts'
import { startMariadb, type Mariadb } from './mariadb.ts'
import { makeProject, probe, python, removeProjects } from './probe.ts'

// A database beside `default` that can only be read is refused.

// Jest has no import.meta.dirname.
const aliases = fileURLToPath(new URL('../../../src/django/probe/aliases.py', import.meta.url))
const WHY = 'The input `databases` lists archive: it is a replica or read-only, so nothing can be migrated there.'

const settings = {
  'world/two.py': `import json
from world.settings import *
DATABASES["archive"] = dict(DATABASES["default"], **json.loads(os.environ["ARCHIVE"]))
`,
}
let project: string
beforeAll(async () => {
  project = await makeProject(settings)
})
afterAll(removeProjects)

/** What the probe answers when this database is listed beside `default`. */
async function ask(
  verb: string,
  archive: object,
  env: Record<string, string>,
  inside: string[] = [],
): Promise<unknown[]> {
  const words = {
    ...env,
    ARCHIVE: JSON.stringify(archive),
    DJANGO_SETTINGS_MODULE: 'world.two',
    DEPLOY_DJANGO_DATABASES: 'default archive',
  }
  const { code, result } = await probe(verb, project, { env: words, inside })
  return code === 9 ? [code, result.error?.message, result.error?.detail] : [code]
}

describe('MariaDB with read_only', () => {
  let mariadb: Mariadb
  beforeAll(async () => {
    mariadb = await startMariadb()
    await mariadb.createDatabase('main')
    await mariadb.createDatabase('archive')
    const users = ['app', 'keeper', 'roled'].flatMap((name) => [`${name}@localhost`, `${name}@'127.0.0.1'`])
    const statements = users.flatMap((user) => [`CREATE USER ${user}`, `GRANT ALL ON archive.* TO ${user}`])
    await mariadb.query('mysql', statements.join('; '))
    await mariadb.query('mysql', "GRANT READ_ONLY ADMIN ON *.* TO keeper@localhost, keeper@'127.0.0.1'")
  })
  afterAll(() => mariadb.stop())

  const askAs = (user: string, verb = 'plan'): Promise<unknown[]> =>
    ask(verb, { NAME: 'archive', USER: user }, { ...mariadb.env, DATABASE: 'main' })

  test('refuses a user who cannot write then, and nobody else', async () => {
    expect(await askAs('app')).toEqual([0])
    await mariadb.query('mysql', 'SET GLOBAL read_only = 1')
    const refused = [9, WHY, 'read_only is ON, and USER of its settings may not write nevertheless']
    expect(await askAs('app')).toEqual(refused)
    expect(await askAs('app', 'migrate')).toEqual(refused)
    expect(await askAs('keeper')).toEqual([0])
    expect(await askAs('test')).toEqual([0]) // it has all rights
  })
})

test.each<[string, object, string[], string | null]>([
  ['nothing', {}, [], null],
  ['a primary', { read_only: 'OFF', super_read_only: 'OFF' }, ['GRANT ALL PRIVILEGES ON `a`.* TO `b`'], null],
  ['a replica', { read_only: 'ON' }, ['GRANT ALL PRIVILEGES ON `a`.* TO `b`'], 'read_only is ON, and USER'],
  ['a replica and its owner', { read_only: 'ON' }, ['GRANT ALL PRIVILEGES ON *.* TO `b` WITH GRANT OPTION'], null],
  ['a replica and an admin', { read_only: 'ON' }, ['GRANT RELOAD, SUPER ON *.* TO `b`'], null],
  [
    'a replica of MySQL 8 and an admin',
    { read_only: 'ON' },
    ['GRANT CONNECTION_ADMIN,AUDIT_ADMIN ON *.* TO `b`'],
    null,
  ],
  [
    'a replica for all',
    { read_only: 'ON', super_read_only: 'ON' },
    ['GRANT SUPER ON *.* TO `b`'],
    'super_read_only is ON',
  ],
  ['a reader of Aurora', { read_only: 'OFF', innodb_read_only: 'ON' }, [], 'innodb_read_only is ON'],
  [
    'MariaDB 12 for all',
    { read_only: 'NO_LOCK_NO_ADMIN' },
    ['GRANT ALL PRIVILEGES ON *.* TO `b`'],
    'read_only is NO_LOCK_NO_ADMIN',
  ],
])('%s', async (_, variables, grants, why) => {
  const lines = [
    'import json, sys',
    'from contextlib import contextmanager',
    'ALIAS = "default"',
    'exec(open(sys.argv[1]).read())',
    'print(json.dumps(why_read_only_server(*json.loads(sys.argv[2]))))',
  ]
  const { stdout } = await run(python(), ['-c', lines.join('\n'), aliases, JSON.stringify([variables, grants])])
  expect(JSON.parse(stdout)).toEqual(why === null ? null : expect.stringContaining(why))
})

describe('SQLite', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'probe-readonly-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  test('refuses a file that is opened read-only, or that this user may not write', async () => {
    const env = { DATABASE: join(folder, 'main.sqlite3') }
    const file = join(folder, 'archive.sqlite3')
    await writeFile(file, '')
    // root writes to everything otherwise.
    const inside = process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-dac_override', '--'] : []
    expect(await ask('plan', { NAME: file }, env, inside)).toEqual([0])
    for (const verb of ['plan', 'list', 'migrate'])
      expect(await ask(verb, { NAME: `file:${file}?mode=ro` }, env)).toEqual([
        9,
        WHY,
        'NAME of its settings says mode=ro',
      ])
    await chmod(file, 0o444)
    const user = process.geteuid?.()
    const refused = [9, WHY, `user ${user} of this container may not write to ${file}`]
    expect(await ask('plan', { NAME: file }, env, inside)).toEqual(refused)
    expect(await ask('migrate', { NAME: file }, env, inside)).toEqual(refused)
  })
})
