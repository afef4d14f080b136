import { describe, expect, test } from '@jest/globals'
import type { Facts } from '../../../src/host/fact.ts'
import { parseLook, type Server } from '../../../src/host/look.ts'
import {
  chooseTarget,
  currentRelease,
  frontsOf,
  imagesOf,
  readDotEnv,
  readAppOf,
  readHealth,
  versionOf,
} from '../../../src/host/release.ts'
import { FakeServer } from './fake-server.ts'

/** A server with these releases (id and version), those that served, and what `look` says about now and before. */
function server(given: {
  releases?: [string, string][]
  served?: string[]
  current?: string
  previous?: string
}): Server {
  const lines = [
    `current ${given.current ?? ''}`,
    `previous ${given.previous ?? ''}`,
    ...(given.releases ?? []).flatMap(([id, version]) => [`release ${id}`, `fact ${id} version ${version}`]),
    ...(given.served ?? []).map((id) => `served ${id}`),
  ]
  const parsed = parseLook(`deploy-django look 1\n${lines.join('\n')}\nend\n`)
  if (!parsed) throw new Error('not parsed')
  return parsed
}

const three = server({
  releases: [
    ['v1-1-1', 'v1'],
    ['v2-2-1', 'v2'],
    ['v2-2-2', 'v2'],
    ['v3-3-1', 'v3'],
    ['v4-4-1', 'v4'],
  ],
  // v4 was staged and failed.
  served: ['v1-1-1', 'v2-2-1', 'v2-2-2', 'v3-3-1'],
  current: 'v3-3-1',
  previous: 'v2-2-2',
})

const kept: { releases: [string, string][] } = {
  releases: [
    ['v1-1-1', 'v1'],
    ['v2-2-1', 'v2'],
  ],
}

describe('chooseTarget', () => {
  test.each([
    ['the version that served before', undefined, 'v2-2-2'],
    ['an old version', 'v1', 'v1-1-1'],
    ['the newest release of a version', 'v2', 'v2-2-2'],
    ['the current version once more', 'v3', 'v3-3-1'],
  ])('%s', (_, version, id) => {
    expect(chooseTarget(three, version)).toMatchObject({ id, version: id.slice(0, 2) })
  })

  test('the last to serve, not the last in the alphabet', () => {
    const back = server({
      releases: [
        ['v9-9-1', 'v9'],
        ['v9-10-1', 'v9'],
      ],
      served: ['v9-10-1', 'v9-9-1'],
    })
    expect(chooseTarget(back, 'v9').id).toBe('v9-9-1')
  })

  test.each([
    ['v5', 'never deployed'],
    ['v4', 'staged, but it never served'],
    ['v2-2-1', 'an id is no version'],
  ])('refuses %s (%s) and lists what there is', (version) => {
    expect(() => chooseTarget(three, version)).toThrow(
      expect.objectContaining({
        code: 'rollback-unknown-version',
        what: expect.stringContaining(version),
        seen: 'releases that can be restored: v1, v2, v3',
        fix: expect.stringContaining('choose'),
      }),
    )
  })

  test.each([
    [
      'the first release',
      server({ releases: [['v1-1-1', 'v1']], served: ['v1-1-1'], current: 'v1-1-1' }),
      'v1',
      'v1 is',
      'deploy the tag',
    ],
    ['an empty server', server({}), 'none', 'the current release is', 'deploy the tag'],
    [
      'a release of which nobody knows what served before',
      server({ ...kept, served: ['v1-1-1', 'v2-2-1'], current: 'v2-2-1' }),
      'v1, v2',
      'v2 is',
      'set `version`',
    ],
    [
      'a release before that is gone',
      server({ releases: [['v2-2-1', 'v2']], served: ['v1-1-1', 'v2-2-1'], current: 'v2-2-1', previous: 'v1-1-1' }),
      'v2',
      'v2 is',
      'deploy the tag',
    ],
  ])('has nothing to go back to on %s', (_, on, versions, why, fix) => {
    expect(() => chooseTarget(on, undefined)).toThrow(
      expect.objectContaining({
        code: 'rollback-none',
        seen: `releases that can be restored: ${versions}`,
        why: expect.stringContaining(why),
        fix: expect.stringContaining(fix),
      }),
    )
  })
})

test('versionOf gives the version of a release, also of one that came after the look', () => {
  expect(versionOf(three, 'v2-2-1')).toBe('v2')
  expect(versionOf(three, 'v0-0-1')).toBe('v0')
  expect(versionOf(three, 'v0-0-1.2')).toBe('v0')
  expect(versionOf(three, undefined)).toBeUndefined()
})

test('currentRelease is the one that serves', () => {
  expect(currentRelease(three)).toMatchObject({ id: 'v3-3-1', version: 'v3' })
  expect(currentRelease(server({}))).toBeUndefined()
  expect(currentRelease(server({ current: 'v1-1-1' }))).toBeUndefined()
})

test('the facts of a release as values', () => {
  const facts: Facts = new Map([
    ['fronts', ['proxy 80', 'web 8000']],
    ['images', ['web ghcr.io/o/r@sha256:aa', '__proto__ ghcr.io/o/r@sha256:bb']],
  ])
  expect(frontsOf(facts)).toEqual([
    ['proxy', 80],
    ['web', 8000],
  ])
  expect(Object.entries(imagesOf(facts))).toEqual([
    ['web', 'ghcr.io/o/r@sha256:aa'],
    ['__proto__', 'ghcr.io/o/r@sha256:bb'],
  ])
  expect(frontsOf(new Map())).toEqual([])
  expect(imagesOf(new Map())).toEqual({})
})

test("a release's model is read past what the login shell prints", async () => {
  const numbered = ['services:', '  web:', "    command: '1\t2'"]
    .map((line, index) => `     ${index + 1}\t${line}\n`)
    .join('')
  const found = new FakeServer({ stdout: `Good morning\n${numbered}` }, { code: 1, stderr: 'No such file' })
  expect((await readAppOf(found, 'deploy/todo', 'v1-1-1')).model).toEqual({ services: { web: { command: '1\t2' } } })
  expect(found.asked).toEqual(['cat -n deploy/todo/.deploy/releases/v1-1-1/compose.yaml'])
  expect((await readAppOf(found, 'deploy/todo', 'v2-2-1')).model).toEqual({})
  expect((await readAppOf(found, 'deploy/todo', undefined)).model).toEqual({})
})

test('the .env that a release brought is read; none where the host has its own', async () => {
  const brought: { id: string; facts: Facts } = { id: 'v1-1-1', facts: new Map([['env', ['shipped']]]) }
  const found = new FakeServer({ stdout: `Good morning\n     1\tA=1\n     2\tB=2\n` })
  expect(await readDotEnv(found, 'deploy/todo', brought)).toBe('A=1\nB=2')
  expect(found.asked).toEqual(['cat -n deploy/todo/.deploy/releases/v1-1-1/env/.env'])
  expect(
    await readDotEnv(found, 'deploy/todo', { id: 'v1-1-1', facts: new Map([['env', ['server']]]) }),
  ).toBeUndefined()
  expect(await readDotEnv(found, 'deploy/todo', undefined)).toBeUndefined()
})

test('the health checks of a deployment are read as they are; one that the host does not have is undefined', async () => {
  const host = new FakeServer({ stdout: 'welcome\n     1\t{"format":1}\n' }, { code: 1, stderr: 'cat: no such file' })
  expect(await readHealth(host, 'deploy/shop', 'v1-1-1')).toEqual({ http: '{"format":1}', trial: undefined })
  expect(host.asked).toEqual([
    'cat -n deploy/shop/.deploy/plans/v1-1-1/http.json',
    'cat -n deploy/shop/.deploy/plans/v1-1-1/try.json',
  ])
})
