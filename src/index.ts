import { error as annotate, info, setOutput, setSecret, warning } from '@actions/core'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { readAssets } from './assets.ts'
import { build } from './commands/build.ts'
import type { Context, World } from './commands/context.ts'
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
  readTroubleshootingPage,
  secretsOf,
} from './inputs.ts'
import { run } from './process.ts'
import { writeSummary } from './report/log.ts'
import { describeServing, headline, renderSummary } from './report/summary.ts'
import { noFindings, outputsOf, type Findings, type Outcome } from './report/report.ts'
import { entry, saveTemporaryFolder, temporaryFolder } from './state.ts'

/** Fires when the job is cancelled: GitHub's runner sends SIGINT, then SIGTERM after 7.5 s. */
const cancelled = new AbortController()

/** Where every failure is explained at length. */
const page = readTroubleshootingPage()

async function main(): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => cancelled.abort(new Error(`the runner sent ${signal}`)))
  }
  const runner = readRunner()
  const folder = await mkdtemp(join(runner.temp, 'dd-'))
  saveTemporaryFolder(folder)
  const world: World = {
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
      const findings = noFindings('deploy', inputs.host.address, inputs.version)
      return await report(findings, world, (context) => deploy(inputs, context))
    }
    case 'rollback': {
      const inputs = masked(readRollbackInputs())
      const findings = noFindings('rollback', inputs.host.address, inputs.version ?? 'the release before')
      return await report(findings, world, (context) => rollback(inputs, context))
    }
    case 'build': {
      const inputs = masked(readBuildInputs())
      const findings = noFindings('build', undefined, inputs.version)
      return await report(findings, world, (context) => build(inputs, context))
    }
    case 'exec':
      return await exec(masked(readExecInputs()), world)
    case 'status':
      return await status(masked(readStatusInputs()), world)
  }
}

/** The inputs, whose secrets are hidden before anything is printed. */
function masked<Inputs extends Parameters<typeof secretsOf>[0]>(inputs: Inputs): Inputs {
  secretsOf(inputs).forEach((secret) => setSecret(secret))
  return inputs
}

/** Runs a command and writes outputs and summary, whether it succeeds or fails. */
async function report(start: Findings, world: World, run: (context: Context) => Promise<Outcome>): Promise<void> {
  let findings = start
  const found = (more: Partial<Findings>): void => {
    findings = { ...findings, ...more }
  }
  const outcome = await run({ ...world, found }).catch((cause: unknown): Outcome => ({ kind: 'failed', cause }))
  for (const [name, value] of Object.entries(outputsOf(findings, outcome))) setOutput(name, value)
  await writeSummary(renderSummary(findings, outcome, page))
  if (outcome.kind === 'failed') fail(outcome.cause, describeServing(findings))
  else info(headline(findings, outcome))
}

async function post(): Promise<void> {
  const folder = temporaryFolder()
  if (folder === '') return
  try {
    await followAfterCancel(run, folder, readRoute, page)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** The only place that makes the step red; one annotation for one failure. */
function fail(failure: unknown, serving?: string): void {
  process.exitCode = 1
  setOutput('outcome', 'failed')
  const place = placeOf(failure)
  annotate(explain(failure, { serving, page }), {
    title: `Deploy Django: ${codeOf(failure)}`,
    ...(place && { file: place.file }),
    ...(place?.line !== undefined && { startLine: place.line }),
    ...(place?.column !== undefined && { startColumn: place.column }),
  })
}

if (entry === 'post') await post().catch((failure: unknown) => warning(explain(failure, { page })))
else await main().catch((failure: unknown) => fail(failure))
