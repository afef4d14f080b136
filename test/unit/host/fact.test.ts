import { expect, test } from '@jest/globals'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PLAN_FACTS, RELEASE_FACTS } from '../../../src/host/fact.ts'

const src = fileURLToPath(new URL('../../../src', import.meta.url))
const textOf = (ending: string): string =>
  readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith(ending) && file !== 'host/fact.ts')
    .map((file) => readFileSync(join(src, file), 'utf8'))
    .join('\n')
const shell = textOf('.sh')
const typescript = textOf('.ts')

/** What a pattern finds in the host script, without the names that are themselves variables. */
function namesIn(pattern: RegExp): string[] {
  const found = [...shell.matchAll(pattern)].flatMap(([, names = '']) => names.trim().split(' '))
  return [...new Set(found)].filter((name) => name !== '' && !name.includes('$')).sort()
}

/** Calls, paths, and loops over names. */
const readOfReleases = [
  ...namesIn(/\brelease_(?:fact|list) "[^"]*" ([a-z-]+)/g),
  ...namesIn(/releases\/\$\w+\/facts\/([a-z-]+)/g),
  ...namesIn(/\$making\/facts\/([a-z-]+)/g),
]
const readOfPlans = [
  ...namesIn(/\bplan_(?:fact|list) ([a-z-]+)/g),
  ...namesIn(/plans\/\$\w+\/facts\/([a-z-]+)/g),
  ...namesIn(/"\$facts\/([a-z-]+)/g),
  ...namesIn(/"\$last\/facts\/([a-z-]+)"/g),
]
const writtenByHand = namesIn(/>"\$plan\/facts\/([a-z-]+)/g)

test('the patterns see how the host script reads facts', () => {
  expect(readOfReleases).toEqual(expect.arrayContaining(['services', 'behind', 'manage', 'fingerprint']))
  expect(readOfPlans).toEqual(expect.arrayContaining(['target', 'explanations', 'adopt-images', 'keep']))
  expect(writtenByHand).toContain('target')
})

test('the host script reads and writes no other facts than those in the table', () => {
  expect(readOfReleases.filter((name) => !(name in RELEASE_FACTS))).toEqual([])
  expect([...readOfPlans, ...writtenByHand].filter((name) => !(name in PLAN_FACTS))).toEqual([])
})

test.each(Object.keys(RELEASE_FACTS))('fact %s of a release has a reader', (name) => {
  const isReadByRunner = typescript.includes(`facts, '${name}')`) || typescript.includes(`.get('${name}')`)
  expect(isReadByRunner || readOfReleases.includes(name)).toBe(true)
})

test.each(Object.keys(PLAN_FACTS))('fact %s of a deployment has a reader', (name) => {
  expect(readOfPlans).toContain(name)
})

/** What the runner sends: a key of an object. What only the host knows, it writes itself. */
const writtenByHost = [...writtenByHand, ...namesIn(/>"?\.deploy\/(?:plans|releases)\/\$\w+\/facts\/([a-z-]+)/g)]
test.each(Object.keys({ ...RELEASE_FACTS, ...PLAN_FACTS }))('fact %s has a writer', (name) => {
  const isKey = new RegExp(`[\\s{]'?${name}'?(: |,$)`, 'm').test(typescript)
  expect(isKey || writtenByHost.includes(name)).toBe(true)
})
