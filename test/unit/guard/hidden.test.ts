import { expect, test } from '@jest/globals'
import { findCovered } from '../../../src/compose/covered.ts'
import {
  describeHidden,
  describeKept,
  fillVolumes,
  findHidden,
  findHolds,
  writeBelow,
} from '../../../src/guard/hidden.ts'
import type { StaticFiles } from '../../../src/django/document.ts'
import { projectOf } from '../compose/model.ts'

const project = projectOf(`
services:
  web: { build: ., volumes: ["data:/data", "static:/app/static/", "./conf:/conf", "/cache"] }
  frontend:
    build: ./frontend
    volumes:
      - { type: volume, source: dist, target: /srv/front }
      - { type: volume, source: own, target: /own, volume: { nocopy: true } }
      - named:/named:ro,nocopy
      - there:/there
      - varied:/varied
      - { type: tmpfs, target: /tmp }
  nginx: { image: nginx, volumes: ["dist:/usr/share/nginx/html:ro"] }
volumes: { data: {}, static: {}, dist: {}, own: {}, named: {}, there: { external: true }, varied: { name: "\${NAME}" } }
`)
const covered = findCovered(project, 'shop', ['web', 'frontend'])

test('the volumes over paths of an image, and who mounts them', () => {
  const found = covered.map(({ service, target, key, name, users }) => [service, target, key, name, users.join(' ')])
  expect(found).toEqual([
    ['web', '/data', 'data', 'shop_data', 'web'],
    ['web', '/app/static', 'static', 'shop_static', 'web'],
    ['frontend', '/srv/front', 'dist', 'shop_dist', 'frontend nginx'],
    ['frontend', '/there', 'there', 'there', 'frontend'],
    ['frontend', '/varied', 'varied', undefined, 'frontend'],
  ])
})

const [front] = covered.filter(({ key }) => key === 'dist')
const there = ['volume shop_dist']
const release = (holds: string, before: readonly string[], volumes = there): readonly string[] =>
  fillVolumes(front ? [{ ...front, holds }] : [], before, volumes).map(writeBelow)

test('a volume keeps the files with which it was filled, from release to release, until it is removed', () => {
  const v1 = release('one', [], [])
  expect(v1).toEqual(['frontend one one /srv/front'])
  const v2 = release('two', v1)
  expect(v2).toEqual(['frontend two one /srv/front'])
  expect(release('three', v2)).toEqual(['frontend three one /srv/front'])
  expect(release('three', v2, [])).toEqual(['frontend three three /srv/front'])
  // Nobody knows what is in a volume that was there before its first release.
  expect(release('one', [])).toEqual(['frontend one - /srv/front'])
  expect(release('two', release('one', []))).toEqual(['frontend two - /srv/front'])
})

test('what an image holds, as its release has written it down', () => {
  const lines = release('one', [])
  expect(findHolds(lines, { service: 'frontend', target: '/srv/front' })).toBe('one')
  expect(findHolds(lines, { service: 'frontend', target: '/srv' })).toBeUndefined()
})

const none: StaticFiles = { kind: 'none', why: '' }
test.each<[string, { service: string; target: string; filled: string | undefined }, StaticFiles, boolean]>([
  ['other files', { service: 'frontend', target: '/srv/front', filled: 'old' }, none, true],
  ['the same files', { service: 'frontend', target: '/srv/front', filled: 'new' }, none, false],
  ['unknown files', { service: 'frontend', target: '/srv/front', filled: undefined }, none, true],
  ['static files of Django', { service: 'web', target: '/s', filled: 'old' }, { kind: 'folder', root: '/s' }, false],
  ['below them', { service: 'web', target: '/s/a', filled: 'old' }, { kind: 'folder', root: '/s' }, false],
  ['beside them', { service: 'web', target: '/st', filled: 'old' }, { kind: 'folder', root: '/s' }, true],
  ['of another image', { service: 'frontend', target: '/s', filled: 'old' }, { kind: 'folder', root: '/s' }, true],
])('a volume hides %s', (_, { service, target, filled }, files, isHidden) => {
  const below = { service, target, filled, holds: 'new', key: 'dist', name: 'shop_dist', users: [service] }
  expect(findHidden([below], ['web'], files)).toEqual(isHidden ? [below] : [])
})

test('the warning names the volume, the files and both ways out', () => {
  const [below] = fillVolumes(front ? [{ ...front, holds: 'two' }] : [], ['frontend one one /srv/front'], there)
  expect(below && describeHidden(below, 'deploy/shop')).toMatch(
    /^The volume dist hides what the image of frontend has in \/srv\/front: .*Remove `dist:\/srv\/front` from frontend.* cd deploy\/shop && docker compose rm --stop --force frontend nginx && docker volume rm shop_dist, then deploy again$/,
  )
})

test.each([
  ['one', ['frontend two one /srv/front'], 0],
  ['one', ['frontend two two /srv/front'], 1],
  ['one', ['frontend two - /srv/front'], 0],
  ['one', [], 0],
])('going back to %s with %j', (holds, current, count) =>
  expect(describeKept([`frontend ${holds} ${holds} /srv/front`], current, 'v1')).toHaveLength(count),
)
