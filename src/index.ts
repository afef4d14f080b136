import { error as annotate, info, setOutput, setSecret, warning } from '@actions/core'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { readAssets } from './assets.ts'
import { build } from './commands/build.ts'
import { deploy } from './commands/deploy.ts'
import { exec } from './commands/exec.ts'
import { followAfterCancel } from './commands/post.ts'
import { rollback } from './commands/rollback.ts'
import { status } from './commands/status.ts'
import { codeOf, explain, placeOf } from './errors.ts'
import {
  readBuildInputs,
  readCommand,
  readDeployInputs,
  readExecInputs,
  readRollbackInputs,
  readRoute,
  readRunner,
  readStatusInputs,
  readStepEnvironment,
  secretsOf,
} from './inputs.ts'
import { run } from './process.ts'
import { writeSummary } from './report/log.ts'
import { headline, renderSummary } from './report/summary.ts'
import { outputsOf, startReport, type Report } from './report/report.ts'
import { entry, saveTemporaryFolder, temporaryFolder } from './state.ts'

/** Fires when the job is cancelled: GitHub's runner sends SIGINT, then SIGTERM after 7.5 s. */
const cancelled = new AbortController()

async function main(): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => cancelled.abort(new Error(`the runner sent ${signal}`)))
  }
  const runner = readRunner()
  const folder = await mkdtemp(join(runner.temp, 'dd-'))
  saveTemporaryFolder(folder)
  const context = {
    run,
    runner,
    assets: await readAssets(),
    folder,
    environment: readStepEnvironment(),
    signal: cancelled.signal,
  }
  switch (readCommand(entry)) {
    case 'deploy': {
      const inputs = masked(readDeployInputs())
      const report = startReport('deploy', inputs.host.address, inputs.version)
      return await tell(report, deploy(inputs, context, report))
    }
    case 'rollback': {
      const inputs = masked(readRollbackInputs())
      const report = startReport('rollback', inputs.host.address, inputs.version ?? 'the release before')
      return await tell(report, rollback(inputs, context, report))
    }
    case 'build': {
      const inputs = masked(readBuildInputs())
      const report = startReport('build', undefined, inputs.version)
      return await tell(report, build(inputs, context, report))
    }
    case 'exec':
      return await exec(masked(readExecInputs()), context)
    case 'status':
      return await status(masked(readStatusInputs()), context)
  }
}

/** The inputs, whose secrets are hidden before anything is printed. */
function masked<Inputs extends Parameters<typeof secretsOf>[0]>(inputs: Inputs): Inputs {
  secretsOf(inputs).forEach((secret) => setSecret(secret))
  return inputs
}

/** Outputs and summary, whether the command succeeds or fails; then the failure goes its way. */
async function tell(report: Report, work: Promise<void>): Promise<void> {
  const failure = await work.then(
    () => undefined,
    (cause: unknown) => ({ cause }),
  )
  for (const [name, value] of Object.entries(outputsOf(report))) setOutput(name, value)
  await writeSummary(renderSummary(report, failure?.cause))
  if (failure) throw failure.cause
  info(headline(report))
}

async function post(): Promise<void> {
  const folder = temporaryFolder()
  if (folder === '') return
  try {
    await followAfterCancel(run, folder, readRoute)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** The only place that makes the step red; one annotation for one failure. */
function fail(failure: unknown): void {
  process.exitCode = 1
  setOutput('outcome', 'failed')
  const place = placeOf(failure)
  annotate(explain(failure), {
    title: `Deploy Django: ${codeOf(failure)}`,
    ...(place && { file: place.file }),
    ...(place?.line !== undefined && { startLine: place.line }),
    ...(place?.column !== undefined && { startColumn: place.column }),
  })
}

if (entry === 'post') await post().catch((failure: unknown) => warning(explain(failure)))
else await main().catch(fail)
