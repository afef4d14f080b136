/** Writes what is made from the tables of src/inputs/contract.ts: every action.yml, and the tables of the pages. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { stringify } from 'yaml'
import { commands, groups, inputs, type Command } from '../src/inputs/contract.ts'
import type { Input } from '../src/inputs/input.ts'
import { outputs } from '../src/report/outputs.ts'

const root = join(import.meta.dirname, '..')

type Action = { name: string; description: string; icon: string }
const actions: Record<Command, Action> = {
  deploy: {
    name: 'Deploy Django',
    description: 'Take a Django repository to a running, verified release on a Docker Compose server',
    icon: 'upload-cloud',
  },
  rollback: {
    name: 'Deploy Django: roll back',
    description: 'Go back to an earlier release that Deploy Django has deployed',
    icon: 'rotate-ccw',
  },
  build: {
    name: 'Deploy Django: build',
    description: 'Build and push the images of a Django repository, for a deploy in another job',
    icon: 'package',
  },
  exec: {
    name: 'Deploy Django: run a command',
    description: 'Run a command in a container of a project that Deploy Django has deployed',
    icon: 'terminal',
  },
  status: {
    name: 'Deploy Django: status',
    description: 'Report what a server serves, and change nothing',
    icon: 'activity',
  },
}

/** The main action is that of the repository itself. */
const folderOf = (command: Command): string => (command === 'deploy' ? '.' : command)

const rows = (command: Command): [string, Input<unknown>][] => Object.entries(inputs[command])

const isRequired = ({ required, exempt }: Input<unknown>): boolean => required === true && exempt === undefined

/** The text of an action.yml. */
function actionYaml(command: Command): string {
  const action = actions[command]
  const dist = relative(folderOf(command), 'dist')
  const given = rows(command).map(([name, row]) => [
    name,
    {
      description: row.otherwise === undefined ? row.description : `${row.description} (default: ${row.otherwise})`,
      required: isRequired(row),
      ...(isRequired(row) ? {} : { default: row.default ?? '' }),
    },
  ])
  const document = {
    name: action.name,
    description: action.description,
    author: 'Deploy Django maintainers',
    branding: { icon: action.icon, color: 'green' },
    inputs: Object.fromEntries(given),
    outputs: Object.fromEntries(Object.entries(outputs[command]).map(([name, description]) => [name, { description }])),
    runs: { using: 'node24', main: `${dist}/${command}.js`, post: `${dist}/post.js` },
  }
  const head = '# Made by `npm run generate` from src/inputs/contract.ts: change it there.\n'
  return head + stringify(document, { lineWidth: 0, singleQuote: true })
}

/** A table of a command's inputs or outputs; the marker in the page chooses it. */
function table(name: string): string {
  const command = commands.find((known) => name === known || name === `${known}-outputs`)
  if (command === undefined) throw new Error(`There is no table ${name}`)
  if (name !== command) {
    const lines = Object.entries(outputs[command]).map(([output, text]) => `| \`${output}\` | ${cell(text)} |`)
    return ['| output | meaning |', '|---|---|', ...lines].join('\n')
  }
  if (command !== 'deploy') return inputTable(rows(command))
  return Object.entries(groups)
    .map(([group, names]) => `**${group}**\n\n${inputTable(names.map((each) => [each, inputs.deploy[each]]))}`)
    .join('\n\n')
}

function inputTable(shown: readonly [string, Input<unknown>][]): string {
  const lines = shown.map(([input, row]) => {
    const value = row.default?.startsWith('${{') ? row.default.slice(3, -2).trim() : row.default
    const exempt = row.exempt === undefined ? '' : `, except ${row.exempt}`
    const fallback = row.required ? `**required**${exempt}` : value ? `\`${value}\`` : (row.otherwise ?? '')
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

for (const command of commands) {
  const path = join(root, folderOf(command), 'action.yml')
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, actionYaml(command))
}
for (const page of ['README.md', 'docs/sub-actions.md']) {
  const path = join(root, page)
  await writeFile(path, withTables(await readFile(path, 'utf8')))
}
