import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { closeWarnings } from '../../../src/github/annotation.ts'
import { readPullRequest, writeComment, type Comment, type Place } from '../../../src/github/comment.ts'
import { startApi, type Api, type Reply, type Request } from '../../github-api.ts'
import { shortenLimits, shortenPauses, warningsOf } from './best-effort.ts'

const BEGIN = '<!-- deploy-django shop -->'
const END = '<!-- /deploy-django shop -->'
const pull: Place = { kind: 'pull-request', number: 5, isFork: false }
const release: Place = { kind: 'release', tag: 'v2' }

let api: Api | undefined
beforeEach(shortenPauses)
afterEach(async () => {
  jest.restoreAllMocks()
  await api?.[Symbol.asyncDispose]()
  api = undefined
  // GitHub shows ten of a step.
  closeWarnings()
})

type Kept = { id: number; body: string; user: { type: string }; author_association: string; html_url: string }

/** A pull request with these comments, and a release with these notes; `reply` may answer otherwise. */
async function start(
  kept: { comments?: Partial<Kept>[]; notes?: string | null },
  reply: (request: Request, turn: number) => Reply | undefined = () => undefined,
) {
  const { notes } = kept
  const comments = (kept.comments ?? []).map((comment, index) => ({
    ...bot(index + 1, comment.body ?? ''),
    ...comment,
  }))
  const answer = ({ method, path, body }: Request): Reply => {
    const { body: text = '' } = (body ?? {}) as { body?: string }
    const id = Number(path.split('/').at(-1))
    switch (`${method} ${path.replace(/\d+$/, '#')}`) {
      case 'GET /repos/owner/shop/issues/5/comments':
        return { status: 200, body: comments }
      case 'POST /repos/owner/shop/issues/5/comments': {
        const made = bot(comments.length + 1, text)
        comments.push(made)
        return { status: 201, body: made }
      }
      case 'PATCH /repos/owner/shop/issues/comments/#': {
        const found = comments.find((comment) => comment.id === id)
        if (found) found.body = text
        return { status: 200, body: found }
      }
      case 'GET /repos/owner/shop/releases/tags/v#':
        return notes === undefined ? { status: 404 } : { status: 200, body: { id: 9, body: notes } }
      case 'PATCH /repos/owner/shop/releases/#':
        return { status: 200, body: { id } }
      default:
        throw new Error(`nobody answers ${method} ${path}`)
    }
  }
  api = await startApi((request, turn) => reply(request, turn) ?? answer(request))
  const { url: apiUrl, requests } = api
  const write = (text: string, change: Partial<Comment> = {}): Promise<string> =>
    writeComment({
      token: 'token',
      apiUrl,
      repository: 'owner/shop',
      place: pull,
      project: 'shop',
      siteUrl: undefined,
      text,
      ...change,
    })
  const written = (): unknown[] =>
    requests.filter(({ method }) => method !== 'GET').map(({ body }) => (body as { body: string }).body)
  return { write, written, comments, requests }
}

const bot = (id: number, body: string): Kept => ({
  id,
  body,
  user: { type: 'Bot' },
  author_association: 'NONE',
  html_url: `https://github.com/owner/shop/pull/5#issuecomment-${id}`,
})

describe('a pull request', () => {
  test('has one comment, which the next run updates', async () => {
    const { write, comments } = await start({ comments: [{ body: 'Nice' }] })
    expect(await write('one')).toBe('The comment https://github.com/owner/shop/pull/5#issuecomment-2 is written')
    expect(await write('two')).toBe('The comment https://github.com/owner/shop/pull/5#issuecomment-2 is updated')
    expect(comments.map(({ body }) => body)).toEqual(['Nice', `${BEGIN}\ntwo`])
  })

  test('has one for each project', async () => {
    const { write, comments } = await start({})
    await write('one')
    await write('two', { project: 'shop2' })
    await write('three', { siteUrl: 'https://a.example.com/-->' })
    expect(comments.map(({ body }) => body)).toEqual([
      `${BEGIN}\none`,
      '<!-- deploy-django shop2 -->\ntwo',
      '<!-- deploy-django shop https%3A%2F%2Fa.example.com%2F--%3E -->\nthree',
    ])
  })

  test.each([
    ['a stranger, who could change it afterwards', { user: { type: 'User' }, author_association: 'CONTRIBUTOR' }, 2],
    ['a person whose token this is', { user: { type: 'User' }, author_association: 'MEMBER' }, 1],
    ['a person who quotes the mark', { body: `> ${BEGIN}` }, 2],
  ])('with a comment of %s', async (_, change, count) => {
    const { write, comments } = await start({ comments: [{ body: `${BEGIN}\nold`, ...change }] })
    await write('new')
    expect(comments).toHaveLength(count)
    expect(comments.at(-1)?.body).toBe(`${BEGIN}\nnew`)
  })

  test('of a fork is left alone: its token can only read', async () => {
    const { write, requests } = await start({})
    expect(await write('one', { place: { kind: 'pull-request', number: 5, isFork: true } })).toMatch(/from a fork/)
    expect(requests).toEqual([])
  })

  test('has no second comment when the answer to the first was lost', async () => {
    const { write, comments } = await start({}, ({ method, body }, turn) => {
      if (method !== 'POST' || turn > 2) return undefined
      comments.push(bot(1, (body as { body: string }).body))
      return { status: 502, headers: { 'retry-after': '0' } }
    })
    expect(await warningsOf(() => write('one'))).toEqual([])
    expect(comments.map(({ body }) => body)).toEqual([`${BEGIN}\none`])
  })
})

describe('a release', () => {
  const section = (text: string): string => `${BEGIN}\n${text}\n\n${END}`

  test.each<[string, string | null, string]>([
    ['without notes', null, section('new')],
    ['with notes', 'By hand\n', `By hand\n\n${section('new')}`],
    ['with the section', `Above\n\n${section('old $&')}\n\nBelow`, `Above\n\n${section('new')}\n\nBelow`],
    ['whose section lost its end', `${BEGIN}\nold`, `${BEGIN}\nold\n\n${section('new')}`],
    [
      'that was repaired so',
      `${BEGIN}\nnotes\n\n${section('old')}\n\nBelow`,
      `${BEGIN}\nnotes\n\n${section('new')}\n\nBelow`,
    ],
  ])('%s has it in its notes', async (_, notes, expected) => {
    const { write, written } = await start({ notes })
    expect(await write('new\n\n', { place: release })).toBe('The notes of the release v2 say it')
    expect(written()).toEqual([expected])
  })

  test('that does not exist is not made', async () => {
    const { write, written } = await start({})
    const warnings = await warningsOf(async () =>
      expect(await write('new', { place: release })).toBe(
        'The tag v2 has no release, so nothing was written into its notes',
      ),
    )
    expect([...warnings, ...written()]).toEqual([])
  })
})

describe('trouble with GitHub is one warning', () => {
  const missing = (permission: string): RegExp =>
    new RegExp(`does not show what this run did: it answered 40[34]\\. Add to the job: permissions: \\{ ${permission}`)

  test.each<[string, Place, string, Reply, RegExp]>([
    ['401', pull, 'GET', { status: 401 }, /refused the token \(401\)/],
    ['403', pull, 'GET', { status: 403 }, missing('pull-requests: write')],
    ['403 when it writes', pull, 'POST', { status: 403 }, missing('pull-requests: write')],
    ['404', pull, 'GET', { status: 404 }, missing('pull-requests: write')],
    ['403 of a release', release, 'PATCH', { status: 403 }, missing('contents: write')],
    ['404 of a release when it writes', release, 'PATCH', { status: 404 }, missing('contents: write')],
    [
      '422',
      pull,
      'POST',
      { status: 422, body: { message: 'Body is too long' } },
      /answered 422: Body is too long\. Set/,
    ],
    [
      '429 with a long pause',
      pull,
      'GET',
      { status: 429, headers: { 'retry-after': '3600' } },
      /limits the number of requests \(429\)/,
    ],
    [
      '5xx again and again',
      pull,
      'GET',
      { status: 503, headers: { 'retry-after': '0' } },
      /answered 503\. The deployment is not affected/,
    ],
    ['a lost connection', pull, 'POST', 'lost', /deployment is not affected/],
    ['no answer in ten seconds', release, 'GET', 'silent', /deployment is not affected/],
  ])('on %s', async (_, place, method, reply, text) => {
    if (reply === 'silent') shortenLimits()
    const { write } = await start({ notes: '' }, (request) => (request.method === method ? reply : undefined))
    const warnings = await warningsOf(async () => expect(await write('one', { place })).toMatch(/ is as it was$/))
    expect(warnings).toEqual([expect.stringMatching(text)])
  })

  test.each<[string, Reply]>([
    ['429 with a short pause', { status: 429, headers: { 'retry-after': '0' } }],
    ['a server error', { status: 502 }],
  ])('but not when the second try after %s is taken', async (_, reply) => {
    const { write, written } = await start({}, (__, turn) => (turn === 1 ? reply : undefined))
    expect(await warningsOf(() => write('one'))).toEqual([])
    expect(written()).toEqual([`${BEGIN}\none`])
  })
})

describe('the pull request of the run', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'event-'))
  })
  afterEach(() => rm(folder, { recursive: true }))

  test.each([
    ['of the repository', { full_name: 'owner/shop' }, false],
    ['of a fork', { full_name: 'stranger/shop' }, true],
    ['of a fork that is gone', null, true],
  ])('%s', async (_, repo, isFork) => {
    const path = join(folder, 'event.json')
    await writeFile(path, JSON.stringify({ pull_request: { number: 5, head: { repo } } }))
    expect(await readPullRequest(path, 'owner/shop')).toEqual({ kind: 'pull-request', number: 5, isFork })
  })
})
