import { describe, expect, test } from '@jest/globals'
import type { StaticFiles } from '../../../src/django/document.ts'
import { needsCollecting, readCollect } from '../../../src/django/static.ts'
import { DeployError } from '../../../src/errors.ts'
import type { Mounted } from '../../../src/host/container.ts'

const folder: StaticFiles = { kind: 'folder', root: '/vol/web/static' }
const elsewhere: StaticFiles = { kind: 'elsewhere' }
const none: StaticFiles = { kind: 'none', why: 'STATIC_ROOT is not set' }
const at = (target: string, readOnly = false): Mounted[] => [{ kind: 'volume', source: 'todo_x', target, readOnly }]

describe('needsCollecting', () => {
  type Case = [string, StaticFiles, Mounted[] | undefined, boolean]
  test.each<Case>([
    ['a volume at STATIC_ROOT', folder, at('/vol/web/static'), true],
    ['a volume above it', folder, at('/vol/'), true],
    [
      'a folder of the server at it',
      folder,
      [{ kind: 'bind', source: '/srv', target: '/vol/web', readOnly: false }],
      true,
    ],
    ['a volume beside it', folder, at('/vol/web/static-old'), false],
    ['a volume inside it', folder, at('/vol/web/static/media'), false],
    ['a volume that another service fills', folder, at('/vol/web/static', true), false],
    ['no volume', folder, [], false],
    ['an adopted release, of whose volumes nothing is known', folder, undefined, true],
    ['files that go to S3', elsewhere, at('/vol'), false],
    ['a project without static files', none, at('/vol'), false],
    ['the same without knowing', none, undefined, false],
  ])('auto, %s', (_, found, mounts, needed) => {
    expect(needsCollecting('auto', found, mounts)).toBe(needed)
  })

  test('always, where it is of use', () => {
    expect(needsCollecting('always', folder, at('/vol'))).toBe(true)
    expect(needsCollecting('always', elsewhere, [])).toBe(true)
    expect(needsCollecting('never', folder, at('/vol'))).toBe(false)
  })

  test.each<[string, StaticFiles, Mounted[], string]>([
    ['nowhere', none, at('/vol'), 'STATIC_ROOT is not set'],
    ['in the container', folder, [], '/vol/web/static'],
    ['in a volume that the app may not write', folder, at('/vol', true), '/vol/web/static'],
  ])('always, %s: says what to change', (_, found, mounts, seen) => {
    const call = (): boolean => needsCollecting('always', found, mounts)
    expect(call).toThrow(DeployError)
    expect(call).toThrow(expect.objectContaining({ code: 'static-failed', seen: expect.stringContaining(seen) }))
  })
})

test('a release that kept nothing about it goes by auto', () => {
  expect([undefined, 'always', 'never', 'auto'].map(readCollect)).toEqual(['auto', 'always', 'never', 'auto'])
})
