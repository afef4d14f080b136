import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { freePort } from './postgres.ts'
import { approveNew, makeProject, migration, several, start } from './probe.ts'
import { addField, appliedBy, go, makeWorld, runPython, type World } from './world.ts'
import { until } from '../../until.ts'

let world: World

beforeAll(async () => {
  world = await makeWorld()
})
afterAll(() => world.stop())

describe('trouble on the way', () => {
  test('a migration that fails half-way is undone; what came before stays and is reported', async () => {
    const database = await world.database('fails')
    const create = 'apps.get_model("shop", "Order").objects.create(number="%s")'
    const project = await makeProject({
      'shop/migrations/0003_good.py': migration('shop.0002_note', runPython(create.replace('%s', 'good'))),
      'shop/migrations/0004_bad.py': migration(
        'shop.0003_good',
        `${runPython(create.replace('%s', 'half'))}, migrations.RunSQL("CREATE UNIQUE INDEX u ON shop_order ((1))")`,
      ),
      'shop/migrations/0005_never.py': migration('shop.0004_bad', addField('c')),
    })
    const outcome = await world.migrate(project, database)
    expect([outcome.code, appliedBy(outcome)]).toEqual([17, ['0003_good']])
    expect(outcome.result['failed']).toEqual({
      app: 'shop',
      name: '0004_bad',
      operation: 1,
      kept: 0,
      error: 'IntegrityError: could not create unique index "u"',
    })
    const recorded = "SELECT name FROM django_migrations WHERE name = '0004_bad'"
    expect(await world.postgres.query(database, recorded)).toEqual([])
    expect(await world.postgres.query(database, 'SELECT number FROM shop_order')).toEqual(['good'])
    // The values of rows are nobody's business.
    expect(outcome.stderr + outcome.stdout).not.toContain('is duplicated')
  })

  const slow = {
    'shop/migrations/0003_slow.py': migration('shop.0002_note', 'migrations.RunSQL("SELECT pg_sleep(1.2)", "")'),
    'shop/migrations/0004_next.py': migration('shop.0003_slow', addField('a')),
  }

  test.each(several)('Django %s: SIGTERM ends after the migration that runs, not in it', async (django) => {
    const database = await world.database(`sigterm_${django.replace('.', '_')}`)
    const project = await makeProject(slow)
    const running = await world.begin(project, database, {}, django)
    const ended = go(running)
    const sleeping = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
    await until('the migration sleeps', async () => (await world.postgres.query(database, sleeping)).length > 0, 60, 10)
    running.signal('SIGTERM')
    const outcome = await ended
    expect([outcome.code, appliedBy(outcome), outcome.result.error?.kind]).toEqual([15, ['0003_slow'], 'stopped'])
  })

  test('a receiver of post_migrate that fails is distinguished from a migration', async () => {
    const database = await world.database('receiver')
    const project = await makeProject({
      'shop/migrations/0003_a.py': migration('shop.0002_note', addField('a')),
      'shop/apps.py': [
        'from django.apps import AppConfig',
        'from django.db.models.signals import post_migrate',
        'def fail(**facts):',
        '    raise ValueError("no fixture")',
        'class Shop(AppConfig):',
        '    name = "shop"',
        '    def ready(self):',
        '        post_migrate.connect(fail)',
      ].join('\n'),
      'shop/__init__.py': 'default_app_config = "shop.apps.Shop"\n',
    })
    const outcome = await world.migrate(project, database)
    expect([outcome.code, appliedBy(outcome), outcome.result['failed']]).toEqual([17, ['0003_a'], null])
    expect(outcome.result.error).toMatchObject({
      detail: 'ValueError: no fixture',
      message: expect.stringContaining('post_migrate'),
    })
  })

  test('a database that comes up late is waited for', async () => {
    const database = await world.database('late')
    const PGPORT = String(await freePort())
    const late = start('migrate', world.plain, { env: { ...world.env(database), PGPORT } })
    await late.printed('Waiting for the database')
    const gate = createServer((client) =>
      client.pipe(connect(Number(world.postgres.env.PGPORT), '127.0.0.1')).pipe(client),
    )
    gate.listen(Number(PGPORT), '127.0.0.1')
    expect((await late.ended).code).toBe(0)
    gate.close()
    const never = await start('migrate', world.plain, {
      env: { ...world.env(database), PGPORT, DEPLOY_DJANGO_DATABASE_WAIT: '0.1' },
    }).ended
    expect([never.code, never.result.error?.kind]).toEqual([12, 'database-not-up'])
  })

  test('code that was changed between plan and go is noticed', async () => {
    const database = await world.database('edited')
    const project = await makeProject({ 'shop/migrations/0003_a.py': migration('shop.0002_note', addField('a')) })
    const approved = await approveNew(project)
    await writeFile(join(project, 'shop/migrations/0003_a.py'), migration('shop.0002_note', addField('other')))
    const outcome = await start('migrate', project, { env: world.env(database, { DEPLOY_DJANGO_APPROVED: approved }) })
      .ended
    expect(outcome.code).toBe(10)
  })
})
