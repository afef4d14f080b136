import { expect, test } from '@jest/globals'
import { groupBuilds } from '../../../src/compose/group.ts'
import { explain } from '../../../src/errors.ts'
import { matchImages } from '../../../src/image/take.ts'
import { projectOf } from '../compose/model.ts'

const digest = (letter: string): string => `@sha256:${letter.repeat(64)}`
const groups = groupBuilds(
  projectOf(
    'services: {web: {build: ., ports: ["80:80"]}, worker: {build: .}, proxy: {build: ./proxy}, db: {image: postgres}}',
  ),
)
const whole = {
  web: `ghcr.io/o/r${digest('a')}`,
  worker: `ghcr.io/o/r${digest('a')}`,
  proxy: `ghcr.io/o/r-proxy${digest('b')}`,
}

function match(images: Record<string, string>, image?: string): string {
  try {
    matchImages(groups, new Map(Object.entries(images)), { image, repository: 'O/R', settings: {} })
    return 'fine'
  } catch (error) {
    return explain(error)
  }
}

test('what the build of the same checkout made is fine', () => {
  expect(match(whole)).toBe('fine')
  const named = {
    web: `r.io/app${digest('a')}`,
    worker: `r.io/app${digest('a')}`,
    proxy: `r.io/app-proxy${digest('b')}`,
  }
  expect(match(named, 'r.io/app')).toBe('fine')
})

test.each([
  ['a service without an image', { web: whole.web, worker: whole.worker }, 'built here: proxy, web, worker'],
  ['an image for a service that is not built', { ...whole, db: whole.proxy }, 'images for web, worker, proxy, db'],
  ['two images for one build', { ...whole, worker: `ghcr.io/o/r${digest('c')}` }, 'two images for one build'],
  [
    'an image of another repository',
    { ...whole, proxy: `ghcr.io/p/r-proxy${digest('b')}` },
    'would be ghcr.io/o/r or ghcr.io/o/r-proxy',
  ],
  ['another registry', { ...whole, proxy: `evil.io/o/r-proxy${digest('b')}` }, 'proxy: evil.io/o/r-proxy'],
])('%s stops', (_, images, said) => {
  const text = match(images)
  expect(text).toContain('[images-mismatch]')
  expect(text).toContain(said)
})
