import { expect } from '@jest/globals'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { story } from '../part.ts'
import { run } from '../../src/process.ts'
import { codes, tell, until, type Story } from '../story.ts'
import { environment, output } from '../world/docker.ts'

/** The settings of production beside the folder of the project; those of the sample, with what the world needs. */
async function placeSettings({ server, directory, project }: Story): Promise<void> {
  const sample = await readFile(join(project.workspace, 'postdo.production.env.sample'), 'utf8')
  const stdin = sample.replace('example.com', '127.0.0.1').replace(/(_DB|_USER)=postdo/g, '$1=todo')
  const script = 'umask 077 && mkdir -p "$1" && cat >"$1/postdo.production.env"'
  output('settings', await server.exec(['sh', '-c', script, 'sh', join(directory, '../env')], { stdin }))
}

/** `docker compose up` of the development side on this machine, until its page is there. */
async function develop({ project, name }: Story): Promise<void> {
  const options = { cwd: project.workspace, env: { ...environment, PORT: '0', DB_PORT: '0' } }
  const compose = async (...words: readonly string[]): Promise<string> =>
    output(words.join(' '), await run('docker', ['compose', '-p', `${name}-development`, ...words], options))
  try {
    await compose('up', '--detach', '--build')
    const address = await compose('port', 'web', '8000')
    const page = (): Promise<string> => fetch(`http://${address}/`).then((answer) => answer.text())
    await until('the page of development', async () => (await page().catch(() => '')).includes('Nobody yet.'))
    expect((await compose('ps', '--services')).split('\n').sort()).toEqual(['db', 'web'])
    expect(await compose('exec', '-T', 'web', 'python', 'manage.py', 'makemigrations', '--check')).toMatch(/No changes/)
  } finally {
    await compose('down', '--volumes', '--rmi', 'local')
  }
}

story(
  'examples/postdo: settings outside the folder, an upgrade, a rollback, and a history that was edited',
  async () => {
    await using site = await tell('postdo', 'alpha', '/site')
    for (const name of Object.keys(site.env)) if (name !== 'PORT') delete site.env[name]

    const without = await site.deploy('v1')
    expect(codes(without)).toEqual(['Deploy Django: env-file-missing'])
    expect(without.annotations[0]?.message).toContain('../env/postdo.production.env')
    expect(without.log).not.toContain('Bake')
    await placeSettings(site)
    const [first] = await Promise.all([site.deploy('v1'), develop(site)])
    expect(first.log).toContain('Bake')
    expect(first.annotations).toEqual([])
    expect(first.outputs).toMatchObject({ outcome: 'deployed', serving: 'v1' })
    expect(await site.ask()).toMatchObject({ status: 200, release: 'v1' })
    const superuser = ['USERNAME=ada', 'EMAIL=ada@example.com', 'PASSWORD=for-this-test-only']
    const env = superuser.map((line) => `DJANGO_SUPERUSER_${line}\n`).join('')
    const made = await site.exec('python manage.py createsuperuser --noinput', { inputs: { env } })
    expect(made.log).toContain('Superuser created successfully.')

    expect((await site.deploy('v2')).outputs).toMatchObject({ outcome: 'deployed', serving: 'v2' })
    expect(await site.ask()).toMatchObject({ status: 200, release: 'v2' })
    const style = '/static/core/contacts.css'
    expect((await site.ask(style)).text).toContain('50rem')
    const back = await site.rollback()
    expect(back.outputs).toMatchObject({ outcome: 'rolled-back', serving: 'v1' })
    expect((await site.ask(style)).text).toContain('40rem')

    // What fails is refused while the site serves; the repository is mended, not the database.
    const before = await site.containers(true)
    const refused = await site.deploy('v3')
    expect(codes(refused)).toEqual(['Deploy Django: migration-conflict'])
    expect(refused.annotations[0]?.message).toContain('core.0002_contact_phone is applied before its dependency')
    expect(await site.containers(true)).toEqual(before)
    expect((await site.deploy('v4')).outputs).toMatchObject({ outcome: 'deployed', serving: 'v4' })
    expect(await site.migrations()).toEqual(['0001_initial', '0002_contact_phone', '0003_contact_city'])
    await site.expectWhole()
  },
)
