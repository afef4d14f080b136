import { describe } from '@jest/globals'
import { testCore } from './core.ts'
import { several } from './probe.ts'

const combinations = (['MariaDB', 'SQLite'] as const).flatMap((vendor) =>
  several.map((django) => [vendor, django] as const),
)
describe.each(combinations)('%s, Django %s', testCore)
