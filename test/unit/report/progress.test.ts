import { afterEach, beforeEach, expect, jest, test } from '@jest/globals'
import { parseJournalLine } from '../../../src/host/follow.ts'
import { showProgress } from '../../../src/report/progress.ts'

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

/** Shows lines of a log; a number is the second of the mark behind it. */
function watch(...lines: (string | [number, string])[]): string[] {
  const { show, stop } = showProgress()
  for (const line of lines) {
    if (typeof line === 'string') show({ kind: 'log', text: line })
    else
      show({
        kind: 'step',
        line: parseJournalLine(`2026-01-02T03:04:${String(line[0]).padStart(2, '0')}.500Z ${line[1]}`),
      })
  }
  stop()
  return written
}

test('each step of the host is a group with its time, by the clock of the host', () => {
  const shown = watch(
    'transaction v2-7-1',
    [1, 'begin v2-7-1 v2-7-1 from v1-6-1'],
    [1, 'fence begin'],
    [1, 'fence end'],
    [1, 'migrate begin'],
    'Applying core.0002_due ... 0.21 s',
    [3, 'migrate end'],
    [3, 'swap begin web=2 proxy=1'],
    ' Container web  Recreated',
    [5, 'swap end'],
    [5, 'end committed v2-7-1'],
  )
  expect(shown).toEqual([
    'transaction v2-7-1',
    'fence: no newer run has deployed, 0.0 s',
    '::group::migrate: core.0002_due, 2.0 s',
    'Applying core.0002_due ... 0.21 s',
    '::endgroup::',
    '::group::swap: web, proxy replaced, 2.0 s',
    ' Container web  Recreated',
    '::endgroup::',
  ])
})

test('work after the commit is not waited for', () => {
  expect(watch([1, 'commit begin v2-7-1 after v1-6-1'], [1, 'commit end'], [1, 'prune begin'])).toEqual([
    'commit: it is the current release, 0.0 s',
    'prune: old releases are removed on the host without waiting for it, 0.0 s',
  ])
})

test('a step that fails says so, and what goes back is steps as well', () => {
  const shown = watch(
    [1, 'health begin'],
    'last lines of /web-1:',
    [31, 'health fail 46'],
    'going back: health 46',
    [31, 'back begin health 46'],
    [31, 'undo begin'],
    [33, 'undo end'],
    [33, 'back end'],
  )
  expect(shown).toEqual([
    '::group::health: failed: exit 46, 30.0 s',
    'last lines of /web-1:',
    '::endgroup::',
    'going back: health 46',
    'undo: the started steps are undone, 2.0 s',
  ])
})

test.each<[string, string, string[], string]>([
  [
    'many migrations',
    'migrate',
    ['a.1', 'a.2', 'a.3', 'a.4', 'a.5'].map((name) => `Applying ${name} ... 0.01 s`),
    'a.1, a.2, a.3 and 2 more',
  ],
  ['no migration', 'migrate', [], 'nothing was left to apply'],
  ['what is unapplied', 'unapply', ['Unapplying a.2 ... 0.01 s'], 'a.2'],
  [
    'what Compose left as it was',
    'swap',
    [' Container x-web-1  Recreated', ' Container x-api-web-1  Running', ' Container proxy  Running'],
    'web, worker replaced',
  ],
  ['a backup', 'backup', ['backup: 1.2 MB so far, 5 s', 'backup: 4.5 MB, .deploy/backups/x.dump'], '4.5 MB'],
  [
    'a trial that is not made',
    'try',
    ['note: web is not tried: its ports are published'],
    'web is not tried: its ports are published',
  ],
  [
    'what died before',
    'recover',
    ['finishing deployment v1-6-1, which was interrupted'],
    'an interrupted deployment is finished',
  ],
])('the fact of a step: %s', (_, step, lines, fact) => {
  const detail = step === 'swap' ? ' api-web=1 proxy=1 web=2 worker=1' : ''
  const [title = ''] = watch([1, `${step} begin${detail}`], ...lines, [1, `${step} end`])
  expect(title.replace('::group::', '')).toBe(`${step}: ${fact}, 0.0 s`)
})

test('the steps of an older deployment, which is finished first, are not those of this one', () => {
  expect(
    watch([1, 'recover begin'], 'finishing deployment v1-6-1', [1, 'undo begin'], [2, 'undo end'], [3, 'recover end']),
  ).toEqual([
    '::group::recover: an interrupted deployment is finished, 2.0 s',
    'finishing deployment v1-6-1',
    '::endgroup::',
  ])
})

test('what a step waits for is shown every ten seconds; one whose end was not seen is closed', () => {
  const { show, stop } = showProgress()
  show({ kind: 'step', line: parseJournalLine('2026-01-02T03:04:05.000Z health begin') })
  jest.advanceTimersByTime(20_000)
  stop()
  expect(written).toEqual([
    '… health, 10 s: the containers become healthy and answer',
    '… health, 20 s: the containers become healthy and answer',
    'health: its end was not seen, 0.0 s',
  ])
})

test('an end that only the journal has is shown as well', () => {
  const { show, stop } = showProgress()
  const lines = ['05.000Z commit begin v2-7-1 after v1-6-1', '05.500Z commit end', '05.500Z prune begin']
  const journal = lines.map((line) => parseJournalLine(`2026-01-02T03:04:${line}`))
  show({ kind: 'step', line: journal[0]! })
  stop(journal)
  expect(written).toEqual(['commit: it is the current release, 0.5 s'])
})

test('obeys nothing that a container prints', () => {
  expect(watch('::add-mask::a', 'x ##[error]')).toEqual([': :add-mask::a', 'x ## [error]'])
})
