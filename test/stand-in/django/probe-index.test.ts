import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { makeProject, migration, probe, several } from './probe.ts'
import { appliedBy, makeWorld, type World } from './world.ts'

let world: World

beforeAll(async () => {
  world = await makeWorld()
})
afterAll(() => world.stop())

const UNIQUE = 'CREATE UNIQUE INDEX CONCURRENTLY %s ON shop_order (number)'
const one = (operation: string): Record<string, string> => ({
  'shop/migrations/0003_index.py': migration('shop.0002_note', operation, 'atomic = False'),
})
const twice = (database: string): Promise<string[]> =>
  world.postgres.query(database, "INSERT INTO shop_order (number) VALUES ('1'), ('1')")

test.each(several)(
  'Django %s: an invalid index is named when its migration fails, and before the next',
  async (django) => {
    const database = await world.database(`invalid_${django.replace('.', '_')}`)
    await twice(database)
    const project = await makeProject(one(`migrations.RunSQL('${UNIQUE.replace('%s', '"Order number"')}')`))
    const invalid = [
      { name: 'Order number', table: 'shop_order', fix: 'DROP INDEX CONCURRENTLY IF EXISTS "Order number";' },
    ]
    const failed = await world.migrate(project, database, {}, django)
    expect(failed).toMatchObject({ code: 17, result: { applied: [], failed: { name: '0003_index' }, invalid } })
    expect(failed.stderr).toContain(
      `The index Order number of shop_order is invalid, so that no query uses it: ${invalid[0]?.fix}`,
    )

    const options = { django, env: world.env(database) }
    expect(await probe('plan', project, options)).toMatchObject({ code: 0, result: { invalid } })
    expect((await world.migrate(project, database, {}, django)).result['failed']).toMatchObject({
      error: expect.stringContaining('already exists'),
    })

    // The fix works, as it is given.
    await world.postgres.query(database, invalid[0]?.fix ?? '')
    await world.postgres.query(database, 'DELETE FROM shop_order')
    expect(await probe('plan', project, options)).toMatchObject({ code: 0, result: { invalid: [] } })
    const outcome = await world.migrate(project, database, {}, django)
    expect([outcome.code, appliedBy(outcome), outcome.result['invalid']]).toEqual([0, ['0003_index'], []])
  },
)

test('one in another schema is named with it; one that is being made now is none', async () => {
  const database = await world.database('elsewhere')
  const holder = await world.postgres.hold(database, "INSERT INTO shop_order (number) VALUES ('1')")
  const making = world.postgres.query(database, 'CREATE INDEX CONCURRENTLY being_made ON shop_order (number)')
  await world.postgres.query(
    database,
    'CREATE SCHEMA other; CREATE TABLE other.thing (a integer); INSERT INTO other.thing VALUES (1), (1)',
  )
  await expect(
    world.postgres.query(database, 'CREATE UNIQUE INDEX CONCURRENTLY thing_a ON other.thing (a)'),
  ).rejects.toThrow('could not create unique index')
  expect((await world.ask('plan', database)).result['invalid']).toEqual([
    { name: 'thing_a', table: 'other.thing', fix: 'DROP INDEX CONCURRENTLY IF EXISTS "other"."thing_a";' },
  ])
  await holder.release()
  await making
})

test('one that IF NOT EXISTS takes for the real one is warned of', async () => {
  const database = await world.database('taken')
  await twice(database)
  await expect(world.postgres.query(database, UNIQUE.replace('%s', 'order_number'))).rejects.toThrow()
  const again = UNIQUE.replace('%s', 'IF NOT EXISTS order_number')
  const outcome = await world.migrate(await makeProject(one(`migrations.RunSQL('${again}')`)), database)
  expect([outcome.code, appliedBy(outcome)]).toEqual([0, ['0003_index']])
  expect(outcome.stderr).toContain('warning: The index order_number of shop_order is invalid')
})
