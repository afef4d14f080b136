import { expect, test } from '@jest/globals'
import { groupBuilds } from '../../../src/compose/group.ts'
import { activeServices } from '../../../src/compose/role.ts'
import { servingBefore, wantedPlace } from '../../../src/commands/site.ts'
import { readContainer } from '../../../src/host/container.ts'
import { isIdle } from '../../../src/host/look.ts'
import { projectOf } from '../compose/model.ts'

test('a stack that was started by hand has no services of profiles that are not active', () => {
  const project = projectOf(`services:
  web: {build: ., ports: ["8000:8000"], profiles: [web]}
  worker: {build: ., profiles: [worker]}
  js: {build: {context: ., target: assets}, profiles: [assets]}
  css: {build: {context: ., target: assets}, profiles: [assets]}
  db: {image: "postgres:17", profiles: [web]}`)
  const naming = { image: undefined, repository: 'o/shop', settings: {} }
  const active = activeServices(project, [], ['web', 'worker']).map(({ name }) => name)
  const place = { name: 'shop', isNamed: false, directory: 'deploy/shop', active }
  const wanted = wantedPlace({ project, groups: groupBuilds(project), naming, settings: undefined }, place)
  expect(wanted).toMatchObject({ services: ['web', 'worker'], ports: [8000] })
})

test('what serves before a deploy: a database alone is no site, and a stack that was started by hand may be one', () => {
  const container = readContainer(JSON.stringify(['c1', 'shop', 'db', '', '', '', true, 'x', 'x', [], {}, []]))
  const place = (service: string) => ({
    server: { containers: [{ ...container, service }] },
    current: undefined,
    name: 'shop',
  })
  expect(servingBefore(place('db'), ['web'])).toEqual({ kind: 'nothing' })
  expect(servingBefore(place('web'), ['web'])).toEqual({ kind: 'unknown' })
  expect(servingBefore({ ...place('web'), name: 'other' }, ['web'])).toEqual({ kind: 'nothing' })
  expect(servingBefore({ ...place('web'), current: { version: 'v1' } }, ['web'])).toMatchObject({ version: 'v1' })
})

test('a host without a running container is idle; without access to Docker nobody knows', () => {
  const container = readContainer(JSON.stringify(['c1', 'shop', 'db', '', '', '', true, 'x', 'x', [], {}, []]))
  expect(isIdle({ docker: '28.0', containers: [] })).toBe(true)
  expect(isIdle({ docker: '28.0', containers: [{ ...container, running: false }] })).toBe(true)
  expect(isIdle({ docker: '28.0', containers: [container] })).toBe(false)
  expect(isIdle({ docker: undefined, containers: [] })).toBe(false)
})
