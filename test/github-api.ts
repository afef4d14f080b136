/** A local server that behaves like GitHub's API. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** An answer; `lost` ends the connection, `silent` never answers. */
export type Reply = { status: number; body?: unknown; headers?: Record<string, string> } | 'lost' | 'silent'

/** What was asked. */
export type Request = { method: string; path: string; query: Readonly<Record<string, string>>; body: unknown }

/** The server's address, and what it was asked so far. */
export type Api = AsyncDisposable & { url: string; requests: readonly Request[] }

/** Starts one; `reply` gets each request, and how many there were. */
export async function startApi(reply: (request: Request, turn: number) => Reply): Promise<Api> {
  const requests: Request[] = []
  const server = createServer((incoming, answer) => {
    let text = ''
    incoming.on('data', (data: Buffer) => (text += data.toString()))
    incoming.on('end', () => {
      const { pathname: path, searchParams } = new URL(incoming.url ?? '', 'http://localhost')
      const body: unknown = text === '' ? undefined : JSON.parse(text)
      const request = { method: incoming.method ?? '', path, query: Object.fromEntries(searchParams), body }
      requests.push(request)
      const chosen = reply(request, requests.length)
      if (chosen === 'silent') return
      if (chosen === 'lost') {
        incoming.socket.destroy()
        return
      }
      answer.writeHead(chosen.status, { 'content-type': 'application/json', ...chosen.headers })
      answer.end(JSON.stringify(chosen.body ?? {}))
    })
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
}

type Status = { state: string; log_url?: string; description?: string; environment_url?: string }

/** A deployment record that GitHub keeps, with its statuses from the oldest to the newest. */
export type KeptRecord = {
  id: number
  ref: string
  environment: string
  description: string
  payload?: unknown
  statuses: Status[]
}

/** GitHub's deployment records of one repository. */
export type Deployments = { records: KeptRecord[]; reply: (request: Request) => Reply }

/** Keeps deployment records as GitHub documents it: the newest first, and a success makes older records inactive. */
export function keepDeployments(): Deployments {
  const records: KeptRecord[] = []
  const page = <T>(all: readonly T[], { per_page = '30' }: Request['query']): Reply => ({
    status: 200,
    body: all.toReversed().slice(0, Number(per_page)),
  })
  const reply = (request: Request): Reply => {
    const { method, path, query } = request
    const [, id, below] = /\/deployments(?:\/(\d+)(\/statuses)?)?$/.exec(path) ?? []
    if (id === undefined && method === 'GET')
      return page(
        records.filter(({ environment }) => (query['environment'] ?? environment) === environment),
        query,
      )
    if (id === undefined) {
      const body = request.body as Omit<KeptRecord, 'id' | 'statuses'>
      const created = { ...body, id: records.length + 1, statuses: [] }
      records.push(created)
      return { status: 201, body: created }
    }
    const kept = records.find((each) => each.id === Number(id))
    if (kept === undefined || below === undefined) return { status: 404, body: { message: 'Not Found' } }
    if (method === 'GET') return page(kept.statuses, query)
    const status = request.body as Status
    kept.statuses.push(status)
    // GitHub's `auto_inactive`. By its default, `production_environment` is true for the environment `production`.
    if (status.state === 'success' && kept.environment !== 'production') {
      const older = records.filter((each) => each.environment === kept.environment && each.id < kept.id)
      for (const { statuses } of older) {
        if (statuses.at(-1)?.state === 'success') statuses.push({ state: 'inactive' })
      }
    }
    return { status: 201, body: status }
  }
  return { records, reply }
}
