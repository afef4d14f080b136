import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { followAfterCancel } from '../../../src/commands/post.ts'
import type { Run } from '../../../src/process.ts'
import { keepDeployments, startApi, type Api, type KeptRecord } from '../../github-api.ts'
import { warningsOf } from '../github/best-effort.ts'

let folder: string
let api: Api
let records: readonly KeptRecord[]
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'post-'))
  const kept = keepDeployments()
  records = kept.records
  kept.records.push({
    id: 1,
    ref: 'a'.repeat(40),
    environment: 'production',
    description: 'v2',
    statuses: [{ state: 'in_progress' }],
  })
  api = await startApi(kept.reply)
  const open = {
    id: 1,
    apiUrl: api.url,
    repository: 'owner/shop',
    commit: 'a'.repeat(40),
    environment: 'production',
    description: 'v2',
    runUrl: 'https://github.com/owner/shop/actions/runs/7/attempts/1',
    runId: 7,
  }
  process.env['STATE_tid'] = 'v2-7-1'
  process.env['STATE_directory'] = 'deploy/shop'
  process.env['STATE_record'] = JSON.stringify(open)
})
afterEach(async () => {
  for (const name of ['tid', 'directory', 'record']) delete process.env[`STATE_${name}`]
  await api[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

const BEGIN = 'j 2026-11-30T04:02:24Z begin v2-7-1 v2-7-1 from v1-6-1'

/** What post does when the host answers with these lines; what it warned of, and the states of the record. */
async function post(lines: readonly string[], code = 0): Promise<[string[], unknown]> {
  const run: Run = async (_, words, { onLine } = {}) => {
    if (words.includes('follow')) lines.forEach((line) => onLine?.(line, 'stdout'))
    return { code, stdout: '', stderr: '' }
  }
  const host = { user: 'deploy', address: '192.0.2.1', port: 22 }
  const inputs = { host, jumpHost: undefined, githubToken: 'token' }
  const warnings = await warningsOf(() => followAfterCancel(run, folder, () => inputs, 'page').catch(() => {}))
  return [warnings, records[0]?.statuses.map(({ state }) => state)]
}

test.each<[string, string[], string]>([
  ['committed', [BEGIN, 'j 2026-11-30T04:02:31Z end committed v2-7-1', 'x ended'], 'success'],
  [
    'reverted',
    [BEGIN, 'j 2026-11-30T04:02:25Z back begin aborted', 'j 2026-11-30T04:02:31Z end back v1-6-1', 'x ended'],
    'failure',
  ],
  ['had not started', ['x ended'], 'failure'],
])('a deployment that %s closes its record', async (_, lines, state) => {
  const [, states] = await post(lines)
  expect(states).toEqual(['in_progress', state])
})

test('a deployment whose end nobody saw leaves its record open, which is a warning', async () => {
  const [warnings, states] = await post([BEGIN], 3)
  expect(states).toEqual(['in_progress'])
  expect(warnings).toEqual(["GitHub's deployment record of production stays in progress: its end was not seen"])
})
