import { expect, test } from '@jest/globals'
import { concludeAftermath } from '../../../src/report/aftermath.ts'
import { conclude, parseJournalLine } from '../../../src/host/follow.ts'
import { findDocument } from '../../../src/django/document.ts'

const migrated = findDocument(
  '{"deploy-django": 1, "verb": "migrate", "applied": [{"app": "core", "name": "0002", "milliseconds": 1}, {"app": "core", "name": "0003", "milliseconds": 1}]}',
)
const unapplied = findDocument(
  '{"deploy-django": 1, "verb": "unapply", "unapplied": [{"app": "core", "name": "0003"}]}',
)

type Given = { over?: 'ended' | 'kept' | 'died'; log?: string[]; documents?: boolean; before?: 'v1' | 'none' }

/** The aftermath of a journal, whose lines are a second apart. */
function aftermathOf(steps: string, { over = 'ended', log = [], documents = false, before = 'v1' }: Given = {}) {
  const journal = ['begin v2-2-1 v2-2-1 from v1-1-1', ...steps.split(', ')].map((line, second) =>
    parseJournalLine(`2026-01-02T03:04:${String(second).padStart(2, '0')}.000Z ${line}`),
  )
  const [found, reverted] = documents
    ? [new Map(migrated && [['migrate', migrated]]), new Map(unapplied && [['unapply', unapplied]])]
    : [new Map(), new Map()]
  return concludeAftermath(conclude(over, journal, found, log, reverted), before === 'none' ? undefined : before)
}

const BACK = 'back begin x 1, undo begin, undo end, back end, end back v1-1-1'

test.each<[string, string, Given, readonly string[]]>([
  [
    'nothing was touched',
    `migrate begin, migrate fail 1, ${BACK}`,
    {},
    ['The containers that serve were not touched.'],
  ],
  [
    'a trial',
    `try begin, try fail 1, ${BACK}`,
    {},
    ['The trial container was removed.', 'The containers that serve were not touched.'],
  ],
  [
    'new containers',
    `try begin, try end, swap begin, swap end, health begin, health fail 46, ${BACK}`,
    {},
    ['The new containers were removed and those of v1 started again; it answered again after 6.0 s.'],
  ],
  [
    'a stop and migrations, one of which was unapplied',
    `stop begin, stop end, migrate begin, migrate fail 1, ${BACK}`,
    { documents: true },
    [
      'v1 was started again; it answered again after 6.0 s.',
      'Unapplied again: core.0003.',
      'Stays applied, and is not applied twice: core.0002.',
    ],
  ],
  [
    'a first deploy',
    `swap begin, swap end, health begin, health fail 46, back begin health 46, undo begin, undo end, back end, end back `,
    { before: 'none' },
    ['The new containers were removed; nothing had served before.'],
  ],
  [
    'a release that stays because nothing leads back',
    `migrate begin, migrate fail 17, return begin, return end, forward begin migrate 17, swap begin, swap end, health begin, health fail 46, commit begin, commit end, end forward v2-2-1`,
    {},
    [
      'There was no revert, because v1 cannot work with the applied migrations: the new containers stay. Deploy a corrected version over them.',
    ],
  ],
  [
    'containers that were kept',
    `swap begin, swap end, health begin, health fail 46, keep begin health 46`,
    { over: 'kept' },
    [
      'The failed containers were kept for inspection (on-failure: keep); the next deploy or rollback reverts it first.',
    ],
  ],
  [
    'a host that died',
    `swap begin`,
    { over: 'died' },
    ['The deployment was interrupted on the host. The next deploy or rollback finishes it first.'],
  ],
])('%s', (_, steps, given, done) =>
  expect(aftermathOf(steps, given)).toEqual({ container: undefined, lines: [], done }),
)

test('the lines of the container that failed last, without what came after', () => {
  const log = [
    'last lines of /todo-db-1:',
    '  | old',
    'last lines of /todo-web-1:',
    '  | Traceback (most recent call last):',
    '  |   KeyError: 1',
    'deploy-django: web does not stay up',
    'going back: swap 47',
    '  | said while it went back',
  ]
  expect(aftermathOf(`swap begin, swap fail 47, ${BACK}`, { log })).toMatchObject({
    container: 'todo-web-1',
    lines: ['Traceback (most recent call last):', '  KeyError: 1'],
  })
})

test('a deployment that reached its goal has none', () => {
  expect(aftermathOf('commit begin, commit end, end committed v2-2-1')).toBeUndefined()
})
