import { afterAll, expect, test } from '@jest/globals'
import { createHash } from 'node:crypto'
import { readPending } from '../../../src/django/verdict/facts.ts'
import { judge } from '../../../src/django/verdict/judge.ts'
import { makeProject, migration, probe, removeProjects, several, usual, type Outcome } from './probe.ts'

afterAll(removeProjects)

const digest = (text: string): string => createHash('sha256').update(text).digest('hex')
const remove = migration('shop.0002_note', 'migrations.RemoveField("order", "note")')

/** Of a server that is not there. */
const nowhere = { DATABASE: 'nowhere', PGUSER: 'x', PGHOST: 'nowhere.invalid', PGPORT: '1' }

/** Judges these files of the project as those that are new. */
async function judgeNew(files: Record<string, string>, django = usual): Promise<Outcome> {
  const project = await makeProject(files)
  const names = Object.entries(files).flatMap(([path, text]) => {
    const [, name] = /migrations\/(\d\w+)\.py$/.exec(path) ?? []
    return name === undefined ? [] : [`${name}=${digest(text)}`]
  })
  return probe('judge', project, { django, env: { ...nowhere, DEPLOY_DJANGO_NEW: names.join(' ') } })
}

/** Each pending migration with the verdict of its worst operation. */
const verdictsOf = ({ result }: Outcome): unknown =>
  judge(readPending(result['pending']), String(result['vendor'])).map(({ app, name, verdict }) => [
    `${app}.${name}`,
    verdict.breaks,
    verdict.reverses,
  ])

test.each(several)('Django %s: only what is new is judged, without a database', async (django) => {
  const judged = await judgeNew({ 'shop/migrations/0003_gone.py': remove }, django)
  expect(judged.code).toBe(0)
  expect(verdictsOf(judged)).toEqual([['shop.0003_gone', ['read', 'insert', 'update'], 'loses']])
  expect(judged.result).toMatchObject({ vendor: 'postgresql', conflicts: {}, inconsistent: null })
})

test('a migration that is changed is not new, and nothing is', async () => {
  const project = await makeProject({ 'shop/migrations/0003_gone.py': remove })
  const other = await probe('judge', project, {
    env: { ...nowhere, DEPLOY_DJANGO_NEW: `0003_gone=${digest('other')}` },
  })
  expect([other.code, other.result['pending']]).toEqual([0, []])
})

test('two leaves are refused, as at a deploy', async () => {
  const judged = await judgeNew({
    'shop/migrations/0003_gone.py': remove,
    'shop/migrations/0003_also.py': migration('shop.0002_note', ''),
  })
  expect(judged.result.error).toMatchObject({ kind: 'conflict' })
})

test('a new squash of what is applied does nothing', async () => {
  const squash = migration('x.y', '', 'replaces = [("shop", "0001_initial"), ("shop", "0002_note")]').replace(
    'dependencies = [("x", "y")]',
    'dependencies = []',
  )
  const judged = await judgeNew({ 'shop/migrations/0001_squashed_0002_note.py': squash })
  expect([judged.code, judged.result['pending']]).toEqual([0, []])
})

const given = 'migrations.SeparateDatabaseAndState(state_operations=[%])'
const separate = (operation: string): string => given.replace('%', operation)
const link = 'models.ForeignKey("blog.Post", models.CASCADE)'
const create = (name: string, options = ''): string =>
  `migrations.CreateModel("${name}", [("id", models.AutoField(primary_key=True)), ("n", models.IntegerField()), ("post", ${link})]${options})`
const later = (operations: string): string =>
  migration('shop.0002_note', operations).replace('dependencies = [', 'dependencies = [("blog", "0001_initial"), ')

test.each([
  ['goes', '', true],
  ['moves', separate(create('Moved', ', options={"db_table": "shop_item"}')), false],
  [
    'moves, and its table gets another name',
    `${separate(create('Moved', ', options={"db_table": "shop_item"}'))}, migrations.AlterModelTable("moved", None)`,
    false,
  ],
  ['is renamed in SQL', 'migrations.RunSQL("ALTER TABLE shop_item RENAME TO shop_other")', false],
])('a model without its table that %s', async (_, after, isGivenUp) => {
  const gone = `${create('Item')}, ${separate('migrations.DeleteModel("Item")')}${after === '' ? '' : `, ${after}`}`
  const { result } = await judgeNew({ 'shop/migrations/0003_gone.py': later(gone) })
  const enforced = isGivenUp ? [{ table: 'shop_item', to: 'blog_post' }] : []
  expect(operationOf(result, 1)).toMatchObject({ enforced })
})

test('a field that only the state loses, of a model that stays', async () => {
  const gone = `${create('Item')}, ${separate('migrations.RemoveField("item", "post")')}`
  const { result } = await judgeNew({ 'shop/migrations/0003_gone.py': later(gone) })
  expect(operationOf(result, 1)).toMatchObject({
    enforced: [{ table: 'shop_item', to: 'blog_post' }],
    abandoned: [{ table: 'shop_item', column: 'post_id' }],
  })
})

const operationOf = (result: Outcome['result'], place: number): unknown =>
  readPending(result['pending'])[0]?.operations[place]

test('without DATABASES the rules are those of PostgreSQL', async () => {
  const { result, code } = await judgeNew({ 'shop/migrations/0003_gone.py': remove, 'world/settings.py': settings('') })
  expect([code, result['vendor']]).toEqual([0, 'postgresql'])
})

test('SQLite in the settings counts', async () => {
  const sqlite = 'DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "nowhere/db"}}'
  const judged = await judgeNew({ 'shop/migrations/0003_gone.py': remove, 'world/settings.py': settings(sqlite) })
  expect([judged.code, judged.result['vendor']]).toEqual([0, 'sqlite'])
  expect(verdictsOf(judged)).toEqual([['shop.0003_gone', ['read', 'insert', 'update'], 'loses']])
})

const settings = (databases: string): string =>
  `SECRET_KEY = "x"\nUSE_TZ = True\nINSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.postgres", "shop", "blog"]\n${databases}\n`
