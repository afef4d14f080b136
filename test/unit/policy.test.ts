import { describe, expect, test } from '@jest/globals'
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const src = join(root, 'src')
const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
const typescript = files.filter((file) => file.endsWith('.ts'))
const shell = files.filter((file) => file.endsWith('.sh'))
const lines = (file: string): string[] => readFileSync(join(src, file), 'utf8').split('\n')
const repository = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '--', ':!dist'], { cwd: root })
  .toString()
  .trim()
  .split('\n')
  .filter((file) => existsSync(join(root, file)))
const isShell = (file: string): boolean =>
  statSync(join(root, file)).isFile() &&
  (file.endsWith('.sh') || /^#!.*[ /](ba|da)?sh\b/.test(readFileSync(join(root, file), 'utf8')))
const isComment = (line: string): boolean => /^\s*(\/\/|\/\*|\*|#)/.test(line)

/** A rule: what must not stand in the code, where it may all the same, and lines that show that the rule sees it. */
type Rule = { rule: string; not: RegExp; except?: string[]; sees: string[] }

const onTheRunner: Rule[] = [
  {
    rule: 'only inputs/inputs.ts reads inputs and the environment',
    not: /process\.env|get(Boolean|Multiline)?Input\b/,
    except: ['inputs/inputs.ts'],
    sees: ['const home = process.env.HOME', "getInput('host')", "core.getBooleanInput('x')"],
  },
  {
    rule: 'only process.ts starts programs',
    not: /child_process|@actions\/exec/,
    except: ['process.ts'],
    sees: ["import { spawn } from 'node:child_process'"],
  },
  {
    rule: 'no program is started through a shell',
    not: /\bshell: |\bexec(File)?(Sync)?\(['"`]|['"`](\/bin\/)?(ba|da)?sh['"`], \[?['"`]-\w*c/,
    sees: ['spawn(x, { shell: true })', 'execSync(`rm ${x}`)', "run('sh', ['-c', text])", "['sh', '-ec', text]"],
  },
  {
    rule: 'only host/connection.ts starts ssh',
    not: /\(['"`](ssh|scp|sftp)['"`]/,
    except: ['host/connection.ts'],
    sees: ["run('ssh', [host])"],
  },
  {
    rule: 'only index.ts fails the step',
    not: /setFailed|process\.exit/,
    except: ['index.ts'],
    sees: ['setFailed(text)', 'process.exit(1)', 'process.exitCode = 1'],
  },
  {
    rule: 'only github/state.ts keeps state',
    not: /saveState|getState/,
    except: ['github/state.ts'],
    sees: ["saveState('a', 'b')", "getState('a')"],
  },
  {
    rule: 'no default exports, no any',
    not: /export default|: any[,;)\]>=\s]|<any>|\bas (any|never)\b|\bas unknown as\b/,
    sees: ['export default run', 'x: any, y', 'x as any', 'x as never', 'x as unknown as Y', 'new Map<any>()'],
  },
]

const onTheServer: Rule[] = [
  {
    rule: 'nothing is evaluated and no file is sourced',
    not: /\beval\b|\bsource\b|(^|[;&|({]|\b(then|do|else)\b)\s*\.\s+\S/,
    sees: ['eval "$line"', '. ./facts', 'if x; then . "$file"; fi', 'source facts'],
  },
  {
    rule: 'no project is taken down, no volume or network removed',
    not: /\bcompose\b.*\s(down\b|rm\s.*-\w*v)|\b(volume|network) (rm|prune)\b|\bsystem prune\b|\bdocker rm\b.*\s(-\w*v\w*|--volumes)\b/,
    sees: [
      'compose "$release" down',
      'compose "$release" down -v',
      'compose "$release" rm -fsv web',
      'docker volume rm x',
      'docker network prune -f',
      'docker system prune',
      'docker rm -fv x',
    ],
  },
  {
    rule: 'no image of others is pruned',
    not: /prune.*\s(-\w*a\w*|--all|--volumes)\b/,
    sees: ['docker image prune -af', 'docker image prune --all', 'docker builder prune --volumes'],
  },
]

/** Where a rule is broken, as `path:line: text`. */
function breaches({ not, except = [] }: Rule, among: string[]): string[] {
  return among
    .filter((file) => !except.includes(file))
    .flatMap((file) => lines(file).map((text, index) => ({ text, at: `${file}:${index + 1}` })))
    .filter(({ text }) => !isComment(text) && not.test(text))
    .map(({ text, at }) => `${at}: ${text.trim()}`)
}

describe.each([
  { place: 'on the runner', among: typescript, rules: onTheRunner, known: 'index.ts' },
  { place: 'on the server', among: shell, rules: onTheServer, known: 'host/transaction/engine.sh' },
])('$place', ({ among, rules, known }) => {
  test('there is something to look at', () => expect(among).toContain(known))

  test.each(rules)('$rule', (rule) => {
    expect(rule.sees.filter((line) => !rule.not.test(line))).toEqual([])
    expect(breaches(rule, among)).toEqual([])
  })
})

test('only src/compose reads what a Compose model holds', () => {
  const reads = /compose\/document\.ts|\bservice\.values\b|\.model\[|valuesOf\(/
  const sees = ["import { textOf } from '../compose/document.ts'", "app.model['services']", 'valuesOf(model)']
  expect(sees.filter((line) => !reads.test(line))).toEqual([])
  const outside = typescript.filter((file) => !file.startsWith('compose/'))
  expect(breaches({ rule: '', not: reads, sees }, outside)).toEqual([])
})

test('docker compose has one door on the server, with the environment it may see', () => {
  expect(breaches({ rule: '', not: /docker[ -]compose /, sees: [] }, shell)).toHaveLength(1)
})

test('only compose.sh knows the calls, labels and names of Docker Compose', () => {
  // `compose.yaml` is the name of a release's model.
  const knows = /compose(?!\.yaml\b)|COMPOSE_|--(no-deps|force-recreate|no-recreate|scale)\b/
  const sees = [
    'compose "$1" config -q',
    'ask ps --filter label=com.docker.compose.project',
    'for name in COMPOSE_FILE; do',
    '"$command" "$1" --no-recreate',
    '  echo "--scale $service=$count"',
  ]
  expect(sees.filter((line) => !knows.test(line))).toEqual([])
  const others = shell.filter((file) => file !== 'host/transaction/compose.sh')
  expect(others).toHaveLength(shell.length - 1)
  expect(breaches({ rule: '', not: knows, sees }, others)).toEqual([])
})

test('each function that compose.sh names at its top is there, and another part uses it', () => {
  const text = (file: string): string => lines(file).join('\n')
  const compose = text('host/transaction/compose.sh')
  const names = [...compose.matchAll(/^##   (?:[a-z ]+?  +)?([a-z_ ]+)$/gm)].flatMap(([, line = '']) => line.split(' '))
  expect(names).toEqual(expect.arrayContaining(['list_containers', 'settle_leftovers', 'write_adopted_model']))
  const others = shell
    .filter((file) => file !== 'host/transaction/compose.sh')
    .map(text)
    .join('\n')
  expect(
    names.filter((name) => !compose.includes(`\n${name}() {`) || !new RegExp(`\\b${name}\\b`).test(others)),
  ).toEqual([])
})

test('no line of a shell script is longer than 120 columns', () => {
  const scripts = repository.filter(isShell)
  expect(scripts).toEqual(expect.arrayContaining(['script/bootstrap', 'src/host/transaction/engine.sh']))
  const long = scripts.flatMap((file) =>
    readFileSync(join(root, file), 'utf8')
      .split('\n')
      .flatMap((line, index) => (line.length > 120 ? [`${file}:${index + 1}`] : [])),
  )
  expect(long).toEqual([])
})

test('no object is spread only to keep lines short', () => {
  const spread = /\.{3}\{/
  const found = repository
    .filter((file) => file.endsWith('.ts'))
    .filter((file) => spread.test(readFileSync(join(root, file), 'utf8')))
  expect(spread.test('f({ ...' + '{ a, b }, c })')).toBe(true)
  expect(found).toEqual([])
})

test('no check of the compiler is silenced', () => {
  const silenced = /@ts-(ignore|nocheck|expect-error)/
  expect(typescript.filter((file) => lines(file).some((line) => silenced.test(line)))).toEqual([])
})

test.each(files.filter((file) => /\.(ts|sh|py)$/.test(file)))('%s is not too long', (file) => {
  expect(lines(file).length - 1).toBeLessThanOrEqual(450)
})
