import { afterEach, describe, expect, jest, test } from '@jest/globals'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { record, recordFacts, type RecordFacts } from '../../../src/github/record.ts'

type Reply = { status: number; body?: unknown; headers?: Record<string, string> } | 'lost'
type Request = { method: string; path: string; body: unknown }

let api: Server | undefined
afterEach(() => {
  api?.closeAllConnections()
  api?.close()
})

/** A local server that behaves like GitHub's API; `reply` decides, the usual answer comes without it. */
async function startApi(reply: (request: Request, turn: number) => Reply | undefined = () => undefined) {
  const requests: Request[] = []
  api = createServer((incoming, answer) => {
    let text = ''
    incoming.on('data', (data: Buffer) => (text += data.toString()))
    incoming.on('end', () => {
      const path = (incoming.url ?? '').replace(/\?.*/, '')
      const request = { method: incoming.method ?? '', path, body: text === '' ? undefined : JSON.parse(text) }
      requests.push(request)
      const chosen = reply(request, requests.length) ?? usual(request)
      if (chosen === 'lost') {
        incoming.socket.destroy()
      } else {
        answer.writeHead(chosen.status, { 'content-type': 'application/json', ...chosen.headers })
        answer.end(JSON.stringify(chosen.body ?? {}))
      }
    })
  })
  await new Promise<void>((done) => api?.listen(0, '127.0.0.1', done))
  const { port } = api.address() as AddressInfo
  const facts: RecordFacts = {
    token: 'token',
    apiUrl: `http://127.0.0.1:${port}`,
    repository: 'owner/shop',
    commit: 'a'.repeat(40),
    environment: 'production',
    description: 'v2',
    runUrl: 'https://github.com/owner/shop/actions/runs/7/attempts/1',
    runId: 7,
    siteUrl: 'https://shop.example.com',
  }
  return { facts, requests }
}

function usual({ method, path }: Request): Reply {
  if (method === 'GET') return { status: 200, body: [] }
  return path.endsWith('/statuses') ? { status: 201, body: { id: 1 } } : { status: 201, body: { id: 42 } }
}

/** What the record wrote as annotations of the step. */
async function warningsOf(work: () => Promise<unknown>): Promise<string[]> {
  const lines: string[] = []
  const spy = jest.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    lines.push(String(chunk))
    return true
  })
  try {
    await work()
  } finally {
    spy.mockRestore()
  }
  return lines.filter((line) => line.startsWith('::warning::')).map((line) => line.slice('::warning::'.length).trim())
}

const states = (requests: readonly Request[]): unknown[] =>
  requests
    .filter(({ method, path }) => method === 'POST' && path.endsWith('/42/statuses'))
    .map(({ body }) => (body as { state: string }).state)

describe('record', () => {
  test('of a deployment that succeeds', async () => {
    const { facts, requests } = await startApi()
    expect(await record(facts, async () => 'done')).toBe('done')
    expect(requests.find(({ method, path }) => method === 'POST' && path.endsWith('/deployments'))?.body).toMatchObject(
      { ref: facts.commit, environment: 'production', auto_merge: false, required_contexts: [] },
    )
    expect(states(requests)).toEqual(['in_progress', 'success'])
    expect(requests.at(-1)?.body).toMatchObject({ log_url: facts.runUrl, environment_url: facts.siteUrl })
  })

  test('of a deployment that fails, whose failure goes its way', async () => {
    const { facts, requests } = await startApi()
    await expect(record(facts, () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(states(requests)).toEqual(['in_progress', 'failure'])
  })

  test('is not written twice when the job has an environment', async () => {
    const job = { log_url: 'https://github.com/owner/shop/actions/runs/7/job/9' }
    const { facts, requests } = await startApi(({ method, path }) => {
      if (method !== 'GET') return undefined
      return { status: 200, body: path.endsWith('/statuses') ? [job] : [{ id: 5 }] }
    })
    await record(facts, async () => undefined)
    expect(requests.filter(({ method }) => method === 'POST')).toEqual([])
  })

  test('without facts only does the work', async () => {
    expect(await record(undefined, async () => 1)).toBe(1)
  })

  test.each<[string, Reply, RegExp]>([
    ['401', { status: 401 }, /refused the token \(401\)/],
    ['403', { status: 403 }, /answered 403\. Add to the job: permissions: \{ deployments: write \}/],
    ['404', { status: 404 }, /answered 404\. Add to the job: permissions/],
    ['422', { status: 422, body: { message: 'No ref found' } }, /answered 422: No ref found.*input environment/],
    ['429 with a long pause', { status: 429, headers: { 'retry-after': '3600' } }, /answered 429/],
    ['a lost connection', 'lost', /deployment is not affected/],
  ])('harms nothing on %s, and warns once', async (_, reply, text) => {
    const { facts } = await startApi(({ method, path }) =>
      method === 'POST' && path.endsWith('/deployments') ? reply : undefined,
    )
    const warnings = await warningsOf(async () => expect(await record(facts, async () => 'done')).toBe('done'))
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toMatch(text)
  })

  test.each<[string, Reply]>([
    ['429 with a short pause', { status: 429, headers: { 'retry-after': '0' } }],
    ['a server error', { status: 502 }],
  ])('tries once more after %s', async (_, reply) => {
    const { facts, requests } = await startApi((__, turn) => (turn === 1 ? reply : undefined))
    expect(await warningsOf(() => record(facts, async () => undefined))).toEqual([])
    expect(states(requests)).toEqual(['in_progress', 'success'])
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
