import { describe, expect, test } from '@jest/globals'
import { valuesOf } from '../../../src/compose/document.ts'
import {
  checkUpdates,
  describeAbandoned,
  describeDormant,
  describeDrift,
  findAbandoned,
  findDormant,
} from '../../../src/compose/drift.ts'
import { modelOf, release, serviceOf } from './model.ts'

const shop = (db: string, more = ''): string => `
services:
  web: {build: ., depends_on: [db, cache]}
  cache: {image: "redis:${db.includes('17') ? 7 : 8}"}
  db: {${db}}
${more}`
const v1 = release(shop('image: "postgres:17", volumes: ["pg:/var/lib/postgresql/data"]', 'volumes: {pg: {}}'))
const CHANGED = shop(
  'image: "postgres:18", volumes: ["new:/var/lib/postgresql"], restart: always',
  'volumes: {new: {}}',
)

describe('a database that the repository defines in another way', () => {
  test('stays as it was, with the volume that it needs, and is reported with what changed; a cache is taken over', () => {
    const v2 = release(CHANGED, { id: 'v2-2-1', before: v1 })
    expect(v2.drifts).toEqual([
      { service: 'db', keys: ['image', 'restart', 'volumes'], variables: [], isOnlyValues: false },
    ])
    expect(serviceOf(v2, 'db')).toEqual(serviceOf(v1, 'db'))
    expect(Object.keys(valuesOf(modelOf(v2)['volumes'])).sort()).toEqual(['new', 'pg'])
    expect(serviceOf(v2, 'cache')['image']).toBe('redis:8')
    // It stays reported as long as it differs, and is not another release each time.
    const v3 = release(CHANGED, { id: 'v3-3-1', before: v2 })
    expect(v3.drifts).toEqual(v2.drifts)
    expect(v3.fingerprint).toBe(v2.fingerprint)
  })

  test('takes the change over when it is named', () => {
    const v2 = release(CHANGED, { id: 'v2-2-1', before: v1, update: ['db'] })
    expect(v2.drifts).toEqual([])
    expect(serviceOf(v2, 'db')['image']).toBe('postgres:18')
    expect(release(CHANGED, { id: 'v3-3-1', before: v2 }).drifts).toEqual([])
  })

  test('settings and order are no part of the definition: they are the new ones', () => {
    const text = (rest: string): string => shop(`image: "postgres:17", env_file: .env, ${rest}`)
    const before = release(text('restart: always'), { envFile: 'A=1\n' })
    const after = release(text('depends_on: [cache]'), { id: 'v2-2-1', envFile: 'A=2\n', before })
    expect(after.drifts).toEqual([{ service: 'db', keys: ['restart'], variables: [], isOnlyValues: false }])
    expect(serviceOf(after, 'db')).toMatchObject({
      restart: 'always',
      depends_on: ['cache'],
      env_file: ['./.deploy/releases/v2-2-1/env/.env'],
    })
  })

  test('the content of a secret that it uses is a part of it', () => {
    const text = shop(
      'image: "postgres:17", secrets: [pg, {source: plain}]',
      'secrets: {pg: {file: ./pg}, plain: {file: ./a}}',
    )
    const before = release(text, { files: { pg: 'old', a: 'a' } })
    expect(release(text, { id: 'v2-2-1', files: { pg: 'old', a: 'a' }, before }).drifts).toEqual([])
    const after = release(text, { id: 'v3-3-1', files: { pg: 'new', a: 'a' }, before })
    expect(after.drifts).toEqual([{ service: 'db', keys: ['secrets'], variables: [], isOnlyValues: false }])
    expect(modelOf(after)['secrets']).toEqual(modelOf(before)['secrets'])
    const next = release(text, { id: 'v4-4-1', files: { pg: 'new', a: 'a' }, before: after })
    expect(next.drifts).toEqual(after.drifts)
  })

  test('one that is built here keeps its image, with a warning that its source is not deployed', () => {
    const text = (rest: string): string =>
      `services: {app: {build: ., depends_on: [db]}, db: {build: ./postgres, volumes: ["pg:/data"]${rest}}}`
    const [before, digest] = [release(text('')), 'sha256:other']
    const after = release(text(''), { id: 'v2-2-1', before, digest })
    expect(after).toMatchObject({ drifts: [], warnings: [expect.stringContaining('update-services: db')] })
    expect(serviceOf(after, 'db')).toEqual(serviceOf(before, 'db'))
    // Also with the next release: the old image still runs.
    expect(release(text(''), { id: 'v3-3-1', before: after, digest }).warnings).toHaveLength(1)
    const changed = release(text(', restart: always'), { id: 'v3-3-1', before: after, digest })
    expect(changed.drifts).toEqual([{ service: 'db', keys: ['image', 'restart'], variables: [], isOnlyValues: false }])
  })

  test('one whose image only has the labels of another commit keeps it without a word', () => {
    const text = 'services: {app: {build: ., depends_on: [db]}, db: {build: ./postgres, volumes: ["pg:/data"]}}'
    const before = release(text, { content: 'same' })
    const after = release(text, { id: 'v2-2-1', before, digest: 'sha256:other', content: 'same' })
    expect(after).toMatchObject({ drifts: [], warnings: [] })
    expect(serviceOf(after, 'db')).toEqual(serviceOf(before, 'db'))
  })

  test('a changed file that it mounts is a changed definition; the file is shipped', () => {
    const text = shop('image: "postgres:17", volumes: ["./conf:/etc/postgresql:ro"]')
    const before = release(text, { files: { 'conf/a.conf': 'a = 1' } })
    const after = release(text, { id: 'v2-2-1', files: { 'conf/a.conf': 'a = 2' }, before })
    expect(after.drifts).toEqual([{ service: 'db', keys: ['volumes'], variables: [], isOnlyValues: false }])
    expect(after.files).not.toEqual(before.files)
  })

  test.each([
    ['', 'only'],
    [', restart: always', 'too'],
    [', "./conf:/etc/postgresql"', 'too'],
  ])('a changed init script is not applied by a new container: %s', (rest, initScripts) => {
    const [mount, other] = rest.startsWith(', "') ? [rest, ''] : ['', rest]
    const textOf = (more: string, last: string): string =>
      shop(`image: "postgres:17", volumes: ["./init:/docker-entrypoint-initdb.d:ro"${more}]${last}`)
    const before = release(textOf('', ''), { files: { 'init/a.sql': 'SELECT 1' } })
    const files = { 'init/a.sql': 'SELECT 2', 'conf/a.conf': '' }
    const [drift] = release(textOf(mount, other), { id: 'v2-2-1', files, before }).drifts
    expect(drift).toMatchObject({ service: 'db', initScripts })
    const said = drift && describeDrift(drift, 'postgres:17')
    expect(said).toContain('run only for an empty data folder')
    expect(said).toContain('docker compose exec db sh -c \'psql -U "${POSTGRES_USER:-postgres}" $POSTGRES_DB\'')
    expect(said?.includes('update-services: db')).toBe(initScripts === 'too')
  })
})

describe('a store that the repository defines in the same way, with a variable that has another value', () => {
  const text = (more = ''): string => `
services:
  web: {build: ., depends_on: [redis], environment: {REDIS: "$PASSWORD"}}
  redis: {image: "redis:\${TAG:-8}", command: "redis-server --requirepass \${PASSWORD:?} \${MORE:-}", environment: [PASSWORD, "B=\${B}$$"], volumes: ["r:/data"]${more}}
volumes: {r: {}}`
  const envFile = (password: string, more = ''): string => `PASSWORD='${password}'\nB=b\n${more}`
  const before = release(text(), { envFile: envFile('ol$d') })
  const drift = { service: 'redis', keys: ['command', 'environment'], variables: ['PASSWORD'], isOnlyValues: true }
  const kept = {
    image: 'redis:${TAG:-8}',
    command: 'redis-server --requirepass ol$$d ${MORE:-}',
    environment: { PASSWORD: 'ol$$d', B: '${B}$$' },
    volumes: ['r:/data'],
  }

  test('stays as it was for a bare `up -d` as well, and is reported until it is taken over', () => {
    const v2 = release(text(), { id: 'v2-2-1', envFile: envFile('new'), before })
    expect(v2.drifts).toEqual([drift])
    expect(serviceOf(v2, 'redis')).toEqual(kept)
    expect(serviceOf(v2, 'web')['environment']).toEqual({ REDIS: '$PASSWORD' })
    const v3 = release(text(), { id: 'v3-3-1', envFile: envFile('new'), before: v2 })
    expect(v3.drifts).toEqual([{ ...drift, isOnlyValues: false }])
    expect(serviceOf(v3, 'redis')).toEqual(kept)
    expect(release(text(), { id: 'v4-4-1', envFile: envFile('ol$d'), before: v3 }).drifts).toEqual([])
    const taken = release(text(), { id: 'v4-4-1', envFile: envFile('new'), before: v3, update: ['redis'] })
    expect(serviceOf(taken, 'redis')['command']).toContain('${PASSWORD:?}')
    expect(release(text(), { id: 'v5-5-1', envFile: envFile('new'), before: taken }).drifts).toEqual([])
  })

  test('a variable that gets its first value is one, one that it does not use is none', () => {
    const other = release(text(), { id: 'v2-2-1', envFile: envFile('ol$d', 'OTHER=1\n'), before })
    expect(other.drifts).toEqual([])
    const set = release(text(), { id: 'v2-2-1', envFile: envFile('ol$d', 'TAG=9\n'), before })
    expect(set.drifts).toEqual([{ ...drift, keys: ['image'], variables: ['TAG'] }])
    expect(serviceOf(set, 'redis')['image']).toBe('redis:8')
  })

  test('where the host has its own .env nobody knows what the value was', () => {
    expect(release(text(), { id: 'v2-2-1', before: release(text()) }).drifts).toEqual([])
    expect(release(text(), { id: 'v2-2-1', envFile: envFile('new'), before: release(text()) }).drifts).toEqual([])
  })

  test('with a change of the file both are named', () => {
    const [found] = release(text(', restart: always'), { id: 'v2-2-1', envFile: envFile('new'), before }).drifts
    expect(found && describeDrift(found)).toBe(
      'redis stays as it was defined before, because it may hold data: command, environment, restart changed in the ' +
        'Compose file, or the value of PASSWORD did. To apply the change: update-services: redis',
    )
    expect(describeDrift(drift)).toBe(
      'redis stays as it was defined before, because it may hold data: the value of PASSWORD in its command, ' +
        'environment changed. To apply the change: update-services: redis',
    )
  })
})

test.each([
  ['postgres:17', { keys: ['secrets'], variables: [] }, true],
  ['registry.example.com/mysql@sha256:0', { keys: ['environment'], variables: ['DB_PASSWORD'] }, true],
  ['postgres:17', { keys: ['environment'], variables: ['TZ'] }, false],
  ['redis:8', { keys: ['command'], variables: ['PASSWORD'] }, false],
])('of a password of %s a new container knows nothing: %j', (image, found, isNamed) => {
  const text = describeDrift({ service: 'db', isOnlyValues: false, ...found }, image)
  expect(text.includes('ALTER USER')).toBe(isNamed)
})

test('a service whose profile is no longer active is named while it runs, with the way to stop it', () => {
  const facts = new Map([['services', ['db', 'monitor', 'gone', 'stopped'].map((name) => `database 0 ${name}`)]])
  const named = ['web', 'db', 'monitor', 'stopped']
  expect(findDormant(facts, named, ['web', 'db'], ['web', 'db', 'monitor', 'gone'])).toEqual(['monitor'])
  expect(findDormant(undefined, named, [], named)).toEqual([])
  expect(describeDormant('monitor', ['monitoring'], 'shop')).toBe(
    'monitor keeps running as the last release left it, although none of its profiles (monitoring) is active. To stop it, on ' +
      'the host: docker stop $(docker ps -q --filter label=com.docker.compose.project=shop --filter ' +
      'label=com.docker.compose.service=monitor)',
  )
})

test('the warning names service, change and input', () => {
  expect(describeDrift({ service: 'db', keys: ['image', 'volumes'], variables: [], isOnlyValues: false })).toBe(
    'db stays as it was defined before, because it may hold data: image, volumes changed in the Compose file. ' +
      'To apply the change: update-services: db',
  )
})

test('a stateful service that the Compose file has no more is named, with the way to stop it', () => {
  const facts = new Map([['services', ['app 0 web', 'database 0 db', 'cache 0 redis', 'one-time 0 buckets']]])
  expect(findAbandoned(facts, ['web', 'db'])).toEqual(['redis'])
  expect(findAbandoned(undefined, ['web'])).toEqual([])
  expect(describeAbandoned('redis', 'shop')).toContain('--filter label=com.docker.compose.service=redis')
})

test('update-services names stateful services', () => {
  expect(() => checkUpdates(['db', 'cache'], v1.roles)).not.toThrow()
  expect(() => checkUpdates(['web'], v1.roles)).toThrow('Input update-services names web')
  expect(() => checkUpdates(['dB'], v1.roles)).toThrow('Input update-services names dB')
})
