import { randomUUID } from 'node:crypto'
import { warning } from './annotation.ts'
import { connectToApi, explainTrouble, nameOf, once, type Octokit } from './api.ts'
import { isUnfinished, saveRecord, type OpenRecord } from './state.ts'

/** A deployment record, which GitHub shows below "Environments" and beside a commit. */
export type RecordFacts = {
  token: string
  /** The address of GitHub's API, such as `https://api.github.com`. */
  apiUrl: string
  /** `owner/name`. */
  repository: string
  /** The commit of the new release; in a rollback, that of the older release. */
  commit: string
  environment: string
  description: string
  /** The page of this run. */
  runUrl: string
  runId: number
  /** The site's public address. */
  siteUrl?: string | undefined
}

/** Pure: the facts of a record; undefined when none is wanted, or when the token or the commit is missing. */
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

/** How a deployment ended. */
export type Conclusion = 'success' | 'failure'

/** Does the work under a deployment record. Problems with the record are one warning, never a failure. */
export async function record<T>(facts: RecordFacts | undefined, work: () => Promise<T>): Promise<T> {
  if (facts === undefined) return await work()
  const octokit = connectToApi(facts)
  const attempt = warnOnce()
  // Runs in parallel, so that it does not delay the work.
  const opened = open(octokit, facts, attempt)
  const end = async (state: Conclusion): Promise<void> => {
    const id = await opened
    if (id !== undefined) await close(octokit, facts, id, state, attempt)
  }
  try {
    const result = await work()
    await end('success')
    return result
  } catch (cause) {
    // The deployment may still commit. Only the post step learns how it ends.
    if (!isUnfinished()) await end('failure')
    throw cause
  }
}

/** For `post`: closes the record that main left open. */
export async function closeRecord({ id, ...facts }: OpenRecord & { token: string }, state: Conclusion): Promise<void> {
  await close(connectToApi(facts), facts, id, state, warnOnce())
}

/** Makes a request; undefined after a problem. `what` is then missing. */
type Attempt = <T>(what: string, request: () => Promise<T>) => Promise<T | undefined>

/** Only the first problem is a warning: the others have the same cause. */
function warnOnce(): Attempt {
  let isWarned = false
  return async (what, request) => {
    try {
      return await request()
    } catch (cause) {
      const permission = 'deployments: write'
      if (!isWarned) warning(explainTrouble(cause, { what, permission, check: 'Check the input environment' }))
      isWarned = true
      return undefined
    }
  }
}

/** The new record's id; undefined when the job has `environment:`, for which GitHub already keeps a record. */
async function open(octokit: Octokit, facts: RecordFacts, attempt: Attempt): Promise<number | undefined> {
  const key = randomUUID()
  // Repeats the search as well, so that a lost answer does not lead to a second record.
  const id = await attempt('GitHub keeps no deployment record of this run', () =>
    once(() => findOrCreate(octokit, facts, key)),
  )
  if (id === undefined) return undefined
  const { token: _, ...rest } = facts
  saveRecord({ ...rest, id })
  await attempt(OUTDATED, () => setState(octokit, facts, id, 'in_progress'))
  return id
}

const OUTDATED = "GitHub's deployment record of this run does not show its state"

async function findOrCreate(octokit: Octokit, facts: RecordFacts, key: string): Promise<number | undefined> {
  const { commit: ref, environment, description, runId } = facts
  const names = nameOf(facts)
  const { data } = await octokit.rest.repos.listDeployments({ ...names, environment, per_page: 3 })
  for (const { id, payload } of data) {
    if (JSON.stringify({ payload }).includes(key)) return id
    const statuses = await octokit.rest.repos.listDeploymentStatuses({ ...names, deployment_id: id, per_page: 5 })
    if (statuses.data.some(({ log_url }) => log_url?.includes(`/runs/${runId}/job/`))) return undefined
  }
  const created = await octokit.rest.repos.createDeployment({
    ...names,
    ref,
    environment,
    description,
    payload: { key },
    auto_merge: false,
    required_contexts: [],
  })
  return created.status === 201 ? created.data.id : undefined
}

async function close(
  octokit: Octokit,
  facts: Omit<RecordFacts, 'token'>,
  id: number,
  state: Conclusion,
  attempt: Attempt,
): Promise<void> {
  const closed = await attempt(OUTDATED, () => setState(octokit, facts, id, state))
  if (closed === undefined || state === 'failure') return
  await attempt(`On GitHub, older deployment records of ${facts.environment} stay active`, () =>
    deactivateOlder(octokit, facts, id),
  )
}

async function setState(
  octokit: Octokit,
  facts: Omit<RecordFacts, 'token'>,
  id: number,
  state: 'in_progress' | Conclusion,
): Promise<unknown> {
  const { runUrl: log_url, siteUrl, description } = facts
  return await once(() =>
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

/** GitHub deactivates the older records of an environment itself, but not those of a production environment. */
async function deactivateOlder(octokit: Octokit, facts: Omit<RecordFacts, 'token'>, id: number): Promise<void> {
  const { environment } = facts
  const { data } = await once(() => octokit.rest.repos.listDeployments({ ...nameOf(facts), environment }))
  const deactivate = async (older: number): Promise<void> => {
    const names = { ...nameOf(facts), deployment_id: older }
    const { data: statuses } = await once(() => octokit.rest.repos.listDeploymentStatuses({ ...names, per_page: 1 }))
    if (statuses[0]?.state !== 'success') return
    await once(() => octokit.rest.repos.createDeploymentStatus({ ...names, state: 'inactive' }))
  }
  await Promise.all(data.filter((each) => each.id < id).map((older) => deactivate(older.id)))
}
