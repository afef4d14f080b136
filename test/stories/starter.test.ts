import { expect, test } from '@jest/globals'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { develop } from './development.ts'
import { nightly } from './nightly.ts'
import { migration } from './shape.ts'
import { codes, tell, type Story } from './story.ts'
import { logInAs, noCompose5 } from '../world/kind.ts'
import { startManaged, type Managed } from '../world/managed.ts'
import { openWorld } from '../world/world.ts'
import { until } from '../until.ts'

/** The inputs of a deploy whose `.env` has these lines beside those that every site has. */
function settings({ env, port }: Story, ...lines: readonly string[]): Record<string, string> {
  const all = [`SECRET_KEY=${env['SECRET_KEY']}`, 'ALLOWED_HOSTS=127.0.0.1', `PORT=${port}`, ...lines]
  return { 'env-file': all.join('\n') }
}

const migrated = ({ query }: Managed): Promise<string[]> =>
  query("select name from django_migrations where app = 'notes' order by id")

test('the starter migrates by itself, on a managed database: only verified, and never onto a fresh SQLite file', async () => {
  await using database = await startManaged()
  await using site = await tell('starter')
  const external = { ...settings(site, `DATABASE_URL=${database.url}`), migrate: 'external' }
  const empty = { ...settings(site), migrate: 'external' }

  // Its settings fall back to SQLite, and its entrypoint would make the file.
  const lost = await site.deploy('v1', { inputs: empty })
  expect(codes(lost)).toEqual(['Deploy Django: database-not-kept'])
  expect(await site.containers()).toEqual([])

  const first = await site.deploy('v1', { inputs: external })
  expect(first.annotations).toEqual([])
  expect(first.outputs).toMatchObject({ outcome: 'deployed', serving: 'v1' })
  expect(await migrated(database)).toEqual(['0001_initial'])
  await database.query("insert into notes_note (text) values ('kept')")
  expect((await site.ask()).text).toBe('Release v1 with 1 notes\n')

  const second = await site.deploy('v2', { inputs: external })
  expect(second.outputs).toMatchObject({ outcome: 'deployed', serving: 'v2' })
  expect((await site.journal()).filter((line) => /^(replan|migrate) /.test(line))).toEqual([])
  expect(await migrated(database)).toEqual(['0001_initial', '0002_note_pinned'])
  expect((await site.ask()).text).toBe('Release v2 with 1 notes\n')

  const before = await site.containers(true)
  const emptied = await site.deploy('v2', { inputs: empty })
  expect(codes(emptied)).toEqual(['Deploy Django: database-not-kept'])
  expect(emptied.outputs['serving']).toBe('v2')
  expect(await site.containers(true)).toEqual(before)

  // An entrypoint that hides the failure starts a server that answers.
  await site.change('v3', {
    'notes/migrations/0003_fails.py': migration('0002_note_pinned', 'migrations.RunSQL("SELECT 1 FROM nowhere", "")'),
    'entrypoint.sh': '#!/bin/sh\npython manage.py migrate --noinput || true\nexec "$@"\n',
  })
  const failed = await site.deploy('v3', { inputs: external })
  expect(codes(failed)).toEqual(['Deploy Django: not-migrated'])
  expect(failed.annotations[0]?.message).toContain('notes.0003_fails')
  expect(failed.log).toContain('relation "nowhere" does not exist')
  expect(failed.outputs).toMatchObject({ outcome: 'failed', serving: 'v2' })
  expect(await site.serves()).toBe('v2')

  expect((await site.rollback()).outputs).toMatchObject({ outcome: 'rolled-back', serving: 'v1' })
  expect((await site.ask()).text).toBe('Release v1 with 1 notes\n')
})

const onFive = noCompose5 === '' ? test : test.skip
onFive(
  `the starter as it is, with the default: migrated once, before it starts, with Compose 5${noCompose5}`,
  async () => {
    await using database = await startManaged()
    const world = await openWorld()
    await using site = await tell('starter', await logInAs(await world.server('kinds'), 'five'))
    const { host, name, user, password } = database
    const parts = [`DB_HOST=${host}`, `DB_NAME=${name}`, `DB_USER=${user}`, `DB_PASSWORD=${password}`]
    const inputs = settings(site, ...parts)

    expect((await site.deploy('v1', { inputs })).outputs).toMatchObject({ outcome: 'deployed', serving: 'v1' })
    const second = await site.deploy('v2', { inputs })
    expect(second.outputs).toMatchObject({ outcome: 'deployed', serving: 'v2' })
    expect(JSON.parse(second.outputs['migrations'] ?? '')).toMatchObject([
      { name: '0002_note_pinned', state: 'applied' },
    ])
    expect(await migrated(database)).toEqual(['0001_initial', '0002_note_pinned'])
    const id = (await site.containers(true))[0]?.split(' ').pop() ?? ''
    expect(await site.server.docker('logs', id)).toContain('No migrations to apply')

    expect((await site.rollback()).outputs).toMatchObject({ outcome: 'rolled-back', serving: 'v1' })
    expect(await site.serves()).toBe('v1')
  },
)

nightly('the starter: `docker compose up` for development, which reloads what is edited', async () => {
  await using starter = await develop('starter')
  await until('the page is there', async () => (await starter.ask()).text === 'Release v1 with 0 notes\n')
  const view = await readFile(join(starter.project.workspace, 'notes/views.py'), 'utf8')
  await starter.project.write('notes/views.py', view.replace('Release', 'Edited'))
  await until('the edited page is there', async () => (await starter.ask()).text.startsWith('Edited'))
})
