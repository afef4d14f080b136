import { warning } from '@actions/core'
import { readMigrateReport } from '../django/document.ts'
import type { HealthQuestion } from '../django/health.ts'
import type { Plan } from '../django/plan.ts'
import { DeployError } from '../errors.ts'
import { group, harmless, showProgress } from '../report/log.ts'
import type { Report } from '../report/report.ts'
import type { Connection } from '../server/connection.ts'
import { explainEnding } from '../server/failure.ts'
import type { Ending, JournalLine } from '../server/follow.ts'
import type { Server } from '../server/look.ts'
import { versionOf } from '../server/release.ts'
import { send, writeFacts, type SentFile } from '../server/stage.ts'
import { askToTurnBack, followToEnd, transact, type Transaction } from '../server/transaction.ts'
import { forgetFollowed, saveFollowed } from '../state.ts'
import type { Context } from './context.ts'

/** Sends what was decided, walks it on the server, and fills the report; throws when the goal was not reached. */
export async function walk(
  connection: Connection,
  context: Context,
  transaction: Transaction,
  plan: { steps: Plan['steps']; approved: readonly string[]; http: string | undefined },
  server: Server,
  report: Report,
): Promise<void> {
  const files: SentFile[] = [
    { path: 'steps', content: plan.steps.map((step) => `${step}\n`).join(''), mode: 0o600 },
    ...writeFacts('.', { approved: plan.approved }),
    ...(plan.http === undefined ? [] : [{ path: 'http.json', content: `${plan.http}\n`, mode: 0o600 }]),
  ]
  await send(context.run, connection, `${transaction.directory}/.deploy/plans/${transaction.id}`, files, context.folder)
  saveFollowed({ tid: transaction.id, directory: transaction.directory })
  const ending = await group(`Transaction ${transaction.id} on the server`, () =>
    watch((show) => transact(connection, transaction, show, context.signal)),
  ).catch(async (cause: unknown) => {
    // It goes on without us, and which release will answer is not known.
    report.serving = undefined
    // From here `post` follows; this process has seconds to live.
    if (context.signal.aborted) throw cancelled(await askToTurnBack(connection, transaction), cause)
    throw cause
  })
  forgetFollowed()
  reportEnding(ending, server, report)
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

/** How the health question of the inputs is put. */
export function healthQuestion(inputs: {
  healthUrl: HealthQuestion['url']
  healthHeaders: Readonly<Record<string, string>>
  healthStatus: readonly string[]
}): HealthQuestion {
  return { url: inputs.healthUrl, headers: inputs.healthHeaders, status: inputs.healthStatus }
}

async function watch(work: (show: Parameters<typeof transact>[2]) => Promise<Ending>): Promise<Ending> {
  const progress = showProgress()
  try {
    return await work(progress.show)
  } finally {
    progress.stop()
  }
}

function reportEnding(ending: Ending, server: Server, report: Report): void {
  const migrate = ending.documents.get('migrate')
  report.applied = migrate ? readMigrateReport(migrate).applied : []
  report.steps = durations(ending.journal)
  report.serving = ending.word === 'committed' ? report.version : versionOf(server, ending.serves)
  const failure = explainEnding(ending)
  if (failure) throw failure
  ending.warnings.forEach((text) => warning(harmless(text)))
}

/** Seconds between the begin and the end of each step. */
export function durations(journal: readonly JournalLine[]): { name: string; seconds: number }[] {
  const begun = new Map<string, number>()
  return journal.flatMap((line) => {
    const time = Date.parse(line.time)
    if (line.state === 'begin' && !begun.has(line.step)) begun.set(line.step, time)
    const start = begun.get(line.step)
    if (start === undefined || (line.state !== 'end' && line.state !== 'fail')) return []
    return [{ name: line.step, seconds: (time - start) / 1000 }]
  })
}
