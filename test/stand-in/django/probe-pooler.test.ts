import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { crc32 } from 'node:zlib'
import { leftIn, type Pooler } from './pooler.ts'
import {
  approveNew,
  makeProject,
  migration,
  probe,
  several,
  start,
  type Options,
  type Outcome,
  type Running,
} from './probe.ts'
import { addField, appliedBy, go, makeWorld, runPython, type World } from './world.ts'

let world: World
let poolers: Pooler[] = []

beforeAll(async () => {
  world = await makeWorld()
  poolers = [await world.pooler(1), await world.pooler(2)]
})
afterAll(() => world.stop())

const migrations = {
  'shop/migrations/0003_a.py': migration('shop.0002_note', addField('a')),
  'shop/migrations/0004_index.py': migration(
    'shop.0003_a',
    'migrations.RunSQL("CREATE INDEX CONCURRENTLY order_number ON shop_order (number)", "")',
    'atomic = False',
  ),
  'shop/migrations/0005_row.py': migration(
    'shop.0004_index',
    runPython('apps.get_model("shop", "Order").objects.create(number="once")'),
  ),
}

describe.each([1, 2])('behind a pooler that has %d connections', (size) => {
  const portOf = (): string => poolers[size - 1]?.port ?? ''
  const options = (database: string, django: string): Options => ({
    django,
    env: world.env(database, { PGPORT: portOf() }),
  })
  const migrate = async (project: string, database: string, django: string, more = {}): Promise<Outcome> => {
    const env = world.env(database, { PGPORT: portOf(), DEPLOY_DJANGO_APPROVED: await approveNew(project), ...more })
    return go(start('migrate', project, { django, env }))
  }

  test.each(several)('Django %s: nothing stays in a session', async (django) => {
    const database = await world.database(`pooled_${size}_${django.replace('.', '_')}`)
    const project = await makeProject(migrations)
    for (const verb of ['plan', 'verify', 'fit']) {
      const { code, result } = await probe(verb, verb === 'plan' ? project : world.plain, options(database, django))
      if (verb === 'plan') expect(result['dump']).toMatchObject({ pooled: true })
      expect([verb, code, await leftIn(world.postgres, portOf(), database, size)]).toEqual([verb, 0, []])
    }
    const outcome = await migrate(project, database, django)
    expect([outcome.code, appliedBy(outcome)]).toEqual([0, ['0003_a', '0004_index', '0005_row']])
    expect(await leftIn(world.postgres, portOf(), database, size)).toEqual([])
    expect(await world.postgres.query(database, 'SELECT number FROM shop_order')).toEqual(['once'])
    expect((await probe('verify', project, options(database, django))).code).toBe(0)
  })

  // An entrypoint that makes the settings is kept from writing by a startup option, which a pooler refuses.
  test('the option that keeps an entrypoint from writing is not passed on', async () => {
    const PGOPTIONS = '-c default_transaction_read_only=on'
    const env = world.env(await world.database(`options_${size}`), { PGPORT: portOf(), PGOPTIONS })
    expect((await probe('plan', world.plain, { env })).code).toBe(0)
  })
})

test('with one connection another runner is waited for before each migration', async () => {
  const database = await world.database('pooled_busy')
  const project = await makeProject(migrations)
  const lock = 'SELECT pg_advisory_xact_lock(x, hashtext(current_database())) FROM (VALUES (%s)) AS v (x)'
  const namespace = crc32('deploy-django') & 0x7fffffff
  const begin = async (more = {}): Promise<Running> => {
    const PGPORT = poolers[0]?.port ?? ''
    const env = world.env(database, { PGPORT, DEPLOY_DJANGO_APPROVED: await approveNew(project), ...more })
    return start('migrate', project, { env })
  }
  const hold = (): ReturnType<World['postgres']['hold']> =>
    world.postgres.hold(database, lock.replace('%s', String(namespace)))

  const impatient = await begin({ DEPLOY_DJANGO_LOCK_WAIT: '0.2' })
  await impatient.printed('replanned')
  const first = await hold()
  const busy = await go(impatient)
  expect([busy.code, busy.result.error?.kind, appliedBy(busy)]).toEqual([11, 'lock-busy', []])
  await first.release()

  const patient = await begin()
  await patient.printed('replanned')
  const second = await hold()
  const ended = go(patient)
  await patient.printed('Another process is migrating')
  await second.release()
  const outcome = await ended
  expect([outcome.code, appliedBy(outcome)]).toEqual([0, ['0003_a', '0004_index', '0005_row']])
})
