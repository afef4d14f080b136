import { expect, test } from '@jest/globals'
import { readFileSync } from 'node:fs'
import { codes } from '../../src/errors.ts'

test('docs/troubleshooting.md has an entry for every code, and for no other', () => {
  const page = readFileSync(new URL('../../docs/troubleshooting.md', import.meta.url), 'utf8')
  const entries = [...page.matchAll(/^### (.+)$/gm)].map(([, code]) => code)
  expect([...entries].sort()).toEqual(Object.keys(codes).sort())
})
