import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { leftIn } from './pooler.ts'
import { makeProject, migration } from './probe.ts'
import { addField, appliedBy, makeWorld, runPython, type World } from './world.ts'

let world: World

beforeAll(async () => {
  world = await makeWorld()
})
afterAll(() => world.stop())

const row = (name: string, previous: string): Record<string, string> => ({
  [`shop/migrations/${name}.py`]: migration(
    previous,
    `${addField(`n${name.slice(0, 4)}`)}, ${runPython(`apps.get_model("shop", "Order").objects.create(number="${name}")`)}`,
  ),
})
const index = {
  'shop/migrations/0004_index.py': migration(
    'shop.0003_row',
    'postgres.AddIndexConcurrently("order", models.Index(fields=["number"], name="order_number"))',
    'atomic = False',
  ),
}
const withIndex = { ...row('0003_row', 'shop.0002_note'), ...index, ...row('0005_row', 'shop.0004_index') }
const plain = { ...row('0003_row', 'shop.0002_note'), ...row('0004_row', 'shop.0003_row') }

test.each<[string, number | undefined, Record<string, string>]>([
  ['directly', undefined, withIndex],
  ['through PgBouncer with ten connections', 10, withIndex],
  ['through PgBouncer with two connections', 2, withIndex],
  ['through PgBouncer with one connection', 1, plain],
])('five runners at once, %s: each migration once, and nothing stays in a session', async (_, size, files) => {
  const database = await world.database(`five_${size ?? 'direct'}`)
  const project = await makeProject(files)
  const pooler = size === undefined ? undefined : await world.pooler(size)
  const more = {
    DEPLOY_DJANGO_GO: 'yes',
    DEPLOY_DJANGO_LOCK_WAIT: '200',
    DEPLOY_DJANGO_DATABASE_WAIT: '200',
    DEPLOY_DJANGO_ROOM_WAIT: size === 1 ? '1' : '10',
    PGPORT: pooler?.port ?? world.postgres.env.PGPORT,
  }
  const runners = await Promise.all(Array.from({ length: 5 }, () => world.begin(project, database, more)))
  const outcomes = await Promise.all(runners.map(({ ended }) => ended))

  const names = Object.keys(files).map((file) => file.slice('shop/migrations/'.length, -'.py'.length))
  expect(outcomes.map(({ code, result }) => [code, result.error])).toEqual(outcomes.map(() => [0, undefined]))
  expect(outcomes.flatMap(appliedBy).sort()).toEqual(names)
  const shop = "SELECT name FROM django_migrations WHERE app = 'shop' AND name > '0003' ORDER BY 1"
  expect(await world.postgres.query(database, shop)).toEqual(names)
  const made = 'SELECT number FROM shop_order ORDER BY 1'
  expect(await world.postgres.query(database, made)).toEqual(names.filter((name) => name.endsWith('_row')))
  const invalid = 'SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid'
  expect(await world.postgres.query(database, invalid)).toEqual([])
  if (pooler) expect(await leftIn(world.postgres, pooler.port, database, size ?? 0)).toEqual([])
  const locks = "SELECT pid FROM pg_locks WHERE locktype = 'advisory'"
  expect(await world.postgres.query(database, locks)).toEqual([])
})
