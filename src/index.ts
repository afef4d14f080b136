import { error as annotate, setOutput, setSecret, warning } from '@actions/core'
import { readAssets } from './assets.ts'
import { codeOf, DeployError, explain } from './errors.ts'
import { readCommand, readDeployInputs, readRollbackInputs, readRunner, secretsOf } from './inputs.ts'
import { isPost } from './state.ts'

/** Fires when the job is cancelled: GitHub's runner sends SIGINT, then SIGTERM after 7.5 s. */
const cancelled = new AbortController()

async function main(): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => cancelled.abort(new Error(`the runner sent ${signal}`)))
  }
  const command = readCommand()
  const inputs = command === 'deploy' ? readDeployInputs() : readRollbackInputs()
  secretsOf(inputs).forEach((secret) => setSecret(secret))
  const runner = readRunner()
  await readAssets()
  throw new DeployError('internal', { what: `${command} is not there yet`, seen: runner.runUrl })
}

async function post(): Promise<void> {}

/** The only place that makes the step red; one annotation for one failure. */
function fail(failure: unknown): void {
  process.exitCode = 1
  setOutput('outcome', 'failed')
  const place = failure instanceof DeployError ? failure.annotation : undefined
  annotate(explain(failure), {
    title: `Deploy Django: ${codeOf(failure)}`,
    ...(place && { file: place.file }),
    ...(place?.line !== undefined && { startLine: place.line }),
    ...(place?.column !== undefined && { startColumn: place.column }),
  })
}

if (isPost) await post().catch((failure: unknown) => warning(explain(failure)))
else await main().catch(fail)
