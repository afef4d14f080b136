import { setOutput } from '@actions/core'
import { randomUUID } from 'node:crypto'
import type { ExecInputs } from '../inputs/contract.ts'
import { DeployError } from '../errors.ts'
import { info, show } from '../report/log.ts'
import { connect, type Connection } from '../host/connection.ts'
import { explainStage, missingProgram } from '../host/failure.ts'
import { nothingDeployed, requireProject } from '../host/find.ts'
import { fact } from '../host/fact.ts'
import { checkServer } from '../host/look.ts'
import { currentRelease } from '../host/release.ts'
import { incoming, send } from '../host/stage.ts'
import type { World } from './context.ts'

/** Runs lines in a container of the current release. It does not delay a running deployment. */
export async function exec(inputs: ExecInputs, context: World): Promise<void> {
  const { run, folder, signal, assets } = context
  const connection = await connect(run, inputs, folder, signal)
  const { directory, server } = await requireProject(connection, assets.transaction.toString(), inputs.directory)
  checkServer(server, inputs.host.user, directory)
  const release = currentRelease(server)
  if (!release) throw nothingDeployed(directory)

  const id = `exec-${randomUUID()}`
  const place = incoming(directory, id)
  const files = [
    { path: 'transaction.sh', content: assets.transaction, mode: 0o700 },
    { path: 'script', content: withoutInput(inputs.run), mode: 0o600 },
    { path: 'env/given', content: inputs.env.map((line) => `${line}\n`).join(''), mode: 0o600 },
  ]
  await send(run, connection, place, files, folder)
  info(`In ${inputs.service ?? `${fact(release.facts, 'django') ?? ''}, which runs Django,`} of ${release.version}:`)
  const words = [directory, id, ...(inputs.service === undefined ? [] : [inputs.service])]
  const done = await connection
    .callOrThrow(['sh', `${place}/transaction.sh`, 'run', ...words], {
      onLine: (line, stream) => {
        if (stream === 'stdout') show(line)
      },
    })
    .catch(async (cause: unknown) => {
      if (!signal.aborted) throw cause
      throw cancelled(await askToQuit(connection, assets.transaction.toString(), words), cause)
    })
  const code = done.code === 0 ? exitCodeIn(done.stderr) : undefined
  if (code === undefined) throw explainStage(done)
  setOutput('exit-code', code)
  if (code !== 0) throw commandFailed(code, done.stdout)
}

/**
 * The container's shell reads these lines from standard input. In one group, it reads them all before it runs any. A
 * program in them reads /dev/null, not the rest of the lines.
 */
export function withoutInput(lines: string): string {
  return `{\n${lines}\n} </dev/null\n`
}

/** The exit code that the host reports on the last line of stderr. */
export function exitCodeIn(stderr: string): number | undefined {
  const [, code] = /^exit (\d{1,3})$/.exec(stderr.trimEnd().split('\n').at(-1) ?? '') ?? []
  return code === undefined ? undefined : Number(code)
}

/**
 * Makes the host end the command's processes. The job is cancelled already, so this call ignores the connection's
 * signal. False when the request failed.
 */
async function askToQuit(connection: Connection, script: string, words: readonly string[]): Promise<boolean> {
  const options = { stdin: script, signal: undefined, timeoutMs: 5_000 }
  return await connection.call(['sh', '-s', 'quit', ...words], options).then(
    (finished) => finished.code === 0,
    () => false,
  )
}

function cancelled(asked: boolean, cause: unknown): DeployError {
  return new DeployError('aborted', {
    what: 'The job was cancelled while the command ran',
    why: asked
      ? 'its processes in the container received SIGTERM'
      : 'its processes could not be stopped: the command continues in its container, and its output is lost',
    cause,
  })
}

/** The error of a command that ended with this exit code. */
export function commandFailed(code: number, output: string): DeployError {
  if (missingProgram(output) === 'sh') {
    return new DeployError('command-failed', {
      what: 'The command was not run: the image of the service has no `sh`',
      seen: output.trimEnd().split('\n').at(-1),
      why: '`sh` reads the lines of `run` in the container, and a distroless image has none',
      fix: 'name a service whose image has `sh` with `service`, or build the image on a base with a shell',
    })
  }
  return new DeployError('command-failed', {
    what: `The command ended with exit code ${code}`,
    seen: output.trimEnd().split('\n').slice(-8).join('\n') || undefined,
    why: EXIT_CODES[code],
    fix: 'see its output above',
  })
}

const EXIT_CODES: Readonly<Record<number, string>> = {
  126: 'a program in the container may not be started',
  127: 'the container lacks a program; it needs at least `sh`',
  137: 'it was killed: the memory ran out, or a deployment replaced the container while it ran',
}
