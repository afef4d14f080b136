import { describe, expect, test } from '@jest/globals'
import { testCore } from './core.ts'
import { djangos, several } from './probe.ts'

// The other tests run on the oldest and the newest Django. Here those in between are seen.

const others = djangos.filter((django) => !several.includes(django))
if (others.length > 0) describe.each(others)('PostgreSQL, Django %s', (django) => testCore('PostgreSQL', django))

test('each Django is run', () => {
  expect([...several, ...others].sort()).toEqual([...djangos])
})
