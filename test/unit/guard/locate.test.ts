import { expect, test } from '@jest/globals'
import { DeployError, type Problem } from '../../../src/errors.ts'
import { locate } from '../../../src/guard/locate.ts'

const files = new Map(
  ['src/site/settings.py', 'src/core/urls.py', 'src/blog/urls.py', 'manage.py', 'src/core/migrations/0002_due.py'].map(
    (path) => [path, false] as const,
  ),
)
const placed = (problem: Partial<Problem>, failed?: { app: string; name: string; line?: number }) =>
  locate(new DeployError('internal', { what: 'x', ...problem }), { files }, failed).annotation
const frame = (path: string, line: number): string => `  File "${path}", line ${line}, in <module>\n    import x\n`

test.each<[string, string, ReturnType<typeof placed>]>([
  [
    'settings',
    frame('/app/manage.py', 3) + frame('/app/site/settings.py', 12),
    { file: 'src/site/settings.py', line: 12 },
  ],
  [
    'what calls a package that fails',
    frame('/app/core/urls.py', 5) + frame('/usr/lib/python3.13/site-packages/django/urls/conf.py', 9),
    { file: 'src/core/urls.py', line: 5 },
  ],
  ['a file that two could be', frame('/urls.py', 5), undefined],
  ['a module of Python whose name a file has', frame('/usr/local/lib/python3.13/manage.py', 5), undefined],
  ['no traceback', 'connection refused', undefined],
])('a traceback has a place: %s', (_, seen, place) => {
  expect(placed({ seen })).toEqual(place)
  expect(placed({ why: seen })).toEqual(place)
})

test('a migration that failed is a place; what is known is kept', () => {
  const failed = { app: 'core', name: '0002_due' }
  expect(placed({ seen: frame('/app/core/urls.py', 5) }, failed)).toEqual({ file: 'src/core/migrations/0002_due.py' })
  expect(placed({}, { ...failed, line: 9 })).toEqual({ file: 'src/core/migrations/0002_due.py', line: 9 })
  expect(placed({ seen: frame('/app/core/urls.py', 5) }, { app: 'auth', name: '0001' })).toEqual({
    file: 'src/core/urls.py',
    line: 5,
  })
  expect(placed({ annotation: { file: 'compose.yaml', line: 1 } }, failed)).toEqual({ file: 'compose.yaml', line: 1 })
})
