import { info, warning } from '@actions/core'
import { textsOf } from '../compose/document.ts'
import { broughtUp } from '../compose/role.ts'
import {
  checkDjangoRuns,
  chooseCounts,
  explicitCounts,
  plainCounts,
  type CountPlan,
  type Counts,
} from '../compose/scale.ts'
import type { DeployInputs } from '../contract.ts'
import { describeOperation, planOperations } from '../deployment/operation.ts'
import { adopting, approve, planDeploy, type Plan } from '../deployment/plan.ts'
import {
  findDocument,
  readPlan,
  type LivePlan,
  type Migration,
  type OfflinePlan,
  type Serving,
} from '../django/document.ts'
import { askHealth, type HealthQuestion } from '../django/health.ts'
import { needsCollecting } from '../django/static.ts'
import { readPending } from '../django/verdict/facts.ts'
import { judge, type Judged } from '../django/verdict/judge.ts'
import { describeVerdict, showMigration, warnOf } from '../django/verdict/show.ts'
import { DeployError } from '../errors.ts'
import { explainDenial } from '../guard/denied.ts'
import { bindSources, type BindSource } from '../guard/bind.ts'
import { checkDatabase, describe } from '../guard/database.ts'
import { explainUnmigrated } from '../guard/migrations.ts'
import { explainServing, judgeServing } from '../guard/serving.ts'
import { checkMounts, readCounts, readMounts, type Mounts } from '../guard/mount.ts'
import { group, show } from '../report/log.ts'
import type { Connection } from '../server/connection.ts'
import { explainProbe, explainStage, explainUnfit } from '../server/failure.ts'
import { command } from '../server/follow.ts'
import { fact } from '../server/fact.ts'
import { runningCounts } from '../server/look.ts'
import type { Transaction } from '../server/transaction.ts'
import type { Context } from './context.ts'
import type { Decided } from './execute.ts'
import type { StagedRelease } from './release.ts'
import type { Site } from './site.ts'

/** Asks the live database with the new image, stops for what must not be lost, and decides what will be done. */
export async function planDeployment(
  site: Site,
  staged: StagedRelease,
  inputs: DeployInputs,
  context: Context,
): Promise<Decided> {
  const { connection, server, current, name } = site
  const { transaction, release, made, adoption } = staged
  const { mounts, counts } = await askResolved(connection, transaction)
  const { roles } = release
  await prepareMounts(
    connection,
    transaction,
    bindSources(mounts, [...broughtUp(roles), ...roles.data, ...roles.jobs], release.model),
  )
  const numbers = countContainers(site, staged, counts, inputs)
  checkMounts({
    containers: server.containers.filter(
      ({ project: of, service }) => of === name && !inputs.updateServices.includes(service),
    ),
    mounts,
    managePath: made.django.managePath,
    django: made.django.target.group.services,
  })
  const denial = { mounts, model: release.model }
  const { plan: asked, judged } = await group('Plan', () => askPlan(connection, transaction, numbers.unstarted)).catch(
    (cause: unknown) => {
      throw explainDenial(cause, denial)
    },
  )
  checkServing(asked.serving, commandOf(site, staged))
  checkFound(asked, site, inputs)
  const same =
    !inputs.force &&
    server.whole &&
    fact(current?.facts, 'fingerprint') === release.fingerprint &&
    inputs.scale.every(({ service, count }) => (runningCounts(server, name).get(service) ?? 0) === count) &&
    [...server.counts].every(([service, count]) => (counts.get(service) ?? count) === count)
  const { jobs, django } = roles
  const collecting = needsCollecting(inputs.collectstatic, asked.settings.static, mounts.get(django))
  const plan = planDeploy(asked, inputs.migrate, same, { jobs, static: collecting })
  const steps = adoption ? adopting(plan.steps) : plan.steps
  showPlan(steps, plan, asked, judged, numbers, site, staged, inputs, context)
  if (inputs.migrate === 'none' && plan.pending.length > 0) warning(unapplied(plan.pending))
  else if (current && inputs.migrate !== 'external') {
    judged.forEach((each) => {
      const text = warnOf(each, inputs.version, current.version)
      if (text !== undefined) warning(text)
    })
  }
  if (inputs.planDigest !== undefined && inputs.planDigest !== plan.digest)
    throw otherPlan(inputs.planDigest, plan.digest)
  const fronts = release.roles.fronts
    .filter(({ service }) => !numbers.unstarted.includes(service))
    .map(({ service, port }): [string, number] => [service, port])
  return {
    kind: plan.kind === 'unchanged' ? 'unchanged' : 'deployed',
    steps,
    approved: approve(plan.pending),
    http: askHealth(healthQuestion(inputs), fronts, asked.settings),
    denial,
    counts: countFacts(numbers, counts, [...broughtUp(release.roles), ...release.roles.data]),
  }
}

/** How the health question of the inputs is put. */
export function healthQuestion(inputs: {
  healthUrl: HealthQuestion['url']
  healthHeaders: Readonly<Record<string, string>>
  healthStatus: readonly string[]
}): HealthQuestion {
  return { url: inputs.healthUrl, headers: inputs.healthHeaders, status: inputs.healthStatus }
}

/** Decides how many containers of each service the deployment brings up. */
function countContainers(
  { server, name, project }: Site,
  { release: { roles }, before }: StagedRelease,
  now: Counts,
  inputs: DeployInputs,
): CountPlan {
  const numbers = chooseCounts({
    asked: inputs.scale,
    before: new Map([...plainCounts(before), ...server.counts]),
    now,
    unstarted: server.unstarted,
    running: runningCounts(server, name),
    services: [...new Set([...broughtUp(roles), ...inputs.updateServices])],
    data: roles.data,
    explicit: explicitCounts(project.model),
  })
  checkDjangoRuns(roles.django, numbers, project)
  numbers.warnings.forEach((text) => warning(text))
  return numbers
}

/** The numbers of these services as the host keeps them. */
export function countFacts({ scale }: CountPlan, counts: Counts, services: readonly string[]): Decided['counts'] {
  const known = [...new Set(services)].filter((service) => counts.has(service))
  return { scale, counts: known.map((service) => `${service}=${counts.get(service)}`) }
}

/** How the service of Django starts, as far as its Compose file and its image say. */
function commandOf({ project }: Site, { release: { roles }, made }: StagedRelease): string {
  const values = project.services.get(roles.django)?.values
  const { command, entrypoint } = made.django.facts
  return [values?.['entrypoint'] ?? entrypoint, values?.['command'] ?? command].flatMap(textsOf).join(' ')
}

/** The settings that serve are those that were asked. */
function checkServing(found: Serving | undefined, started: string): void {
  const verdict = found ? judgeServing(found, started) : 'nothing'
  if (!found || verdict === 'nothing') return
  const problem = explainServing(found)
  if (verdict === 'stop') throw problem
  warning(`${problem.what}. ${problem.fix}`)
}

/** Stops for another database, for apps without migrations, and for code that is older than the database. */
function checkFound(asked: LivePlan | OfflinePlan, { server, repository }: Site, inputs: DeployInputs): void {
  if (!inputs.force && asked.kind === 'live') {
    checkDatabase(server.database, asked.database, 'deploy once with `force: true`')
    if (asked.problems.length > 0) throw explainUnfit({ ahead: asked.unknown, problems: asked.problems })
  }
  if (asked.unmigrated.length > 0) {
    const problem = explainUnmigrated(asked.unmigrated, repository)
    if (inputs.migrate === 'auto' || inputs.migrate === 'before') throw problem
    warning(`${problem.what}\n${problem.seen}`)
  }
  const drift = asked.drift.filter((text) => !asked.unmigrated.some(({ app }) => text.startsWith(`${app}: `)))
  if (drift.length > 0)
    warning(`The models changed without a migration (run \`python manage.py makemigrations\`): ${drift.join('; ')}`)
  if (inputs.migrate !== 'external') {
    asked.elsewhere.forEach((names, alias) => names.length > 0 && warning(describeElsewhere(alias, names)))
  }
}

/** Prints what will be done to what, and why, before anything happens; the same in the output and the summary. */
function showPlan(
  steps: Plan['steps'],
  { digest, pending }: Plan,
  asked: LivePlan | OfflinePlan,
  judged: readonly Judged[],
  { unstarted }: CountPlan,
  { server, name }: Site,
  { release, before, adoption }: StagedRelease,
  inputs: DeployInputs,
  { found }: Context,
): void {
  const { roles } = release
  const operations = planOperations({
    steps,
    before,
    model: release.model,
    roles: { ...roles, replaced: roles.replaced.map(({ service }) => service) },
    update: inputs.updateServices,
    running: server.containers.flatMap((each) => (each.project === name && each.running ? [each.service] : [])),
    unstarted,
    pending: pending.map((migration) => `${migration.app}.${migration.name}`),
    adopted: adoption?.id,
  })
  info(`Plan of ${inputs.version}:`)
  operations.forEach((operation) => info(`  ${describeOperation(operation)}`))
  const shown =
    asked.kind === 'live' ? judged.map(showMigration) : asked.migrations.map((each) => ({ ...each, operations: [] }))
  const unknown = asked.kind === 'live' ? asked.unknown : []
  found({ plan: { digest, operations, pending: shown, unknown, drift: asked.drift } })
}

/** What only the host can fill in of a release's model. */
export type Resolved = { mounts: Mounts; counts: Counts }

/** Stops when a setting is missing; gives what the release would mount, and how many containers its Compose file wants. */
export async function askResolved(connection: Connection, { directory, id }: Transaction): Promise<Resolved> {
  const asked = await connection.reach(command(directory, id, 'check'))
  if (asked.code !== 0) throw explainStage(asked)
  const document = findDocument(asked.stdout)
  return { mounts: readMounts(document), counts: readCounts(document) }
}

/** Makes folders of the directory that containers mount and that are missing; stops when a file is. */
export async function prepareMounts(
  connection: Connection,
  { directory, id }: Transaction,
  sources: readonly BindSource[],
): Promise<void> {
  if (sources.length === 0) return
  const prepared = await connection.reach(command(directory, id, 'prepare'), {
    stdin: sources.map(({ kind, path }) => `${kind} ${path}\n`).join(''),
    onLine: (line, stream) => {
      if (stream === 'stdout') show(line)
    },
  })
  if (prepared.code !== 0) throw explainStage(prepared)
}

/** The plan of the image on the database as it is now; that `unstarted` services do not run does not mean that there is none. */
async function askPlan(
  connection: Connection,
  { directory, id }: Transaction,
  unstarted: readonly string[],
): Promise<{ plan: LivePlan | OfflinePlan; judged: readonly Judged[] }> {
  const asked = await connection.reach([...command(directory, id, 'plan'), 'plan', ...unstarted])
  const document = findDocument(asked.stdout)
  if (!document || asked.code !== 0) throw explainProbe(asked.code, document, asked.stderr)
  const plan = readPlan(document)
  const pending = plan.kind === 'live' ? plan.pending : plan.migrations
  info(
    plan.kind === 'live'
      ? `database: ${describe(plan.database)}`
      : 'the database does not exist yet: every migration of the image will be applied',
  )
  info(pending.length === 0 ? 'no migrations are pending' : `${pending.length} migrations are pending`)
  if (plan.kind === 'offline') return { plan, judged: [] }
  const judged = judge(readPending(document['pending']), plan.database.vendor)
  if (plan.unrecorded.length > 0) info(`applied by their parts, and recorded: ${plan.unrecorded.join(', ')}`)
  for (const { app, name, operations } of judged.map(showMigration)) {
    info(`  ${app}.${name}`)
    operations.forEach((operation) =>
      info(`    ${[operation.text, describeVerdict(operation)].filter((text) => text).join(': ')}`),
    )
  }
  return { plan, judged }
}

function unapplied(pending: readonly Migration[]): string {
  const names = pending.map(({ app, name }) => `${app}.${name}`)
  return `Nobody applies the pending migrations (\`migrate: none\`): ${names.join(', ')}`
}

function describeElsewhere(alias: string, names: readonly string[]): string {
  const way = `a service with \`command: python manage.py migrate --database ${alias}\`, for which the app waits (\`depends_on\` with \`condition: service_completed_successfully\`), does it before the app is replaced`
  return `Only the database \`default\` is migrated here; ${alias} lacks ${names.join(', ')}, unless the project does it by itself: ${way}`
}

function otherPlan(approved: string, digest: string): DeployError {
  return new DeployError('plan-digest', {
    what: 'The plan is not the one that was approved',
    seen: `digest ${digest}, approved ${approved}`,
    why: 'the database or the image changed since the plan was shown',
    fix: 'look at the plan in the job summary and approve its digest, or leave plan-digest out',
  })
}
