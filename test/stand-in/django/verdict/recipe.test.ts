import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { readPending } from '../../../../src/django/verdict/facts.ts'
import { judge } from '../../../../src/django/verdict/judge.ts'
import { findRecipe, type Recipe } from '../../../../src/django/verdict/recipe.ts'
import type { Verdict } from '../../../../src/django/verdict/verdict.ts'
import { startPostgres, type Postgres } from '../postgres.ts'
import { usual } from '../probe.ts'
import { appOf, experiment, type Seen } from './experiment.ts'
import type { Row } from './rows.ts'

// What a refusal teaches is tried as it is written: the code that serves lives with every release of it.

let postgres: Postgres
let folder: string

beforeAll(async () => {
  postgres = await startPostgres()
  folder = await mkdtemp(join(tmpdir(), 'recipe-'))
})
afterAll(async () => {
  await postgres.stop()
  await rm(folder, { recursive: true })
})

const model = (name: string, field = ''): string =>
  `migrations.CreateModel("${name}", [("id", models.BigAutoField(primary_key=True)), ${field}])`
const it = (code: string): string => `("it", models.${code})`
const other = 'ForeignKey("Other", models.CASCADE)'

/** A row that the new code links to cannot be deleted by the old code, which does not count. */
const LINKING = 'AddField: a foreign key'

/** What the old code has, and the operation that it cannot work with. */
const unsafe: readonly (readonly [title: string, old: readonly string[], operation: string])[] = [
  ['AddField: a constant', [model('Item')], 'migrations.AddField("item", "it", models.IntegerField(default=3))'],
  ['AddField: a text', [model('Item')], 'migrations.AddField("item", "it", models.TextField(blank=True, default=""))'],
  [
    LINKING,
    [model('Other'), model('Item')],
    `migrations.AddField("item", "it", models.${other.replace('CASCADE', 'CASCADE, default=1')})`,
  ],
  ['RemoveField', [model('Item', it('IntegerField()'))], 'migrations.RemoveField("item", "it")'],
  ['RemoveField: NULL', [model('Item', it('IntegerField(null=True)'))], 'migrations.RemoveField("item", "it")'],
  ['RemoveField: a foreign key', [model('Other'), model('Item', it(other))], 'migrations.RemoveField("item", "it")'],
  [
    'RemoveField: many to many',
    [model('Other'), model('Item', it('ManyToManyField("Other")'))],
    'migrations.RemoveField("item", "it")',
  ],
  ['RenameField', [model('Item', it('IntegerField()'))], 'migrations.RenameField("item", "it", "that")'],
  [
    'RenameField: a foreign key',
    [model('Other'), model('Item', it(other))],
    'migrations.RenameField("item", "it", "that")',
  ],
  [
    'AlterField: another type',
    [model('Item', it('BooleanField()'))],
    'migrations.AlterField("item", "it", models.IntegerField())',
  ],
  ['DeleteModel', [model('Item', it('IntegerField()'))], 'migrations.DeleteModel("Item")'],
  ['RenameModel', [model('Item', it('IntegerField()'))], 'migrations.RenameModel("Item", "Thing")'],
]

type Found = { verdict: Verdict; seen: Seen; recipe: Recipe | undefined }

/** The verdict of the operations, what the old code did with them, and the recipe of the first one. */
async function tryOut(
  vendor: string,
  cases: readonly (readonly [old: readonly string[], now: readonly string[]])[],
): Promise<Found[]> {
  const rows = cases.map(([old, now]): Row => ({
    title: '',
    old: [...old],
    new: [...now],
    breaks: [],
    reverses: 'fully',
  }))
  const name = `recipe_${Math.random().toString(36).slice(2)}`
  const database = vendor === 'sqlite' ? join(folder, `${name}.sqlite3`) : await postgres.createDatabase(name)
  const env = { ...postgres.env, DATABASE: database }
  const { pending, seen } = await experiment(rows, usual, join(folder, name), env)
  const judged = judge(readPending(pending), vendor)
  return rows.map((_, place) => {
    const app = appOf(place)
    const [migration, found] = [judged.find((each) => each.app === app), seen[app]]
    const [operation] = migration?.operations ?? []
    const [verdict] = migration?.verdicts ?? []
    if (!migration || !found || !operation || !verdict) throw new Error(`there is no verdict of ${app}`)
    return { verdict: migration.verdict, seen: found, recipe: findRecipe(operation, verdict, vendor) }
  })
}

/** The operations of a release as the recipe writes them; what it leaves to the reader does nothing. */
function operationsOf(recipe: Recipe, release: number, app: string): string[] {
  const copy = 'migrations.RunPython(copy, migrations.RunPython.noop),'
  return (recipe[release]?.code ?? [])
    .filter((line) => line.startsWith('migrations.') && line !== copy)
    .map((line) => line.replace(/,(  # .*)?$/, '').replaceAll(app, 'APP'))
}

test.each(['postgresql', 'sqlite'])('the code that serves lives with what a recipe says on %s', async (vendor) => {
  const found = await tryOut(
    vendor,
    unsafe.map(([, old, operation]) => [old, [operation]]),
  )
  const written = unsafe.flatMap(([title, old, operation], place) => {
    const recipe = found[place]?.recipe
    if (!recipe) throw new Error(`${title} has no recipe`)
    const first = [...operationsOf(recipe, 0, appOf(place)), ...(title === 'RenameModel' ? [operation] : [])]
    const second = operationsOf(recipe, 1, appOf(place))
    // Other ways than that of one release begin with what the old code has.
    const isOther = recipe[1]?.does.startsWith('Or ') ?? false
    const follows = second.length > 0 && !title.startsWith('AlterField') && title !== LINKING
    return [
      { title, old, now: first },
      ...(follows ? [{ title: `${title}, next`, old: isOther ? old : [...old, ...first], now: second }] : []),
    ]
  })
  expect(written.length).toBeGreaterThan(unsafe.length + 5)
  const tried = await tryOut(
    vendor,
    written.map(({ old, now }) => [old, now]),
  )
  const broken = tried.map(({ verdict, seen }, place) => ({
    title: written[place]?.title,
    verdict: verdict.breaks,
    seen: seen.breaks,
    error: seen.error,
  }))
  expect(broken).toEqual(
    written.map(({ title }) => ({ title, verdict: [], seen: title === LINKING ? ['delete'] : [], error: undefined })),
  )
})
