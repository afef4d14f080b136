import { info, setOutput } from '@actions/core'
import { randomUUID } from 'node:crypto'
import type { ExecInputs } from '../contract.ts'
import { DeployError } from '../errors.ts'
import { show } from '../report/log.ts'
import { connect } from '../server/connection.ts'
import { explainStage } from '../server/failure.ts'
import { requireProject } from '../server/find.ts'
import { checkServer } from '../server/look.ts'
import { currentRelease } from '../server/release.ts'
import { incoming, send } from '../server/stage.ts'
import type { Context } from './context.ts'

/** Runs lines in a container of the release that serves; a deployment that goes on meanwhile is not held up. */
export async function exec(inputs: ExecInputs, context: Context): Promise<void> {
  const { run, folder, signal, assets } = context
  const connection = await connect(run, inputs, folder, signal)
  const { directory, server } = await requireProject(connection, assets.transaction.toString(), inputs.directory)
  checkServer(server, inputs.host.user)
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
  const words = ['sh', `${place}/transaction.sh`, 'run', directory, id]
  const done = await connection
    .reach([...words, ...(inputs.service === undefined ? [] : [inputs.service])], {
      onLine: (line, stream) => {
        if (stream === 'stdout') show(line)
      },
    })
    .catch((cause: unknown) => {
      throw signal.aborted ? cancelled(cause) : cause
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

function cancelled(cause: unknown): DeployError {
  return new DeployError('aborted', {
    what: 'The job was cancelled while the command ran',
    why: 'nobody ends it: it goes on in its container, and nobody sees what it prints',
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

function nothingDeployed(directory: string): DeployError {
  return new DeployError('nothing-deployed', {
    what: `Nothing was deployed to ${directory} yet`,
    why: 'the first deployment failed or was never made, or the folder is another one',
    fix: 'deploy first, or set `directory` to the folder of the project on the server',
  })
}
