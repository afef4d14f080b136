import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { once } from 'node:events'
import { createServer, type Server as HttpServer } from 'node:http'
import { createServer as createListener, type AddressInfo, type Server as Listener } from 'node:net'
import { readHostKeys } from '../../src/host/host-key.ts'
import type { ActionRun } from '../run-action.ts'
import { DOCKERFILE, makeShape, project, type Shape } from './shape.ts'
import { codes } from './story.ts'
import { freePort } from '../stand-in/host/sshd.ts'
import { listContainers } from '../world/listing.ts'

const COMPOSE = `services:
  web:
    build: .
    restart: unless-stopped
    env_file: .env
    environment: { COPY: "\${SECRET_KEY:?}" }
    ports: ["@PORT@:8000"]
    volumes: ["data:/data"]
volumes:
  data:
`

/** Repositories that cannot be deployed, as Compose files of one repository. */
const BAD = {
  'bad/yaml.yml': 'services:\n  web:\n    build: ..\n    ports: [1\n    image: a\n',
  'bad/schema.yml': 'services:\n  web:\n    build: ..\n    restart: [always]\n',
  'bad/service.yml': "services: {'a;b': {build: ..}}\n",
  'bad/profiles.yml': 'services: {web: {build: .., profiles: [prod]}}\n',
  'bad/registry.yml': 'services: {web: {build: .., image: "${OUR_REGISTRY}/app:${TAG}"}}\n',
  'bad/ready.yml': 'services: {web: {image: "nginx:1-alpine"}}\n',
  'bad/needs.yml': 'services: {web: {build: .., env_file: [prod.env, db.env], environment: ["A=${NOWHERE}"]}}\n',
  'bad/file.yml': 'services: {web: {build: .., volumes: ["./a;b.conf:/etc/a.conf:ro"]}}\n',
  'bad/a;b.conf': '',
  'bad/volume.yml': 'services: {web: {build: .., volumes: ["code:/app"]}}\nvolumes: {code: {}}\n',
  'bad/build.yml': 'services: {web: {build: {context: .., dockerfile: bad/build.Dockerfile}}}\n',
  'bad/build.Dockerfile': 'FROM python:3.13-slim\n\nRUN echo fine\nRUN echo "no such licence" && exit 7\n',
  'bad/none.yml': 'services: {web: {build: {context: .., dockerfile: bad/none.Dockerfile}}}\n',
  'bad/none.Dockerfile': 'FROM python:3.13-slim\nWORKDIR /app\nCOPY manage.py /elsewhere/\n',
  'bad/two.yml':
    'services: {a: {build: {context: .., dockerfile: bad/a.Dockerfile}}, b: {build: {context: .., dockerfile: bad/b.Dockerfile}}}\n',
  'bad/a.Dockerfile': 'FROM python:3.13-slim\nWORKDIR /app\nCOPY manage.py ./\n',
  'bad/b.Dockerfile': 'FROM python:3.13-slim\nWORKDIR /app\nCOPY manage.py ./\nRUN echo >>manage.py\n',
}

const ENV_FILE = `# settings of production
SECRET_KEY='p$q$$r\${s #t"u'
DOUBLE="it's \\"quoted\\" # no remark"
PLAIN=pass#word=x y  # remark
UNICODE=grün ✓ 🚀
LINES="-----BEGIN
MII/=
-----END"
BACKSLASH='C:\\new'
EMPTY=
REFERENCE=\${EMPTY:-none}/$UNICODE
`
const VALUES = {
  SECRET_KEY: 'p$q$$r${s #t"u',
  COPY: 'p$q$$r${s #t"u',
  DOUBLE: 'it\'s "quoted" # no remark',
  PLAIN: 'pass#word=x y',
  UNICODE: 'grün ✓ 🚀',
  LINES: '-----BEGIN\nMII/=\n-----END',
  BACKSLASH: 'C:\\new',
  EMPTY: '',
  REFERENCE: 'none/grün ✓ 🚀',
}

let shape: Shape
let before: string[]
/** A deploy to a server that accepts the connection and never answers; it runs during the first deploy. */
let unheard: Promise<ActionRun>
let silent: Listener

/** The containers with their ids and every file with its time: nothing of it may change. */
async function stateOf({ server, name }: Shape): Promise<string[]> {
  const containers = await listContainers(server, name, { format: '{{.ID}} {{.Image}} {{.State}}' })
  const files = await server.exec(['find', `deploy/${name}`, '-printf', '%p %m %s %T@ %i\n'])
  return [...containers, ...files.stdout.split('\n')].sort()
}

beforeAll(async () => {
  shape = await makeShape({ ...project('v1'), ...BAD, Dockerfile: DOCKERFILE, 'docker-compose.yml': COMPOSE })
  silent = createListener().listen(0, '127.0.0.1')
  await once(silent, 'listening')
  unheard = shape.deploy('bad', { host: `deploy@127.0.0.1:${(silent.address() as AddressInfo).port}` })
  const first = await shape.deploy('v1', {
    'env-file': ENV_FILE.replaceAll('\n', '\r\n'),
    'ssh-key': shape.server.key.replaceAll('\n', '\r\n'),
    'known-hosts': `${shape.server.knownHosts}\r\n`,
  })
  expect(first.outputs).toMatchObject({ outcome: 'deployed', serving: 'v1' })
  before = await stateOf(shape)
})
afterAll(async () => {
  silent.close()
  await shape[Symbol.asyncDispose]()
})

/** The error of a deploy, which it ends with at once. */
async function refused(inputs: Record<string, string>, code: string): Promise<ActionRun> {
  const run = await shape.deploy('bad', { 'env-file': ENV_FILE, ...inputs })
  expect({ codes: codes(run), log: run.log }).toMatchObject({ codes: [`Deploy Django: ${code}`] })
  expect(run.code).toBe(1)
  expect(run.outputs['outcome']).toBe('failed')
  return run
}

const message = (run: ActionRun): string => run.annotations[0]?.message ?? ''

test('the values of an env file arrive in the container as they are written', async () => {
  const [id = ''] = await listContainers(shape.server, shape.name)
  const print = 'import json, os; print(json.dumps(dict(os.environ)))'
  const printed = await shape.server.docker('exec', id, 'python', '-c', print)
  expect(JSON.parse(printed)).toMatchObject(VALUES)
})

describe('inputs', () => {
  test('that are missing are reported together', async () => {
    const run = await refused({ host: '', 'ssh-key': '', 'known-hosts': '' }, 'input-missing')
    expect(message(run)).toMatch(/^3 things need a change:/)
  })

  test('that cannot be used are reported together', async () => {
    const wrong = {
      host: 'deploy@a.org deploy@b.org',
      'ssh-key': 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI deploy@laptop',
      version: 'v1/x',
      project: 'a b',
      directory: '$(id)',
      services: '-web',
      'compose-files': '../compose.yml',
      'dry-run': 'ture',
      'keep-releases': 'five',
      'migrate-timeout': '5 m',
    }
    const run = await refused(wrong, 'input-invalid')
    expect(message(run)).toMatch(/^10 things need a change:/)
    for (const name of Object.keys(wrong)) expect(message(run)).toContain(`Input ${name} cannot be used`)
  })

  test('that cannot be used are reported with the current release, if the host can be reached', async () => {
    const run = await refused({ 'dry-run': 'ture' }, 'input-invalid')
    expect(message(run)).toMatch(/^Input dry-run cannot be used: .*; shape-\w+ serves v1 \(it was not touched\) \[/)
    expect(run.outputs).toMatchObject({ version: 'bad', serving: 'v1', 'previous-version': 'v1' })
  })

  test('that name something missing in the Compose file, or a folder of another user, are refused before the build', async () => {
    const wrong = { services: 'wep', scale: 'wep=2', 'update-services': 'dp', profiles: 'prdo', set: 'wep.target=x' }
    const run = await refused(wrong, 'input-invalid')
    expect(message(run)).toMatch(/^5 things need a change; shape-\w+ serves v1 \(it was not touched\):/)
    for (const name of Object.keys(wrong)) expect(message(run)).toContain(`Input ${name} names`)
    const typo = await refused({ 'env-files': '.env.pord: A=1' }, 'input-invalid')
    expect(message(typo)).toContain('Input env-files has .env.pord')
    const root = await refused({ directory: '/root/site' }, 'server-directory')
    expect(message(root)).toContain('chown deploy /root/site')
    const stateless = await refused({ 'update-services': 'web' }, 'input-invalid')
    expect(message(stateless)).toContain('Input update-services names web, which is not a stateful service')
    const none = await refused({ scale: 'web=0' }, 'compose-invalid')
    expect(message(none)).toContain('Service web, which runs Django, would have no container')
    expect([run, typo, root, stateless, none].map(({ log }) => log).join()).not.toContain('Bake')
  })

  test('of an env file that Compose would read differently are reported by line number, without their text', async () => {
    const lines = ['SECRET_KEY=hunter$two', 'A=fine', 'B="hunter3" x', 'C']
    const run = await refused({ 'env-file': lines.join('\n') }, 'input-invalid')
    expect(message(run)).toContain('The env file .env would be read differently from how it is written: line 1, 3, 4')
    expect(run.raw).not.toMatch(/hunter/)
  })
})

describe('a server', () => {
  // Any key; it is nobody's.
  const other = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP7BnfHkbrVu8ZujwP/XDPtDKNlghgeE5szNKDoE/Fhv'

  test('whose host key differs from the known one is sent nothing, and both fingerprints are reported', async () => {
    const [place] = shape.server.knownHosts.split(' ')
    const [mine, theirs] = readHostKeys(`${place} ${other}\n${shape.server.knownHosts}`)
    const never = `SHA256:${'A'.repeat(43)}`
    const runs = await Promise.all([
      refused({ 'known-hosts': mine?.line ?? '' }, 'ssh-host-key'),
      refused({ 'known-hosts': never }, 'ssh-host-key'),
    ])
    const [changed, wrong] = runs.map(message)
    expect(changed).toContain(`the host offers ssh-ed25519 ${theirs?.fingerprint}`)
    expect(changed).toContain(`has ${place} ssh-ed25519 ${mine?.fingerprint}`)
    expect(wrong).toMatch(/the host offers .*[^]*has SHA256:A{43}$/m)
    expect(wrong).toContain(theirs?.fingerprint)
  })

  test('that is not there, or is too slow, is named', async () => {
    const port = await freePort()
    const absent = await refused({ host: `deploy@127.0.0.1:${port}` }, 'ssh-unreachable')
    expect(message(absent)).toMatch(new RegExp(`127\\.0\\.0\\.1 port ${port}[^]*Connection refused`))
    const slow = await unheard
    expect(codes(slow)).toEqual(['Deploy Django: ssh-unreachable'])
    expect(message(slow)).toContain('timed out')
    expect(slow.outputs).toMatchObject({ outcome: 'failed' })
  })
})

describe('a repository', () => {
  test.each([
    ['nope.yml', 'compose-file-missing', 'nope.yml', undefined],
    ['bad/yaml.yml', 'compose-invalid', 'not valid YAML', { file: 'bad/yaml.yml', line: '5', col: '5' }],
    ['bad/schema.yml', 'compose-invalid', 'services.web.restart', { file: 'bad/schema.yml', line: '4', col: '14' }],
    ['bad/service.yml', 'compose-invalid', 'a;b', { file: 'bad/service.yml' }],
    ['bad/profiles.yml', 'compose-invalid', 'The Compose file has: prod', { file: 'bad/profiles.yml' }],
    ['bad/ready.yml', 'compose-invalid', 'only images that are built here', { file: 'bad/ready.yml' }],
    ['bad/file.yml', 'compose-invalid', 'a;b.conf', undefined],
    ['bad/build.yml', 'build-failed', 'no such licence', { file: 'bad/build.Dockerfile', line: '4' }],
    ['bad/volume.yml', 'compose-invalid', 'code:/app', { file: 'bad/volume.yml' }],
    ['bad/none.yml', 'no-manage-py', '/app/manage.py is not there', undefined],
    ['bad/two.yml', 'several-manage-py', 'services: a b', undefined],
  ])('%s: %s', async (file, code, text, place) => {
    const run = await refused({ 'compose-files': file }, code)
    expect(message(run)).toContain(text)
    expect(message(run)).toMatch(/^.*; shape-\w+ serves v1 \(it was not touched\) \[/)
    expect(run.log).not.toContain('Push')
    if (place) expect(run.annotations[0]?.properties).toMatchObject(place)
  })

  test('with an image whose name nobody can know does not go to another registry', async () => {
    const run = await refused({ 'compose-files': 'bad/registry.yml', image: '' }, 'variable-missing')
    expect(message(run)).toContain('The name of the image of service web needs OUR_REGISTRY')
  })

  test('that needs files or variables that the server lacks is refused before the build', async () => {
    const run = await refused({ 'compose-files': 'bad/needs.yml', services: 'web' }, 'env-file-missing')
    expect(message(run)).toMatch(/prod\.env\n +db\.env[^]*\[variable-missing\]\n +seen: +NOWHERE\n/)
    expect(run.log).not.toContain('Bake')
  })

  test('with two candidate Compose files is refused with both names', async () => {
    await shape.write({ 'compose.prod.yml': COMPOSE, 'docker-compose.production.yml': COMPOSE })
    const run = await refused({}, 'compose-file-ambiguous')
    expect(message(run)).toMatch(/docker-compose\.production\.yml\n +compose\.prod\.yml/)
  })
})

describe('a registry', () => {
  const file = { 'compose-files': 'docker-compose.yml' }

  test('that refuses the login is reported before the build', async () => {
    const run = await refused({ ...file, 'registry-password': 'wrong' }, 'registry-login-failed')
    expect(message(run)).toContain('refused the login of')
    expect(run.log).not.toMatch(/Bake|trying again/)
  })

  test('that refuses the push is reported without a retry', async () => {
    const run = await refused({ ...file, 'registry-username': '', 'registry-password': '' }, 'push-failed')
    expect(message(run)).toContain('set registry-username and registry-password')
    expect(run.log).not.toContain('trying again')
  })

  test('in trouble is asked again after growing pauses, and what it says at last counts', async () => {
    // How many requests an attempt makes is Docker's business; the third attempt comes after five seconds.
    let until: number | undefined
    const front: HttpServer = createServer((_, response) => {
      until ??= Date.now() + 4_500
      response.writeHead(Date.now() < until ? 503 : 401).end()
    })
    await new Promise<void>((listening) => front.listen(0, '127.0.0.1', listening))
    const { port } = front.address() as AddressInfo
    const run = await refused({ ...file, image: `127.0.0.1:${port}/app` }, 'registry-login-failed')
    front.close()
    expect(run.log).toMatch(/trying again in 1 s[^]*trying again in 4 s/)
  })
})

test('nothing of this reached the server: the same containers, the same files', async () => {
  expect(await stateOf(shape)).toEqual(before)
  expect((await shape.ask()).text).toBe('v1 with 0 notes')
})
