import { describe, expect, test } from '@jest/globals'
import {
  canBecome,
  cutAtVariable,
  hasVariable,
  interpolate,
  isWhole,
  knownPath,
  missingIn,
  namesIn,
  splitOutside,
  withDefaults,
} from '../../../src/compose/variable.ts'

describe('variables filled in', () => {
  const env = { A: 'a', EMPTY: '' }
  test.each([
    ['$A/$A', 'a/a'],
    ['${A}', 'a'],
    ['$$A', '$A'],
    ['${B:-b}', 'b'],
    ['${B:-${A}c}', 'ac'],
    ['${EMPTY:-e}', 'e'],
    ['${EMPTY-e}', ''],
    ['${A:+set}${B:+set}', 'set'],
    ['${A:?message}', 'a'],
    ['me/${IMAGE:-app}:${TAG:-latest}', 'me/app:latest'],
    ['plain', 'plain'],
  ])('%s becomes %s', (text, expected) => {
    expect(interpolate(text, env)).toBe(expected)
  })

  test.each(['${B}', '$B', '${B:?needed}', '${EMPTY:?needed}', '${A', '${}', '$'])('%s has no value', (text) => {
    expect(interpolate(text, env)).toBeUndefined()
  })
})

test.each([
  ['$A/${B}:${C:?needed}-${D?}', ['A', 'B', 'C', 'D']],
  ['${A:-b}/${A-b}', []],
  ['${A:-${B:-$C}}', ['C']],
  ['${SET:-${B}}/${SET:+$D}/${A:+$D}', ['D']],
  ['$$A $${B} $SET ${SET} 5$ $(id)', []],
  ['${A', []],
])('%s needs %j', (text, names) => {
  expect(missingIn(text, (name) => name === 'SET')).toEqual(names)
})

test.each([
  ['${PORT:-8000}:8000', ['${PORT:-8000}', '8000']],
  ['${A:-${B:-./c}}:/d:ro', ['${A:-${B:-./c}}', '/d', 'ro']],
  ['$${A:b', ['$${A', 'b']],
  ['one', ['one']],
])('%s is cut outside of braces', (text, parts) => {
  expect(splitOutside(text, ':')).toEqual(parts)
})

test('variables and braces are recognised', () => {
  expect(['$A', '${A}', 'x$A', '$$A', 'a$', '$1'].map(hasVariable)).toEqual([true, true, true, false, false, false])
  expect(['${A:-${B}}', '${A', '$${A', '-./b}'].map(isWhole)).toEqual([true, false, true, true])
})

test('a path is known when it is plain or the default of one variable', () => {
  expect(knownPath('./a')?.path).toBe('./a')
  expect(knownPath('${A:-./a}')?.path).toBe('./a')
  expect(knownPath('${A:-./a}')?.rebuild('./b')).toBe('${A:-./b}')
  expect(['${PWD}/a', '$PWD', '$PWDS/a', 'b$PWD'].map((text) => knownPath(text)?.path)).toEqual([
    ...['./a', '.', undefined, undefined],
  ])
  expect(['${A}', '${A:?x}', './${A:-b}', '${A:-$B}'].map(knownPath)).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ])
})

test.each([
  ['./nginx/${SITE:-a/b}.conf', './nginx', '${SITE:-a/b}.conf'],
  ['$PWD/conf/$ENV/x', './conf', '$ENV/x'],
  ['.env.$STAGE', '.', '.env.$STAGE'],
  ['../$A', '..', '$A'],
])('%s chooses in %s', (text, folder, rest) => {
  expect(cutAtVariable(text)).toEqual({ folder, rest })
})

test('what is plain, absolute or begins with a variable chooses nowhere', () => {
  const texts = ['./a', '/etc/$A', '~/$A', '${A:-./b}', '$A/b', './$$/$A']
  expect(texts.map(cutAtVariable)).toEqual(texts.map(() => undefined))
})

test.each([
  ['${SITE:-shop}.conf', 'shop.conf', true],
  ['${SITE:-shop}.conf', 'other.conf', true],
  ['${SITE:-shop}.conf', 'shop_conf', false],
  ['${SITE:-shop}.conf', 'a/shop.conf', false],
  ['./$ENV/x', 'prod/x/y', true],
  ['./$ENV/x', 'prod/xy', false],
  ['${A', 'a', false],
])('%s can become %s: %s', (text, path, expected) => {
  expect(canBecome(text, path)).toBe(expected)
})

describe('values of an included file', () => {
  const defaults = new Map([
    ['A', 'a b$$c'],
    ['E', ''],
  ])
  test.each([
    ['${A}', '${A-a b$$c}'],
    ['x$A/$B', 'x${A-a b$$c}/$B'],
    ['$$A $${A}', '$$A $${A}'],
    ['${A-b}', '${A-a b$$c}'],
    ['${A:-b}', '${A:-a b$$c}'],
    ['${B:-${A}}', '${B:-${A-a b$$c}}'],
    ['${A:?needed}', '${A:-a b$$c}'],
    ['${A+there}', 'there'],
    ['${E}', '${E-}'],
    ['${E:-b}', '${E:-b}'],
    ['${E:?needed}', '${E:?needed}'],
    ['${E-b}', '${E-}'],
    ['${B}', '${B}'],
    ['100 %, $ and }', '100 %, $ and }'],
  ])('%s becomes %s', (text, expected) => {
    expect(withDefaults(text, defaults)).toBe(expected)
  })

  test.each([
    [{}, 'a b$c'],
    [{ A: '' }, 'a b$c'],
    [{ A: 'x' }, 'x'],
  ])('count after those of the project: %j', (env, expected) => {
    expect(interpolate(withDefaults('${A:-b}', defaults), env)).toBe(expected)
  })
})

test('the names of all variables, those in defaults as well', () => {
  expect(namesIn('${A:-${B}} $C $$D ${E:?F} x')).toEqual(['A', 'B', 'C', 'E'])
})
