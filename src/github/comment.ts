import * as v from 'valibot'
import { warning } from './annotation.ts'
import { connectToApi, explainTrouble, nameOf, once, statusOf, type Octokit } from './api.ts'
import { readPullRequestEvent } from './event.ts'

/** A comment: its place, its text, and the facts by which it is found again. */
export type Comment = {
  token: string
  /** The address of GitHub's API, such as `https://api.github.com`. */
  apiUrl: string
  /** `owner/name`. */
  repository: string
  place: Place
  project: string
  /** The site's public address. Two sites of one project have a section each. */
  siteUrl: string | undefined
  /** Markdown. */
  text: string
}

/** A pull request gets its own comment; the release of a tag gets a section in its notes. */
export type Place = { kind: 'pull-request'; number: number; isFork: boolean } | { kind: 'release'; tag: string }

const fields = v.object({
  number: v.number(),
  // Null after the fork was deleted.
  head: v.object({ repo: v.nullable(v.object({ full_name: v.string() })) }),
})

/** The pull request of this run. */
export async function readPullRequest(eventPath: string, repository: string): Promise<Place> {
  const { number, head } = await readPullRequestEvent(eventPath, fields)
  return { kind: 'pull-request', number, isFork: head.repo?.full_name !== repository }
}

/** Writes or updates the comment. A problem is one warning, never a failure. Returns a sentence about the result. */
export async function writeComment(comment: Comment): Promise<string> {
  const { place } = comment
  if (place.kind === 'pull-request' && place.isFork)
    return 'The pull request has no comment: it comes from a fork, whose runs have no write access'
  const octokit = connectToApi(comment)
  const { what, write, permission } =
    place.kind === 'pull-request'
      ? {
          what: 'The pull request',
          write: () => commentOn(octokit, place, comment),
          permission: 'pull-requests: write',
        }
      : { what: 'The release', write: () => addToNotes(octokit, place, comment), permission: 'contents: write' }
  try {
    // Repeats the search as well, so that a lost answer does not lead to a second comment.
    return await once(write)
  } catch (cause) {
    const check = 'Set `comment: false` if that stays so'
    warning(explainTrouble(cause, { what: `${what} does not show what this run did`, permission, check }))
    return `${what} is as it was`
  }
}

/** Invisible marks around a comment. They are encoded, so no name can end one. */
function marksOf({ project, siteUrl = '' }: Comment): { begin: string; end: string } {
  const name = [project, siteUrl].map(encodeURIComponent).join(' ').trim()
  return { begin: `<!-- deploy-django ${name} -->`, end: `<!-- /deploy-django ${name} -->` }
}

/** Only comments of a bot or of these authors are updated. A stranger could edit his own comment afterwards. */
const TRUSTED: readonly string[] = ['OWNER', 'MEMBER', 'COLLABORATOR']

async function commentOn(octokit: Octokit, { number }: { number: number }, comment: Comment): Promise<string> {
  const { begin } = marksOf(comment)
  const body = `${begin}\n${comment.text}`
  const pages = octokit.paginate.iterator(octokit.rest.issues.listComments, {
    ...nameOf(comment),
    issue_number: number,
    per_page: 100,
  })
  for await (const { data } of pages) {
    const own = data.find(
      ({ body: text = '', user, author_association }) =>
        text.startsWith(begin) && (user?.type === 'Bot' || TRUSTED.includes(author_association)),
    )
    if (own === undefined) continue
    await octokit.rest.issues.updateComment({ ...nameOf(comment), comment_id: own.id, body })
    return `The comment ${own.html_url} is updated`
  }
  const { data } = await octokit.rest.issues.createComment({ ...nameOf(comment), issue_number: number, body })
  return `The comment ${data.html_url} is written`
}

async function addToNotes(octokit: Octokit, { tag }: { tag: string }, comment: Comment): Promise<string> {
  const release = await octokit.rest.repos
    .getReleaseByTag({ ...nameOf(comment), tag })
    .then(({ data }) => data)
    .catch((cause: unknown) => {
      if (statusOf(cause) === 404) return undefined
      throw cause
    })
  if (release === undefined) return `The tag ${tag} has no release, so nothing was written into its notes`
  const body = withSection(release.body ?? '', marksOf(comment), comment.text)
  await octokit.rest.repos.updateRelease({ ...nameOf(comment), release_id: release.id, body })
  return `The notes of the release ${tag} say it`
}

/** Pure: replaces the section between the marks in the notes, or appends it. */
function withSection(notes: string, { begin, end }: { begin: string; end: string }, text: string): string {
  const section = `${begin}\n${text.trimEnd()}\n\n${end}`
  const to = notes.lastIndexOf(end)
  const from = notes.slice(0, Math.max(to, 0)).lastIndexOf(begin)
  if (from !== -1) return notes.slice(0, from) + section + notes.slice(to + end.length)
  return [notes.trimEnd(), section].filter((part) => part !== '').join('\n\n')
}
