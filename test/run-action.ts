/** A stand-in for GitHub's runner: starts an action as the runner does, and cancels or loses it as the runner would. */
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'

/** One line below the log that GitHub shows on the run's page. */
export type Annotation = { kind: 'error' | 'warning' | 'notice'; message: string; properties: Record<string, string> }

/** The results of one process of the action: `log` is masked as on GitHub, `raw` is not; `debug` has the debug lines. */
type Step = { code: number; log: string; raw: string; debug: string[]; annotations: Annotation[]; summary: string }

/** The results of a workflow step. */
export type ActionRun = Step & {
  outputs: Record<string, string>
  state: Record<string, string>
  masks: string[]
  /** The post step; undefined when it did not run. */
  post: Step | undefined
  /** What main and post left in the runner's temporary folder. */
  leftovers: string[]
  milliseconds: number
}

/** How to start an action. */
export type ActionOptions = {
  /** Path of an action.yml, from the repository's root. */
  action: string
  inputs?: Record<string, string>
  /** More environment, such as GITHUB_REF_NAME; it wins over the stand-in's own facts. */
  env?: Record<string, string>
  /** The checkout. */
  cwd: string
  /** Whether post runs; it does, except when the runner is lost (SIGKILL). */
  post?: boolean
  /** Each line of main as people see it, those of debug logging among them. */
  onLine?: (line: string) => void
  /** At the first line that matches: SIGINT cancels as GitHub does, SIGKILL is the loss of the runner. */
  kill?: { at: RegExp; signal: 'SIGINT' | 'SIGKILL' }
}

type Metadata = { inputs?: Record<string, { default?: unknown }>; runs: { main: string; post?: string } }
type Process = Step & { outputs: Record<string, string>; state: Record<string, string> }

const root = fileURLToPath(new URL('..', import.meta.url))
const TERM_AFTER_MS = 7_500
const KILL_AFTER_MS = 2_500
let lastRun = Date.now()

/** Runs main, then post, of an action; never throws because the action failed. */
export async function runAction(options: ActionOptions): Promise<ActionRun> {
  const file = resolve(root, options.action)
  const metadata = parse(await readFile(file, 'utf8')) as Metadata
  const temp = await mkdtemp(join(tmpdir(), 'runner-temp-'))
  const tracking = `github_${randomUUID()}`
  const masks: string[] = []
  const started = Date.now()
  const env = { ...facts(options.cwd, temp, tracking), ...options.env }
  const given = inputVariables(metadata, options.inputs ?? {}, env)
  const start = (script: string, state: Record<string, string>, isMain: boolean): Promise<Process> =>
    startNode(resolve(dirname(file), script), { ...env, ...given, ...state }, options, masks, tracking, isMain)
  try {
    const main = await start(metadata.runs.main, {}, true)
    const lost = options.kill?.signal === 'SIGKILL' && main.code === 137
    const state = Object.fromEntries(Object.entries(main.state).map(([name, text]) => [`STATE_${name}`, text]))
    const post =
      metadata.runs.post !== undefined && (options.post ?? !lost)
        ? await start(metadata.runs.post, state, false)
        : undefined
    await killTracked(tracking)
    const leftovers = await readdir(temp)
    // For test/stories/environment.ts.
    Object.assign(globalThis, { lastLog: main.log })
    return { ...main, masks, post, leftovers, milliseconds: Date.now() - started }
  } finally {
    await rm(temp, { recursive: true, force: true })
  }
}

function facts(workspace: string, temp: string, tracking: string): Record<string, string> {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(GITHUB|INPUT|STATE|RUNNER|JEST|NODE|npm)_/i.test(name),
  )
  lastRun += 1
  return {
    ...Object.fromEntries(inherited.map(([name, text]) => [name, text ?? ''])),
    CI: 'true',
    GITHUB_ACTIONS: 'true',
    GITHUB_ACTION_REF: 'v1',
    GITHUB_ACTION_REPOSITORY: 'octo/deploy-django',
    GITHUB_ACTOR: 'octocat',
    GITHUB_EVENT_NAME: 'push',
    GITHUB_REF: 'refs/heads/main',
    GITHUB_REF_NAME: 'main',
    GITHUB_REF_TYPE: 'branch',
    GITHUB_REPOSITORY: 'octocat/todo',
    GITHUB_REPOSITORY_OWNER: 'octocat',
    GITHUB_RUN_ATTEMPT: '1',
    GITHUB_RUN_ID: `${lastRun}`,
    GITHUB_RUN_NUMBER: '1',
    GITHUB_SERVER_URL: 'https://github.com',
    GITHUB_SHA: '0123456789abcdef0123456789abcdef01234567',
    GITHUB_WORKSPACE: workspace,
    RUNNER_OS: 'Linux',
    RUNNER_TEMP: temp,
    // The runner finds what a job left behind by this variable, and so do we.
    RUNNER_TRACKING_ID: tracking,
  }
}

/** INPUT_* of the given inputs and of the defaults, with `${{ github.name }}` filled from GITHUB_NAME. */
function inputVariables(metadata: Metadata, given: Record<string, string>, env: Record<string, string>) {
  const known = Object.entries(metadata.inputs ?? {})
  const unknown = Object.keys(given).filter((name) => !known.some(([input]) => input === name))
  if (unknown.length > 0) throw new Error(`the action has no input ${unknown.join(', ')}`)
  const variables: Record<string, string> = {}
  for (const [name, { default: fallback }] of known) {
    const text = given[name] ?? (fallback === undefined ? '' : String(fallback))
    variables[`INPUT_${name.replaceAll(' ', '_').toUpperCase()}`] = text.replace(
      /\$\{\{\s*github\.(\w+)\s*\}\}/g,
      (_, fact: string) => env[`GITHUB_${fact.toUpperCase()}`] ?? '',
    )
  }
  return variables
}

async function startNode(
  script: string,
  env: Record<string, string>,
  options: ActionOptions,
  masks: string[],
  tracking: string,
  isMain: boolean,
): Promise<Process> {
  const folder = await mkdtemp(join(tmpdir(), 'runner-files-'))
  const files = Object.fromEntries(
    ['OUTPUT', 'STATE', 'ENV', 'PATH', 'STEP_SUMMARY'].map((name) => [`GITHUB_${name}`, join(folder, name)]),
  )
  await Promise.all(Object.values(files).map((path) => writeFile(path, '')))
  const read = (name: string): Promise<string> => readFile(join(folder, name), 'utf8')

  const child = spawn(process.execPath, [script], {
    cwd: options.cwd,
    env: { ...env, ...files },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const annotations: Annotation[] = []
  const log: string[] = []
  const raw: string[] = []
  const debug: string[] = []
  const timers: NodeJS.Timeout[] = []
  let killing = false

  const cancel = (): void => {
    child.kill('SIGINT')
    timers.push(setTimeout(() => child.kill('SIGTERM'), TERM_AFTER_MS))
    timers.push(setTimeout(() => void killTracked(tracking), TERM_AFTER_MS + KILL_AFTER_MS))
  }
  const take = (line: string): void => {
    const [, command, properties = '', message = ''] = /^::([\w-]+)(?: ([^:]*))?::(.*)$/.exec(line) ?? []
    if (command === 'add-mask') {
      masks.push(unescape(message))
      return
    }
    if (command === 'debug') {
      debug.push(unescape(message))
      see(`##[debug]${unescape(message)}`)
      return
    }
    if (command === 'error' || command === 'warning' || command === 'notice') {
      annotations.push({
        kind: command,
        message: mask(unescape(message), masks),
        properties: parseProperties(properties),
      })
    }
    const shown = command === undefined ? line : `##[${command}]${unescape(message)}`
    raw.push(shown)
    log.push(mask(shown, masks))
    see(shown)
  }
  const see = (shown: string): void => {
    if (!isMain) return
    options.onLine?.(mask(shown, masks))
    if (options.kill && !killing && options.kill.at.test(shown)) {
      killing = true
      if (options.kill.signal === 'SIGINT') cancel()
      else void killTracked(tracking)
    }
  }
  for (const stream of [child.stdout, child.stderr]) {
    let rest = ''
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n')
      rest = lines.pop() ?? ''
      lines.forEach(take)
    })
    stream.on('end', () => rest !== '' && take(rest))
  }
  // The runner waits for the process, not for background children that hold its pipes.
  const code = await new Promise<number>((done, failed) => {
    child.once('error', failed)
    child.once('exit', (exit, signal) => {
      const settle = (): void => done(exit ?? (signal === 'SIGKILL' ? 137 : signal === 'SIGTERM' ? 143 : 130))
      child.once('close', settle)
      timers.push(setTimeout(settle, 1_000))
    })
  })
  timers.forEach(clearTimeout)
  try {
    return {
      code,
      log: log.join('\n'),
      raw: raw.join('\n'),
      debug,
      annotations,
      summary: mask(await read('STEP_SUMMARY'), masks),
      outputs: parseFile(await read('OUTPUT')),
      state: parseFile(await read('STATE')),
    }
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** Ends every process that the job has started and that still carries its mark, as the runner does. */
async function killTracked(tracking: string): Promise<void> {
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '')
    if (!environment.split('\0').includes(`RUNNER_TRACKING_ID=${tracking}`)) continue
    try {
      process.kill(Number(pid), 'SIGKILL')
    } catch {
      // It ended by itself in between.
    }
  }
}

/** `name<<end`, lines of the value, `end`: the form of GITHUB_OUTPUT and GITHUB_STATE; the last one of a name counts. */
function parseFile(text: string): Record<string, string> {
  const values: Record<string, string> = {}
  for (const [, name = '', , value = ''] of text.matchAll(/^(.+?)<<(.+)\n(?:([^]*?)\n)?\2$/gm)) values[name] = value
  return values
}

function parseProperties(text: string): Record<string, string> {
  const pairs = text.split(',').filter((pair) => pair.includes('='))
  return Object.fromEntries(
    pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), unescape(pair.slice(pair.indexOf('=') + 1))]),
  )
}

function unescape(text: string): string {
  return text
    .replaceAll('%0D', '\r')
    .replaceAll('%0A', '\n')
    .replaceAll('%3A', ':')
    .replaceAll('%2C', ',')
    .replaceAll('%25', '%')
}

function mask(text: string, masks: readonly string[]): string {
  return masks.filter((secret) => secret !== '').reduce((shown, secret) => shown.replaceAll(secret, '***'), text)
}
