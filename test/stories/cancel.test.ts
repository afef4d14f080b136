import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { randomUUID } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { keepDeployments, startApi } from '../github-api.ts'
import type { ActionRun } from '../run-action.ts'
import { codes, giveWord, meanwhile, patientMigration, tell, type Story } from './story.ts'
import { until } from '../until.ts'

/** GitHub's runner sends SIGINT, SIGTERM 7.5 s later, and kills 2.5 s after that. */
const TERM_AFTER_MS = 7_500
/** Each line is shown at once, and not at the end of its step. */
const DEBUG = { RUNNER_DEBUG: '1' }

type Cancelled = ActionRun & {
  /** From the line at which the job was cancelled to main's last line. */
  lastedMs: number
  /** What the job left running: command lines. */
  left: string[]
}

type Meanwhile = {
  work?: () => Promise<void>
  inputs?: Record<string, string>
  env?: Record<string, string>
}

/** Cancels a deploy at a line as GitHub does, does `work` meanwhile, and returns what is left after post. */
async function cancel(
  story: Story,
  version: string,
  at: RegExp,
  { work, inputs, env }: Meanwhile = {},
): Promise<Cancelled> {
  // Not the variables by which the runner would clean up: the test must see what the action leaves behind.
  const temp = await mkdtemp(join(tmpdir(), 'runner-temp-'))
  const tracking = randomUUID()
  const times: number[] = []
  const { promise: line, resolve: reached } = Promise.withResolvers<void>()
  const onLine = (text: string): void => {
    if (times.length > 0 || at.test(text)) times.push(Date.now())
    if (times.length === 1) reached()
  }
  try {
    const running = story.deploy(version, {
      inputs: inputs ?? {},
      env: { RUNNER_TEMP: temp, RUNNER_TRACKING_ID: tracking, ...DEBUG, ...env },
      kill: { at, signal: 'SIGINT' },
      onLine,
    })
    const [run] = await Promise.all([running, work && Promise.race([line.then(work), running])])
    await until('the SSH connection is closed', async () => (await processesOf(tracking)).length === 0, 5).catch(
      () => {},
    )
    const left = (await processesOf(tracking)).map(({ words }) => words)
    const lastedMs = (times.at(-1) ?? 0) - (times[0] ?? 0)
    return { ...run, leftovers: await readdir(temp), lastedMs, left }
  } finally {
    for (const { pid } of await processesOf(tracking)) process.kill(pid, 'SIGKILL')
    await rm(temp, { recursive: true, force: true })
  }
}

async function processesOf(tracking: string): Promise<{ pid: number; words: string }[]> {
  const found: { pid: number; words: string }[] = []
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '')
    if (!environment.split('\0').includes(`RUNNER_TRACKING_ID=${tracking}`)) continue
    const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    found.push({ pid: Number(pid), words: words.replaceAll('\0', ' ').trim() })
  }
  return found
}

/** What is true of every cancelled job. */
function expectRed(run: Cancelled): void {
  expect(codes(run)).toEqual(['Deploy Django: aborted'])
  expect(run).toMatchObject({ code: 1, leftovers: [], left: [], post: { code: 0 } })
  expect(run.outputs['outcome']).toBe('failed')
  expect(run.lastedMs).toBeLessThan(TERM_AFTER_MS)
}

/** An app that waits for the word before it listens. */
async function patientApp({ project }: Story): Promise<Record<string, string>> {
  const script = await readFile(join(project.workspace, 'scripts/run.sh'), 'utf8')
  const wait = `trap 'exit 0' TERM\nuntil [ -e /tmp/go ]; do sleep 0.1; done\ntrap - TERM\n`
  return { 'scripts/run.sh': script.replace('set -e\n', `set -e\n${wait}`) }
}

const line = (story: Story, wanted: RegExp) => async () => (await story.journal()).some((text) => wanted.test(text))

describe('a job that is cancelled or lost', () => {
  let story: Story
  beforeAll(async () => {
    story = await tell('todo')
    expect((await story.deploy('v1')).outputs['outcome']).toBe('deployed')
  })
  afterAll(async () => {
    await story[Symbol.asyncDispose]()
  })

  test('cancelled while it stages: nothing was begun, nothing is left', async () => {
    await story.change('a')
    const before = { containers: await story.containers(true), journal: await story.journal() }
    const run = await cancel(story, 'a', /Stage begins/)
    expectRed(run)
    expect(run.outputs).toMatchObject({ serving: 'v1' })
    expect(run.post?.log).not.toContain('Following')
    expect({ containers: await story.containers(true), journal: await story.journal() }).toEqual(before)
  })

  test('cancelled as the transaction is to begin: it does not, or turns back at once', async () => {
    const before = await story.containers(true)
    const run = await cancel(story, 'a', /^Deployment /)
    expectRed(run)
    expect(run.post?.log).toMatch(/The deployment (had not started; nothing was changed|ended: back; v1-\d+-1 serves)/)
    expect(await story.containers(true)).toEqual(before)
    await story.expectWhole()
  })

  test('lost while it stages: the next deploy does not mind', async () => {
    const lost = await story.deploy('a', { kill: { at: /Stage begins/, signal: 'SIGKILL' }, env: DEBUG })
    expect(lost.post).toBeUndefined()
    const next = await story.deploy('a')
    expect(next.annotations).toEqual([])
    expect(next.outputs).toMatchObject({ outcome: 'deployed', serving: 'a' })
    await story.expectWhole()
  })

  test('cancelled while it migrates: the migration ends in peace, then everything goes back', async () => {
    await story.change('b', patientMigration('0002_first', '0001_initial'))
    const { records, reply } = keepDeployments()
    await using api = await startApi(reply)
    const states = (): unknown[] => records.map(({ statuses }) => statuses.map(({ state }) => state))
    const run = await cancel(story, 'b', /0002_first waits/, {
      inputs: { environment: 'production', 'github-token': 'only for this test' },
      env: { GITHUB_API_URL: api.url },
      work: async () => {
        const [begin = ''] = await story.journal()
        const mark = ['test', '-e', `deploy/${story.name}/.deploy/journal/${begin.split(' ')[1]}.abort`]
        await until('the mark is there', async () => (await story.server.exec(mark)).code === 0)
        expect(await story.server.docker('inspect', '-f', '{{.State.Status}}', `${story.name}-migrate`)).toBe('running')
        // Nobody knows yet how it ends.
        expect(states()).toEqual([['in_progress']])
        await giveWord(story, 'migrate')
      },
    })
    expectRed(run)
    expect(run.post?.log).toMatch(/The deployment ended: back; a-\d+-1 serves/)
    expect(states()).toEqual([['in_progress', 'failure']])
    expect(await story.journal()).toContain('back begin aborted')
    expect(await story.migrations()).toEqual(['0001_initial', '0002_first'])
    expect(await story.serves()).toBe('a')
    await story.expectWhole()
  })

  test('lost while it migrates: the deployment continues to its end', async () => {
    await story.change('c', patientMigration('0003_second', '0002_first'))
    const lost = await story.deploy('c', { kill: { at: /0003_second waits/, signal: 'SIGKILL' }, env: DEBUG })
    expect(lost.post).toBeUndefined()
    await giveWord(story, 'migrate')
    await until('it is committed', line(story, /^end committed c-/))
    expect(await story.migrations()).toEqual(['0001_initial', '0002_first', '0003_second'])
    expect((await story.deploy('c')).outputs).toMatchObject({ outcome: 'unchanged', serving: 'c' })
    await story.expectWhole()
  })

  test('cut off while it migrates, for longer than the health limit: it is followed again to its end', async () => {
    await story.change('f', patientMigration('0004_third', '0003_second'))
    const tracking = randomUUID()
    const isCut = Promise.withResolvers<void>()
    const run = await meanwhile(
      ({ onLine, env }) =>
        story.deploy('f', {
          inputs: { 'health-timeout': '8s' },
          env: { ...env, RUNNER_TRACKING_ID: tracking },
          onLine(text) {
            onLine?.(text)
            if (/The connection to .* is lost; the deployment continues there/.test(text)) isCut.resolve()
          },
        }),
      /0004_third waits/,
      async () => {
        const shared = (await processesOf(tracking)).filter(({ words }) => words.includes(' -fN '))
        expect(shared).toHaveLength(1)
        for (const { pid } of shared) process.kill(pid, 'SIGKILL')
        const waits = Date.now()
        await isCut.promise
        await until('the limit is over', () => Promise.resolve(Date.now() - waits > 9_000))
        await giveWord(story, 'migrate')
      },
    )
    expect(run.outputs).toMatchObject({ outcome: 'deployed', serving: 'f' })
    expect(run.log.match(/0004_third waits/g)).toHaveLength(1)
    expect(await story.migrations()).toEqual(['0001_initial', '0002_first', '0003_second', '0004_third'])
    await story.expectWhole()
  })

  test('cancelled while the new release is tried, and while it becomes healthy: the one before serves', async () => {
    await story.change('d', await patientApp(story))
    const before = await story.containers(true)
    const tried = await cancel(story, 'd', /\btry begins/)
    expectRed(tried)
    expect(tried.post?.log).toMatch(/The deployment ended: back; f-\d+-1 serves/)
    expect(await story.containers(true)).toEqual(before)

    const run = await cancel(story, 'd', /\bhealth begins/, { inputs: { try: 'never' } })
    expectRed(run)
    expect(run.annotations[0]?.message).toContain('reverts at its next safe point')
    // Which of the two will answer was not known when main ended.
    expect(run.outputs['serving']).toBe('')
    expect(run.post?.log).toMatch(/The deployment ended: back; f-\d+-1 serves/)
    expect(await story.serves()).toBe('f')
    await story.expectWhole()
  })

  test('lost while the new release becomes healthy: the deployment continues to its end', async () => {
    await story.change('e')
    const lost = await story.deploy('e', {
      inputs: { try: 'never' },
      kill: { at: /\bhealth begins/, signal: 'SIGKILL' },
      env: DEBUG,
    })
    expect(lost.post).toBeUndefined()
    await giveWord(story, 'project-1')
    await until('it is committed', line(story, /^end committed e-/))
    expect(await story.serves()).toBe('e')
    expect((await story.deploy('e')).outputs).toMatchObject({ outcome: 'unchanged', serving: 'e' })
    await story.expectWhole()
  })
})
