import {
  commands,
  inputs,
  route,
  type BuildInputs,
  type Command,
  type DeployInputs,
  type ExecInputs,
  type RollbackInputs,
  type StatusInputs,
  type Values,
} from './contract.ts'
import type { Input } from './input.ts'
import { DeployError, Problems, TROUBLESHOOTING } from './errors.ts'
import { secretsIn } from './secret.ts'
import { onOneLine, Unusable } from './values.ts'

/** What GitHub says about the run. */
export type Runner = {
  sha: string
  refName: string
  refType: 'branch' | 'tag'
  /** `owner/name`. */
  repository: string
  serverUrl: string
  /** Of GitHub's API. */
  apiUrl: string
  runId: number
  runAttempt: number
  /** The page of this run and attempt. */
  runUrl: string
  actor: string
  /** The folder of the checkout. */
  workspace: string
  /** A folder that the runner empties after the job. */
  temp: string
  /** The file of the job summary; undefined where the server has none. */
  debug: boolean
}

/** The command that the entry file stands for: `dist/rollback.js` is `rollback`. */
export function readCommand(entry: string): Command {
  const known = commands.find((command) => command === entry)
  if (known !== undefined) return known
  throw new DeployError('internal', {
    what: 'The action was started by a file that it does not have',
    seen: `started as ${entry}.js`,
    fix: `start one of ${commands.map((command) => `dist/${command}.js`).join(', ')}, as the action.yml files do`,
  })
}

/** Reads and checks every input of `deploy`; throws `Problems` with all that is wrong. */
export function readDeployInputs(env: NodeJS.ProcessEnv = process.env): DeployInputs {
  return readAll(inputs.deploy, env, halfALogin(env))
}

/** Reads and checks every input of `rollback`; throws `Problems` with all that is wrong. */
export function readRollbackInputs(env: NodeJS.ProcessEnv = process.env): RollbackInputs {
  return readAll(inputs.rollback, env, [])
}

/** Reads and checks every input of `build`; throws `Problems` with all that is wrong. */
export function readBuildInputs(env: NodeJS.ProcessEnv = process.env): BuildInputs {
  return readAll(inputs.build, env, halfALogin(env))
}

/** Reads and checks every input of `exec`; throws `Problems` with all that is wrong. */
export function readExecInputs(env: NodeJS.ProcessEnv = process.env): ExecInputs {
  return readAll(inputs.exec, env, [])
}

/** Reads and checks every input of `status`; throws `Problems` with all that is wrong. */
export function readStatusInputs(env: NodeJS.ProcessEnv = process.env): StatusInputs {
  return readAll(inputs.status, env, [])
}

/** Reads what the post step needs to reach the host again. */
export function readRoute(env: NodeJS.ProcessEnv = process.env): Values<typeof route> {
  return readAll(route, env, [])
}

/** Reads the facts of the run, as GitHub's runner gives them to each step. */
export function readRunner(env: NodeJS.ProcessEnv = process.env): Runner {
  const fact = (name: string): string => {
    const text = env[name]
    if (text) return text
    throw new DeployError('internal', {
      what: `The environment variable ${name} is not set`,
      why: 'the action was not started by a GitHub Actions runner',
      fix: 'use the action as a step of a workflow',
    })
  }
  const serverUrl = fact('GITHUB_SERVER_URL')
  const repository = fact('GITHUB_REPOSITORY')
  const runId = Number(fact('GITHUB_RUN_ID'))
  const runAttempt = Number(env.GITHUB_RUN_ATTEMPT ?? '1')
  return {
    sha: fact('GITHUB_SHA'),
    refName: fact('GITHUB_REF_NAME'),
    refType: env.GITHUB_REF_TYPE === 'tag' ? 'tag' : 'branch',
    repository,
    serverUrl,
    apiUrl: env.GITHUB_API_URL || 'https://api.github.com',
    runId,
    runAttempt,
    runUrl: `${serverUrl}/${repository}/actions/runs/${runId}/attempts/${runAttempt}`,
    actor: fact('GITHUB_ACTOR'),
    workspace: fact('GITHUB_WORKSPACE'),
    temp: fact('RUNNER_TEMP'),
    debug: env.RUNNER_DEBUG === '1',
  }
}

/** Where docs/troubleshooting.md is, in the version of the action that runs. One of the checkout (`uses: ./`) is a path there. */
export function readTroubleshootingPage(env: NodeJS.ProcessEnv = process.env): string {
  const { GITHUB_ACTION_REPOSITORY: repository, GITHUB_ACTION_REF: ref, GITHUB_SERVER_URL: server } = env
  if (!repository || !ref || !server) return TROUBLESHOOTING
  return `${server}/${repository}/blob/${ref.split('/').map(encodeURIComponent).join('/')}/${TROUBLESHOOTING}`
}

/**
 * The environment for programs that read the repository, such as Docker Compose and buildx: that of the step, as the
 * user's own `docker compose build` would see it, without this action's inputs (secrets) and GitHub's own variables.
 */
export function readStepEnvironment(env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(INPUT|GITHUB|RUNNER|STATE)_/i.test(name)))
}

/** The inputs that hold secrets; every command has some of them. */
type Secrets = Partial<ExecInputs> & {
  [Name in 'sshKey' | 'registryPassword' | 'githubToken' | 'envFile' | 'envFiles']?: DeployInputs[Name] | undefined
}

/** Every text that must not appear in a log. A mask works on single lines, so each line of a secret is listed. */
export function secretsOf(given: Secrets): string[] {
  const envFiles = [given.envFile ?? '', ...(given.envFiles ?? []).map((file) => file.content), ...(given.env ?? [])]
  const sent = given.registryPassword === undefined ? undefined : onOneLine(given.registryPassword)
  const texts = [given.sshKey, given.registryPassword, sent, given.githubToken].flatMap(linesOf)
  // A mask of a few characters would blank half of the log and protects nothing.
  return [...new Set([...texts.filter((text) => text.length >= 4), ...envFiles.flatMap(secretsIn)])]
}

function linesOf(secret: string | undefined): string[] {
  return secret === undefined ? [] : secret.split('\n').map((line) => line.trim())
}

function readAll<Table extends Readonly<Record<string, Input<unknown>>>>(
  table: Table,
  env: NodeJS.ProcessEnv,
  problems: DeployError[],
): Values<Table> {
  const { sha, refName, refType } = readRunner(env)
  const values: Record<string, unknown> = {}
  const all = [...problems]
  for (const [name, row] of Object.entries(table)) {
    const text = textOf(name, env, row)
    if (row.required && text === '') {
      all.push(missing(name, row))
      continue
    }
    try {
      values[camel(name)] = row.parse(text, { sha, refName, refType })
    } catch (error) {
      if (!(error instanceof Unusable)) throw error
      all.push(invalid(name, row, text, error))
    }
  }
  if (all.length > 0) throw new Problems(all)
  // The one cast: the loop has put each value where Values<Table> says, which a type checker cannot follow.
  return values as Values<Table>
}

/** An empty input counts as not given: `migrate: ${{ inputs.migrate }}` may well be empty. */
function textOf(name: string, env: NodeJS.ProcessEnv, row?: Input<unknown>): string {
  const given = env[`INPUT_${name.toUpperCase()}`] ?? ''
  if (given.trim() === '') return row?.default?.startsWith('${{') ? '' : (row?.default ?? '')
  return row?.secret ? given : given.trim()
}

function camel(name: string): string {
  return name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())
}

function missing(name: string, row: Input<unknown>): DeployError {
  return new DeployError('input-missing', {
    what: `Input ${name} is empty`,
    why: row.secret
      ? 'the secret does not exist, belongs to an environment that the job does not name, or may not be read by this event (a fork, Dependabot)'
      : undefined,
    fix: row.secret
      ? `add a secret and pass it: ${name}: \${{ secrets.${name.toUpperCase().replaceAll('-', '_')} }}`
      : `set the input ${name} (${row.description})`,
  })
}

function invalid(name: string, row: Input<unknown>, text: string, error: Unusable): DeployError {
  return new DeployError('input-invalid', {
    what: `Input ${name} cannot be used: ${error.why}`,
    seen: row.secret || text === '' ? undefined : text,
    fix: error.fix,
  })
}

function halfALogin(env: NodeJS.ProcessEnv): DeployError[] {
  const given = ['registry-username', 'registry-password'].filter((name) => textOf(name, env) !== '')
  if (given.length !== 1) return []
  const absent = given[0] === 'registry-username' ? 'registry-password' : 'registry-username'
  return [
    new DeployError('input-missing', {
      what: `Input ${given[0]} is set, but ${absent} is empty`,
      fix: 'set both, or neither',
    }),
  ]
}
