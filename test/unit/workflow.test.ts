import { validate, type ValidationConfig } from '@actions/languageservice'
import type { ActionMetadata } from '@actions/languageservice/action'
import { describe, expect, test } from '@jest/globals'
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { TextDocument } from 'vscode-languageserver-textdocument'
import { parse } from 'yaml'
import { run } from '../../src/process.ts'
import { isWorkflow, readWorkflow, usesIn, workflowRules } from '../workflow-rules.ts'
import { builtTool, workflowsIn, yamlBlocksIn } from '../workflow.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '--', '*.md', '*.yml', '*.yaml'], {
  cwd: root,
  encoding: 'utf8',
})
  .trim()
  .split('\n')
  .filter((file) => existsSync(join(root, file)))

/** The workflows of this repository and of its examples. */
const own = files.filter((file) => /(^|\/)\.github\/workflows\/[^/]+\.ya?ml$/.test(file))
/** What the pages show, by page and line. */
const shown = files
  .filter((file) => file.endsWith('.md'))
  .flatMap((page) => yamlBlocksIn(read(page)).map(({ line, text }): [string, string] => [`${page}:${line}`, text]))
const texts: readonly [string, string][] = [...own.map((path): [string, string] => [path, read(path)]), ...shown]
const workflows = texts.filter(([, text]) => isWorkflow(text))
const actions = files.filter((file) => /^(\w+\/)?action\.yml$/.test(file))

test('there is something to look at', () => {
  expect(own).toContain('.github/workflows/deploy.yml')
  for (const page of ['README.md', 'docs/start.md', 'docs/from-kamal.md', 'examples/todo/README.md']) {
    expect(workflows.map(([at]) => at.replace(/:\d+$/, ''))).toContain(page)
  }
})

test.each(['README.md', ...files.filter((file) => /^examples\/\w+\/README\.md$/.test(file))])(
  '%s shows how to deploy and how to roll back',
  (page) => {
    expect([...workflowsIn(read(page)).keys()]).toEqual(expect.arrayContaining(['deploy.yml', 'rollback.yml']))
  },
)

const all = texts.map(([at, text]) => [at, readWorkflow(text)] as const)

describe.each(workflowRules)('each workflow $rule', ({ breaches, sees }) => {
  test('and none breaks that', () => {
    expect(all.flatMap(([at, each]) => breaches(each).map((breach) => `${at}: ${breach}`))).toEqual([])
  })

  test('and the rule sees what breaks it', () => {
    expect(sees.filter((text) => breaches(readWorkflow(text)).length === 0)).toEqual([])
  })
})

test.each(own)('%s grants no permission by default', (path) => {
  expect(readWorkflow(read(path)).permissions).toEqual({})
})

test('an action of others has one pin everywhere', () => {
  const uses = texts.flatMap(([, text]) => usesIn(text)).filter((use) => use.includes('#'))
  const pins = Map.groupBy(new Set(uses), (use) => use.split('@')[0])
  expect([...pins.values()].filter((several) => several.length > 1)).toEqual([])
})

/** Lets the language service look into our own actions and reusable workflows, as `owner/deploy-django@v1` has them. */
const service: ValidationConfig = {
  actionsMetadataProvider: {
    fetchActionMetadata: ({ owner, name, path = '.' }) =>
      Promise.resolve(
        `${owner}/${name}` === 'owner/deploy-django'
          ? (parse(read(join(path, 'action.yml'))) as ActionMetadata)
          : { name, description: 'of others, so its inputs are not known' },
      ),
  },
  fileProvider: {
    getFileContent: ({ path }) => Promise.resolve({ name: path, content: read(path) }),
  },
}

async function problemsOf(path: string, text: string): Promise<string[]> {
  const problems = await validate(TextDocument.create(`file:///${path}`, 'yaml', 0, text), service)
  return problems.map(({ range, message }) => `line ${range.start.line + 1}: ${message}`)
}

describe("GitHub's own language service", () => {
  test.each(actions)('finds nothing in %s', async (path) => {
    expect(await problemsOf(path, read(path))).toEqual([])
  })

  // Its own address for each text: the service remembers a file by it.
  test.each(workflows)('finds nothing in %s', async (at, text) => {
    expect(await problemsOf(`${at}/.github/workflows/a.yml`, text)).toEqual([])
  })

  const status = '{ uses: owner/deploy-django/status@v1, with: { version: v1 } }'
  const rollback = 'owner/deploy-django/.github/workflows/rollback.yml@v1'
  test.each([
    ['action.yml', read('action.yml').replace('using: node24', 'using: node99'), "Unexpected value 'node99'"],
    ['.github/workflows/a.yml', 'on: pusch\njobs: {}', "Unexpected value 'pusch'"],
    [
      '.github/workflows/b.yml',
      `on: push\njobs: { a: { runs-on: x, steps: [${status}] } }`,
      "Invalid action input 'version'",
    ],
    ['.github/workflows/c.yml', `on: push\njobs: { a: { uses: ${rollback}, with: { host: x } } }`, 'known-hosts'],
  ])('does see mistakes in wrong/%s', async (path, text, message) => {
    expect((await problemsOf(`wrong/${path}`, text)).join('\n')).toContain(message)
  })
})

test('a program that is missing skips its tests, and fails them in CI', () => {
  expect(builtTool('none', {})).toBeUndefined()
  expect(() => builtTool('none', { CI: 'true' })).toThrow('none is not in .tools/bin')
})

const actionlint = builtTool('actionlint')
const lint = actionlint === undefined ? test.skip : test

/** What actionlint says about workflows, with our own actions and reusable workflows as those of their repository. */
async function lintProblems(several: readonly (readonly [string, string])[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'workflow-'))
  try {
    await mkdir(join(folder, '.git'))
    for (const part of ['.github/workflows', 'dist', 'action.yml', 'build', 'rollback', 'exec', 'status']) {
      await cp(join(root, part), join(folder, part), { recursive: true })
    }
    const names = several.map(([at]) => `${at.replaceAll(/[/:]/g, '-')}.yml`)
    for (const [index, [, text]] of several.entries()) {
      const here = text.replaceAll(/owner\/deploy-django(\/\S*)?@v1/g, (_, path: string = '/') => `.${path}`)
      await writeFile(join(folder, '.github/workflows', names[index] ?? ''), here)
    }
    const words = ['-no-color', '-oneline', '-shellcheck=', '-pyflakes=', ...names]
    const linted = await run(actionlint ?? '', words, { cwd: join(folder, '.github/workflows') })
    return linted.stdout + linted.stderr
  } finally {
    await rm(folder, { recursive: true })
  }
}

describe('actionlint', () => {
  lint('finds nothing', async () => {
    expect(await lintProblems(workflows)).toBe('')
  })

  const job = (step: string): string => `on: push\njobs: { a: { runs-on: ubuntu-latest, steps: [${step}] } }\n`
  lint.each([
    [job('{ run: "echo ${{ nonsense.x }}" }'), 'undefined variable "nonsense"'],
    [job('{ uses: owner/deploy-django/status@v1, with: { version: x } }'), 'input "version" is not defined'],
    [
      'on: push\njobs: { a: { uses: owner/deploy-django/.github/workflows/rollback.yml@v1, with: { host: x } } }\n',
      'input "known-hosts" is required',
    ],
  ])('does see mistakes: %#', async (text, message) => {
    expect(await lintProblems([['wrong', text]])).toContain(message)
  })
})
