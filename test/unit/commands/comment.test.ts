import { expect, jest, test } from '@jest/globals'
import { comment } from '../../../src/commands/comment.ts'
import type { World } from '../../../src/commands/context.ts'
import { readRunner } from '../../../src/inputs/inputs.ts'
import { noFindings, type Outcome } from '../../../src/report/report.ts'
import { startApi } from '../../github-api.ts'

/** What GitHub is asked after a deploy of the tag v2. */
async function told(outcome: Outcome['kind'], change: { refType?: 'branch'; signal?: AbortSignal } = {}) {
  jest.spyOn(process.stdout, 'write').mockReturnValue(true)
  await using api = await startApi(() => ({ status: 200, body: { id: 9, body: '' } }))
  const runner = readRunner({
    GITHUB_SHA: 'abc',
    GITHUB_REF_NAME: 'v2',
    GITHUB_REF_TYPE: change.refType ?? 'tag',
    GITHUB_REPOSITORY: 'owner/shop',
    GITHUB_SERVER_URL: 'https://github.com',
    GITHUB_API_URL: api.url,
    GITHUB_RUN_ID: '7',
    GITHUB_ACTOR: 'octo',
    GITHUB_WORKSPACE: '/work',
    RUNNER_TEMP: '/temp',
  })
  const world: Pick<World, 'runner' | 'signal'> = { runner, signal: change.signal ?? new AbortController().signal }
  const ended: Outcome = outcome === 'failed' ? { kind: outcome, cause: new Error('no') } : { kind: outcome }
  const findings = { ...noFindings('deploy', 'example.com', 'v2'), project: 'shop' }
  try {
    await comment(findings, ended, { comment: true, githubToken: 'token' }, {}, world)
  } finally {
    jest.restoreAllMocks()
  }
  return api.requests.map(({ method, path }) => `${method} ${path.replace('/repos/owner/shop/', '')}`)
}

// One that changed nothing corrects what an earlier run, which lost the host, has left there.
test.each(['deployed', 'failed', 'unchanged'] as const)(
  'a deploy of a tag that ended as %s is in the notes of its release',
  async (kind) => expect(await told(kind)).toEqual(['GET releases/tags/v2', 'PATCH releases/9']),
)

test('a plan leaves them', async () => expect(await told('planned')).toEqual([]))

test('a deploy of a branch has nowhere to comment', async () =>
  expect(await told('deployed', { refType: 'branch' })).toEqual([]))

test('a cancelled job has no time for it', async () =>
  expect(await told('failed', { signal: AbortSignal.abort() })).toEqual([]))
