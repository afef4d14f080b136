import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { approve } from '../../../src/deployment/plan.ts'
import { readDatabases, readPlan } from '../../../src/django/document.ts'
import { makeProject, migration, probe, several, start, usual, type Outcome } from './probe.ts'
import { addField, appliedBy, go, makeWorld, runPython, type World } from './world.ts'

let world: World
let plain: string
let folder: string

/** The app `log` belongs to `archive`, all others to `default`. */
const settings = {
  'world/two.py': `from world.settings import *
import os
if "ARCHIVE" in os.environ:
    name = os.environ["ARCHIVE"]
    DATABASES["archive"] = (
        {"ENGINE": "django.db.backends.sqlite3", "NAME": name} if name.endswith(".sqlite3")
        else dict(DATABASES["default"], NAME=name)
    )
if "ARCHIVE_OPTIONS" in os.environ:
    DATABASES["archive"]["OPTIONS"] = {"options": os.environ["ARCHIVE_OPTIONS"]}
if "ARCHIVE_PORT" in os.environ:
    DATABASES["archive"]["PORT"] = os.environ["ARCHIVE_PORT"]
if "MIRROR" in os.environ:
    DATABASES["archive"]["TEST"] = {"MIRROR": "default"}
INSTALLED_APPS = [*INSTALLED_APPS, "log"]
DATABASE_ROUTERS = ["world.two.Router"]
class Router:
    def allow_migrate(self, db, app_label, **hints):
        if app_label == "log":
            return db == "archive"
        return db == "default" if app_label in ("shop", "blog") else None
`,
  'log/__init__.py': '',
  'log/migrations/__init__.py': '',
  'log/models.py': `from django.db import models
class Tag(models.Model):
    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=20)
`,
  'log/migrations/0001_initial.py': `from django.db import migrations, models
class Migration(migrations.Migration):
    initial = True
    operations = [migrations.CreateModel("Tag", [
        ("id", models.BigAutoField(primary_key=True, serialize=False)), ("name", models.CharField(max_length=20)),
    ])]
`,
}
const addName = 'migrations.AddField("tag", "hue", models.IntegerField(null=True))'

beforeAll(async () => {
  world = await makeWorld()
  plain = await makeProject(settings)
  folder = await mkdtemp(join(tmpdir(), 'probe-archive-'))
})
afterAll(async () => {
  await rm(folder, { recursive: true })
  await world.stop()
})

type Words = Record<string, string>

const env = (database: string, archive: string, more: Words = {}): Words => ({
  ...world.env(database),
  DJANGO_SETTINGS_MODULE: 'world.two',
  ARCHIVE: archive,
  DEPLOY_DJANGO_DATABASES: 'default archive',
  ...more,
})

type Named = { app: string; name: string; source: string; operations: { skipped: boolean }[] }
type Part = { alias?: string; database?: { alias: string }; pending: Named[]; applied: Named[]; failed: unknown }

const partsOf = ({ result }: Outcome): Part[] => result['others'] as Part[]
const ownOf = ({ result }: Outcome): Part => result as unknown as Part
const archiveOf = (outcome: Outcome): Part => partsOf(outcome)[0] as Part
/** What the runner approves: every pending migration of every database. */
function approved(planned: Outcome): string {
  const plan = readPlan(planned.result)
  return approve(plan.kind === 'live' ? plan.pending : plan.migrations).join(' ')
}

/** Two databases that are migrated as the project in the repository is. */
async function migratedPair(name: string): Promise<[string, string]> {
  const pair: [string, string] = [await world.database(name), await world.database(`${name}_archive`, 'empty')]
  await migrateAll(...pair)
  return pair
}

async function migrateAll(...pair: [string, string]): Promise<void> {
  const planned = await probe('plan', plain, { env: env(...pair) })
  const words = env(...pair, { DEPLOY_DJANGO_APPROVED: approved(planned), DEPLOY_DJANGO_GO: 'yes' })
  expect(await probe('migrate', plain, { env: words })).toMatchObject({ code: 0 })
}

const newer = {
  ...settings,
  'shop/migrations/0003_a.py': migration('shop.0002_note', addField('a')),
  'log/migrations/0002_hue.py': migration('log.0001_initial', addName),
}

describe.each(several)('Django %s', (django) => {
  test.each(['postgresql', 'sqlite'])('plans, migrates, verifies and fits each database once: %s', async (vendor) => {
    const name = `whole_${vendor}_${django.replace('.', '_')}`
    const database = await world.database(name, 'empty')
    const archive = vendor === 'sqlite' ? join(folder, `${name}.sqlite3`) : await world.database(`${name}_x`, 'empty')
    const words = env(database, archive)
    const planned = await probe('plan', plain, { django, env: words })
    expect(planned.code).toBe(0)
    expect(archiveOf(planned)).toMatchObject({ database: { alias: 'archive', vendor, name: archive, empty: true } })
    expect(await readdir(folder)).toEqual([])
    const find = (pending: Named[], app: string): boolean[] =>
      pending.find((each) => each.app === app)?.operations.map(({ skipped }) => skipped) ?? []
    expect([...new Set(find(archiveOf(planned).pending, 'shop'))]).toEqual([true])
    expect([...new Set(find(archiveOf(planned).pending, 'log'))]).toEqual([false])
    expect([...new Set(find(ownOf(planned).pending, 'log'))]).toEqual([true])

    const running = start('migrate', plain, {
      django,
      env: { ...words, DEPLOY_DJANGO_APPROVED: approved(planned) },
    })
    const migrated = await go(running)
    expect([migrated.code, migrated.result.error]).toEqual([0, undefined])
    expect(archiveOf(migrated).applied).toHaveLength(archiveOf(planned).pending.length)
    expect(appliedBy(migrated)).toHaveLength(ownOf(planned).pending.length)

    const verified = await probe('verify', plain, { django, env: words })
    expect(verified).toMatchObject({ code: 0, result: { pending: [] } })
    const identities = (outcome: Outcome) => readDatabases(outcome.result).map(({ alias, name: at }) => [alias, at])
    expect(identities(verified)).toEqual([
      ['default', database],
      ['archive', archive],
    ])
    expect(identities(migrated)).toEqual(identities(verified))
    expect(await probe('fit', plain, { django, env: words })).toMatchObject({ code: 0, result: { problems: [] } })
    const tables = "SELECT relname FROM pg_class WHERE relname IN ('shop_order', 'log_tag') ORDER BY 1"
    expect(await world.postgres.query(database, tables)).toEqual(['shop_order'])
    if (vendor === 'postgresql') expect(await world.postgres.query(archive, tables)).toEqual(['log_tag'])
    for (const file of await readdir(folder)) await rm(join(folder, file))
  })
})

test('a first deploy, planned before the databases run, migrates each of them', async () => {
  const words = env(await world.database('first', 'empty'), await world.database('first_archive', 'empty'))
  const listed = await probe('list', plain, { env: words })
  expect(listed.code).toBe(0)
  const migrated = await probe('migrate', plain, {
    env: { ...words, DEPLOY_DJANGO_APPROVED: approved(listed), DEPLOY_DJANGO_GO: 'yes' },
  })
  expect([migrated.code, migrated.result.error]).toEqual([0, undefined])
  expect(archiveOf(migrated).applied).toHaveLength(appliedBy(migrated).length)
})

test('two SQLite files in one folder, which share its lock, are both migrated', async () => {
  const pair: [string, string] = [join(folder, 'one.sqlite3'), join(folder, 'two.sqlite3')]
  await migrateAll(...pair)
  const verified = await probe('verify', plain, { env: env(...pair) })
  expect(verified).toMatchObject({ code: 0, result: { pending: [], others: [{ alias: 'archive', pending: [] }] } })
})

test.each(['both databases', 'the second database alone'])(
  'two runners at once that share %s apply each migration of it once',
  async (shared) => {
    const isBoth = shared === 'both databases'
    const name = isBoth ? 'race' : 'race_second'
    const [database, archive] = await migratedPair(name)
    const other = isBoth ? database : await world.database(`${name}_other`)
    if (!isBoth) await migrateAll(other, await world.database(`${name}_unused`, 'empty'))
    const tag = 'apps.get_model("log", "Tag").objects.using("archive")'
    const project = await makeProject({
      ...newer,
      'log/migrations/0002_hue.py': migration('log.0001_initial', `${addName}, ${runPython('time.sleep(1)')}`),
      'log/migrations/0003_tag.py': migration(
        'log.0002_hue',
        runPython(`editor.connection.alias == "archive" and ${tag}.create(name="x")`),
      ),
    })
    const planned = await probe('plan', project, { env: env(database, archive) })
    const approval = { DEPLOY_DJANGO_APPROVED: approved(planned), DEPLOY_DJANGO_GO: 'yes' }
    const outcomes = await Promise.all(
      [database, other].map((own) => probe('migrate', project, { env: env(own, archive, approval) })),
    )
    expect(outcomes.map(({ code, result: { error } }) => [code, error])).toEqual([
      [0, undefined],
      [0, undefined],
    ])
    const names = ['0002_hue', '0003_a', '0003_tag']
    expect(outcomes.flatMap((each) => archiveOf(each).applied.map((row) => row.name)).sort()).toEqual(names)
    const rows =
      "SELECT name FROM django_migrations WHERE app IN ('log', 'shop') AND name IN ('0002_hue', '0003_a', '0003_tag')"
    for (const each of [database, other, archive]) {
      expect(await world.postgres.query(each, `${rows} ORDER BY name`)).toEqual(names)
    }
    expect(await world.postgres.query(archive, 'SELECT name FROM log_tag')).toEqual(['x'])
  },
)

test('a failure in the second database leaves the first one migrated, and the report says where', async () => {
  const pair = await migratedPair('half')
  const project = await makeProject({
    ...newer,
    'log/migrations/0002_hue.py': migration('log.0001_initial', `${addName}, migrations.RunSQL("SELECT 1 / 0")`),
  })
  const planned = await probe('plan', project, { env: env(...pair) })
  const words = env(...pair, { DEPLOY_DJANGO_APPROVED: approved(planned), DEPLOY_DJANGO_GO: 'yes' })
  const failed = await probe('migrate', project, { env: words })
  expect([failed.code, failed.result.error?.message]).toEqual([17, 'In the database archive: log.0002_hue failed.'])
  expect(appliedBy(failed).sort()).toEqual(['0002_hue', '0003_a'])
  expect(archiveOf(failed)).toMatchObject({ alias: 'archive', failed: { app: 'log', name: '0002_hue' } })
  const columns = "SELECT column_name FROM information_schema.columns WHERE column_name IN ('a', 'hue')"
  expect(await world.postgres.query(pair[0], columns)).toEqual(['a'])
  expect(await world.postgres.query(pair[1], columns)).toEqual([])

  // The other way round, nothing of `default` begins.
  const later = await migratedPair('half_later')
  const again = await probe('plan', project, { env: env(...later) })
  const order = { DEPLOY_DJANGO_DATABASES: 'archive default', DEPLOY_DJANGO_GO: 'yes' }
  const stopped = await probe('migrate', project, {
    env: env(...later, { DEPLOY_DJANGO_APPROVED: approved(again), ...order }),
  })
  expect([stopped.code, appliedBy(stopped)]).toEqual([17, []])
  expect(await world.postgres.query(later[0], columns)).toEqual([])
})

test('verify and migrate notice what is pending in the second database alone', async () => {
  const pair = await migratedPair('pending')
  const project = await makeProject(newer)
  const forward = { DEPLOY_DJANGO_APPROVED: '', DEPLOY_DJANGO_DATABASES: 'default', DEPLOY_DJANGO_GO: 'yes' }
  const planned = await probe('plan', project, { env: env(...pair) })
  const first = await probe('migrate', project, {
    env: env(...pair, { ...forward, DEPLOY_DJANGO_APPROVED: approved(planned) }),
  })
  expect(first.code).toBe(0)
  const verified = await probe('verify', project, { env: env(...pair) })
  expect([verified.code, verified.result.error?.message]).toEqual([
    19,
    'In the database archive: Not applied: log.0002_hue, shop.0003_a.',
  ])
  // What the host keeps of it is about `default`.
  expect(verified.result).toMatchObject({ database: { alias: 'default' }, pending: [] })
  const unapproved = await probe('migrate', project, {
    env: env(...pair, { DEPLOY_DJANGO_APPROVED: approved(planned).replaceAll('archive:', '') }),
  })
  expect([unapproved.code, unapproved.result.error?.message]).toEqual([
    10,
    expect.stringContaining('In the database archive: Pending, but not approved'),
  ])
})

describe('refuses', () => {
  const refused = async (words: Words, verb = 'plan'): Promise<unknown[]> => {
    const { code, result: found } = await probe(verb, plain, { env: words })
    return [code, found.error?.message, found.error?.detail]
  }

  test('an alias that the settings do not have', async () => {
    const { ARCHIVE: _, ...without } = env('base', '')
    const said = [
      9,
      'The input `databases` lists archive: DATABASES of the settings does not have it.',
      'DATABASES has default',
    ]
    for (const verb of ['plan', 'list', 'migrate', 'verify']) expect(await refused(without, verb)).toEqual(said)
    // Older code may not have it yet.
    expect(await probe('fit', plain, { env: without })).toMatchObject({ code: 0, result: { others: [] } })
  })

  test('a replica', async () => {
    const why = 'The input `databases` lists archive: it is a replica or read-only, so nothing can be migrated there.'
    const other = await world.database('replica')
    const mirror = env('base', other, { MIRROR: 'yes' })
    expect(await refused(mirror)).toEqual([9, why, 'TEST of its settings says MIRROR: default'])
    expect(await refused(mirror, 'list')).toEqual([9, why, 'TEST of its settings says MIRROR: default'])
    const readOnly = env('base', other, { ARCHIVE_OPTIONS: '-c default_transaction_read_only=on' })
    expect(await refused(readOnly)).toEqual([9, why, 'default_transaction_read_only is on'])
    expect(await refused({ ...readOnly, DEPLOY_DJANGO_GO: 'yes' }, 'migrate')).toEqual([
      9,
      why,
      'default_transaction_read_only is on',
    ])
    const real = { ARCHIVE_PORT: await world.postgres.startReplica() }
    for (const verb of ['plan', 'migrate'])
      expect(await refused(env('base', other, real), verb)).toEqual([9, why, 'pg_is_in_recovery() is true'])
    // Nobody has to be warned of what replicas lack.
    const alone = { ...env('base', other), DEPLOY_DJANGO_DATABASES: 'default' }
    const elsewhere = async (more: Words): Promise<unknown> =>
      (await probe('plan', plain, { env: { ...alone, ...more } })).result['elsewhere']
    expect(await elsewhere({})).toEqual({ archive: ['log.0001_initial'] })
    expect(await elsewhere({ MIRROR: 'yes' })).toEqual({})
    expect(await elsewhere(real)).toEqual({})
    expect(await elsewhere({ ARCHIVE_OPTIONS: '-c default_transaction_read_only=on' })).toEqual({})
  })

  test('the same database again, whatever it is called', async () => {
    const why = 'The input `databases` lists archive: it is the same database as default.'
    const detail = 'Another schema of one database shares its lock, and cannot be listed either.'
    const words = env('base', 'base')
    expect(await refused(words)).toEqual([9, why, detail])
    expect(await refused({ ...words, DEPLOY_DJANGO_DATABASES: 'archive default' })).toEqual([9, why, detail])
    expect(await refused({ ...words, DEPLOY_DJANGO_GO: 'yes' }, 'migrate')).toEqual([9, why, detail])
    expect(await refused(words, 'list')).toEqual([9, why, detail])
    const pooled = await world.database('same')
    const pooler = await world.pooler(5)
    expect(await refused(env(pooled, pooled, { ARCHIVE_PORT: pooler.port }))).toEqual([9, why, detail])
  })

  test('a database that does not answer, by its name', async () => {
    expect(await refused(env('base', 'no_such_database'))).toEqual([
      13,
      expect.stringContaining('The database archive: no_such_database at 127.0.0.1 refused'),
      expect.stringContaining('does not exist'),
    ])
  })
})

test('a history of the second database that contradicts itself stops the plan, which is there all the same', async () => {
  const pair = await migratedPair('unsound')
  await world.postgres.query(pair[1], "DELETE FROM django_migrations WHERE app = 'shop' AND name = '0001_initial'")
  const planned = await probe('plan', plain, { env: env(...pair) })
  expect([planned.code, planned.result.error?.message]).toEqual([
    14,
    expect.stringContaining('In the database archive: A migration is applied although'),
  ])
  expect(planned.result).toMatchObject({ digest: expect.any(String), others: [{ applied: expect.any(Array) }] })
})

test('the digest of a plan covers the second database, and is as before without one', async () => {
  const pair = await migratedPair('digest')
  const digest = async (more: Words): Promise<unknown> =>
    (await probe('plan', plain, { env: env(...pair, more) })).result['digest']
  const [both, alone, none] = [
    await digest({}),
    await digest({ DEPLOY_DJANGO_DATABASES: 'default' }),
    await digest({ DEPLOY_DJANGO_DATABASES: '' }),
  ]
  expect(alone).toBe(none)
  expect(both).not.toBe(alone)
  await world.postgres.query(pair[1], "DELETE FROM django_migrations WHERE app = 'log'")
  expect(await digest({})).not.toBe(both)
})

test('a way back: old code must fit every database, and only `default` is reversed', async () => {
  const pair = await migratedPair('back')
  const project = await makeProject({
    ...newer,
    'log/migrations/0002_hue.py': migration(
      'log.0001_initial',
      'migrations.AddField("tag", "hue", models.IntegerField(default=1))',
    ),
  })
  const planned = await probe('plan', project, { env: env(...pair) })
  const words = env(...pair, { DEPLOY_DJANGO_APPROVED: approved(planned), DEPLOY_DJANGO_GO: 'yes' })
  expect(await probe('migrate', project, { env: words })).toMatchObject({ code: 0 })

  const fits = await probe('fit', plain, { env: env(...pair) })
  expect(fits).toMatchObject({ code: 20, result: { problems: [] } })
  const text =
    'In the database archive: log_tag.hue must have a value, has no default in the database and is unknown to this code: every INSERT fails.'
  expect(partsOf(fits)).toMatchObject([{ problems: [{ text }], ahead: ['log.0002_hue', 'shop.0003_a'] }])

  // Older code need not list what newer code migrates, nor have a router for it.
  const unlisted = { DEPLOY_DJANGO_DATABASES: 'default', DEPLOY_DJANGO_MIGRATED: 'default archive' }
  const older = await probe('fit', plain, { env: env(...pair, unlisted) })
  expect(older).toMatchObject({ code: 20, result: { others: [{ alias: 'archive', problems: [{ text }] }] } })
  const unrouted = await makeProject({
    'world/two.py': settings['world/two.py'].replace(', "log"', '').replace('"world.two.Router"', ''),
  })
  const oldest = await probe('fit', unrouted, { env: env(...pair, unlisted) })
  expect(oldest).toMatchObject({ code: 0, result: { others: [{ alias: 'archive', problems: [] }] } })
  // Where nobody has migrated yet, nothing that a newer release did is missing.
  const unmade = await world.database('back_unmade', 'empty')
  expect(await probe('fit', plain, { env: env(pair[0], unmade, unlisted) })).toMatchObject({ code: 0 })
  await world.postgres.query(pair[1], 'ALTER TABLE log_tag RENAME TO log_word')
  expect((await probe('fit', plain, { env: env(...pair) })).result.error?.message).toContain(
    'In the database archive: The table log_tag is missing.',
  )
  await world.postgres.query(pair[1], 'ALTER TABLE log_word RENAME TO log_tag')

  const target = { DEPLOY_DJANGO_TARGET: JSON.stringify(fits.result) }
  const reversed = await probe('reverse', project, { env: env(...pair, target) })
  expect(reversed).toMatchObject({ code: 28, result: { irreversible: [text] } })
  const plan = JSON.stringify(reversed.result)
  const unapplied = await probe('unapply', project, {
    env: env(...pair, { ...target, DEPLOY_DJANGO_REVERSE: plan, DEPLOY_DJANGO_GO: 'yes' }),
  })
  expect(unapplied.code).toBe(28)
  const column = "SELECT column_name FROM information_schema.columns WHERE column_name = 'a'"
  expect(await world.postgres.query(pair[0], column)).toEqual(['a'])

  const back = async (breaking: string, lasting: string): Promise<unknown> => {
    const more = { DEPLOY_DJANGO_BREAKING: breaking, DEPLOY_DJANGO_LASTING: lasting }
    return (await probe('return', project, { env: env(...pair, more) })).result['return']
  }
  expect(await back('archive:log.0002_hue', 'archive:log.0002_hue')).toBe('none')
  expect(await back('archive:log.0009_x', 'archive:log.0009_x')).toBe('containers')
  expect(await back('shop.0003_a archive:log.0009_x', 'archive:log.0009_x')).toBe('reverse')

  // The revert of this deployment unapplies in `default`, and what it applies again is there alone.
  const approval = { DEPLOY_DJANGO_APPROVED: approved(planned), DEPLOY_DJANGO_GO: 'yes' }
  const reverted = await probe('unapply', project, { env: env(...pair, approval) })
  expect(reverted.code).toBe(0)
  expect(await world.postgres.query(pair[0], column)).toEqual([])
  const hue = "SELECT column_name FROM information_schema.columns WHERE column_name = 'hue'"
  expect(await world.postgres.query(pair[1], hue)).toEqual(['hue'])
})

test('new migrations of a pull request are judged for each database that the settings have', async () => {
  const project = await makeProject(newer)
  const { createHash } = await import('node:crypto')
  const hash = createHash('sha256').update(newer['log/migrations/0002_hue.py']).digest('hex')
  const words = env('base', 'archive', { DEPLOY_DJANGO_NEW: `0002_hue=${hash}` })
  const judged = await probe('judge', project, { django: usual, env: words })
  expect(judged.code).toBe(0)
  expect(ownOf(judged).pending[0]?.operations[0]?.skipped).toBe(true)
  expect(archiveOf(judged)).toMatchObject({ alias: 'archive', vendor: 'postgresql' })
  expect(archiveOf(judged).pending[0]?.operations[0]?.skipped).toBe(false)
  const { ARCHIVE: _, ...without } = words
  expect(await probe('judge', project, { env: without })).toMatchObject({ code: 0, result: { others: [] } })
})
