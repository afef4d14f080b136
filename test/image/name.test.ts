import { describe, expect, test } from '@jest/globals'
import { groupBuilds } from '../../src/compose/group.ts'
import { candidateNames, nameImages, registryOf } from '../../src/image/name.ts'
import { projectOf } from '../compose/model.ts'

function names(text: string, django: string, image?: string): Record<string, string> {
  const groups = groupBuilds(projectOf(text))
  const group = groups.find(({ name }) => name === django)
  if (!group) throw new Error(`no group ${django}`)
  const facts = { image, repository: 'Owner/Site' }
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
      'variables without',
      two('${IMAGE}:${T}', ''),
      { web: 'ghcr.io/owner/site', 'the.proxy': 'ghcr.io/owner/site-the-proxy' },
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
