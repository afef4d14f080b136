import { expect, test } from '@jest/globals'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { develop } from './development.ts'
import { nightly } from './nightly.ts'
import { codes, tell, type Story } from './story.ts'
import { output } from '../world/docker.ts'
import { logInAs, noCompose5 } from '../world/kind.ts'
import type { Server } from '../world/server.ts'
import { openWorld } from '../world/world.ts'
import { until } from '../until.ts'

/** The settings of production beside the folder of the project; those of the sample, with what the world needs. */
async function placeSettings({ server, directory, project }: Story): Promise<void> {
  const sample = await readFile(join(project.workspace, 'postdo.production.env.sample'), 'utf8')
  const stdin = sample.replace('example.com', '127.0.0.1').replace(/(_DB|_USER)=postdo/g, '$1=todo')
  const script = 'umask 077 && mkdir -p "$1" && cat >"$1/postdo.production.env"'
  output('settings', await server.exec(['sh', '-c', script, 'sh', join(directory, '../env')], { stdin }))
}

/** The development side, without pgAdmin. */
async function checkDevelopment(): Promise<void> {
  await using postdo = await develop('postdo', { DB_PORT: '0' })
  await until('the page of development', async () => (await postdo.ask()).text.includes('Nobody yet.'))
  expect((await postdo.compose('ps', '--services')).split('\n').sort()).toEqual(['db', 'web'])
  const check = ['python', 'manage.py', 'makemigrations', '--check']
  expect(await postdo.compose('exec', '-T', 'web', ...check)).toMatch(/No changes/)
}

async function start(server: 'alpha' | Server): Promise<Story> {
  const site = await tell('postdo', server, '/site')
  for (const name of Object.keys(site.env)) if (name !== 'PORT') delete site.env[name]
  return site
}

/** An upgrade with a migration, and the way back; the style sheet is in the image of nginx. */
async function upgradeAndBack(site: Story): Promise<void> {
  expect(await site.ask()).toMatchObject({ status: 200, release: 'v1' })
  expect((await site.deploy('v2')).outputs).toMatchObject({ outcome: 'deployed', serving: 'v2' })
  expect(await site.ask()).toMatchObject({ status: 200, release: 'v2' })
  const style = '/static/core/contacts.css'
  expect((await site.ask(style)).text).toContain('50rem')
  const back = await site.rollback()
  expect(back.outputs).toMatchObject({ outcome: 'rolled-back', serving: 'v1' })
  expect((await site.ask(style)).text).toContain('40rem')
}

nightly('postdo: settings outside the folder, an upgrade, a rollback, and a history that was edited', async () => {
  await using site = await start('alpha')
  const without = await site.deploy('v1')
  expect(codes(without)).toEqual(['Deploy Django: env-file-missing'])
  expect(without.annotations[0]?.message).toContain('../env/postdo.production.env')
  expect(without.log).not.toContain('Bake')
  await placeSettings(site)
  const [first] = await Promise.all([site.deploy('v1'), checkDevelopment()])
  expect(first.log).toContain('Bake')
  expect(first.annotations).toEqual([])
  expect(first.outputs).toMatchObject({ outcome: 'deployed', serving: 'v1' })
  const superuser = ['USERNAME=ada', 'EMAIL=ada@example.com', 'PASSWORD=for-this-test-only']
  const env = superuser.map((line) => `DJANGO_SUPERUSER_${line}\n`).join('')
  const made = await site.exec('python manage.py createsuperuser --noinput', { inputs: { env } })
  expect(made.log).toContain('Superuser created successfully.')
  await upgradeAndBack(site)

  // What fails is refused while the site serves; the repository is fixed, not the database.
  const before = await site.containers(true)
  const refused = await site.deploy('v3')
  expect(codes(refused)).toEqual(['Deploy Django: migration-conflict'])
  expect(refused.annotations[0]?.message).toContain('core.0002_contact_phone is applied before its dependency')
  expect(await site.containers(true)).toEqual(before)
  expect((await site.deploy('v4')).outputs).toMatchObject({ outcome: 'deployed', serving: 'v4' })
  expect(await site.migrations()).toEqual(['0001_initial', '0002_contact_phone', '0003_contact_city'])
  await site.expectWhole()
})

const onFive = noCompose5 === '' ? test : test.skip
onFive(`postdo: an upgrade and a rollback with Compose 5${noCompose5}`, async () => {
  await using site = await start(await logInAs(await (await openWorld()).server('kinds'), 'five'))
  await placeSettings(site)
  expect((await site.deploy('v1')).outputs).toMatchObject({ outcome: 'deployed', serving: 'v1' })
  await upgradeAndBack(site)
  await site.expectWhole()
})
