import { setOutput, setSecret } from '@actions/core'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { readAssets } from './host/assets.ts'
import { connect, disconnect } from './host/connection.ts'
import type { BuildInputs, DeployInputs, JudgeInputs, RollbackInputs } from './inputs/contract.ts'
import { build } from './commands/build.ts'
import { comment, type CommentInputs } from './commands/comment.ts'
import type { Context, World } from './commands/context.ts'
import { deploy } from './commands/deploy.ts'
import { exec } from './commands/exec.ts'
import { judge } from './commands/judge.ts'
import { followAfterCancel } from './commands/post.ts'
import { rollback } from './commands/rollback.ts'
import { findServing } from './commands/serving.ts'
import { status } from './commands/status.ts'
import { codeOf, explain, placeOf, TROUBLESHOOTING, type Surroundings } from './errors.ts'
import {
  isPullRequest,
  readBuildInputs,
  readCommand,
  readDeployInputs,
  readExecInputs,
  readJudgeInputs,
  readPage,
  readPlace,
  readRollbackInputs,
  readRoute,
  readRunner,
  readStatusInputs,
  readStepEnvironment,
  readVersion,
  RELEASE_BEFORE,
  secretsOf,
} from './inputs/inputs.ts'
import { run } from './process.ts'
import { info, makeStep, writeSummary } from './report/log.ts'
import { describeServing, headline, renderSummary } from './report/summary.ts'
import { noFindings, outputsOf, type Findings, type Outcome } from './report/report.ts'
import { annotateFailure, closeWarnings, warning } from './github/annotation.ts'
import { showCommands } from './github/command.ts'
import { entry, isUnfinished, saveTemporaryFolder, temporaryFolder } from './github/state.ts'

/** Fires when the job is cancelled: GitHub's runner sends SIGINT, then SIGTERM after 7.5 s. */
const cancelled = new AbortController()

/** The page that explains every failure. */
const page = readPage(TROUBLESHOOTING)

async function main(): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => cancelled.abort(new Error(`the runner sent ${signal}`)))
  }
  const runner = readRunner()
  const folder = await mkdtemp(join(runner.temp, 'dd-'))
  saveTemporaryFolder(folder)
  const world: World = {
    run: showCommands(run),
    runner,
    assets: await readAssets(),
    folder,
    environment: readStepEnvironment(),
    signal: cancelled.signal,
  }
  try {
    await obey(readCommand(entry), world)
  } finally {
    // Otherwise post follows the deployment over this connection. If this fails, post tries again.
    if (!isUnfinished()) await cleanUp(folder).catch(() => {})
  }
}

async function obey(command: ReturnType<typeof readCommand>, world: World): Promise<void> {
  switch (command) {
    case 'deploy': {
      if (isPullRequest()) {
        const begin = ({ version }: JudgeInputs): Findings => noFindings('deploy', undefined, version)
        return await report('deploy', world, readJudgeInputs, begin, judge, (inputs) => inputs)
      }
      const begin = ({ host, version, manage }: DeployInputs): Findings => ({
        ...noFindings('deploy', host.address, version),
        manage,
      })
      return await report('deploy', world, readDeployInputs, begin, deploy, (inputs) => inputs)
    }
    case 'rollback': {
      const begin = ({ host, version }: RollbackInputs): Findings =>
        noFindings('rollback', host.address, version ?? RELEASE_BEFORE)
      return await report('rollback', world, readRollbackInputs, begin, rollback)
    }
    case 'build': {
      const begin = ({ version, manage }: BuildInputs): Findings => ({
        ...noFindings('build', undefined, version),
        manage,
      })
      return await report('build', world, readBuildInputs, begin, build)
    }
    case 'exec':
      return await exec(masked(readExecInputs()), world)
    case 'status':
      return await status(masked(readStatusInputs()), world)
  }
}

/** Masks the secrets among the inputs before anything is printed. Returns the inputs. */
function masked<Inputs extends Parameters<typeof secretsOf>[0]>(inputs: Inputs): Inputs {
  secretsOf(inputs).forEach((secret) => setSecret(secret))
  return inputs
}

/**
 * Runs a command. Writes the outputs, the summary and the wanted comment, whether it succeeds or fails. Invalid inputs
 * count as a failure of the command.
 */
async function report<Inputs extends Parameters<typeof secretsOf>[0]>(
  command: Findings['command'],
  world: World,
  read: () => Inputs,
  begin: (inputs: Inputs) => Findings,
  run: (inputs: Inputs, context: Context) => Promise<Outcome>,
  commentOf: (inputs: Inputs) => CommentInputs | undefined = () => undefined,
): Promise<void> {
  let findings = noFindings(command, undefined, readVersion(command))
  let wanted: CommentInputs | undefined
  const found = (more: Partial<Findings>): void => {
    findings = { ...findings, ...more, steps: [...findings.steps, ...(more.steps ?? [])] }
  }
  const context = { ...world, found, step: makeStep((timed) => found({ steps: [timed] })) }
  const work = async (): Promise<Outcome> => {
    const inputs = await readOrLook(read, context)
    findings = begin(inputs)
    wanted = commentOf(inputs)
    return await run(inputs, context)
  }
  const outcome = await work().catch((cause: unknown): Outcome => ({ kind: 'failed', cause }))
  const pages = { troubleshooting: page, readme: readPage('README.md') }
  if (wanted?.comment === true) {
    await comment(findings, outcome, wanted, pages, world).catch((cause: unknown) => warning(explain(cause, { page })))
  }
  found({ warnings: closeWarnings() })
  for (const [name, value] of Object.entries(outputsOf(findings, outcome))) setOutput(name, value)
  await writeSummary(renderSummary(findings, outcome, pages))
  if (outcome.kind === 'failed') fail(outcome.cause, { serving: describeServing(findings), manage: findings.manage })
  else info(headline(findings, outcome))
}

/**
 * Reads the inputs. If one is invalid, inspects the host when it is reachable, so that the failure says what serves.
 */
async function readOrLook<Inputs extends Parameters<typeof secretsOf>[0]>(
  read: () => Inputs,
  context: Context,
): Promise<Inputs> {
  try {
    return masked(read())
  } catch (cause) {
    const place = isPullRequest() ? undefined : readPlace()
    if (place) {
      context.found({ host: place.host.address })
      await findServing(() => connect(run, masked(place), context.folder, context.signal), place, context)
    }
    throw cause
  }
}

/** Runs only if main left its folder: see script/build. */
async function post(): Promise<void> {
  const folder = temporaryFolder()
  try {
    await followAfterCancel(run, folder, readRoute, page)
  } finally {
    await cleanUp(folder)
  }
}

/** Closes the connection and removes the folder with the key. */
async function cleanUp(folder: string): Promise<void> {
  await disconnect(run, folder)
  await rm(folder, { recursive: true, force: true })
}

/** The only place that makes the step red. One failure makes one annotation. */
function fail(failure: unknown, more: Omit<Surroundings, 'page'> = {}): void {
  process.exitCode = 1
  setOutput('outcome', 'failed')
  annotateFailure(explain(failure, { ...more, page }), `Deploy Django: ${codeOf(failure)}`, placeOf(failure))
}

if (entry === 'post') await post().catch((failure: unknown) => warning(explain(failure, { page })))
else await main().catch((failure: unknown) => fail(failure))
