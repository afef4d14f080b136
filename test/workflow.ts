/** The workflows that the documentation shows, and the programs that judge them. */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Path of a program that script/bootstrap builds where Go is. Without it: undefined and a line, and an error in CI. */
export function builtTool(name: string, env: NodeJS.ProcessEnv = process.env): string | undefined {
  const path = fileURLToPath(new URL(`../.tools/bin/${name}`, import.meta.url))
  if (existsSync(path)) return path
  if (env['CI'])
    throw new Error(`${name} is not in .tools/bin. In CI nothing may be skipped: run script/bootstrap first`)
  process.stdout.write(
    `${name} is not in .tools/bin (script/bootstrap builds it where Go is), so this is not tested.\n`,
  )
  return undefined
}

/** The workflows of a page: its blocks of YAML that have jobs, by the file name that stands above each. */
export function workflowsIn(page: string): ReadonlyMap<string, string> {
  const blocks = [...page.matchAll(/`\.github\/workflows\/([\w-]+\.ya?ml)`[^\n]*:\n\n```yaml\n([^]*?)```/g)]
  return new Map(blocks.map(([, name = '', text = '']) => [name, text]))
}

/** A block of YAML of a page, and the line of the page on which it begins. */
export type Block = { line: number; text: string }

/** The blocks of YAML that a page tells its reader to use. What the reader had "Before" is shown as it was. */
export function yamlBlocksIn(page: string): readonly Block[] {
  const blocks = page.matchAll(/^## (.*)$|^```yaml\n([^]*?)^```$/gm)
  let heading = ''
  return [...blocks].flatMap(({ 1: title, 2: text, index }) => {
    if (title !== undefined) heading = title
    if (text === undefined || heading === 'Before') return []
    return [{ line: page.slice(0, index).split('\n').length + 1, text }]
  })
}
