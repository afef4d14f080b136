import { expect, test } from '@jest/globals'
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { request, type IncomingHttpHeaders } from 'node:http'
import { join } from 'node:path'
import { develop } from './development.ts'
import { nightly } from './nightly.ts'
import { codes, giveWord, meanwhile, patientMigration, tell, type Story } from './story.ts'
import { logInAs, noCompose5 } from '../world/kind.ts'
import type { Server } from '../world/server.ts'
import { bringTraefik, noTraefik } from '../world/traefik.ts'
import { openWorld } from '../world/world.ts'
import { until } from '../until.ts'

const DOMAIN = 'polls.example.com'
/** As its README has them. */
const health = { 'health-url': 'http://traefik/admin/login/', 'health-headers': `Host: ${DOMAIN}` }

async function tellPolls(server: Server, volume: string): Promise<Story> {
  const polls = await tell('polls', server)
  Object.assign(polls.env, { DOMAIN, DB_VOLUME: volume })
  return polls
}

/** The database's volume, as a person makes it once; at the end it has to be there still. */
async function makeVolume({ docker }: Server): Promise<{ name: string } & AsyncDisposable> {
  const name = await docker('volume', 'create', newName())
  return { name, [Symbol.asyncDispose]: async () => void (await docker('volume', 'rm', name)) }
}

/** Shorter than what an env file has hidden: the name has to be legible in the error. */
const newName = (): string => `polls-${randomBytes(4).toString('hex')}`

type Answer = { status: number | undefined; headers: IncomingHttpHeaders; text: string }

/** Asks for a path of the site by its name; a form is sent with the cookies that its page came with. */
function ask(
  { server, port }: Story,
  path: string,
  more: { host?: string; cookie?: string; form?: URLSearchParams } = {},
) {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const { host = DOMAIN, cookie = '', form } = more
  const type = form ? { 'content-type': 'application/x-www-form-urlencoded' } : {}
  const options = { method: form ? 'POST' : 'GET', headers: { host, cookie, ...type }, timeout: 10_000 }
  const asked = request(server.url(port) + path, options, (answer) => {
    let text = ''
    answer.setEncoding('utf8').on('data', (part: string) => (text += part))
    answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, text }))
  })
  asked.on('error', reject).end(form?.toString())
  return promise
}

async function logIn(polls: Story, username: string, password: string): Promise<number | undefined> {
  const page = await ask(polls, '/admin/login/')
  const [cookie = ''] = page.headers['set-cookie'] ?? []
  const [, token = ''] = /csrfmiddlewaretoken" value="(\w+)"/.exec(page.text) ?? []
  const form = new URLSearchParams({ csrfmiddlewaretoken: token, username, password })
  const answer = await ask(polls, '/admin/login/?next=/admin/', { cookie: cookie.split(';')[0] ?? '', form })
  return answer.status
}

/** "service state" of every container. */
async function running(polls: Story): Promise<string[]> {
  return (await polls.containers()).map((line) => line.replace(/ \S+ /, ' '))
}

/** The expected number of containers of this release answer; Traefik's log names each. */
async function expectServed(polls: Story, release: string, count: number): Promise<void> {
  const app = Array.from({ length: count }, () => 'polls running')
  expect(await running(polls)).toEqual(['db running', ...app, 'traefik running'])
  await until(`${count} containers answer`, async () => {
    for (let times = 0; times < 6; times += 1) expect((await ask(polls, '/')).headers['x-release']).toBe(release)
    const log = await polls.server.docker('logs', '--tail', '6', `${polls.name}-traefik-1`)
    return new Set(log.match(/http:\/\/[\d.]+:8000/g)).size === count
  })
}

/** The migration container gets no visitors: Traefik has seen a container started later, and requests only reach the release. */
async function expectUntouched(polls: Story, release: string): Promise<void> {
  const { server, name } = polls
  const labels = {
    'com.docker.compose.project': name,
    'traefik.enable': 'true',
    'traefik.http.routers.marker.rule': 'Path(`/marker`)',
    'traefik.http.services.marker.loadbalancer.server.port': '1',
  }
  const marks = Object.entries(labels).flatMap(([label, value]) => ['--label', `${label}=${value}`])
  const network = ['--network', `${name}_default`]
  const marker = await server.docker('run', '-d', ...network, ...marks, '--entrypoint', 'sleep', 'postgres:17', '60')
  try {
    // Nothing listens on its port: 502 instead of 404.
    await until('Traefik has seen the marker', async () => (await ask(polls, '/marker')).status === 502)
    for (let times = 0; times < 12; times += 1) {
      const { status, headers } = await ask(polls, '/')
      expect({ status, release: headers['x-release'] }).toEqual({ status: 200, release })
    }
  } finally {
    await server.docker('rm', '-f', marker)
  }
}

async function live(server: Server): Promise<void> {
  await bringTraefik(server)
  await using volume = await makeVolume(server)
  await using polls = await tellPolls(server, volume.name)

  const first = await polls.deploy('v1', { inputs: { ...health, scale: 'polls=3' } })
  expect(first.annotations).toEqual([])
  expect(first.outputs).toMatchObject({ outcome: 'deployed', serving: 'v1' })
  await expectServed(polls, 'v1', 3)
  expect(await polls.migrations()).toEqual(['0001_initial'])
  expect((await ask(polls, '/static/admin/css/base.css')).status).toBe(200)
  expect(await ask(polls, '/', { host: 'other.example.com' })).toMatchObject({ status: 404, text: /page not found/ })

  const password = randomBytes(9).toString('hex')
  const user = `DJANGO_SUPERUSER_USERNAME=ada\nDJANGO_SUPERUSER_EMAIL=ada@example.com\nDJANGO_SUPERUSER_PASSWORD=${password}`
  const made = await polls.exec('python manage.py createsuperuser --noinput', { inputs: { env: user } })
  expect(made).toMatchObject({ code: 0, annotations: [] })
  expect(await logIn(polls, 'ada', password)).toBe(302)

  await polls.checkout('v2')
  await polls.change('v2', patientMigration('0003_patient', '0002_question_closes', 'polls'))
  const second = await meanwhile(
    (more) => polls.deploy('v2', { inputs: health, ...more }),
    /0003_patient waits/,
    async () => {
      await expectUntouched(polls, 'v1')
      await giveWord(polls, 'migrate')
    },
  )
  expect(second.annotations).toEqual([])
  expect(second.outputs).toMatchObject({ outcome: 'deployed', serving: 'v2', 'previous-version': 'v1' })
  await expectServed(polls, 'v2', 3)
  expect(await polls.migrations()).toEqual(['0001_initial', '0002_question_closes', '0003_patient'])

  const back = await polls.rollback(undefined, { inputs: health })
  expect(back.annotations).toEqual([])
  expect(back.outputs).toMatchObject({ outcome: 'rolled-back', serving: 'v1' })
  await expectServed(polls, 'v1', 3)

  const again = await polls.deploy('v2', { inputs: { ...health, scale: 'polls=1' } })
  expect(again.annotations).toEqual([])
  expect(again.outputs).toMatchObject({ outcome: 'deployed', serving: 'v2' })
  await expectServed(polls, 'v2', 1)
  expect(await logIn(polls, 'ada', password)).toBe(302)

  // What `makemigrations` on the server was for.
  const models = await readFile(join(polls.project.workspace, 'src/polls/models.py'), 'utf8')
  const forgotten = `${models}\n\nclass Voter(models.Model):\n    name = models.CharField(max_length=200)\n`
  await polls.change('v3', { 'src/polls/models.py': forgotten })
  const planned = await polls.deploy('v3', { inputs: { ...health, 'dry-run': 'true' } })
  expect(planned.outputs).toMatchObject({ outcome: 'planned', serving: 'v2' })
  expect(planned.summary).toMatch(/run makemigrations[^]*Voter/)
}

const onTraefik = noTraefik === '' ? test : test.skip
const onFive = noCompose5 === '' ? onTraefik : test.skip
onTraefik(`polls behind Traefik: three containers, an upgrade, a rollback, one again${noTraefik}`, async () => {
  await live(await (await openWorld()).server('beta'))
})
onFive(`polls behind Traefik with Compose 5${noTraefik || noCompose5}`, async () => {
  await live(await logInAs(await (await openWorld()).server('kinds'), 'five'))
})

test('polls without its volume: nothing is built, sent or made, and the error has the command that makes it', async () => {
  const server = await (await openWorld()).server('beta')
  await using polls = await tellPolls(server, newName())
  const refused = await polls.deploy('v1', { inputs: health })
  expect(codes(refused)).toEqual(['Deploy Django: external-missing'])
  expect(refused.annotations[0]?.message).toContain(`docker volume create ${polls.env['DB_VOLUME']}`)
  expect(refused.log).not.toContain('Bake')
  expect((await server.exec(['ls', `deploy/${polls.name}`])).code).not.toBe(0)
  expect(await server.docker('volume', 'ls', '-q')).not.toContain(polls.env['DB_VOLUME'])
})

nightly('polls: `docker compose up` for development, which reloads what is edited', async () => {
  await using polls = await develop('polls')
  await until('the page is there', async () => (await polls.ask()).text.includes('Release v1'))
  const views = await readFile(join(polls.project.workspace, 'src/polls/views.py'), 'utf8')
  await polls.project.write('src/polls/views.py', views.replace('settings.RELEASE', "'edited'"))
  await until('the edited page is there', async () => (await polls.ask()).text.includes('Release edited'))
  await polls.compose('exec', '-T', 'polls', 'python', 'manage.py', 'makemigrations', '--check', '--dry-run')
})
