import { expect, test } from '@jest/globals'
import { parseJournalLine } from '../../../src/host/follow.ts'
import { timeSteps } from '../../../src/report/time.ts'

test('steps have the times of the host by the clock of the runner, one that was tried again its first begin', () => {
  const journal = [
    '2030-01-01T00:00:00.000Z begin v2-2-1 v2-2-1 from -',
    '2030-01-01T00:00:00.500Z swap begin web=1',
    '2030-01-01T00:00:01.000Z swap begin web=1',
    '2030-01-01T00:00:02.000Z swap end',
    '2030-01-01T00:00:02.000Z health begin',
    '2030-01-01T00:00:05.250Z health fail 46',
    '2030-01-01T00:00:06.000Z undo begin',
  ].map(parseJournalLine)
  expect(timeSteps(journal, 1_000)).toEqual([
    { name: 'swap', place: 'host', begun: 1_500, seconds: 1.5, hasFailed: false },
    { name: 'health', place: 'host', begun: 3_000, seconds: 3.25, hasFailed: true },
  ])
  expect(timeSteps([], 1_000)).toEqual([])
})
