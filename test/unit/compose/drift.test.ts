import { describe, expect, test } from '@jest/globals'
import { valuesOf } from '../../../src/compose/document.ts'
import { checkUpdates, describeAbandoned, describeDrift, findAbandoned } from '../../../src/compose/drift.ts'
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
    expect(v2.drifts).toEqual([{ service: 'db', keys: ['image', 'restart', 'volumes'] }])
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
    expect(after.drifts).toEqual([{ service: 'db', keys: ['restart'] }])
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
    expect(after.drifts).toEqual([{ service: 'db', keys: ['secrets'] }])
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
    expect(changed.drifts).toEqual([{ service: 'db', keys: ['image', 'restart'] }])
  })

  test('one whose image only has the labels of another commit keeps it without a word', () => {
    const text = 'services: {app: {build: ., depends_on: [db]}, db: {build: ./postgres, volumes: ["pg:/data"]}}'
    const before = release(text, { content: 'same' })
    const after = release(text, { id: 'v2-2-1', before, digest: 'sha256:other', content: 'same' })
    expect(after).toMatchObject({ drifts: [], warnings: [] })
    expect(serviceOf(after, 'db')).toEqual(serviceOf(before, 'db'))
  })

  test('a changed file that it mounts is a changed definition; the file is shipped', () => {
    const text = shop('image: "postgres:17", volumes: ["./init:/docker-entrypoint-initdb.d:ro"]')
    const before = release(text, { files: { 'init/a.sql': 'SELECT 1' } })
    const after = release(text, { id: 'v2-2-1', files: { 'init/a.sql': 'SELECT 2' }, before })
    expect(after.drifts).toEqual([{ service: 'db', keys: ['volumes'] }])
    expect(after.files).not.toEqual(before.files)
  })
})

test('the warning names service, change and input', () => {
  expect(describeDrift({ service: 'db', keys: ['image', 'volumes'] })).toBe(
    'db stays as it was defined before, because it may hold data: image, volumes changed in the Compose file. ' +
      'To take the change over: update-services: db',
  )
})

test('a service with data that the Compose file has no more is named, with the way to stop it', () => {
  const facts = new Map([
    ['data', ['db', 'redis', 'buckets']],
    ['once', ['buckets']],
  ])
  expect(findAbandoned(facts, ['web', 'db'])).toEqual(['redis'])
  expect(findAbandoned(undefined, ['web'])).toEqual([])
  expect(describeAbandoned('redis', 'shop')).toContain('--filter label=com.docker.compose.service=redis')
})

test('update-services names services with data', () => {
  expect(() => checkUpdates(['db', 'cache'], v1.roles)).not.toThrow()
  expect(() => checkUpdates(['web'], v1.roles)).toThrow('Input update-services names web')
  expect(() => checkUpdates(['dB'], v1.roles)).toThrow('Input update-services names dB')
})
