import type { Repository } from '../compose/repository.ts'
import {
  readBackup,
  readHttpReport,
  readMigrateReport,
  readUnapplied,
  type Applied,
  type MadeBackup,
} from '../django/document.ts'
import { labelOf } from '../django/label.ts'
import type { listObstacles, Return } from '../deployment/order.ts'
import type { Plan } from '../deployment/plan.ts'
import type { Judged } from '../django/verdict/judge.ts'
import { DeployError, withAdvice } from '../errors.ts'
import { warning } from '../github/annotation.ts'
import { explainDenial, type DenialFacts } from '../guard/denied.ts'
import { explainRefused, explainUnknownHost, type RefusalFacts } from '../guard/refused.ts'
import { locate } from '../guard/locate.ts'
import { concludeAftermath } from '../report/aftermath.ts'
import { harmless, info } from '../report/log.ts'
import { showProgress } from '../report/progress.ts'
import { servingOf, type Serving } from '../report/report.ts'
import { timeSteps } from '../report/time.ts'
import type { Connection } from '../host/connection.ts'
import { explainEnding, explainForward, explainOvercome, explainReverted } from '../host/failure.ts'
import { measureStop, type Ending } from '../host/follow.ts'
import type { Server } from '../host/look.ts'
import { explainRelease } from '../host/older-release.ts'
import { versionOf } from '../host/release.ts'
import { send, writeFacts, type SentFile } from '../host/stage.ts'
import { requestRevert, followToEnd, transact, type Transaction } from '../host/transaction.ts'
import { forgetFollowed, saveFollowed } from '../github/state.ts'
import type { Context } from './context.ts'

/** A plan in the form that the host executes, and the outcome that its success means. */
export type Decided = {
  kind: 'deployed' | 'unchanged' | 'rolled-back'
  steps: Plan['steps']
  /**
   * True when the probe in the running image found nothing pending: `verify` then skips its question to the database.
   */
  isMigrated?: boolean
  /** The command that starts manage.py; undefined when the release does not record it. */
  manage: readonly string[] | undefined
  /** Pending migrations with the hash of their source. The host applies no others. */
  approved: readonly string[]
  /** How the host reverts after a failure. */
  return: Return
  /** Decides which revert remains possible when only part of the migrations was applied. */
  obstacles: ReturnType<typeof listObstacles>
  /** How the database is dumped before its schema changes. */
  backup?: readonly string[] | undefined
  /** How a later rollback without GitHub can dump it. */
  dump?: readonly string[] | undefined
  /** The HTTP health check for the probe, as JSON; undefined when there is none. */
  http: string | undefined
  /** The same health check for a trial container. */
  trialHttp: string | undefined
  /** Numbers of containers as `service=number`: the decided ones, and those of the Compose file. */
  counts: { scale: readonly string[]; counts: readonly string[] }
  /** Facts that can explain a denied access to a mount. */
  denial: DenialFacts
  /** Facts that can explain a refused password. */
  refusal?: Pick<RefusalFacts, 'project' | 'isNew'>
  /** The checkout, in which the cause of a failure is located; undefined without a checkout. */
  repository?: Pick<Repository, 'files'>
  /** The pending migrations, which know the lines of their operations. */
  judged?: readonly Judged[]
}

/** Executes the plan on the host and follows it to its end. Throws when the deployment missed its goal. */
export async function execute(
  { connection, server }: { connection: Connection; server: Server },
  transaction: Transaction,
  plan: Decided,
  version: string,
  context: Context,
): Promise<Decided> {
  const files: SentFile[] = [
    { path: 'steps', content: plan.steps.map((step) => `${step}\n`).join(''), mode: 0o600 },
    ...writeFacts('.', {
      approved: plan.approved,
      return: [plan.return],
      ...plan.obstacles,
      ...plan.counts,
      ...(plan.backup && { backup: plan.backup }),
      ...(plan.dump && { dump: plan.dump }),
      ...(plan.isMigrated && { migrated: ['yes'] }),
    }),
    ...question('http.json', plan.http),
    ...question('try.json', plan.trialHttp),
  ]
  const folder = `${transaction.directory}/.deploy/plans/${transaction.id}`
  await context.step(
    'Send',
    () => send(context.run, connection, folder, files, context.folder),
    () => `the plan is on ${connection.host.address}`,
  )
  saveFollowed({ tid: transaction.id, directory: transaction.directory, manage: plan.manage })
  const start = Date.now()
  info(`Deployment ${transaction.id} on the host:`)
  const ending = await watch((show) => transact(connection, transaction, show, context.signal)).catch(
    async (cause: unknown) => {
      // The deployment continues on the host, so it is not known yet which release will serve.
      context.found({ serving: { kind: 'unknown' } })
      // `post` follows from here, because this process has only seconds left.
      if (context.signal.aborted) throw cancelled(await requestRevert(connection, transaction), cause)
      throw cause
    },
  )
  forgetFollowed()
  takeEnding(ending, start, server, version, plan, context)
  return plan
}

function question(path: string, text: string | undefined): SentFile[] {
  return text === undefined ? [] : [{ path, content: `${text}\n`, mode: 0o600 }]
}

function cancelled(asked: boolean, cause: unknown): DeployError {
  return new DeployError('aborted', {
    what: 'The job was cancelled while the deployment ran on the host',
    why: asked
      ? 'it reverts at its next safe point, never during a migration'
      : 'the request to revert did not reach the host, so the deployment continues to its end',
    fix: 'the end of the post step says which release serves; run the job again to deploy',
    cause,
  })
}

/** For `post` after a cancelled main step: follows the deployment to its end, for at most `limit` milliseconds. */
export async function watchToEnd(connection: Connection, transaction: Transaction, limit: number): Promise<Ending> {
  return await watch((show) => followToEnd(connection, transaction, show, AbortSignal.timeout(limit)))
}

async function watch(work: (show: Parameters<typeof transact>[2]) => Promise<Ending>): Promise<Ending> {
  const progress = showProgress()
  let ending: Ending | undefined
  try {
    ending = await work(progress.show)
    return ending
  } finally {
    progress.stop(ending?.journal)
  }
}

function takeEnding(
  ending: Ending,
  start: number,
  server: Server,
  version: string,
  { kind, denial, refusal, repository, judged = [] }: Decided,
  { found }: Context,
): void {
  const backup = readBackup(ending.documents.get('backup'))
  const http = ending.documents.get('http')
  const reason = explainEnding(ending)
  const failure = reason && kind !== 'deployed' ? explainRelease(reason, version, kind === 'rolled-back') : reason
  const committed = ending.journal.find(({ step, state }) => step === 'commit' && state === 'end')
  const stoppedSeconds =
    ending.word === 'committed' || ending.word === 'forward' ? measureStop(ending.journal) : undefined
  if (stoppedSeconds !== undefined) info(`The site was stopped for ${stoppedSeconds.toFixed(1)} s`)
  found({
    stoppedSeconds,
    backup,
    applied: findApplied(ending),
    steps: timeSteps(ending.journal, start),
    health: http && readHttpReport(http),
    aftermath: concludeAftermath(ending, versionOf(server, server.current)),
    serving: servingAfter(ending, failure, server, version),
    ...(committed && { since: committed.time }),
  })
  ending.warnings.forEach((text) => warning(harmless(text)))
  const overcome = explainOvercome(ending)
  if (overcome !== undefined) warning(harmless(overcome))
  if (!failure) return
  const denied = explainDenial(backup ? withBackup(failure, backup, ending.journal) : failure, denial)
  const known = refusal ? explainRefused(denied, { ...denial, ...refusal }) : denied
  const explained = explainUnknownHost(known, denial.app)
  throw repository && explained instanceof DeployError
    ? locate(explained, repository, findFailed(ending, judged))
    : explained
}

/** Adds the location of the backup to the failure, once a step may have changed the data. */
function withBackup(failure: DeployError, { file, restore }: MadeBackup, journal: Ending['journal']): DeployError {
  const steps: readonly string[] = ['unapply', 'migrate', 'jobs', 'swap']
  if (!journal.some(({ step, state }) => steps.includes(step) && state === 'begin')) return failure
  const hint = `the database as it was before is in ${file}; to restore it, on the host: ${restore}`
  return withAdvice(failure, hint)
}

/** The migration that failed, and the line of the operation that did. */
function findFailed({ documents }: Ending, judged: readonly Judged[]): Parameters<typeof locate>[2] {
  const migrate = documents.get('migrate')
  const failed = migrate && readMigrateReport(migrate).failed
  const { operations = [] } = judged.find(({ app, name }) => app === failed?.app && name === failed.name) ?? {}
  return failed && { ...failed, line: operations[failed.operation ?? -1]?.line }
}

/** The migrations that this deployment applied and its revert did not unapply. */
function findApplied({ documents, revert }: Ending): readonly Applied[] {
  const migrate = documents.get('migrate')
  const unapply = revert?.documents.get('unapply')
  const gone = unapply ? readUnapplied(unapply) : []
  const applied = migrate ? readMigrateReport(migrate).applied : []
  return applied.filter((each) => !gone.includes(labelOf(each)))
}

/**
 * After a revert without an earlier release, nothing serves. While the deployment is unfinished, it is unknown what
 * serves.
 */
function servingAfter(ending: Ending, failure: DeployError | undefined, server: Server, version: string): Serving {
  if (ending.word === 'committed' && failure === undefined) return servingOf(version)
  if (ending.word === 'committed' || ending.word === 'forward')
    return { kind: 'forward', version, trouble: explainForward(ending) }
  if (ending.serves === undefined && ending.word !== 'back') return { kind: 'unknown' }
  const before = versionOf(server, ending.serves)
  const trouble = ending.revert && explainReverted(ending.revert)
  if (before !== undefined && trouble !== undefined) return { kind: 'broken', version: before, trouble }
  return servingOf(before, ending.revert?.seconds)
}
