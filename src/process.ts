import { debug, isDebug } from '@actions/core'
import { spawn, type ChildProcess } from 'node:child_process'
import { constants } from 'node:os'
import { DeployError } from './errors.ts'

/** The result of a program. A death by signal counts as 128 + the signal's number, as in a shell. */
export type Finished = { code: number; stdout: string; stderr: string }

/** Which of the two outputs a line came from. */
type Stream = 'stdout' | 'stderr'

/** How a program is started. */
export type RunOptions = {
  cwd?: string | undefined
  /** The whole environment. Default: the environment of the action. */
  env?: NodeJS.ProcessEnv | undefined
  /** Written to standard input, which is then closed. Default: the program reads end of file. */
  stdin?: string | Buffer | undefined
  /** Ends the program and everything it started. */
  signal?: AbortSignal | undefined
  /** Called for each line while the program runs, without its line end. */
  onLine?: ((line: string, stream: Stream) => void) | undefined
  timeoutMs?: number | undefined
}

/** The type of `run`, for functions that take it as a parameter. */
export type Run = typeof run

const TERM_GRACE_MS = 3_000
/** A background child may hold the pipes open. After the program exits, a silence of this length closes them. */
const PIPE_GRACE_MS = 1_000

/**
 * Runs a program with its arguments, never through a shell. Resolves with any exit code. Rejects when the program
 * cannot start, when `signal` aborts it (`aborted`), or after `timeoutMs` (`program-timeout`).
 */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const { signal, stdin, onLine, timeoutMs } = options
  if (signal?.aborted) return Promise.reject(aborted(program, signal))
  const noteEnd = noteStart(program, args)

  return new Promise((resolve, reject) => {
    // Its own process group, so that an abort also ends the program's children.
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: options.env,
      detached: true,
      stdio: [stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    })
    let failure: unknown
    let forced: NodeJS.Timeout | undefined
    let idle: NodeJS.Timeout | undefined
    let exit: { code: number | null; signal: NodeJS.Signals | null } | undefined

    const stop = (reason: unknown): void => {
      if (failure !== undefined) return
      failure = reason
      killGroup(child, 'SIGTERM')
      forced = setTimeout(() => killGroup(child, 'SIGKILL'), TERM_GRACE_MS)
    }
    const onAbort = (): void => stop(aborted(program, signal))
    signal?.addEventListener('abort', onAbort, { once: true })
    const limit =
      timeoutMs === undefined ? undefined : setTimeout(() => stop(timedOut(program, args, timeoutMs)), timeoutMs)

    const read = (name: Stream): Collected => {
      const collected = collect(onLine && ((line) => onLine(line, name)))
      const stream = child[name]
      stream?.setEncoding('utf8')
      stream?.on('data', (chunk: string) => {
        idle?.refresh()
        try {
          collected.add(chunk)
        } catch (error) {
          stop(error)
        }
      })
      return collected
    }
    const stdout = read('stdout')
    const stderr = read('stderr')

    const cleanUp = (): void => {
      signal?.removeEventListener('abort', onAbort)
      clearTimeout(limit)
      clearTimeout(forced)
      clearTimeout(idle)
    }
    child.once('error', (error) => {
      if (child.pid !== undefined) return
      cleanUp()
      noteEnd('was not started')
      reject(notStarted(program, options.cwd, error))
    })
    child.once('exit', (code, byUs) => {
      exit = { code, signal: byUs }
      idle = setTimeout(() => {
        child.stdout?.destroy()
        child.stderr?.destroy()
      }, PIPE_GRACE_MS)
    })
    child.once('close', () => {
      if (exit === undefined) return
      cleanUp()
      noteEnd(failure === undefined ? `exit ${exitCode(exit)}` : 'was stopped')
      // A child that ignored SIGTERM and lost its parent must not outlive the abort.
      if (failure !== undefined) killGroup(child, 'SIGKILL')
      try {
        stdout.end()
        stderr.end()
      } catch (error) {
        failure ??= error
      }
      if (failure === undefined) resolve({ code: exitCode(exit), stdout: stdout.text(), stderr: stderr.text() })
      else reject(failure)
    })

    // A program may end without reading its input. Its exit code counts, not EPIPE.
    child.stdin?.on('error', () => {})
    child.stdin?.end(stdin)
  })
}

let started = 0

/** Under debug logging, prints the program with its arguments, and a line when it ends. No argument holds a secret. */
function noteStart(program: string, args: readonly string[]): (end: string) => void {
  if (!isDebug()) return () => {}
  const number = (started += 1)
  const begun = Date.now()
  debug(`[${number}] ${[program, ...args].map(shorten).join(' ')}`)
  return (end) => debug(`[${number}] ${program}: ${end} after ${Date.now() - begun} ms`)
}

function shorten(word: string): string {
  const shown = /^[\w@%+=:,./-]+$/.test(word) ? word : JSON.stringify(word)
  return shown.length <= LONGEST_WORD ? shown : `${shown.slice(0, LONGEST_WORD)}…`
}

const LONGEST_WORD = 200

type Collected = { add(chunk: string): void; end(): void; text(): string }

function collect(onLine: ((line: string) => void) | undefined): Collected {
  const chunks: string[] = []
  let rest = ''
  return {
    add(chunk) {
      chunks.push(chunk)
      if (!onLine) return
      const lines = (rest + chunk).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) onLine(line.replace(/\r$/, ''))
    },
    end() {
      if (onLine && rest !== '') onLine(rest)
      rest = ''
    },
    text: () => chunks.join(''),
  }
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // The group has ended already.
  }
}

function exitCode(exit: { code: number | null; signal: NodeJS.Signals | null }): number {
  if (exit.code !== null) return exit.code
  return exit.signal === null ? 1 : 128 + constants.signals[exit.signal]
}

function aborted(program: string, signal: AbortSignal | undefined): DeployError {
  return new DeployError('aborted', { what: `${program} was stopped`, cause: signal?.reason })
}

function timedOut(program: string, args: readonly string[], timeoutMs: number): DeployError {
  return new DeployError('program-timeout', {
    what: `${program} ${args[0] ?? ''}`.trimEnd() + ` did not end within ${timeoutMs / 1000} s and was stopped`,
  })
}

function notStarted(program: string, cwd: string | undefined, error: Error): DeployError {
  return new DeployError('program-missing', {
    what: `${program} could not be started`,
    seen: error.message,
    why: cwd === undefined ? undefined : `the program is not installed, or the folder ${cwd} does not exist`,
    fix: `install ${program} on the runner`,
    cause: error,
  })
}
