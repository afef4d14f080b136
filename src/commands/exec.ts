import { info, setOutput } from '@actions/core'
import { randomUUID } from 'node:crypto'
import type { ExecInputs } from '../contract.ts'
import { DeployError } from '../errors.ts'
import { show } from '../report/log.ts'
import { connect, type Connection } from '../server/connection.ts'
import { explainStage } from '../server/failure.ts'
import { nothingDeployed, requireProject } from '../server/find.ts'
import { checkServer } from '../server/look.ts'
import { currentRelease } from '../server/release.ts'
import { incoming, send } from '../server/stage.ts'
import type { World } from './context.ts'

/** Runs lines in a container of the release that serves; a deployment that goes on meanwhile is not held up. */
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
  info(`In ${inputs.service ?? 'the service that runs Django'} of ${release.version}:`)
  const words = [directory, id, ...(inputs.service === undefined ? [] : [inputs.service])]
  const done = await connection
    .reach(['sh', `${place}/transaction.sh`, 'run', ...words], {
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
 * The lines for the container's shell, which reads them from its standard input: as one group, so that it has read them all
 * before a program of theirs can, and that program finds nothing to read.
 */
export function withoutInput(lines: string): string {
  return `{\n${lines}\n} </dev/null\n`
}

/** The exit code that the server tells on its last line. */
export function exitCodeIn(stderr: string): number | undefined {
  const [, code] = /^exit (\d{1,3})$/.exec(stderr.trimEnd().split('\n').at(-1) ?? '') ?? []
  return code === undefined ? undefined : Number(code)
}

/** After the job was cancelled, so the signal of the connection must not stop it. False when it could not be done. */
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
      ? 'its processes in the container were asked to end (SIGTERM)'
      : 'they could not be asked to end: it goes on in its container, and nobody sees what it prints',
    cause,
  })
}

function commandFailed(code: number, output: string): DeployError {
  return new DeployError('command-failed', {
    what: `The command ended with exit code ${code}`,
    seen: output.trimEnd().split('\n').slice(-8).join('\n') || undefined,
    why: EXIT_CODES[code],
    fix: 'see what it printed above',
  })
}

const EXIT_CODES: Readonly<Record<number, string>> = {
  126: 'a program in the container may not be started',
  127: 'a program is not in the container; there has to be at least `sh`',
  137: 'it was killed: the memory ran out, or the container was replaced by a deployment meanwhile',
}
