import { describe, expect, test } from '@jest/globals'
import { groupBuilds } from '../../../src/compose/group.ts'
import { candidateNames, checkImageNames, nameImages, registryOf } from '../../../src/image/name.ts'
import { Problems } from '../../../src/errors.ts'
import { projectOf } from '../compose/model.ts'

function names(text: string, django: string, image?: string): Record<string, string> {
  const groups = groupBuilds(projectOf(text))
  const group = groups.find(({ name }) => name === django)
  if (!group) throw new Error(`no group ${django}`)
  const facts = { image, repository: 'Owner/Site', settings: {} }
  const named = nameImages(groups, group, facts)
  // What is chosen must be among what a later run looks for.
  for (const each of groups) expect(candidateNames(each, groups, facts)).toContain(named.get(each.name))
  return Object.fromEntries(named)
}

const two = (web: string, proxy: string): string =>
  JSON.stringify({
    services: {
      web: { build: './web', image: web || undefined },
      'the.proxy': { build: './proxy', image: proxy || undefined },
    },
  })

describe('names of images', () => {
  test.each([
    ['no image', two('', ''), { web: 'ghcr.io/owner/site', 'the.proxy': 'ghcr.io/owner/site-the-proxy' }],
    ['own ones', two('me/app:1', 'r.io:5/me/nginx'), { web: 'me/app', 'the.proxy': 'r.io:5/me/nginx' }],
    [
      'variables with defaults',
      two('${R:-r.io}/app:${T:-1}', ''),
      { web: 'r.io/app', 'the.proxy': 'r.io/app-the-proxy' },
    ],
    [
      'a tag that only the server knows',
      two('r.io:5/me/app:${TAG}', '${R:-r.io}/nginx:${TAG:?}'),
      { web: 'r.io:5/me/app', 'the.proxy': 'r.io/nginx' },
    ],
    ['a local name', two('site_web', ''), { web: 'ghcr.io/owner/site', 'the.proxy': 'ghcr.io/owner/site-the-proxy' }],
    ['one repository, two tags', two('me/app:web', 'me/app:proxy'), { web: 'me/app', 'the.proxy': 'me/app-the-proxy' }],
    ['a digest', two(`me/app@sha256:${'a'.repeat(64)}`, 'me/x'), { web: 'me/app', 'the.proxy': 'me/x' }],
  ])('%s', (_, text, expected) => {
    expect(names(text, 'web')).toEqual(expected)
  })

  test('the input wins over all', () => {
    expect(names(two('me/app:1', 'me/nginx'), 'the.proxy', 'r.io/x')).toEqual({
      'the.proxy': 'r.io/x',
      web: 'r.io/x-web',
    })
  })
})

test.each([
  ['ghcr.io/a/b', 'ghcr.io'],
  ['127.0.0.1:5001/a', '127.0.0.1:5001'],
  ['localhost/a', 'localhost'],
  ['me/app', 'docker.io'],
  ['app', 'docker.io'],
])('%s is at %s', (name, registry) => {
  expect(registryOf(name)).toBe(registry)
})

describe('an image: that cannot be the name to push to', () => {
  const check =
    (web: string, settings = {}, image?: string) =>
    (): void =>
      checkImageNames(groupBuilds(projectOf(two(web, ''))), { image, repository: 'o/r', settings })

  test.each([
    ['${REGISTRY}/app:${TAG}', 'variable-missing', 'REGISTRY'],
    ['${IMAGE}', 'variable-missing', 'IMAGE'],
    ['r.io/${TEAM:?}/app', 'variable-missing', 'TEAM'],
    ['r.io/Team/app', 'compose-invalid', 'no capitals'],
    ['r.io//app', 'compose-invalid', 'not the name'],
    ['r.io/a b', 'compose-invalid', 'not the name'],
    ['r.io/$(id)', 'compose-invalid', 'not the name'],
  ])('%s is %s', (web, code, what) => {
    expect(check(web)).toThrow(expect.objectContaining({ code, what: expect.stringContaining(what) }))
    expect(check(web, {}, 'r.io/app')).not.toThrow()
    // The name that the fix suggests is accepted.
    expect(check(web, {}, 'ghcr.io/o/r')).not.toThrow()
  })

  test.each([['${REGISTRY}/app:${TAG}'], ['${REGISTRY:-r.io}/app'], ['Todo_Web:1'], ['r.io:5/me/app:${TAG:?}']])(
    '%s is fine once its variables are set',
    (web) => expect(check(web, { REGISTRY: 'r.io' })).not.toThrow(),
  )

  test.each([
    ['${REGISTRY}/app:${TAG}', /line of env-file: REGISTRY=… .* env: { REGISTRY: … } .* image: ghcr\.io\/o\/r$/],
    [
      'ghcr.io/${GITHUB_REPOSITORY}/web',
      /^GITHUB_REPOSITORY is a variable of GitHub's own .* set the input image: ghcr\.io\/o\/r$/,
    ],
    ['r.io/Team/app', /use r\.io\/team\/app, or set the input image: ghcr\.io\/o\/r$/],
    ['r.io/x$(id):1', /use a name such as ghcr\.io\/owner\/repository, or/],
  ])('%s has a fix that works', (web, fix) => {
    expect(check(web)).toThrow(expect.objectContaining({ fix: expect.stringMatching(fix) }))
  })

  test('all of them are reported at once', () => {
    const groups = groupBuilds(projectOf(two('${A}/web', '${B}/proxy')))
    expect(() => checkImageNames(groups, { image: undefined, repository: 'o/r', settings: {} })).toThrow(Problems)
  })

  test('what the step sets is used', () => {
    const groups = groupBuilds(projectOf(two('${REGISTRY}/app:${TAG}', '')))
    const [proxy, web] = groups
    if (!proxy || !web) throw new Error('no groups')
    const facts = { image: undefined, repository: 'o/r', settings: { REGISTRY: 'r.io:5' } }
    expect(Object.fromEntries(nameImages(groups, web, facts))).toMatchObject({ web: 'r.io:5/app' })
  })
})
