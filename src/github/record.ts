import { warning } from '@actions/core'
import { getOctokit } from '@actions/github'
import { setTimeout as pause } from 'node:timers/promises'

/** A deployment record: what GitHub shows below "Environments" and beside a commit. */
export type RecordFacts = {
  token: string
  /** Of GitHub's API, such as `https://api.github.com`. */
  apiUrl: string
  /** `owner/name`. */
  repository: string
  /** The commit that will serve; of a rollback that of the older release. */
  commit: string
  environment: string
  description: string
  /** The page of this run. */
  runUrl: string
  runId: number
  /** Public address of the site. */
  siteUrl: string | undefined
}

/** Pure: the facts of a record; undefined when none is wanted, or there is no token or commit to write it with. */
export function recordFacts(
  inputs: { environment: string | undefined; githubToken: string | undefined; url?: string | undefined },
  runner: Pick<RecordFacts, 'apiUrl' | 'repository' | 'runUrl' | 'runId'>,
  release: { commit: string; description: string },
): RecordFacts | undefined {
  const { environment, githubToken: token, url: siteUrl } = inputs
  if (environment === undefined || token === undefined || release.commit === '') return undefined
  const { apiUrl, repository, runUrl, runId } = runner
  return { token, apiUrl, repository, runUrl, runId, environment, siteUrl, ...release }
}

type State = 'in_progress' | 'success' | 'failure'
type Octokit = ReturnType<typeof getOctokit>

/** A record is best effort: nobody waits longer than this for one request. */
const REQUEST_LIMIT_MS = 10_000
/** Longer pauses that GitHub asks for are not worth it. */
const LONGEST_PAUSE_MS = 10_000

/** Does the work under a deployment record; trouble with the record is one warning and never a failure. */
export async function record<T>(facts: RecordFacts | undefined, work: () => Promise<T>): Promise<T> {
  if (facts === undefined) return await work()
  const octokit = getOctokit(facts.token, { baseUrl: facts.apiUrl, request: { fetch: limitedFetch } })
  // Beside the work, which it must not delay.
  const opened = open(octokit, facts).catch((cause: unknown) => warning(explainTrouble(cause)))
  const close = async (state: State): Promise<void> => {
    const id = await opened
    if (id !== undefined) {
      await setState(octokit, facts, id, state).catch((cause: unknown) => warning(explainTrouble(cause)))
    }
  }
  try {
    const result = await work()
    await close('success')
    return result
  } catch (cause) {
    await close('failure')
    throw cause
  }
}

/** The new record's id; undefined when GitHub keeps one for this job already, because it has `environment:`. */
async function open(octokit: Octokit, facts: RecordFacts): Promise<number | undefined> {
  if (await isRecorded(octokit, facts)) return undefined
  const { commit: ref, environment, description } = facts
  const created = await once(() =>
    octokit.rest.repos.createDeployment({
      ...nameOf(facts),
      ref,
      environment,
      description,
      auto_merge: false,
      required_contexts: [],
    }),
  )
  if (created.status !== 201) return undefined
  await setState(octokit, facts, created.data.id, 'in_progress')
  return created.data.id
}

async function isRecorded(octokit: Octokit, facts: RecordFacts): Promise<boolean> {
  const { environment, runId } = facts
  const { data } = await once(() => octokit.rest.repos.listDeployments({ ...nameOf(facts), environment, per_page: 3 }))
  for (const { id } of data) {
    const statuses = await once(() =>
      octokit.rest.repos.listDeploymentStatuses({ ...nameOf(facts), deployment_id: id, per_page: 5 }),
    )
    if (statuses.data.some(({ log_url }) => log_url?.includes(`/runs/${runId}/job/`))) return true
  }
  return false
}

/** GitHub makes older records of the environment inactive when one is a success. */
async function setState(octokit: Octokit, facts: RecordFacts, id: number, state: State): Promise<void> {
  const { runUrl: log_url, siteUrl, description } = facts
  await once(() =>
    octokit.rest.repos.createDeploymentStatus({
      ...nameOf(facts),
      deployment_id: id,
      state,
      log_url,
      description,
      ...(siteUrl === undefined ? {} : { environment_url: siteUrl }),
    }),
  )
}

function nameOf({ repository }: RecordFacts): { owner: string; repo: string } {
  const [owner = '', repo = ''] = repository.split('/')
  return { owner, repo }
}

const limitedFetch: typeof fetch = (address, options) =>
  fetch(address, { ...options, signal: AbortSignal.timeout(REQUEST_LIMIT_MS) })

/** Sends a request, and once more when GitHub was busy or asked for a short pause. */
async function once<T>(request: () => Promise<T>): Promise<T> {
  try {
    return await request()
  } catch (cause) {
    const milliseconds = pauseAfter(cause)
    if (milliseconds === undefined) throw cause
    await pause(milliseconds)
    return await request()
  }
}

/** Milliseconds after which it is worth trying again; undefined when it is not. */
function pauseAfter(cause: unknown): number | undefined {
  const { status, retryAfterSeconds } = readTrouble(cause)
  if (retryAfterSeconds !== undefined) {
    return retryAfterSeconds * 1_000 <= LONGEST_PAUSE_MS ? retryAfterSeconds * 1_000 : undefined
  }
  return status === 429 || (status !== undefined && status >= 500) ? 1_000 : undefined
}

/** Pure: what the warning says. */
function explainTrouble(cause: unknown): string {
  const { status, message } = readTrouble(cause)
  const what = 'GitHub keeps no deployment record of this run'
  switch (status) {
    case 401:
      return `${what}: it refused the token (401). Leave github-token out, or give a token that is valid`
    case 403:
    case 404:
      return `${what}: it answered ${status}. Add to the job: permissions: { deployments: write }`
    case 422:
      return `${what}: it answered 422: ${message}. Check the input environment`
    default:
      return `${what}: ${status === undefined ? message : `it answered ${status}`}. The deployment is not affected`
  }
}

function readTrouble(cause: unknown): { status?: number; message: string; retryAfterSeconds?: number } {
  if (!(cause instanceof Error)) return { message: String(cause) }
  const { message } = cause
  const status = 'status' in cause && typeof cause.status === 'number' ? cause.status : undefined
  const headers = 'response' in cause && isRecord(cause.response) ? cause.response['headers'] : undefined
  const seconds = isRecord(headers) ? Number(headers['retry-after'] ?? NaN) : NaN
  // Octokit reports a request that never got an answer as a 500 without a response.
  return {
    message,
    ...(status === undefined || headers === undefined ? {} : { status }),
    ...(Number.isNaN(seconds) ? {} : { retryAfterSeconds: seconds }),
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
