import {
  defaultVersion,
  commands,
  inputs,
  judged,
  place,
  route,
  type BuildInputs,
  type Command,
  type DeployInputs,
  type ExecInputs,
  type JudgeInputs,
  type RollbackInputs,
  type StatusInputs,
  type Values,
} from './contract.ts'
import type { Input } from './input.ts'
import { DeployError, Problems } from '../errors.ts'
import { secretsIn } from './secret.ts'
import { onOneLine, Unusable } from './values.ts'

/** GitHub's facts about the run. */
export type Runner = {
  sha: string
  refName: string
  refType: 'branch' | 'tag'
  /** `owner/name`. */
  repository: string
  serverUrl: string
  /** The address of GitHub's API. */
  apiUrl: string
  runId: number
  runAttempt: number
  /** The page of this run and attempt. */
  runUrl: string
  /**
   * The page of the running workflow, on which it can be started if it has `workflow_dispatch`; undefined when unknown.
   */
  workflowPage: string | undefined
  actor: string
  /** The folder of the checkout. */
  workspace: string
  /** The file with the event; empty when the runner gives none. */
  eventPath: string
  /** A folder that the runner empties after the job. */
  temp: string
  /** Whether debug logging is on. */
  debug: boolean
}

/** The command of the entry file: `dist/rollback.js` is `rollback`. */
export function readCommand(entry: string): Command {
  const known = commands.find((command) => command === entry)
  if (known !== undefined) return known
  throw new DeployError('internal', {
    what: 'The action was started by a file that it does not have',
    seen: `started as ${entry}.js`,
    fix: `start one of ${commands.map((command) => `dist/${command}.js`).join(', ')}, as the action.yml files do`,
  })
}

/** Reads and checks every input of `deploy`. Throws `Problems` with all errors. */
export function readDeployInputs(env: NodeJS.ProcessEnv = process.env): DeployInputs {
  return readAll(inputs.deploy, env, halfALogin(env))
}

/** Whether the run is for a pull request, whose code is not reviewed yet. */
export function isPullRequest({ GITHUB_EVENT_NAME: event = '' }: NodeJS.ProcessEnv = process.env): boolean {
  return event.startsWith('pull_request')
}

/** Reads the inputs of a `deploy` on a pull request. Throws unless it is a dry run without a host on `pull_request`. */
export function readJudgeInputs(env: NodeJS.ProcessEnv = process.env): JudgeInputs {
  const event = env['GITHUB_EVENT_NAME'] ?? ''
  const host = textOf('host', env)
  const isDry = textOf('dry-run', env, inputs.deploy['dry-run']) === 'true'
  if (event === 'pull_request' && host === '' && isDry) return readAll(judged, env, [])
  throw new DeployError('pull-request', {
    what: 'A pull request is not deployed',
    seen: `the workflow runs for ${event}${host === '' ? '' : ', and the step has a host'}`,
    why:
      event === 'pull_request'
        ? 'its code is not reviewed yet, would run on the host, and could read its secrets'
        : 'it would build and run the code of a stranger in a job that has secrets',
    fix: 'deploy on `push` or `workflow_dispatch`. To judge the new migrations, use `on: pull_request`, leave out host, ssh-key and known-hosts, and set dry-run: true',
  })
}

/** Reads and checks every input of `rollback`. Throws `Problems` with all errors. */
export function readRollbackInputs(env: NodeJS.ProcessEnv = process.env): RollbackInputs {
  return readAll(inputs.rollback, env, [])
}

/** Reads and checks every input of `build`. Throws `Problems` with all errors. */
export function readBuildInputs(env: NodeJS.ProcessEnv = process.env): BuildInputs {
  return readAll(inputs.build, env, halfALogin(env))
}

/** Reads and checks every input of `exec`. Throws `Problems` with all errors. */
export function readExecInputs(env: NodeJS.ProcessEnv = process.env): ExecInputs {
  return readAll(inputs.exec, env, [])
}

/** Reads and checks every input of `status`. Throws `Problems` with all errors. */
export function readStatusInputs(env: NodeJS.ProcessEnv = process.env): StatusInputs {
  return readAll(inputs.status, env, [])
}

/** Reads the inputs with which the post step connects to the host again. */
export function readRoute(env: NodeJS.ProcessEnv = process.env): Values<typeof route> {
  return readAll(route, env, [])
}

/** Reads the inputs that locate the project on the host; undefined when one of them is invalid. */
export function readPlace(env: NodeJS.ProcessEnv = process.env): Values<typeof place> | undefined {
  try {
    return readAll(place, env, [])
  } catch {
    return undefined
  }
}

/** The requested version as written, or its default. */
export function readVersion(command: 'deploy' | 'rollback' | 'build', env: NodeJS.ProcessEnv = process.env): string {
  return textOf('version', env) || (command === 'rollback' ? RELEASE_BEFORE : defaultVersion(readRunner(env)))
}

/** The name of the target of a rollback without a version. */
export const RELEASE_BEFORE = 'the release before'

/** Reads the facts of the run from the environment that GitHub's runner gives to each step. */
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
    workflowPage: workflowPage(env, serverUrl),
    actor: fact('GITHUB_ACTOR'),
    workspace: fact('GITHUB_WORKSPACE'),
    eventPath: env.GITHUB_EVENT_PATH ?? '',
    temp: fact('RUNNER_TEMP'),
    debug: env.RUNNER_DEBUG === '1',
  }
}

/**
 * Parses `owner/name/.github/workflows/rollback.yml@refs/heads/main`. For a reusable workflow it names the calling
 * workflow.
 */
function workflowPage({ GITHUB_WORKFLOW_REF: ref = '' }: NodeJS.ProcessEnv, serverUrl: string): string | undefined {
  const [, repository, file] = /^([\w.-]+\/[\w.-]+)\/\.github\/workflows\/([\w.-]+)@/.exec(ref) ?? []
  return file === undefined ? undefined : `${serverUrl}/${repository}/actions/workflows/${file}`
}

/** The address of a page of this action, in the version that runs. With `uses: ./` it is a path in the checkout. */
export function readPage(path: string, env: NodeJS.ProcessEnv = process.env): string {
  const { GITHUB_ACTION_REPOSITORY: repository, GITHUB_ACTION_REF: ref, GITHUB_SERVER_URL: server } = env
  if (!repository || !ref || !server) return path
  return `${server}/${repository}/blob/${ref.split('/').map(encodeURIComponent).join('/')}/${path}`
}

/**
 * The environment for programs that read the repository, such as Docker Compose and buildx. It is the step's
 * environment, as for the user's own `docker compose build`. This action's inputs (secrets) and GitHub's own variables
 * are removed.
 */
export function readStepEnvironment(env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(INPUT|GITHUB|RUNNER|STATE)_/i.test(name)))
}

/** The inputs that hold secrets. Every command has some of them. */
type Secrets = Partial<ExecInputs> & {
  [Name in 'sshKey' | 'registryPassword' | 'githubToken' | 'envFile' | 'envFiles']?: DeployInputs[Name] | undefined
}

/** Every text that must not appear in a log. GitHub masks single lines, so each line of a secret is listed. */
export function secretsOf(given: Secrets): string[] {
  const envFiles = [given.envFile ?? '', ...(given.envFiles ?? []).map((file) => file.content), ...(given.env ?? [])]
  const sent = given.registryPassword === undefined ? undefined : onOneLine(given.registryPassword)
  const texts = [given.sshKey, given.registryPassword, sent, given.githubToken].flatMap(linesOf)
  // A mask of a few characters would hide half of the log and protect nothing.
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
  // The only cast: the loop put each value where Values<Table> expects it, which the type checker cannot follow.
  return values as Values<Table>
}

/** An empty input counts as absent, because `migrate: ${{ inputs.migrate }}` may be empty. */
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
