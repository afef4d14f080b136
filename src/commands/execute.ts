import { warning } from '@actions/core'
import { readMigrateReport } from '../django/document.ts'
import type { Plan } from '../deployment/plan.ts'
import { DeployError } from '../errors.ts'
import { explainDenial, type DenialFacts } from '../guard/denied.ts'
import { group, harmless, showProgress } from '../report/log.ts'
import { servingOf, type Serving } from '../report/report.ts'
import type { Connection } from '../server/connection.ts'
import { explainEnding, explainReverted } from '../server/failure.ts'
import type { Ending, JournalLine } from '../server/follow.ts'
import type { Server } from '../server/look.ts'
import { versionOf } from '../server/release.ts'
import { send, writeFacts, type SentFile } from '../server/stage.ts'
import { askToTurnBack, followToEnd, transact, type Transaction } from '../server/transaction.ts'
import { forgetFollowed, saveFollowed } from '../state.ts'
import type { Context } from './context.ts'

/** A plan as the host needs it, and what its success means. */
export type Decided = {
  kind: 'deployed' | 'unchanged' | 'rolled-back'
  steps: Plan['steps']
  /** Pending migrations with the hash of their source; the host applies no other. */
  approved: readonly string[]
  /** The health question for the probe; undefined when nothing is asked over HTTP. */
  http: string | undefined
  /** How many containers: what was decided, and what the Compose file says, as `service=number`. */
  counts: { scale: readonly string[]; counts: readonly string[] }
  /** What may explain a failure. */
  denial: DenialFacts
}

/** Executes the plan on the host and follows it to its end; throws when the goal was not reached. */
export async function execute(
  { connection, server }: { connection: Connection; server: Server },
  transaction: Transaction,
  plan: Decided,
  version: string,
  context: Context,
): Promise<Decided> {
  const files: SentFile[] = [
    { path: 'steps', content: plan.steps.map((step) => `${step}\n`).join(''), mode: 0o600 },
    ...writeFacts('.', { approved: plan.approved, ...plan.counts }),
    ...(plan.http === undefined ? [] : [{ path: 'http.json', content: `${plan.http}\n`, mode: 0o600 }]),
  ]
  await send(context.run, connection, `${transaction.directory}/.deploy/plans/${transaction.id}`, files, context.folder)
  saveFollowed({ tid: transaction.id, directory: transaction.directory })
  const ending = await group(`Deployment ${transaction.id} on the host`, () =>
    watch((show) => transact(connection, transaction, show, context.signal)),
  ).catch(async (cause: unknown) => {
    // It goes on without us, and which release will answer is not known.
    context.found({ serving: { kind: 'unknown' } })
    // From here `post` follows; this process has seconds to live.
    if (context.signal.aborted) throw cancelled(await askToTurnBack(connection, transaction), cause)
    throw cause
  })
  forgetFollowed()
  takeEnding(ending, server, version, plan.denial, context)
  return plan
}

function cancelled(asked: boolean, cause: unknown): DeployError {
  return new DeployError('aborted', {
    what: 'The job was cancelled while the deployment ran on the server',
    why: asked
      ? 'it turns back at its next safe point, never in a running migration'
      : 'the server could not be asked to turn back, so the deployment goes on to its end',
    fix: 'see at the end of the post step what serves; run the job again to deploy',
    cause,
  })
}

/** What `post` does for a main step that was cancelled: follow to the end, for `limit` milliseconds at most. */
export async function watchToEnd(connection: Connection, transaction: Transaction, limit: number): Promise<Ending> {
  return await watch((show) => followToEnd(connection, transaction, show, AbortSignal.timeout(limit)))
}

async function watch(work: (show: Parameters<typeof transact>[2]) => Promise<Ending>): Promise<Ending> {
  const progress = showProgress()
  try {
    return await work(progress.show)
  } finally {
    progress.stop()
  }
}

function takeEnding(ending: Ending, server: Server, version: string, denial: DenialFacts, { found }: Context): void {
  const migrate = ending.documents.get('migrate')
  found({
    applied: migrate ? readMigrateReport(migrate).applied : [],
    steps: durations(ending.journal),
    serving: servingAfter(ending, server, version),
  })
  const failure = explainEnding(ending)
  if (failure) throw explainDenial(failure, denial)
  ending.warnings.forEach((text) => warning(harmless(text)))
}

/** After a revert, no release is none; while nobody has finished the deployment, it is only not known. */
function servingAfter(ending: Ending, server: Server, version: string): Serving {
  if (ending.word === 'committed') return servingOf(version)
  if (ending.serves === undefined && ending.word !== 'back') return { kind: 'unknown' }
  const before = versionOf(server, ending.serves)
  const trouble = ending.revert && explainReverted(ending.revert)
  if (before !== undefined && trouble !== undefined) return { kind: 'broken', version: before, trouble }
  return servingOf(before, ending.revert?.seconds)
}

/** Seconds between the begin and the end of each step. */
function durations(journal: readonly JournalLine[]): { name: string; seconds: number }[] {
  const begun = new Map<string, number>()
  return journal.flatMap((line) => {
    const time = Date.parse(line.time)
    if (line.state === 'begin' && !begun.has(line.step)) begun.set(line.step, time)
    const start = begun.get(line.step)
    if (start === undefined || (line.state !== 'end' && line.state !== 'fail')) return []
    return [{ name: line.step, seconds: (time - start) / 1000 }]
  })
}
