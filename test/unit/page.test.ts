import { expect, test } from '@jest/globals'
import { piecesOf } from '../page.ts'

test('a page says what to write and what to type', () => {
  const page = [
    ...['Some words. `Dockerfile`:', '', '```dockerfile', 'FROM python', '', 'CMD []', '```', ''],
    ...['At the end of `mysite/settings.py`:', '', '```python', 'DEBUG = False', '```', ''],
    ...['With `gh`, and `git`:', 'type', '', '```sh', 'git push', '```', ''],
  ].join('\n')
  expect(piecesOf(page)).toEqual([
    { kind: 'file', path: 'Dockerfile', text: 'FROM python\n\nCMD []\n' },
    { kind: 'end', path: 'mysite/settings.py', text: 'DEBUG = False\n' },
    { kind: 'commands', text: 'git push\n' },
  ])
})

test('a block that is neither is a mistake of the page', () => {
  expect(() => piecesOf('Look:\n\n```yaml\na: 1\n```\n')).toThrow('block of yaml')
})
