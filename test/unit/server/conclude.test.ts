import { describe, expect, test } from '@jest/globals'
import { conclude, parseJournalLine, type Ending } from '../../../src/server/follow.ts'

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
    over: 'ended' | 'kept' | 'died',
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
