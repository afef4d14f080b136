import { validate } from '@actions/languageservice'
import { describe, expect, test } from '@jest/globals'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { TextDocument } from 'vscode-languageserver-textdocument'
import { parse } from 'yaml'

const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = '.github/workflows'
const workflows = readdirSync(join(root, folder))
  .filter((name) => /\.ya?ml$/.test(name))
  .map((name) => join(folder, name))
const actions = ['action.yml', ...readdirSync(root).map((name) => join(name, 'action.yml'))].filter((path) =>
  existsSync(join(root, path)),
)
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

test('there is something to look at', () => {
  expect(actions).toEqual(expect.arrayContaining(['action.yml', 'rollback/action.yml']))
  expect(workflows).toContain('.github/workflows/ci.yml')
})

test.each([...actions, ...workflows])("%s is valid for GitHub's own language service", async (path) => {
  const problems = await validate(TextDocument.create(`file:///${path}`, 'yaml', 0, read(path)), {})
  expect(problems.map((problem) => `${path}:${problem.range.start.line + 1}: ${problem.message}`)).toEqual([])
})

test('the language service does see mistakes', async () => {
  // Its own address: the service remembers a file by it.
  const text = read('action.yml').replace('using: node24', 'using: node99')
  const problems = await validate(TextDocument.create('file:///wrong/action.yml', 'yaml', 0, text), {})
  expect(problems).toMatchObject([{ message: "Unexpected value 'node99'" }])
})

test.each(actions)('%s starts an entry file of its own, and no input says what to do', (path) => {
  const { inputs, runs } = parse(read(path)) as {
    inputs: Record<string, unknown>
    runs: { using: string; main: string; post: string }
  }
  expect(runs.using).toBe('node24')
  const command = path === 'action.yml' ? 'deploy' : path.replace('/action.yml', '')
  expect(join(path, '..', runs.main)).toBe(`dist/${command}.js`)
  expect(join(path, '..', runs.post)).toBe('dist/post.js')
  expect(inputs).not.toHaveProperty('command')
  for (const script of [runs.main, runs.post]) expect(read(join(path, '..', script))).toBe("import './index.js'\n")
})

describe.each(workflows)('%s', (path) => {
  type Job = { 'timeout-minutes'?: number; uses?: string; steps?: { run?: string }[] }
  const workflow = parse(read(path)) as { permissions?: unknown; jobs: Record<string, Job> }

  test('grants no permission by default', () => {
    expect(workflow.permissions).toEqual({})
  })

  test('limits the time of every job', () => {
    const endless = Object.entries(workflow.jobs).filter(([, job]) => job['timeout-minutes'] === undefined && !job.uses)
    expect(endless.map(([name]) => name)).toEqual([])
  })

  test('pins the actions of others to a commit and says which version that is', () => {
    const uses = read(path).match(/^.*\buses:.*$/gm) ?? []
    // Our own actions move with our own tag.
    const loose = uses.filter(
      (line) => !/uses: (\$?\.?\/|owner\/deploy-django(\/\w+)?@v1$|\S+@[0-9a-f]{40} # v\d+\.\d+\.\d+$)/.test(line),
    )
    expect(loose).toEqual([])
  })

  test('puts no expression into a shell line', () => {
    const lines = Object.values(workflow.jobs).flatMap((job) => (job.steps ?? []).map((step) => step.run ?? ''))
    expect(lines.filter((line) => line.includes('${{'))).toEqual([])
  })
})
