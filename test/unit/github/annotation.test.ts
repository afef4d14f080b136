import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals'
import { annotateFailure, closeWarnings, warning } from '../../../src/github/annotation.ts'

let written: string[]
beforeEach(() => {
  written = []
  jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
    written.push(String(text).trimEnd())
    return true
  })
})
afterEach(() => {
  closeWarnings()
  jest.restoreAllMocks()
})

const texts = (count: number): string[] => Array.from({ length: count }, (_, index) => `w${index + 1}`)

describe('warnings', () => {
  test.each([0, 1, 9, 10])('%d of them are all annotations', (count) => {
    texts(count).forEach((text) => warning(text))
    expect(closeWarnings()).toEqual(texts(count))
    expect(written).toEqual(texts(count).map((text) => `::warning::${text}`))
  })

  test('the tenth annotation counts what GitHub would drop; every one is in the log, and given for the summary', () => {
    texts(12).forEach((text) => warning(text))
    expect(closeWarnings()).toEqual(texts(12))
    expect(written.slice(0, 9)).toEqual(texts(9).map((text) => `::warning::${text}`))
    expect(written.slice(9)).toEqual([
      'Warning: w11',
      'Warning: w12',
      'Warning: w10',
      '::warning::… and 3 more warnings: see the summary',
    ])
  })

  test('are said once, also when a plan is made twice', () => {
    warning('x')
    warning('x', { file: 'a.yaml', line: 1 })
    warning('x', { file: 'a.yaml', line: 1 })
    warning('x')
    expect(written).toEqual(['::warning::x', '::warning file=a.yaml,line=1::x'])
  })

  test('stand at their place, and are given once', () => {
    warning('x', { file: 'core/migrations/0002.py', line: 7 })
    warning('y', { file: 'a.yaml', line: undefined })
    expect(written).toEqual(['::warning file=core/migrations/0002.py,line=7::x', '::warning file=a.yaml::y'])
    expect([closeWarnings(), closeWarnings()]).toEqual([['x', 'y'], []])
  })
})

test('a failure is one annotation at its place', () => {
  annotateFailure('It failed\n  why: x', 'Deploy Django: internal', { file: 'compose.yaml', line: 3, column: 5 })
  annotateFailure('It failed', 'Deploy Django: internal', undefined)
  expect(written).toEqual([
    '::error title=Deploy Django%3A internal,file=compose.yaml,line=3,col=5::It failed%0A  why: x',
    '::error title=Deploy Django%3A internal::It failed',
  ])
})
