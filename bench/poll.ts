/**
 * A process of its own that requests a site every 20 ms, each time on a new connection. It does not wait for an answer
 * before the next request, but never has more than three open: a slow site must not be made slower.
 * Its parent sends the release that is to come; when that one has answered for a second, the parent gets what was seen.
 */
import { get } from 'node:http'
import type { Answer } from './outage.ts'

const [port = ''] = process.argv.slice(2)
const EVERY_MS = 20
/** An answer that takes longer is none. */
const TIMEOUT_MS = 1_000
const MOST_OPEN = 3
const CALM = 50
const LIMIT_MS = 120_000

const answers: Answer[] = []
let open = 0
let awaited: { release: string; since: number } | undefined

process.on('message', (release) => {
  awaited = { release: String(release), since: Date.now() }
})
const timer = setInterval(ask, EVERY_MS)

function ask(): void {
  // Those that still have time to be answered are left out.
  const settled = answers.filter(({ at }) => at < Date.now() - TIMEOUT_MS)
  if (awaited && (isCalm(settled, awaited.release) || Date.now() - awaited.since > LIMIT_MS)) {
    clearInterval(timer)
    process.send?.(settled, () => process.exit())
    return
  }
  if (open >= MOST_OPEN) return
  open += 1
  const answer: Answer = { at: Date.now(), release: undefined }
  answers.push(answer)
  const request = get(
    { port: Number(port), host: '127.0.0.1', agent: false, signal: AbortSignal.timeout(TIMEOUT_MS) },
    (response) => {
      response.resume()
      response.on('error', () => {})
      response.on('end', () => {
        if (response.statusCode === 200) answer.release = String(response.headers['x-release'])
      })
    },
  )
  request.on('error', () => {})
  request.on('close', () => (open -= 1))
}

function isCalm(settled: readonly Answer[], release: string): boolean {
  const last = settled.slice(-CALM)
  return last.length === CALM && last.every((answer) => answer.release === release)
}
