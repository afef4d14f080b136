/** The workflows that the documentation shows, and the programs that judge them. */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Path of a program that script/bootstrap builds where Go is; undefined, with a word about it, where it is not. */
export function builtTool(name: 'act' | 'actionlint'): string | undefined {
  const path = fileURLToPath(new URL(`../.tools/bin/${name}`, import.meta.url))
  if (existsSync(path)) return path
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
