import { expect, test } from '@jest/globals'
import { groupBuilds, neededGroups } from '../../../src/compose/group.ts'
import { projectOf } from './model.ts'

const groups = (text: string): Record<string, readonly string[]> =>
  Object.fromEntries(groupBuilds(projectOf(text)).map(({ name, services }) => [name, services]))

test('four services from one Dockerfile are one image, whatever they call it', () => {
  const text = `
services:
  beat: {build: {context: .}, image: prod_beat}
  django: {build: {context: ./, dockerfile: Dockerfile}, image: prod_django, ports: ["8000:8000"]}
  flower: {build: ., image: prod_flower}
  worker: {build: {context: .}}
  proxy: {build: ./proxy}
  db: {image: postgres}`
  expect(groups(text)).toEqual({ django: ['beat', 'django', 'flower', 'worker'], proxy: ['proxy'] })
})

test('what no active service needs is not built', () => {
  const all = groupBuilds(
    projectOf(`
services:
  web: {build: {context: ., additional_contexts: {base: "service:base"}}}
  base: {build: ./base, profiles: [build]}
  dev: {build: {context: ., target: dev}, profiles: [dev]}
  db: {image: postgres}`),
  )
  expect(neededGroups(all, ['web', 'db']).map(({ name }) => name)).toEqual(['base', 'web'])
})

test('the image of a built service joins those that only use it', () => {
  const text = `
services:
  web.local: {build: ., image: "\${IMAGE:-me/app}:\${TAG}"}
  worker: {image: "\${IMAGE:-me/app}:\${TAG}"}
  other: {image: me/other}`
  expect(groups(text)).toEqual({ 'web.local': ['web.local', 'worker'] })
})

test('a service can join two groups into one', () => {
  const text = `
services:
  a: {build: ., image: one}
  b: {image: two, build: {context: .}}
  c: {image: two}`
  expect(groups(text)).toEqual({ a: ['a', 'b', 'c'] })
})

test('another target or argument is another image', () => {
  const text = `
services:
  a: {build: {context: ., target: web}}
  b: {build: {context: ., target: worker}}
  c: {build: {context: ., args: {X: 1}}}`
  expect(Object.keys(groups(text))).toEqual(['a', 'b', 'c'])
})

test('two definitions of one image name are refused', () => {
  const text = 'services: {a: {build: ./a, image: x/y}, b: {build: ./b, image: x/y}}'
  expect(() => groups(text)).toThrow('a, b build different images of one name')
})
