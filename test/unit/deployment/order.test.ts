import { describe, expect, test } from '@jest/globals'
import {
  chooseCourse,
  describeCourse,
  listObstacles,
  type Course,
  type CourseFacts,
} from '../../../src/deployment/order.ts'
import type { Judged } from '../../../src/django/verdict/judge.ts'
import { breaks, lives, type Reverses } from '../../../src/django/verdict/verdict.ts'

const migration = (name: string, verdict: Judged['verdict'], accept = false): Judged => ({
  app: 'shop',
  name,
  source: 'x',
  vendor: 'postgresql',
  accept,
  atomic: true,
  needs: [],
  operations: [],
  verdicts: [],
  verdict,
})
const living = (reverses: Reverses = 'fully'): Judged => migration('0002_lives', lives({ reverses }))
const breaking = (reverses: Reverses = 'fully', accept = false): Judged =>
  migration('0003_breaks', breaks(['read'], 'it is gone', { reverses }), accept)

const facts: CourseFacts = { isMigrating: true, judged: [], migrate: 'auto', isServing: true, accepted: [] }

/** In another database than `default` nothing is unapplied: a verdict says `no` where it breaks the old code. */
const there = (judged: Judged): Judged => ({ ...judged, database: 'archive' })

/** The order, the way back, and the names of what must be approved. */
function choose(change: Partial<CourseFacts>): string[] {
  const { order, return: way, unapproved } = chooseCourse({ ...facts, ...change })
  return [order, way, ...unapproved.map(({ name }) => name)]
}

describe('chooseCourse', () => {
  test.each<[string, Partial<CourseFacts>, string[]]>([
    ['nothing to apply', { isMigrating: false }, ['none', 'containers']],
    [
      'nothing to apply, although the input wants a stop',
      { isMigrating: false, migrate: 'stopped' },
      ['none', 'containers'],
    ],
    ['only a squash to record', {}, ['before', 'containers']],
    ['only a squash to record stops nothing', { migrate: 'stopped' }, ['before', 'containers']],
    ['the old code lives', { judged: [living()] }, ['before', 'containers']],
    ['it lives, and data is lost', { judged: [living('loses')] }, ['before', 'containers']],
    ['it lives, and rows must change to go back', { judged: [living('fails')] }, ['before', 'containers']],
    ['it lives with what cannot be reversed', { judged: [living('no')] }, ['before', 'containers']],
    ['it breaks, and all comes back', { judged: [breaking()] }, ['stopped', 'reverse']],
    ['it breaks, and data is lost', { judged: [breaking('loses')] }, ['stopped', 'none', '0003_breaks']],
    ['it breaks, and rows must change', { judged: [breaking('fails')] }, ['stopped', 'none', '0003_breaks']],
    ['it breaks for good', { judged: [breaking('no')] }, ['stopped', 'none', '0003_breaks']],
    ['the worst decides', { judged: [living(), breaking()] }, ['stopped', 'reverse']],
    [
      'what cannot be reversed holds what breaks',
      { judged: [living('no'), breaking()] },
      ['stopped', 'none', '0002_lives'],
    ],
    [
      'each is approved by itself',
      { judged: [living('no'), breaking('loses')], accepted: ['shop.0003_breaks'] },
      ['stopped', 'none', '0002_lives'],
    ],
    ['approved by name', { judged: [breaking('loses')], accepted: ['shop.0003_breaks'] }, ['stopped', 'none']],
    ['approved with all', { judged: [living('no'), breaking('no')], accepted: ['all'] }, ['stopped', 'none']],
    ['approved in its file', { judged: [breaking('no', true)] }, ['stopped', 'none']],
    [
      'the name of another app approves nothing',
      { judged: [breaking('no')], accepted: ['blog.0003_breaks', '0003_breaks'] },
      ['stopped', 'none', '0003_breaks'],
    ],
    ['a first deploy breaks nothing', { judged: [breaking('no')], isServing: false }, ['before', 'containers']],
    [
      'a first deploy has nothing to stop',
      { judged: [living()], isServing: false, migrate: 'stopped' },
      ['before', 'containers'],
    ],
    ['a stop by the input', { judged: [living('loses')], migrate: 'stopped' }, ['stopped', 'containers']],
    [
      'a stop by the input still needs approval',
      { judged: [breaking('no')], migrate: 'stopped' },
      ['stopped', 'none', '0003_breaks'],
    ],
    ['before by the input', { judged: [breaking()], migrate: 'before' }, ['before', 'reverse']],
    [
      'before by the input still needs approval',
      { judged: [breaking('no')], migrate: 'before' },
      ['before', 'none', '0003_breaks'],
    ],
    [
      'what breaks in another database has no way back',
      { judged: [there(breaking('no'))] },
      ['stopped', 'none', '0003_breaks'],
    ],
    [
      'what it lives with in another database holds nothing, because it stays',
      { judged: [there(living('no')), breaking()] },
      ['stopped', 'reverse'],
    ],
    [
      'one name approves it in every database',
      { judged: [breaking('loses'), there(breaking('no'))], accepted: ['shop.0003_breaks'] },
      ['stopped', 'none'],
    ],
    ['an image that migrates itself', { judged: [breaking('no')], migrate: 'external' }, ['none', 'containers']],
    ['nobody migrates', { judged: [breaking('no')], migrate: 'none' }, ['none', 'containers']],
  ])('%s', (_, change, expected) => expect(choose(change)).toEqual(expected))
})

test('listObstacles names the database of each', () => {
  expect(listObstacles([breaking(), living('no'), there(breaking('no')), there(living('no'))])).toEqual({
    breaking: ['shop.0003_breaks', 'archive:shop.0003_breaks'],
    lasting: ['shop.0002_lives', 'archive:shop.0003_breaks'],
  })
})

test.each<[Course, string | undefined, string[]]>([
  [
    { order: 'before', return: 'containers' },
    'v1',
    [
      'The migrations run while v1 serves: the site stays up.',
      'If v2 fails, v1 serves again. Migrations that were applied stay applied.',
    ],
  ],
  [
    { order: 'stopped', return: 'reverse' },
    'v1',
    [
      'The site is stopped while the migrations run.',
      'If v2 fails, its migrations are unapplied without loss, and v1 serves again.',
    ],
  ],
  [
    { order: 'stopped', return: 'none' },
    'v1',
    [
      'The site is stopped while the migrations run.',
      'If v2 fails after its migrations, there is no revert, because v1 cannot work with them: v2 stays until a newer release fixes it.',
    ],
  ],
  [
    { order: 'none', return: 'containers' },
    'v1',
    ['If v2 fails, v1 serves again. Migrations that were applied stay applied.'],
  ],
  [{ order: 'before', return: 'containers' }, undefined, ['If v2 fails, nothing serves.']],
])('describeCourse %j over %s', (course, serving, expected) =>
  expect(describeCourse(course, 'v2', serving)).toEqual(expected),
)

test('describeCourse says what the last stop took', () => {
  expect(describeCourse({ order: 'stopped', return: 'reverse' }, 'v2', 'v1', 4.21)[0]).toBe(
    'The site is stopped while the migrations run; the last stop took 4.2 s.',
  )
})

test('describeCourse distinguishes two releases of one version', () => {
  expect(describeCourse({ order: 'none', return: 'containers' }, 'v1', 'v1')).toEqual([
    'If the new v1 fails, the current v1 serves again. Migrations that were applied stay applied.',
  ])
})
