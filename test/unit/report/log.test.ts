import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals'
import { group, harmless, showProgress } from '../../../src/report/log.ts'

let written: string[]
beforeEach(() => {
  written = []
  jest.useFakeTimers({ now: 0 })
  jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
    written.push(String(text).trimEnd())
    return true
  })
})
afterEach(() => {
  jest.restoreAllMocks()
  jest.useRealTimers()
})

const journal = (step: string, state: string, detail = '') =>
  ({ kind: 'journal', line: { time: '2026-01-02T03:04:05Z', step, state, detail } }) as const

describe('group', () => {
  test('folds the lines of its work, and says how long it took', async () => {
    const result = await group('Build', async () => {
      jest.setSystemTime(1_240)
      return 7
    })
    expect(result).toBe(7)
    expect(written).toEqual(['::group::Build', '(1.2 s)', '::endgroup::'])
  })

  test('ends before its failure is told', async () => {
    const failed = group('Build', () => Promise.reject(new Error('no')))
    await expect(failed).rejects.toThrow('no')
    expect(written.at(-1)).toBe('::endgroup::')
  })
})

describe('showProgress', () => {
  test('shows the journal and, below it, the log', () => {
    const { show, stop } = showProgress()
    show(journal('swap', 'begin', 'web=2'))
    show({ kind: 'log', text: 'Container web  Recreated' })
    show(journal('swap', 'end'))
    stop()
    expect(written).toEqual([
      '2026-01-02T03:04:05Z swap begin web=2',
      '  Container web  Recreated',
      '2026-01-02T03:04:05Z swap end',
    ])
  })

  test('says every fifteen quiet seconds that it lives, in which step and for how long', () => {
    const { show, stop } = showProgress()
    jest.advanceTimersByTime(15_000)
    show(journal('migrate', 'begin'))
    jest.advanceTimersByTime(14_000)
    show({ kind: 'log', text: 'Applying todo.0002_due' })
    jest.advanceTimersByTime(30_000)
    stop()
    jest.advanceTimersByTime(60_000)
    expect(written).toEqual([
      '  … starting, 15 s',
      '2026-01-02T03:04:05Z migrate begin',
      '  Applying todo.0002_due',
      '  … migrate, 29 s',
      '  … migrate, 44 s',
    ])
  })

  test('obeys nothing that a container prints', () => {
    const { show, stop } = showProgress()
    show({ kind: 'log', text: '::add-mask::a' })
    show(journal('\t::save-state name=tid::', 'x'))
    stop()
    expect(written).toEqual(['  : :add-mask::a', expect.not.stringMatching(commandOfRunner)])
  })
})

/** Where GitHub's runner begins to read a command: `::` behind white space, `##[` anywhere. */
const commandOfRunner = /^\s*::|##\[/m

describe('harmless', () => {
  test.each([
    '::error::x',
    '  ::add-mask::x',
    '\t\u00a0::set-output name=a::b',
    '\u2003::x::',
    ':::error::',
    'GET /?##[save-state name=tid;]x',
    '##[##[error]x',
    'a\r::error::x',
    'a\n::error::x',
    'a\r\n  ##[group]',
    'a\u0085::x::',
    'a\u2028::x::',
    '\u001b[2K::x::',
    '\0::x::',
    '\ufeff::x::',
  ])('%j is no command', (line) => {
    expect(line.replace(/[\u001b\0]/g, ' ')).toMatch(/::|##\[/)
    expect(harmless(line).split(/[\r\n\u0085\u2028\u2029]/)).toHaveLength(1)
    expect(harmless(line)).not.toMatch(commandOfRunner)
  })

  test.each(['Container web  Started', 'a::b::c', 'http://[::1]:8000/', '  | 1 # [x]', '\tindented', 'Grüße ✓', ''])(
    '%j stays as it is',
    (line) => expect(harmless(line)).toBe(line),
  )
})
