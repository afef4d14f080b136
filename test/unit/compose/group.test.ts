import { describe, expect, test } from '@jest/globals'
import { checkBorrowed, describeStale, findStale, groupBuilds, neededGroups } from '../../../src/compose/group.ts'
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
  expect(() => groups(text)).toThrow('a, b build different images with the same name')
})

describe('a service that uses the image of a built one by the name that Compose gives it', () => {
  const worker = (image: string, web = '{build: .}'): string =>
    `services: {web: ${web}, worker: {image: "${image}"}, proxy: {build: ./proxy}}`

  test.each([
    'shop-web',
    'shop_web',
    'shop-web:latest',
    'shop-web:1',
    'live-web',
    '${COMPOSE_PROJECT_NAME}-web',
    '${COMPOSE_PROJECT_NAME:-shop}_web:latest',
  ])('%s is of that build', (image) => {
    expect(groups(worker(image))).toEqual({ web: ['web', 'worker'], proxy: ['proxy'] })
    // Also when the built service has a name of its own by now.
    expect(groups(worker(image, '{build: ., image: ghcr.io/o/r}'))).toEqual({
      web: ['web', 'worker'],
      proxy: ['proxy'],
    })
  })

  test.each([
    'me/shop-web',
    'ghcr.io/o/shop-web',
    'web',
    '-web',
    'shop-web@sha256:0',
    'redis:7',
    'shopweb',
    'shop-webs',
  ])('%s is not', (image) => expect(groups(worker(image))).toEqual({ web: ['web'], proxy: ['proxy'] }))

  test('the longest name counts, a name that is written counts more, and a build of its own most', () => {
    const text = `
services:
  web: {build: .}
  api-web: {build: ./api}
  x-web: {build: ./x, image: shop-web}
  worker: {image: shop-api-web}
  other: {image: shop-web}
  own: {build: ./own, image: shop-x-web}`
    expect(groups(text)).toEqual({
      web: ['web'],
      'api-web': ['api-web', 'worker'],
      'x-web': ['other', 'x-web'],
      own: ['own'],
    })
  })

  test('gives the group no name to push to', () => {
    expect(groupBuilds(projectOf(worker('shop-web')))).toContainEqual(expect.objectContaining({ image: undefined }))
  })

  const check =
    (image: string, names: string[], active = ['web', 'worker']) =>
    (): void =>
      checkBorrowed(projectOf(worker(image)), active, names)

  test.each([
    ['shop-web', ['live', 'shop']],
    ['myshop_web', ['my-shop']],
    ['${COMPOSE_PROJECT_NAME}-web', ['live']],
    ['${COMPOSE_PROJECT_NAME:-shop}-web', ['live']],
  ])('%s is fine in a project that may be called %j', (image, names) => {
    expect(check(image, names)).not.toThrow()
  })

  test.each(['shop-web', '${STAGE}-web'])(
    '%s of a project with another name is an error that says both ways',
    (image) => {
      expect(check(image, ['live'])).toThrow(
        expect.objectContaining({
          code: 'compose-invalid',
          what: expect.stringContaining('Service worker uses the image'),
          fix: expect.stringMatching(/build: section of web.*docker\.io\/library\//s),
        }),
      )
      expect(check(image, ['live'], ['web'])).not.toThrow()
    },
  )
})

describe('another tag of an image that is built here', () => {
  test('is the same one under a local name: no registry has it', () => {
    const text = 'services: {web: {build: ., image: "shop:2"}, worker: {image: "shop:1"}, beat: {image: shop}}'
    expect(groups(text)).toEqual({ web: ['beat', 'web', 'worker'] })
    const latest = 'services: {web: {build: ., image: "r.io/me/shop"}, worker: {image: "r.io/me/shop:latest"}}'
    expect(groups(latest)).toEqual({ web: ['web', 'worker'] })
  })

  test('is refused where it can be none of several', () => {
    const text =
      'services: {web: {build: ., image: "shop:web"}, proxy: {build: ./p, image: "shop:proxy"}, x: {image: "shop:x"}}'
    expect(groups(text)).toEqual({ web: ['web'], proxy: ['proxy'] })
    expect(() => findStale(projectOf(text), ['x'])).toThrow(
      expect.objectContaining({ code: 'compose-invalid', fix: expect.stringContaining('shop:proxy, shop:web') }),
    )
    expect(findStale(projectOf(text), ['web'])).toEqual([])
  })

  test('is named in a warning where a registry may have it', () => {
    const project = projectOf(
      'services: {web: {build: ., image: "r.io/me/shop:${TAG}"}, old: {image: "r.io/me/shop:stable"}, db: {image: "r.io/me/db"}}',
    )
    const [stale, ...others] = findStale(project, ['web', 'old', 'db'])
    expect(others).toEqual([])
    expect(stale).toEqual({ service: 'old', image: 'r.io/me/shop:stable', of: 'web', written: 'r.io/me/shop:${TAG}' })
    expect(stale && describeStale(stale)).toContain('image: r.io/me/shop:${TAG}')
  })
})
