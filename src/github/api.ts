import { getOctokit } from '@actions/github'

/** GitHub's API with a token. */
export type Octokit = ReturnType<typeof getOctokit>

/** Reports to GitHub are best effort, so one request may take no longer than this. */
const REQUEST_LIMIT_MS = 10_000
/** If GitHub requires a longer pause, the request is given up. */
const LONGEST_PAUSE_MS = 10_000

/** Connects to the API at an address such as `https://api.github.com`. */
export function connectToApi({ token, apiUrl }: { token: string; apiUrl: string }): Octokit {
  return getOctokit(token, { baseUrl: apiUrl, request: { fetch: limitedFetch } })
}

const limitedFetch: typeof fetch = (address, options) =>
  fetch(address, { ...options, signal: AbortSignal.timeout(REQUEST_LIMIT_MS) })

/** `owner/name` in the form that the API expects. */
export function nameOf({ repository }: { repository: string }): { owner: string; repo: string } {
  const [owner = '', repo = ''] = repository.split('/')
  return { owner, repo }
}

/** Sends a request, and repeats it once when GitHub was busy or required a short pause. */
export async function once<T>(request: () => Promise<T>): Promise<T> {
  try {
    return await request()
  } catch (cause) {
    const milliseconds = pauseAfter(cause)
    if (milliseconds === undefined) throw cause
    await new Promise((resolve) => setTimeout(resolve, milliseconds))
    return await request()
  }
}

/** The pause in milliseconds before another attempt; undefined when another attempt is pointless. */
function pauseAfter(cause: unknown): number | undefined {
  const { status, retryAfterSeconds } = readTrouble(cause)
  if (retryAfterSeconds !== undefined) {
    return retryAfterSeconds * 1_000 <= LONGEST_PAUSE_MS ? retryAfterSeconds * 1_000 : undefined
  }
  return status === 429 || (status !== undefined && status >= 500) ? 1_000 : undefined
}

/** What is missing on GitHub after an error, the permission that it needs, and what to check after a refusal. */
type Wanted = { what: string; permission: string; check: string }

/** Pure: the text of the warning. */
export function explainTrouble(cause: unknown, { what, permission, check }: Wanted): string {
  const { status, message, isLimited } = readTrouble(cause)
  if (isLimited) return `${what}: it limits the number of requests (${status}). The deployment is not affected`
  switch (status) {
    case 401:
      return `${what}: it refused the token (401). Leave github-token out, or give a token that is valid`
    case 403:
    case 404:
      return `${what}: it answered ${status}. Add to the job: permissions: { ${permission} }`
    case 422:
      return `${what}: it answered 422: ${message}. ${check}`
    default:
      return `${what}: ${status === undefined ? message : `it answered ${status}`}. The deployment is not affected`
  }
}

/** The status of GitHub's answer; undefined without an answer. */
export function statusOf(cause: unknown): number | undefined {
  return readTrouble(cause).status
}

/** What an error of a request says. A rate limit has the status 429, or 403 as a missing permission has. */
type Trouble = { status?: number; message: string; retryAfterSeconds?: number; isLimited: boolean }

function readTrouble(cause: unknown): Trouble {
  if (!(cause instanceof Error)) return { message: String(cause), isLimited: false }
  const { message } = cause
  const status = 'status' in cause && typeof cause.status === 'number' ? cause.status : undefined
  const headers = 'response' in cause && isRecord(cause.response) ? cause.response['headers'] : undefined
  const header = (name: string): unknown => (isRecord(headers) ? headers[name] : undefined)
  const seconds = Number(header('retry-after') ?? NaN)
  // Octokit reports a request without an answer as a 500 without a response.
  return {
    message,
    isLimited:
      status === 429 || (status === 403 && (!Number.isNaN(seconds) || header('x-ratelimit-remaining') === '0')),
    ...(status === undefined || headers === undefined ? {} : { status }),
    ...(Number.isNaN(seconds) ? {} : { retryAfterSeconds: seconds }),
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
