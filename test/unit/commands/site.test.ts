import { expect, test } from '@jest/globals'
import { groupBuilds } from '../../../src/compose/group.ts'
import { activeServices } from '../../../src/compose/role.ts'
import { wantedPlace } from '../../../src/commands/site.ts'
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
