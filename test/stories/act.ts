/** GitHub's part of a story: act runs the jobs of a workflow on this machine. */
import { readFileSync } from 'node:fs'
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from '../../src/process.ts'
import { environment } from '../world/docker.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** What a run of a workflow left; jobs by name, and those of a called workflow as `caller/job`. */
export type ActRun = {
  code: number
  log: string
  /** How each job ended, in order. */
  jobs: readonly string[]
  summaries: ReadonlyMap<string, string>
  outputs: ReadonlyMap<string, Readonly<Record<string, string>>>
}

/**
 * What stands for the approval of an environment, which act does not have: act is stopped once the job has succeeded, and goes
 * on when `look` has ended.
 */
type Pause = { after: string; look: () => Promise<void> }

/** A repository on GitHub, whose workflows can be started. */
export type Act = AsyncDisposable & {
  start(workflow: string, event: string, facts: object, pause?: Pause): Promise<ActRun>
}

/** What the repository has in its settings, and the login that its runners have for the registry. */
type Settings = {
  secrets: Readonly<Record<string, string>>
  variables: Readonly<Record<string, string>>
  docker: string
  apiUrl: string
}

/** Makes it for a checkout. `owner/deploy-django@v1` is this repository. */
export async function openAct(act: string, workspace: string, settings: Settings): Promise<Act> {
  const folder = await mkdtemp(join(tmpdir(), 'act-'))
  const path = (name: string): string => join(folder, name)
  const keep = (name: string, text: string): Promise<void> => writeFile(path(name), text, { mode: 0o600 })
  const linesOf = (values: Readonly<Record<string, string>>): string =>
    Object.entries(values)
      .map(([name, text]) => `${name}="${text}"\n`)
      .join('')
  for (const part of ['action.yml', 'rollback', 'build', 'dist', '.github']) {
    await cp(join(root, part), join(folder, 'action', part), { recursive: true })
  }
  await mkdir(path('docker'))
  await keep('docker/config.json', settings.docker)
  await keep('secrets', linesOf(settings.secrets))
  await keep('variables', linesOf(settings.variables))
  const options = [
    ...['--json', '--platform', 'ubuntu-latest=-self-hosted', '--eventpath', path('event.json')],
    ...['--local-repository', `owner/deploy-django@v1=${path('action')}`, '--env', `GITHUB_API_URL=${settings.apiUrl}`],
    ...['--secret-file', path('secrets'), '--var-file', path('variables')],
  ]
  const env = {
    ...environment,
    // Without containers act takes the node of this machine, whatever the action asks for.
    PATH: `${dirname(process.execPath)}:${environment['PATH']}`,
    DOCKER_CONFIG: path('docker'),
    XDG_CACHE_HOME: path('cache'),
    XDG_CONFIG_HOME: path('config'),
  }
  return {
    async start(workflow, event, facts, pause) {
      await keep('event.json', JSON.stringify(facts))
      const words = [act, event, '--workflows', `.github/workflows/${workflow}`, ...options]
      const story = { log: '', jobs: new Array<string>(), summaries: new Map<string, string>(), outputs: new Map() }
      let paused: Promise<void> | undefined
      const onLine = (text: string): void => {
        const line = read(text)
        story.log += `${line.job}: ${line.msg}\n`
        const result = /Job (succeeded|failed)$/.exec(line.msg)?.[1]
        if (result !== undefined) story.jobs.push(`${line.job} ${result}`)
        if (line.command === 'summary') story.summaries.set(line.job, line.content ?? '')
        if (line.command === 'set-output' && line.name !== undefined) {
          story.outputs.set(line.job, { ...story.outputs.get(line.job), [line.name]: line.arg ?? '' })
        }
        if (pause && result === 'succeeded' && line.job === pause.after) paused = hold(path('pid'), pause.look)
      }
      const script = 'echo "$$" >"$1" && shift && exec "$@"'
      const { code } = await run('sh', ['-c', script, 'act', path('pid'), ...words], { cwd: workspace, env, onLine })
      await paused
      return { ...story, code }
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  }
}

type Line = { job: string; msg: string; command?: string; content?: string; name?: string; arg?: string }

/** A line of act, or of what it started. */
function read(text: string): Line {
  if (!text.startsWith('{')) return { job: '', msg: text }
  const { job = '', ...line } = JSON.parse(text) as Partial<Line> & { msg: string }
  // `workflow/job`, or `caller/workflow/job`.
  const parts = job.split('/').map((part) => part.trim())
  return { ...line, job: [...parts.slice(0, -2), ...parts.slice(-1)].join('/') }
}

async function hold(pidFile: string, look: () => Promise<void>): Promise<void> {
  const pid = Number(readFileSync(pidFile, 'utf8'))
  process.kill(pid, 'SIGSTOP')
  try {
    await look()
  } finally {
    process.kill(pid, 'SIGCONT')
  }
}
