import type { CountPlan } from '../compose/scale.ts'
import {
  findDocument,
  readPlan,
  readRows,
  type InvalidIndex,
  type LivePlan,
  type Migration,
  type OfflinePlan,
  type Serving,
  type Settings,
  type Tenants,
} from '../django/document.ts'
import { labelOf } from '../django/label.ts'
import { deadHosts } from '../django/health.ts'
import { judgeAll, withoutReverse, type Judged } from '../django/verdict/judge.ts'
import { describeVerdict, showMigration } from '../django/verdict/show.ts'
import { warning } from '../github/annotation.ts'
import { DeployError } from '../errors.ts'
import { checkDatabases, describe } from '../guard/database.ts'
import { explainDenial } from '../guard/denied.ts'
import { explainImport } from '../guard/import.ts'
import { locate } from '../guard/locate.ts'
import { explainUnmigrated } from '../guard/migrations.ts'
import { explainDrift, type ChangedModels } from '../guard/models.ts'
import { explainRefused, explainUnknownHost, type RefusalFacts } from '../guard/refused.ts'
import { describeRunserver, explainServing, judgeServing } from '../guard/serving.ts'
import type { Connection } from '../host/connection.ts'
import { explainProbe, explainIncompatible } from '../host/failure.ts'
import { command } from '../host/follow.ts'
import type { Transaction } from '../host/transaction.ts'
import type { DeployInputs } from '../inputs/contract.ts'
import { info } from '../report/log.ts'
import type { Context } from './context.ts'
import type { Candidate } from './release.ts'
import type { Resolved } from './resolve.ts'
import type { Site } from './site.ts'

/** Results of the probe in the new image. */
export type Found = {
  plan: LivePlan | OfflinePlan
  judged: readonly Judged[]
  /** Applied migrations, as labels. */
  applied: readonly string[]
}

/** Inspects the database with the new image. Stops when the release must not run on it. */
export async function askDatabase(
  candidate: Candidate,
  { mounts }: Resolved,
  { unstarted }: CountPlan,
  { step }: Context,
): Promise<Found> {
  const { site, staged, inputs } = candidate
  const { release, made, transaction, command } = staged
  const { django } = release.roles
  const asked = step(
    'Plan',
    () => askPlan(site.connection, transaction, unstarted),
    ({ plan }) => describePending(pendingOf(plan).length),
  )
  const found = await asked.catch((cause: unknown) => {
    const facts = { mounts, app: release.app, ...refusalFacts(site) }
    const denial = explainDenial(explainUnknownHost(explainRefused(cause, facts), release.app), facts)
    const failure = explainImport(denial, site.project, django, made.django.facts.entrypoint, site.repository)
    throw failure instanceof DeployError ? locate(failure, site.repository) : failure
  })
  checkServing(found.plan.serving, command)
  const runserver = describeRunserver(django, command)
  if (runserver !== undefined) warning(runserver)
  checkFound(found.plan, site, inputs)
  warnOfHosts(found.plan.settings)
  return found
}

/** The facts with which a refused password is explained. */
export function refusalFacts({ name, current, server }: Site): Pick<RefusalFacts, 'project' | 'isNew'> {
  return { project: name, isNew: current === undefined && server.served.length === 0 }
}

/**
 * The image's pending migrations on the current database. The host gets the `unstarted` services, because a database
 * that does not run may still exist.
 */
async function askPlan(
  connection: Connection,
  { directory, id }: Transaction,
  unstarted: readonly string[],
): Promise<Found> {
  const asked = await connection.callOrThrow([...command(directory, id, 'plan'), 'plan', ...unstarted])
  const document = findDocument(asked.stdout)
  if (!document || asked.code !== 0) throw explainProbe(asked.code, document, asked.stderr)
  const plan = readPlan(document)
  if (plan.kind === 'offline') {
    info('the database does not exist yet: every migration of the image will be applied')
    return { plan, judged: [], applied: [] }
  }
  info(`database: ${describe(plan.database)}`)
  plan.others.forEach(({ database }) => info(`database ${database.alias}: ${describe(database)}`))
  const judged = judgeAll(document, plan.database.vendor).map((each) => (plan.tenants ? withoutReverse(each) : each))
  if (plan.tenants) describeTenants(plan.tenants).forEach((text) => info(text))
  if (plan.unrecorded.length > 0)
    info(`squashed migrations whose parts are applied, now recorded: ${plan.unrecorded.join(', ')}`)
  logVerdicts(judged)
  const applied = readRows(document).flatMap(({ name, state }) => (state === 'pending' ? [] : [name]))
  return { plan, judged, applied }
}

/** Logs each pending migration with the verdicts on its operations. */
export function logVerdicts(judged: readonly Judged[]): void {
  for (const migration of judged.map((each) => showMigration(each, each.accept))) {
    info(`  ${labelOf(migration)}`)
    migration.operations.forEach((operation) =>
      info(`    ${[operation.text, describeVerdict(operation)].filter((text) => text).join(': ')}`),
    )
  }
}

const pendingOf = (plan: LivePlan | OfflinePlan): readonly Migration[] =>
  plan.kind === 'live' ? plan.pending : plan.migrations

export const describePending = (count: number): string =>
  count === 1 ? 'one migration is pending' : `${count === 0 ? 'no' : count} migrations are pending`

/** Stops or warns when the site does not use the settings that the probe used. */
function checkServing(found: Serving | undefined, started: string): void {
  const verdict = found ? judgeServing(found, started) : 'nothing'
  if (!found || verdict === 'nothing') return
  const problem = explainServing(found)
  if (verdict === 'stop') throw problem
  warning(`${problem.what}. ${problem.fix}`)
}

function warnOfHosts(settings: Settings): void {
  const dead = deadHosts(settings)
  if (dead.length === 0) return
  const names = dead.map((entry) => JSON.stringify(entry)).join(', ')
  warning(
    `ALLOWED_HOSTS has entries that match no visitor: ${names}. Write the domain alone, such as "shop.example.com", or ".example.com" for all names below it: without https://, a port, a path, a space or a star`,
  )
}

/** Stops for another database, for code older than the database, and for apps without migrations. Warns of the rest. */
function checkFound(asked: LivePlan | OfflinePlan, { server, repository }: Site, inputs: DeployInputs): void {
  if (!inputs.force && asked.kind === 'live') {
    const databases = [asked.database, ...asked.others.map(({ database }) => database)]
    checkDatabases(server.databases, databases, 'deploy once with `force: true`')
    if (asked.problems.length > 0) throw explainIncompatible({ ahead: asked.unknown, problems: asked.problems })
  }
  if (asked.unmigrated.length > 0) {
    const problem = explainUnmigrated(asked.unmigrated, repository)
    if (inputs.migrate !== 'external' && inputs.migrate !== 'none') throw problem
    warning(`${problem.what}\n${problem.seen}`)
  }
  const drift = asked.drift.filter((text) => !asked.unmigrated.some(({ app }) => text.startsWith(`${app}: `)))
  if (drift.length > 0) checkDrift({ drift, repository, manage: inputs.manage }, inputs.drift)
  if (asked.kind === 'live' && asked.tenants && asked.tenants.schemas === undefined) {
    warning(
      `Only one schema of the database was checked: this action cannot list the schemas of ${asked.tenants.package}. Check the others after the deploy`,
    )
  }
  if (asked.kind === 'live') asked.invalid.forEach((index) => warning(describeInvalid(index)))
  if (inputs.migrate !== 'external') {
    asked.elsewhere.forEach(
      (names, alias) => names.length > 0 && warning(describeElsewhere(alias, names, inputs.manage)),
    )
  }
}

/** Warns at the line of each changed model, and stops if the input `drift` says so. */
export function checkDrift(changed: ChangedModels, setting: DeployInputs['drift']): void {
  const { failure, warnings } = explainDrift(changed, setting)
  warnings.forEach(({ text, place }) => warning(text, place))
  if (failure) throw failure
}

function describeInvalid({ name, table, fix, database }: InvalidIndex): string {
  const where = database === undefined ? '' : `In the database ${database}: `
  return `${where}The index ${name} of ${table} is invalid, because a CREATE INDEX CONCURRENTLY failed: no query uses it, and a migration cannot create it again. Remove it with \`${fix}\``
}

function describeTenants({ package: name, schemas, behind }: Tenants): readonly string[] {
  const count = schemas === undefined ? 'the schemas of tenants' : `${schemas} schemas of tenants`
  const lacking = Object.entries(behind).map(([schema, names]) => `  ${schema} lacks ${names.join(', ')}`)
  return [`${name}: ${count} besides the public one`, ...lacking]
}

function describeElsewhere(alias: string, names: readonly string[], manage: readonly string[]): string {
  const way = `Or add a service with \`command: ${manage.join(' ')} migrate --database ${alias}\`, and let the app wait for it`
  return `The database ${alias} lacks ${names.join(', ')}, and the input \`databases\` does not list it, so they are not applied. Add it, such as \`databases: default ${alias}\`. ${way}`
}
