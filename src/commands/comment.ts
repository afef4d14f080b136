import { readPullRequest, writeComment, type Place } from '../github/comment.ts'
import type { DeployInputs } from '../inputs/contract.ts'
import { isPullRequest } from '../inputs/inputs.ts'
import { show } from '../report/log.ts'
import type { Findings, Outcome } from '../report/report.ts'
import { renderComment, type Pages } from '../report/summary.ts'
import type { World } from './context.ts'

/** The inputs that a comment needs. */
export type CommentInputs = Pick<DeployInputs, 'comment' | 'githubToken'> & Partial<Pick<DeployInputs, 'url'>>

/** Writes the plan or the result of the run into the pull request, or into the notes of the release. */
export async function comment(
  findings: Findings,
  outcome: Outcome,
  { githubToken: token, url: siteUrl }: CommentInputs,
  pages: Pages,
  { runner, signal }: Pick<World, 'runner' | 'signal'>,
): Promise<void> {
  const { project } = findings
  // A cancelled job has no time left.
  if (project === undefined || token === undefined || signal.aborted) return
  const place = await findPlace(outcome, runner)
  if (place === undefined)
    return show('There is nothing to comment on: this run has no pull request, and deploys no tag')
  const text = renderComment(findings, outcome, { ...pages, run: runner.runUrl })
  const { apiUrl, repository } = runner
  show(await writeComment({ token, apiUrl, repository, place, project, siteUrl, text }))
}

/** The pull request or release to comment on; undefined when there is neither. */
async function findPlace(
  outcome: Outcome,
  { eventPath, repository, refType, refName }: World['runner'],
): Promise<Place | undefined> {
  if (isPullRequest()) return await readPullRequest(eventPath, repository)
  // Release notes get results, not plans.
  return refType === 'tag' && outcome.kind !== 'planned' ? { kind: 'release', tag: refName } : undefined
}
