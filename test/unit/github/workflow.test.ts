import { expect, test } from '@jest/globals'
import { findRollbackPage } from '../../../src/github/workflow.ts'

const DISPATCH = 'on:\n  workflow_dispatch:\njobs:\n  a:\n'
const page = (files: Record<string, string>): string | undefined =>
  findRollbackPage(
    {
      files: new Map(Object.keys(files).map((path) => [path, false])),
      read: (path) => Buffer.from(files[path] ?? ''),
    },
    { serverUrl: 'https://github.com', repository: 'octo/todo' },
  )

test.each<[string, string, string, boolean]>([
  ['a step', '.github/workflows/back.yml', `${DISPATCH}    - uses: owner/deploy-django/rollback@v1\n`, true],
  [
    'a called workflow',
    '.github/workflows/back.yaml',
    `${DISPATCH}    uses: 'o/d/.github/workflows/rollback.yml@v1'`,
    true,
  ],
  ['one that cannot be started by hand', '.github/workflows/back.yml', 'on: push\nuses: o/d/rollback@v1\n', false],
  ['a comment', '.github/workflows/back.yml', `${DISPATCH}    # uses: o/d/rollback@v1\n`, false],
  ['a deploy', '.github/workflows/back.yml', `${DISPATCH}    - uses: owner/deploy-django@v1\n`, false],
  ['no workflow', 'docs/back.yml', `${DISPATCH}    - uses: o/d/rollback@v1\n`, false],
])('the page of the rollback: %s', (_, path, text, isFound) => {
  const file = path.split('/').at(-1)
  expect(page({ 'README.md': '', [path]: text })).toBe(
    isFound ? `https://github.com/octo/todo/actions/workflows/${file}` : undefined,
  )
})
