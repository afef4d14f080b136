import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { closeRecord, record, recordFacts, type RecordFacts } from '../../../src/github/record.ts'
import { forgetFollowed, saveFollowed } from '../../../src/github/state.ts'
import { keepDeployments, startApi, type Api, type KeptRecord, type Reply, type Request } from '../../github-api.ts'
import { until } from '../../until.ts'
import { shortenLimits, shortenPauses, warningsOf } from './best-effort.ts'

/** Where the runner keeps what main hands over to post. */
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'record-'))
  process.env['GITHUB_STATE'] = join(folder, 'state')
  await writeFile(join(folder, 'state'), '')
})
afterAll(async () => {
  delete process.env['GITHUB_STATE']
  await rm(folder, { recursive: true })
})

let api: Api | undefined
beforeEach(shortenPauses)
afterEach(async () => {
  jest.restoreAllMocks()
  await api?.[Symbol.asyncDispose]()
})

/** `reply` decides; without its answer GitHub keeps the records, as it does those of `before`. */
async function start(
  reply: (request: Request, turn: number, keep: () => Reply) => Reply | undefined = () => undefined,
  before: readonly Partial<KeptRecord>[] = [],
) {
  const { records, reply: usual } = keepDeployments()
  before.forEach((each, index) => records.push(structuredClone({ ...OLD, id: index + 1, ...each })))
  api = await startApi((request, turn) => reply(request, turn, () => usual(request)) ?? usual(request))
  const facts: RecordFacts = {
    token: 'token',
    apiUrl: api.url,
    repository: 'owner/shop',
    commit: 'a'.repeat(40),
    environment: 'production',
    description: 'v2',
    runUrl: 'https://github.com/owner/shop/actions/runs/7/attempts/1',
    runId: 7,
    siteUrl: 'https://shop.example.com',
  }
  return { facts, records, requests: api.requests }
}

const OLD = { ref: 'b'.repeat(40), environment: 'production', description: 'v1', statuses: [{ state: 'success' }] }

/** The states of each record, from the oldest record to the newest. */
const states = (records: readonly KeptRecord[]): unknown[] =>
  records.map(({ statuses }) => statuses.map(({ state }) => state))

describe('record', () => {
  test('of a deployment that succeeds', async () => {
    const { facts, records } = await start()
    expect(await record(facts, async () => 'done')).toBe('done')
    expect(records).toMatchObject([
      { ref: facts.commit, environment: 'production', auto_merge: false, required_contexts: [] },
    ])
    expect(states(records)).toEqual([['in_progress', 'success']])
    expect(records[0]?.statuses.at(-1)).toMatchObject({ log_url: facts.runUrl, environment_url: facts.siteUrl })
  })

  test.each(['production', 'staging'])('that succeeds makes the older ones of %s inactive', async (environment) => {
    const of = (...given: string[]): KeptRecord['statuses'] => given.map((state) => ({ state }))
    const before = [
      { environment, statuses: of('in_progress', 'success') },
      { environment, statuses: of('in_progress', 'failure') },
      { environment, statuses: of('success', 'inactive') },
      { environment, statuses: of() },
      { environment: 'other', statuses: of('success') },
    ]
    const { facts, records } = await start(undefined, before)
    await record({ ...facts, environment }, async () => undefined)
    expect(states(records)).toEqual([
      ['in_progress', 'success', 'inactive'],
      ['in_progress', 'failure'],
      ['success', 'inactive'],
      [],
      ['success'],
      ['in_progress', 'success'],
    ])
  })

  test('of a deployment that fails, whose failure goes its way', async () => {
    const { facts, records } = await start(undefined, [{}])
    await expect(record(facts, () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(states(records)).toEqual([['success'], ['in_progress', 'failure']])
  })

  test('is not written twice when the job has an environment', async () => {
    const job = { state: 'in_progress', log_url: 'https://github.com/owner/shop/actions/runs/7/job/9' }
    const { facts, requests } = await start(undefined, [{ statuses: [job] }])
    await record(facts, async () => undefined)
    expect(requests.filter(({ method }) => method === 'POST')).toEqual([])
  })

  test('without facts only does the work', async () => {
    expect(await record(undefined, async () => 1)).toBe(1)
  })

  const to = (method: string, end: string) => (request: Request) =>
    request.method === method && request.path.endsWith(end)
  const notAffected = /The deployment is not affected$/
  const limited = /it limits the number of requests \((403|429)\)\. The deployment is not affected$/
  const requests: readonly [string, (request: Request) => boolean, RegExp][] = [
    ['GET deployments', to('GET', '/deployments'), /^GitHub keeps no deployment record of this run: /],
    ['POST deployment', to('POST', '/deployments'), /^GitHub keeps no deployment record of this run: /],
    ['POST status', to('POST', '/2/statuses'), /^GitHub's deployment record of this run does not show its state: /],
    ['POST inactive', to('POST', '/1/statuses'), /^On GitHub, older deployment records of production stay active: /],
  ]
  const troubles: readonly [string, Reply, RegExp][] = [
    ['401', { status: 401 }, /refused the token \(401\)/],
    ['403', { status: 403 }, /answered 403\. Add to the job: permissions: \{ deployments: write \}/],
    ['404', { status: 404 }, /answered 404\. Add to the job: permissions: \{ deployments: write \}/],
    ['422', { status: 422, body: { message: 'No ref found' } }, /answered 422: No ref found.*input environment/],
    ['429 with a long pause', { status: 429, headers: { 'retry-after': '3600' } }, limited],
    ['403 with a long pause', { status: 403, headers: { 'retry-after': '3600' } }, limited],
    ['403 because no request is left', { status: 403, headers: { 'x-ratelimit-remaining': '0' } }, limited],
    ['500', { status: 500 }, notAffected],
    ['a lost connection', 'lost', notAffected],
    ['no answer in ten seconds', 'silent', notAffected],
  ]
  const cases = requests.flatMap(([name, matches, missing]) =>
    troubles.map(([trouble, reply, text]) => ({ name, matches, missing, trouble, reply, text })),
  )
  test.each(cases)('$name: $trouble harms nothing, and is one warning', async ({ matches, missing, reply, text }) => {
    const { facts } = await start((request) => (matches(request) ? reply : undefined), [{}])
    if (reply === 'silent') shortenLimits()
    const warnings = await warningsOf(async () => expect(await record(facts, async () => 'done')).toBe('done'))
    expect(warnings).toEqual([expect.stringMatching(text)])
    expect(warnings[0]).toMatch(missing)
  })

  test('has one warning, however many problems it has', async () => {
    let turns = 0
    const { facts, records } = await start(
      (request) => {
        if (!to('POST', '/statuses')(request)) return undefined
        turns += 1
        return turns === 1 ? { status: 422 } : turns === 3 ? { status: 403 } : undefined
      },
      [{}],
    )
    expect(await warningsOf(() => record(facts, async () => undefined))).toHaveLength(1)
    expect(states(records)).toEqual([['success'], ['success']])
  })

  test('is not created twice when the answer to its creation is lost', async () => {
    let hasFailed = false
    const { facts, records } = await start((request, _, keep) => {
      if (hasFailed || !to('POST', '/deployments')(request)) return undefined
      hasFailed = true
      keep()
      return { status: 502 }
    })
    expect(await warningsOf(() => record(facts, async () => undefined))).toEqual([])
    expect(states(records)).toEqual([['in_progress', 'success']])
  })

  test.each(['success', 'failure'] as const)(
    'is left open when main does not know the end, and closed by post: %s',
    async (state) => {
      const { facts, records } = await start(undefined, [{}])
      const work = async (): Promise<void> => {
        await until('the record is open', async () => records[1]?.statuses.length === 1)
        saveFollowed({ tid: 'v2-7-1', directory: 'deploy/shop', manage: undefined })
        throw new Error('cancelled')
      }
      await expect(record(facts, work)).rejects.toThrow('cancelled')
      forgetFollowed()
      expect(states(records)).toEqual([['success'], ['in_progress']])
      await closeRecord({ ...facts, id: 2 }, state)
      expect(states(records)).toEqual([
        state === 'success' ? ['success', 'inactive'] : ['success'],
        ['in_progress', state],
      ])
    },
  )

  test.each<[string, Reply]>([
    ['429 with a short pause', { status: 429, headers: { 'retry-after': '0' } }],
    ['a server error', { status: 502 }],
  ])('tries once more after %s', async (_, reply) => {
    const { facts, records } = await start((__, turn) => (turn === 1 ? reply : undefined))
    expect(await warningsOf(() => record(facts, async () => undefined))).toEqual([])
    expect(states(records)).toEqual([['in_progress', 'success']])
  })
})

test('no record is wanted without an environment, a token or a commit', () => {
  const runner = { apiUrl: 'https://api.github.com', repository: 'owner/shop', runUrl: 'x', runId: 7 }
  const inputs = { environment: 'production', githubToken: 'token', url: undefined }
  const release = { commit: 'abc', description: 'v2' }
  expect(recordFacts(inputs, runner, release)).toMatchObject({ environment: 'production', commit: 'abc' })
  expect(recordFacts({ ...inputs, environment: undefined }, runner, release)).toBeUndefined()
  expect(recordFacts({ ...inputs, githubToken: undefined }, runner, release)).toBeUndefined()
  expect(recordFacts(inputs, runner, { ...release, commit: '' })).toBeUndefined()
})
