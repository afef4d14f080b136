/** Writes what is made from the tables of src/contract.ts: every action.yml, and the tables of README.md. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { stringify } from 'yaml'
import { inputs, outputs, type Command, type Input } from '../src/contract.ts'

const root = join(import.meta.dirname, '..')

type Action = { file: string; name: string; description: string; icon: string; dist: string }
const actions: Record<Command, Action> = {
  deploy: {
    file: 'action.yml',
    name: 'Deploy Django',
    description: 'Take a Django repository to a running, verified release on a Docker Compose server',
    icon: 'upload-cloud',
    dist: 'dist',
  },
  rollback: {
    file: 'rollback/action.yml',
    name: 'Deploy Django: roll back',
    description: 'Go back to an earlier release that Deploy Django has deployed',
    icon: 'rotate-ccw',
    dist: '../dist',
  },
}

const rows = (command: Command): [string, Input<unknown>][] => Object.entries(inputs[command])

/** The text of an action.yml. */
function actionYaml(command: Command): string {
  const action = actions[command]
  const given = rows(command).map(([name, row]) => [
    name,
    {
      description: row.otherwise === undefined ? row.description : `${row.description} (default: ${row.otherwise})`,
      required: row.required ?? false,
      ...(row.required ? {} : { default: row.default ?? '' }),
    },
  ])
  const hidden = { description: 'set by this file, leave it out', required: false, default: command }
  const document = {
    name: action.name,
    description: action.description,
    author: 'Deploy Django maintainers',
    branding: { icon: action.icon, color: 'green' },
    inputs: { ...Object.fromEntries(given), command: hidden },
    outputs: Object.fromEntries(Object.entries(outputs).map(([name, description]) => [name, { description }])),
    runs: { using: 'node24', main: `${action.dist}/index.js`, post: `${action.dist}/post.js` },
  }
  const head = '# Made by `npm run generate` from src/contract.ts: change it there.\n'
  return head + stringify(document, { lineWidth: 0, singleQuote: true })
}

/** A table of the README; the marker in README.md chooses it. */
function table(name: string): string {
  if (name === 'outputs') {
    const lines = Object.entries(outputs).map(([output, description]) => `| \`${output}\` | ${description} |`)
    return ['| output | meaning |', '|---|---|', ...lines].join('\n')
  }
  if (name !== 'deploy' && name !== 'rollback') throw new Error(`README.md: there is no table ${name}`)
  const lines = rows(name).map(([input, row]) => {
    const value = row.default?.startsWith('${{') ? row.default.slice(3, -2).trim() : row.default
    const fallback = row.required ? '**required**' : value ? `\`${value}\`` : (row.otherwise ?? '')
    return `| \`${input}\` | ${cell(fallback)} | ${cell(row.description)} |`
  })
  return ['| input | default | meaning |', '|---|---|---|', ...lines].join('\n')
}

const cell = (text: string): string => text.replaceAll('|', '\\|')

/** Replaces what stands between `<!-- table NAME -->` and `<!-- end -->`. */
function withTables(text: string): string {
  return text.replace(
    /(<!-- table (\S+) -->\n)[^]*?(<!-- end -->)/g,
    (_, start: string, name: string, end: string) => `${start}\n${table(name)}\n\n${end}`,
  )
}

for (const command of ['deploy', 'rollback'] as const) {
  const path = join(root, actions[command].file)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, actionYaml(command))
}
const readme = join(root, 'README.md')
const before = await readFile(readme, 'utf8').catch(() => undefined)
if (before !== undefined) await writeFile(readme, withTables(before))
