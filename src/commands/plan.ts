import { info } from '../report/log.ts'
import { behindApp, broughtUp, withRole } from '../compose/role.ts'
import type { CountPlan, Counts } from '../compose/scale.ts'
import {
  backingUp,
  backupLines,
  dumpLines,
  lossOf,
  planBackup,
  type Backup,
  type WayFacts,
} from '../deployment/backup.ts'
import { planCounts } from '../deployment/count.ts'
import { describeOperation, planOperations, type Operation } from '../deployment/operation.ts'
import {
  breaksOldCode,
  chooseCourse,
  describeCourse,
  isApproved,
  listObstacles,
  type Choice,
} from '../deployment/order.ts'
import { adopting, approve, digestPlan, hasMigrations, otherPlan, planDeploy, type Plan } from '../deployment/plan.ts'
import { mayMigrateItself, planTrial, type Trial } from '../deployment/trial.ts'
import type { Migration } from '../django/document.ts'
import { DEFAULT, labelOf } from '../django/label.ts'
import { askHealth, askTrial, healthQuestion } from '../django/health.ts'
import { needsCollecting } from '../django/static.ts'
import type { Judged } from '../django/verdict/judge.ts'
import { showMigration, warningsOf } from '../django/verdict/show.ts'
import { warning } from '../github/annotation.ts'
import { explainUnapproved, findSurplus, placeOfMigration } from '../guard/approval.ts'
import { describeHidden, findHidden } from '../guard/hidden.ts'
import { mountsOf } from '../guard/mount.ts'
import type { Connection } from '../host/connection.ts'
import { explainStage } from '../host/failure.ts'
import { command } from '../host/follow.ts'
import type { Transaction } from '../host/transaction.ts'
import type { DeployInputs } from '../inputs/contract.ts'
import { servicesOf } from '../host/release.ts'
import type { Context } from './context.ts'
import { askDatabase, refusalFacts, type Found } from './database.ts'
import type { Decided } from './execute.ts'
import { isSameRelease, type Candidate, type StagedRelease } from './release.ts'
import { resolveModel, type Resolved } from './resolve.ts'
import type { Site } from './site.ts'

/** Inspects the live database with the new image, stops before a loss, and decides the plan. */
export async function planDeployment(
  site: Site,
  staged: StagedRelease,
  inputs: DeployInputs,
  context: Context,
): Promise<Decided> {
  return await conclude(await propose({ site, staged, inputs }, context), context)
}

/** The same for an equal release that serves already; undefined when there is more to do than to check it. */
export async function planCheck(
  site: Site,
  staged: StagedRelease,
  inputs: DeployInputs,
  context: Context,
): Promise<Decided | undefined> {
  const proposal = await propose({ site, staged, inputs }, context)
  return proposal.draft.plan.kind === 'unchanged' ? await conclude(proposal, context) : undefined
}

/** A possible plan and the facts that lead to it; nothing is shown or refused yet. */
type Proposal = { candidate: Candidate; resolved: Resolved; numbers: CountPlan; found: Found; draft: Draft }

async function propose(candidate: Candidate, context: Context): Promise<Proposal> {
  const { site, staged } = candidate
  const resolved = await context.step(
    'Resolve',
    () => resolveModel(candidate, context.run),
    () => `the Compose model on ${site.connection.host.address}`,
  )
  const numbers = countContainers(candidate, resolved)
  const found = await askDatabase(candidate, resolved, numbers, context)
  findHidden(staged.below, staged.made.django.services, found.plan.settings.static).forEach((below) =>
    warning(describeHidden(below, site.directory)),
  )
  return { candidate, resolved, numbers, found, draft: draftPlan(candidate, resolved, numbers, found) }
}

async function conclude({ candidate, resolved, numbers, found, draft }: Proposal, context: Context): Promise<Decided> {
  showPlan(candidate, found, draft, context)
  await checkDraft(candidate, found, draft)
  return decide(candidate, resolved, numbers, found, draft)
}

/** Decides how many containers of each service the deployment starts. */
function countContainers({ site, staged }: Candidate, { counts }: Resolved): CountPlan {
  const numbers = planCounts(site.choice, staged.release.roles, counts)
  numbers.warnings.forEach((text) => warning(text))
  return numbers
}

/** A plan that is not approved yet. */
type Draft = {
  /** Its digest covers everything that is shown. */
  plan: Plan
  choice: Choice
  backup: Backup
  /** Backups of the further databases, which cannot be made yet. */
  otherBackups: readonly Backup[]
  /** How a later rollback without GitHub can dump the database. */
  dump: readonly string[] | undefined
  operations: readonly Operation[]
  counts: Decided['counts']
}

/** Decides each step and its object. */
function draftPlan(candidate: Candidate, resolved: Resolved, numbers: CountPlan, found: Found): Draft {
  const { site, staged, inputs } = candidate
  const { release, adoption } = staged
  const { roles } = release
  const choice = chooseCourse({
    isMigrating: hasMigrations(found.plan),
    judged: found.judged,
    migrate: inputs.migrate,
    isServing: servingVersion(candidate) !== undefined,
    accepted: inputs.acceptMigrations,
  })
  const trial = chooseTrial(candidate, numbers, found)
  const planned = planDeploy(found.plan, inputs.migrate, choice, isServed(candidate, resolved), {
    jobs: withRole(roles.services, 'job'),
    static: isCollecting(candidate, resolved, found),
    try: trial.obstacle === undefined,
  })
  const facts = wayFacts(candidate, found)
  const backup = facts ? chooseBackup(facts, candidate, found, planned) : { kind: 'none' as const }
  const otherBackups = otherFacts(candidate, found).map((other) => chooseBackup(other, candidate, found, planned))
  const changing = adoption ? adopting(planned.steps) : planned.steps
  const steps = backup.kind === 'dump' ? backingUp(changing) : changing
  const plan = { ...planned, steps }
  const operations = planOperations({
    steps,
    before: site.before,
    app: release.app,
    services: roles.services,
    servicesBefore: servicesOf(site.current?.facts),
    proxies: roles.proxies,
    update: inputs.updateServices,
    running: runningServices(site),
    unstarted: numbers.unstarted,
    pending: plan.pending.map(labelOf),
    unapply: [],
    stopReason: plan.order === 'stopped' ? reasonToStop(found.judged) : undefined,
    backup: backup.kind === 'dump' ? { database: backup.way.database.name, reason: backup.reason } : undefined,
    adopted: adoption?.id,
    trial,
  })
  const counts = countFacts(numbers, resolved.counts, [...broughtUp(roles.services), ...behindApp(roles.services)])
  const digest = digestPlan(plan, { fingerprint: release.fingerprint, operations, counts })
  return {
    plan: { ...plan, digest },
    choice,
    backup,
    otherBackups,
    dump: facts && dumpLines(facts),
    operations,
    counts,
  }
}

/** Whether the current release equals this one and runs the wanted numbers of containers. */
function isServed({ site, staged, inputs }: Candidate, { counts }: Resolved): boolean {
  const isWanted = ([service, count]: [string, number]): boolean => (counts.get(service) ?? count) === count
  return isSameRelease(site, staged, inputs) && [...site.server.counts].every(isWanted)
}

/** Whether the step `static` is needed. */
function isCollecting({ staged, inputs }: Candidate, { mounts }: Resolved, { plan }: Found): boolean {
  const { release, made } = staged
  const app = withRole(release.roles.services, 'app').filter((service) => made.django.services.includes(service))
  return needsCollecting(inputs.collectstatic, plan.settings.static, mountsOf(app, mounts))
}

/** Decides whether a trial container runs before anything is replaced. */
function chooseTrial({ site, staged, inputs }: Candidate, { unstarted }: CountPlan, { plan }: Found): Trial {
  const { app, settings, roles } = staged.release
  return planTrial({
    choice: inputs.try,
    service: roles.django,
    before: site.before,
    app,
    env: settings,
    changing: [...withRole(roles.services, 'cache'), ...inputs.updateServices],
    running: runningServices(site),
    unstarted,
    replaced: withRole(roles.services, 'app'),
    migratesItself: mayMigrateItself(plan, inputs.migrate, withRole(roles.services, 'job')),
  })
}

/** Stops for a plan without approval, or with a backup that is impossible. */
async function checkDraft(
  candidate: Candidate,
  found: Found,
  { plan, choice, backup, otherBackups }: Draft,
): Promise<void> {
  const { site, staged, inputs } = candidate
  if (inputs.migrate === 'none' && plan.pending.length > 0) warning(unapplied(plan.pending))
  checkAccepted(found, inputs.acceptMigrations)
  const serving = servingVersion(candidate)
  if (serving !== undefined) {
    const versions = { version: inputs.version, serving }
    checkApproval(choice, found, versions, site)
    if (plan.order !== 'none') warnOfOperations(found, plan, versions, candidate)
  }
  if (inputs.planDigest !== undefined && inputs.planDigest !== plan.digest)
    throw otherPlan(inputs.planDigest, plan.digest)
  for (const each of [...otherBackups, backup]) await checkBackup(each, site.connection, staged.transaction)
}

/** The plan in the form that the host executes. */
function decide(
  { site, staged: { release }, inputs }: Candidate,
  { mounts }: Resolved,
  { unstarted }: CountPlan,
  { plan: { settings }, judged }: Found,
  { plan, backup, dump, counts }: Draft,
): Decided {
  const { roles, app } = release
  const question = healthQuestion(inputs)
  const fronts = roles.fronts
    .filter(({ service }) => !unstarted.includes(service))
    .map(({ service, port }): [string, number] => [service, port])
  const web = app.services.get(roles.django)
  return {
    kind: plan.kind === 'unchanged' ? 'unchanged' : 'deployed',
    isMigrated: plan.kind === 'unchanged' && plan.pending.length === 0,
    steps: plan.steps,
    manage: inputs.manage,
    approved: approve(plan.pending),
    return: plan.return,
    obstacles: listObstacles(judged),
    backup: backup.kind === 'dump' ? backupLines(backup.way) : undefined,
    dump,
    http: askHealth(question, fronts, settings, app, web),
    trialHttp: askTrial(question, fronts, settings, web),
    denial: { mounts, app },
    refusal: refusalFacts(site),
    repository: site.repository,
    judged,
    counts,
  }
}

/** The version that serves now: the current release, or the stack that was started by hand. */
function servingVersion({ site, staged }: Candidate): string | undefined {
  return site.current?.version ?? staged.adoption?.id
}

/** The services of the project that have a running container. */
export function runningServices({ server, name }: Pick<Site, 'server' | 'name'>): readonly string[] {
  return server.containers.flatMap((each) => (each.project === name && each.running ? [each.service] : []))
}

/** The numbers of containers of these services, as the host keeps them. */
export function countFacts({ scale }: CountPlan, counts: Counts, services: readonly string[]): Decided['counts'] {
  const known = [...new Set(services)].filter((service) => counts.has(service))
  return { scale, counts: known.map((service) => `${service}=${counts.get(service)}`) }
}

/** What decides how the database can be dumped; undefined when it did not answer. */
function wayFacts({ site, staged }: Candidate, { plan }: Found): WayFacts | undefined {
  if (plan.kind === 'offline') return undefined
  const { database, dump } = plan
  return { database, facts: dump, app: staged.release.app, running: runningServices(site) }
}

/** The same for each further database that lacks migrations. */
function otherFacts(candidate: Candidate, { plan }: Found): readonly WayFacts[] {
  if (plan.kind === 'offline') return []
  const app = candidate.staged.release.app
  const lacking = plan.others.filter(({ database }) => plan.pending.some((each) => each.database === database.alias))
  return lacking.map(({ database, dump }) => ({ database, facts: dump, app, running: runningServices(candidate.site) }))
}

/** Decides whether and how a database is backed up before its migrations. */
function chooseBackup(facts: WayFacts, { inputs }: Candidate, { judged }: Found, plan: Plan): Backup {
  const isExternal = inputs.migrate === 'external' && plan.kind === 'deploy' && plan.pending.length > 0
  const isMigrating = isExternal || plan.order !== 'none'
  const { alias = DEFAULT } = facts.database
  const loss = lossOf(judged.filter(({ database = DEFAULT }) => database === alias))
  return planBackup({ ...facts, policy: inputs.backup, isMigrating, loss })
}

/** Stops when the host cannot make the backup: no program, no access, another database server, or no disk space. */
export async function checkBackup(
  backup: Backup,
  connection: Connection,
  { directory, id }: Transaction,
): Promise<void> {
  if (backup.kind === 'impossible') throw backup.problem
  if (backup.kind === 'unwanted') warning(`No backup is made (\`backup: never\`), although ${backup.reason}`)
  if (backup.kind !== 'dump') return
  const stdin = backupLines(backup.way)
    .map((line) => `${line}\n`)
    .join('')
  const asked = await connection.callOrThrow(command(directory, id, 'dumpable'), { stdin })
  if (asked.code !== 0) throw explainStage(asked)
}

/** Prints the plan before it runs. The outputs and the summary show the same plan. */
function showPlan(
  candidate: Candidate,
  { plan: asked, judged }: Found,
  { plan, operations }: Draft,
  { found }: Context,
): void {
  const { inputs } = candidate
  const { kind, digest, order } = plan
  info(`Plan of ${inputs.version}:`)
  operations.forEach((operation) => info(`  ${describeOperation(operation)}`))
  const expectedStopSeconds = order === 'stopped' ? candidate.site.server.lastStopSeconds : undefined
  const course =
    kind === 'unchanged'
      ? []
      : [...describeCourse(plan, inputs.version, servingVersion(candidate), expectedStopSeconds), ...describeKept(plan)]
  course.forEach((text) => info(text))
  const shown =
    asked.kind === 'live'
      ? judged.map((each) => showMigration(each, isApproved(each, inputs.acceptMigrations)))
      : asked.migrations.map((each) => ({ ...each, operations: [] }))
  const unknown = asked.kind === 'live' ? asked.unknown : []
  found({
    course,
    plan: {
      digest,
      order,
      return: plan.return,
      expectedStopSeconds,
      operations,
      pending: shown,
      unknown,
      drift: asked.drift,
    },
  })
}

/** Only `default` is reversed. */
function describeKept({ return: way, pending }: Plan): readonly string[] {
  const isKept = way === 'reverse' && pending.some(({ database }) => database !== undefined)
  return isKept ? [`The migrations of databases other than \`${DEFAULT}\` then stay applied.`] : []
}

function reasonToStop(judged: readonly Judged[]): string {
  const names = judged.filter(breaksOldCode).map(labelOf)
  return names.length === 0 ? 'the input `migrate: stopped`' : `its code cannot work with ${names.join(', ')}`
}

/** Reports names in the input `accept-migrations` that approve nothing. */
function checkAccepted({ plan, judged, applied }: Found, accepted: readonly string[]): void {
  if (plan.kind === 'offline') return
  const pending = [...new Set(judged.map(({ app, name }) => `${app}.${name}`))] // in any database
  const { done, unknown } = findSurplus(accepted, pending, applied)
  done.forEach((name) => info(`accept-migrations: ${name} is applied already; remove the line`))
  unknown.forEach((name) =>
    warning(
      `accept-migrations names ${name}, which this image does not have. Pending: ${pending.join(', ') || 'none'}`,
    ),
  )
}

/** Stops before any change if the old release could not come back and that is not approved. */
function checkApproval(
  { unapproved }: Choice,
  { judged }: Found,
  versions: { version: string; serving: string },
  { repository }: Site,
): void {
  if (unapproved.length > 0) throw explainUnapproved({ unapproved, judged, repository, ...versions })
}

function warnOfOperations(
  { judged }: Found,
  { order }: Plan,
  versions: { version: string; serving: string },
  { site, inputs }: Candidate,
): void {
  for (const each of judged) {
    const facts = { ...versions, order, isApproved: isApproved(each, inputs.acceptMigrations) }
    for (const { text, line } of warningsOf(each, facts)) {
      const place = placeOfMigration(site.repository, each, line)
      warning(text, place)
    }
  }
}

function unapplied(pending: readonly Migration[]): string {
  const names = pending.map(labelOf)
  return `The pending migrations are not applied (\`migrate: none\`): ${names.join(', ')}`
}
