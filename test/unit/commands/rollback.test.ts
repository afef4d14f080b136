import { expect, test } from '@jest/globals'
import { describeReturning } from '../../../src/commands/rollback.ts'

test('a rollback names the variables and files that come back, and what to do if one was rotated', () => {
  const text = describeReturning(
    'welcome\nreturning file secrets/api key.txt\nreturning variable API_TOKEN\nreturning variable KEY\n',
    'v1',
    'v2',
  )
  expect(text).toContain('Compared with v2, these variables have other values: API_TOKEN, KEY; these files')
  expect(text).toContain('have other contents: secrets/api key.txt. If')
  expect(text).toContain('git tag v1-again v1')
  expect(describeReturning('welcome\n', 'v1', 'v2')).toBeUndefined()
})
