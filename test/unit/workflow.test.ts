import { expect, test } from '@jest/globals'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from '../../src/process.ts'
import { builtTool, workflowsIn } from '../workflow.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const pages = ['README.md', ...(await readdir(join(root, 'examples'))).map((name) => `examples/${name}/README.md`)]
const actionlint = builtTool('actionlint')
const lint = actionlint === undefined ? test.skip : test

async function problemsOf(workflows: ReadonlyMap<string, string>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'workflows-'))
  try {
    for (const [name, text] of workflows) await writeFile(join(folder, name), text)
    const paths = [...workflows.keys()].map((name) => join(folder, name))
    const linted = await run(actionlint ?? '', ['-no-color', '-oneline', '-shellcheck=', '-pyflakes=', ...paths])
    return linted.stdout.replaceAll(`${folder}/`, '') + linted.stderr
  } finally {
    await rm(folder, { recursive: true })
  }
}

test.each(pages)('%s shows both workflows', async (page) => {
  const names = [...workflowsIn(await readFile(join(root, page), 'utf8')).keys()]
  expect(names).toEqual(expect.arrayContaining(['deploy.yml', 'rollback.yml']))
})

lint.each([...pages, 'docs/start.md'])('actionlint has nothing to say about the workflows of %s', async (page) => {
  expect(await problemsOf(workflowsIn(await readFile(join(root, page), 'utf8')))).toBe('')
})

lint('nor about those of this repository', async () => {
  const folder = join(root, '.github/workflows')
  const texts = (await readdir(folder)).map(async (name) => [name, await readFile(join(folder, name), 'utf8')] as const)
  expect(await problemsOf(new Map(await Promise.all(texts)))).toBe('')
})

lint('actionlint does see mistakes', async () => {
  const text = 'on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: "echo ${{ nonsense.x }}"}]}}\n'
  expect(await problemsOf(new Map([['a.yml', text]]))).toContain('undefined variable "nonsense"')
})
