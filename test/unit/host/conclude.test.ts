import { describe, expect, test } from '@jest/globals'
import { conclude, measureStop, parseJournalLine, type Ending } from '../../../src/host/follow.ts'

const time = '2026-01-02T03:04:05.678Z'
const id = 'v2-18-1'
const begin = `begin ${id} ${id} from v1-17-1`

describe('parseJournalLine', () => {
  test.each([
    [`${time} begin ${id} ${id} from -`, { time, step: 'begin', state: id, detail: `${id} from -` }],
    [`${time} swap begin web=2 worker=3 `, { time, step: 'swap', state: 'begin', detail: 'web=2 worker=3 ' }],
    [`${time} swap begin again web=2`, { time, step: 'swap', state: 'begin', detail: 'again web=2' }],
    [`${time} health fail 46`, { time, step: 'health', state: 'fail', detail: '46' }],
    [`${time} commit end`, { time, step: 'commit', state: 'end', detail: '' }],
    [`${time} end back `, { time, step: 'end', state: 'back', detail: '' }],
    [time, { time, step: '', state: '', detail: '' }],
    ['', { time: '', step: '', state: '', detail: '' }],
  ])('%j', (text, line) => expect(parseJournalLine(text)).toEqual(line))
})

describe('conclude', () => {
  const steps = (...names: string[]): string[] => names.flatMap((name) => [`${name} begin`, `${name} end`])
  const before = [begin, ...steps('recover', 'fence', 'data', 'replan', 'migrate')]
  const swapped = [...before, ...steps('swap', 'proxy')]
  const verified = [...swapped, ...steps('health', 'verify')]
  const commit = [`commit begin ${id} after v1-17-1`, 'commit end']

  type Case = [
    name: string,
    over: Parameters<typeof conclude>[0],
    lines: string[],
    ending: Pick<Ending, 'word' | 'serves' | 'failure'>,
  ]
  const cases: Case[] = [
    [
      'a release that is committed serves',
      'ended',
      [...verified, ...commit, ...steps('prune'), `end committed ${id}`],
      { word: 'committed', serves: id, failure: undefined },
    ],
    [
      'it serves while what is too old is still removed',
      'committed',
      [...verified, ...commit, 'prune begin'],
      { word: 'committed', serves: id, failure: undefined },
    ],
    [
      'a first release as well',
      'ended',
      [`begin ${id} ${id} from -`, ...verified.slice(1), ...commit, `end committed ${id}`],
      { word: 'committed', serves: id, failure: undefined },
    ],
    [
      'a look at what serves changes nothing',
      'ended',
      [begin, ...steps('recover', 'fence', 'health', 'verify'), 'end unchanged v1-17-1'],
      { word: 'unchanged', serves: 'v1-17-1', failure: undefined },
    ],
    [
      'a failed step leads back to what served',
      'ended',
      [
        ...swapped,
        'health begin',
        'health fail 46',
        'back begin health 46',
        ...steps('undo'),
        'back end',
        'end back v1-17-1',
      ],
      { word: 'back', serves: 'v1-17-1', failure: { step: 'health', code: 46 } },
    ],
    [
      'back from a first release, nothing serves',
      'ended',
      [`begin ${id} ${id} from -`, 'data begin', 'data fail 43', 'back begin data 43', 'back end', 'end back '],
      { word: 'back', serves: undefined, failure: { step: 'data', code: 43 } },
    ],
    [
      'a step that failed because Docker was away is the failure, when Docker stays away',
      'ended',
      [
        ...before,
        'swap begin ',
        'swap fail 38',
        'back begin swap 38',
        ...steps('undo'),
        'back end',
        'end back v1-17-1',
      ],
      { word: 'back', serves: 'v1-17-1', failure: { step: 'swap', code: 38 } },
    ],
    [
      'a step that was begun again is no failure',
      'ended',
      [
        ...before,
        'swap begin ',
        'swap begin again ',
        'swap end',
        ...verified.slice(-6),
        ...commit,
        `end committed ${id}`,
      ],
      { word: 'committed', serves: id, failure: undefined },
    ],
    [
      'a prune that fails comes after the commit and is no failure',
      'ended',
      [...verified, ...commit, 'prune begin', 'prune fail 1', `end committed ${id}`],
      { word: 'committed', serves: id, failure: undefined },
    ],
    [
      'a job that was cancelled between two steps',
      'ended',
      [...before, 'back begin aborted', ...steps('undo'), 'back end', 'end back v1-17-1'],
      { word: 'back', serves: 'v1-17-1', failure: 'aborted' },
    ],
    [
      'one after a migration that nothing leads back from goes forward to its end',
      'ended',
      [...before, 'forward begin aborted', ...verified.slice(before.length), ...commit, `end committed ${id}`],
      { word: 'committed', serves: id, failure: 'aborted' },
    ],
    [
      'a release that failed after such a migration stays',
      'ended',
      [
        ...before.slice(0, -1),
        'migrate fail 17',
        ...steps('return'),
        'forward begin migrate 17',
        'swap begin ',
        'swap end',
        'health begin',
        'health fail 46',
        'verify begin',
        'verify fail 19',
        ...commit,
        `end forward ${id}`,
      ],
      { word: 'forward', serves: id, failure: { step: 'migrate', code: 17 } },
    ],
    [
      'a job that was cancelled while it waited for the lock',
      'ended',
      [begin, 'end back v1-17-1'],
      { word: 'back', serves: 'v1-17-1', failure: 'aborted' },
    ],
    [
      'the same where nothing serves yet',
      'ended',
      [`begin ${id} ${id} from `, 'end back '],
      { word: 'back', serves: undefined, failure: 'aborted' },
    ],
    [
      'what died and was brought back by the next one',
      'ended',
      [...before, 'swap begin ', 'back begin interrupted', ...steps('undo'), 'back end', 'end back v1-17-1'],
      { word: 'back', serves: 'v1-17-1', failure: undefined },
    ],
    [
      'what died after its check and was finished by the next one',
      'ended',
      [...verified, 'commit begin ', 'commit fail 1', ...commit, `end committed ${id}`],
      { word: 'committed', serves: id, failure: { step: 'commit', code: 1 } },
    ],
    [
      'what died before it touched a container',
      'died',
      before,
      { word: 'died', serves: 'v1-17-1', failure: undefined },
    ],
    [
      'what failed and was kept for a look',
      'kept',
      [...swapped, 'health begin', 'health fail 46', 'keep begin health 46'],
      { word: 'kept', serves: undefined, failure: { step: 'health', code: 46 } },
    ],
    [
      'what died while containers are replaced',
      'died',
      [...before, 'swap begin '],
      { word: 'died', serves: undefined, failure: undefined },
    ],
    [
      'what died before the commit',
      'died',
      [...verified, 'commit begin '],
      { word: 'died', serves: undefined, failure: undefined },
    ],
    [
      'what died after the commit',
      'died',
      [...verified, ...commit, 'prune begin'],
      { word: 'died', serves: id, failure: undefined },
    ],
    [
      'what died after it had gone back',
      'died',
      [...before, 'swap begin ', 'swap fail 1', 'back begin swap 1', ...steps('undo'), 'back end'],
      { word: 'died', serves: 'v1-17-1', failure: { step: 'swap', code: 1 } },
    ],
    [
      'a way back that failed: the first failure is the reason',
      'died',
      [...swapped, 'health fail 46', 'back begin health 46', 'undo begin', 'undo fail 1', 'back fail'],
      { word: 'died', serves: undefined, failure: { step: 'health', code: 46 } },
    ],
    [
      'a way back that failed after the job was cancelled',
      'died',
      [...swapped, 'back begin aborted', 'undo begin', 'undo fail 1', 'back fail'],
      { word: 'died', serves: undefined, failure: 'aborted' },
    ],
    ['what died before its first word', 'died', [], { word: 'died', serves: undefined, failure: undefined }],
    [
      'a way back that failed and was replaced by the next one',
      'ended',
      [...swapped, 'health fail 46', 'back begin health 46', 'undo fail 1', 'back fail', 'end failed v1-17-1'],
      { word: 'died', serves: 'v1-17-1', failure: { step: 'health', code: 46 } },
    ],
    [
      'an end in a word of another version',
      'ended',
      [begin, `end sideways ${id}`],
      { word: 'died', serves: id, failure: undefined },
    ],
  ]

  test.each(cases)('%s', (_, over, lines, ending) => {
    const journal = lines.map((line) => parseJournalLine(`${time} ${line}`))
    const { word, serves, failure } = conclude(over, journal, new Map(), [])
    expect({ word, serves, failure }).toEqual(ending)
  })
})

test.each<[string, string[], number | undefined]>([
  ['it never stopped', ['03:00.0 swap begin', '04:00.0 health end'], undefined],
  ['from the stop to the first good answers', ['01:00.2 stop begin', '01:01.0 stop end', '01:06.4 health end'], 6.2],
  ['nothing answers', ['01:00.2 stop begin', '01:06.4 health fail 1'], undefined],
])('measureStop: %s', (_, lines, seconds) => {
  const journal = lines.map((line) => parseJournalLine(`2026-01-02T03:${line.replace(' ', '00Z ')}`))
  expect(measureStop(journal)).toBe(seconds)
})

test('a prune that fails is a warning with what it said', () => {
  const lines = [begin, 'commit begin x after y', 'commit end', 'prune begin', 'prune fail 1', `end committed ${id}`]
  const { warnings } = conclude(
    'ended',
    lines.map((line) => parseJournalLine(`${time} ${line}`)),
    new Map(),
    ['warning: a', 'Error: No such object: 12ab'],
  )
  expect(warnings).toEqual([
    'a',
    'Old releases were not all removed from the host: Error: No such object: 12ab. The next deployment tries again',
  ])
})

test('what a healthy answer does not rule out is a warning', () => {
  const http = { 'deploy-django': 1, verb: 'http', url: 'http://web/', warning: 'nobody knows', lost: 'it had a page' }
  const warned = (document: Record<string, unknown>): readonly string[] =>
    conclude('ended', [parseJournalLine(`${time} ${begin}`)], new Map([['http', document]]), []).warnings
  expect(warned(http)).toEqual(['nobody knows', 'it had a page'])
  expect(warned({ ...http, warning: null })).toEqual(['it had a page'])
  expect(warned({ ...http, warning: null, lost: null })).toEqual([])
})
