import { setTimeout as pause } from 'node:timers/promises'
import { info, warning } from '@actions/core'
import { checkBeside } from '../compose/beside.ts'
import { checkCodeMounts } from '../compose/code.ts'
import { checkUpdates, describeDrift } from '../compose/drift.ts'
import { neededGroups } from '../compose/group.ts'
import { chooseProjectName } from '../compose/name.ts'
import { askable, checkNeeds } from '../compose/need.ts'
import { publishedPorts } from '../compose/port.ts'
import { makeRelease, type Release } from '../compose/release.ts'
import { activeServices, assignRoles, checkProfiles, chooseProfiles } from '../compose/role.ts'
import { chooseCounts } from '../compose/scale.ts'
import type { DeployInputs } from '../contract.ts'
import { findDocument, readPlan, type LivePlan, type Migration, type OfflinePlan } from '../django/document.ts'
import { adopting, approve, askHealth, planDeploy } from '../django/plan.ts'
import { needsCollecting } from '../django/static.ts'
import { checkAll, DeployError } from '../errors.ts'
import { checkDatabase, describe } from '../guard/database.ts'
import { checkMounts, readMounts, type Mounts } from '../guard/mount.ts'
import { checkPlace, projectIn } from '../guard/place.ts'
import type { Made } from '../image/make.ts'
import { measureImages } from '../image/measure.ts'
import { candidateNames } from '../image/name.ts'
import { group, show } from '../report/log.ts'
import { visit } from '../report/visit.ts'
import type { Report, ShownPlan } from '../report/report.ts'
import { planAdoption } from '../server/adoption.ts'
import { connect, type Connection } from '../server/connection.ts'
import { explainProbe, explainStage } from '../server/failure.ts'
import { command } from '../server/follow.ts'
import { checkArchitecture, checkServer, fact, look } from '../server/look.ts'
import { currentRelease, readModel } from '../server/release.ts'
import { checkRoom } from '../server/room.ts'
import { incoming, planFiles, send, stage, writeFacts, type FactLines, type SentFile } from '../server/stage.ts'
import { newId } from '../server/transaction.ts'
import { readCheckout } from './checkout.ts'
import type { Context } from './context.ts'
import { obtainImages } from './images.ts'
import { healthQuestion, walk } from './walk.ts'

/** From the repository to a running, verified release. */
export async function deploy(inputs: DeployInputs, context: Context, report: Report): Promise<void> {
  const { run, runner, folder, assets, signal } = context
  const connection = await connect(run, inputs, folder, signal)

  // The repository, then the server: nothing is built for a server that cannot take it.
  const [{ project, groups, repository, naming, settings, needs }] = await Promise.all([
    readCheckout(inputs, context),
    // Only the handshake, which takes as long.
    connection.reach(['true']),
  ])
  const named = {
    input: inputs.project,
    server: undefined,
    env: settings?.get('COMPOSE_PROJECT_NAME'),
    file: project.name,
    repository: runner.repository,
  }
  const directory = inputs.directory ?? `deploy/${chooseProjectName(named)}`
  const server = await look(connection, assets.transaction.toString(), directory, askable(needs))
  checkServer(server, inputs.host.user)
  const current = currentRelease(server)
  const name = chooseProjectName({
    ...named,
    server: fact(current?.facts, 'project') ?? projectIn(server),
    env: settings ? named.env : server.projectName,
  })
  checkPlace(server, {
    ...{ name, isNamed: inputs.project !== undefined, directory },
    services: groups.flatMap((group) => group.services),
    images: groups.flatMap((group) => candidateNames(group, groups, naming)),
    ports: publishedPorts(project, Object.fromEntries(settings ?? [])),
  })
  report.project = name
  report.url = inputs.url
  report.previous = report.serving = current?.version
  info(`${name} in ${directory} on ${inputs.host.address}: ${current?.version ?? 'nothing'} serves`)

  const profiles = chooseProfiles(inputs.profiles, settings ? settings.get('COMPOSE_PROFILES') : server.profiles)
  const active = activeServices(project, inputs.services, profiles).map((service) => service.name)
  checkAll(
    () => checkProfiles(project, groups, inputs.services, profiles),
    () => inputs.directory === undefined && checkBeside(needs.beside, active, directory, project.folder),
    () => checkNeeds(needs, active, { ...server, settings: settings ? [] : server.settings }, project),
  )

  // The images, by digest from here on.
  const { logins, made } = await obtainImages(
    { project, groups: neededGroups(groups, active), naming },
    inputs,
    context,
  )
  report.images = Object.fromEntries(made.images)
  checkArchitecture(server, made.django.facts.architecture)
  await checkRoom(connection, assets.transaction.toString(), server, await measureImages(made.images.values(), run))

  // The release folder, immutable from here on.
  checkCodeMounts(project, made.django.target.group, made.django.managePath, repository)
  const transaction = { directory, id: newId(inputs.version, runner, [...server.plans, ...server.releases.keys()]) }
  const roles = assignRoles({ project, groups, django: made.django.target.group, services: inputs.services, profiles })
  checkUpdates(inputs.updateServices, roles)
  const before = await readModel(connection, directory, current?.id)
  const release = makeRelease({
    ...{ project, name, roles, repository, images: made.images },
    ...{ id: transaction.id, envFile: inputs.envFile, envFiles: inputs.envFiles, profiles: inputs.profiles },
    ...{ before, update: inputs.updateServices },
  })
  const counts = chooseCounts(inputs.scale, before, project.model, roles)
  release.notes.forEach((note) => info(note))
  release.drifts.forEach((drift) => warning(describeDrift(drift)))
  const adoption = planAdoption({
    ...{ server, name, roles, named: [...project.services.keys()] },
    ...{ manage: inputs.manage, time: new Date() },
  })
  await group(`Stage ${transaction.id}`, async () => {
    const facts = releaseFacts(release, made, inputs, context, name)
    const sent = [
      ...releaseFiles(release, facts),
      ...planFiles('plan', assets, {
        ...transactionFacts(transaction.id, counts, inputs, context),
        ...adoption?.facts,
      }),
      ...(adoption?.files ?? []),
    ]
    await send(run, connection, incoming(directory, transaction.id), sent, folder)
    await stage(connection, directory, transaction.id, logins, show)
  })

  // What must not be lost, then the plan, from the live database with the new image.
  const mounts = await askMounts(connection, transaction)
  checkMounts({
    containers: server.containers.filter(
      ({ project: of, service }) => of === name && !inputs.updateServices.includes(service),
    ),
    ...{ mounts, managePath: made.django.managePath, django: made.django.target.group.services },
  })
  const found = await group('Plan', () => askPlan(connection, transaction))
  if (!inputs.force && found.kind === 'live') {
    checkDatabase(server.database, found.database, 'deploy once with `force: true`')
  }
  const same =
    !inputs.force &&
    server.whole &&
    fact(current?.facts, 'fingerprint') === release.fingerprint &&
    inputs.scale.every(({ service, count }) => server.running.includes(`${service}=${count}`))
  const { jobs, django } = release.roles
  const collecting = needsCollecting(inputs.collectstatic, found.settings.static, mounts.get(django))
  const plan = planDeploy(found, inputs.migrate, same, { jobs, static: collecting })
  const steps = adoption ? adopting(plan.steps) : plan.steps
  report.plan = showPlan(steps, found)
  if (inputs.migrate === 'none' && plan.pending.length > 0) warning(unapplied(plan.pending))
  if (inputs.planDigest !== undefined && inputs.planDigest !== plan.digest)
    throw otherPlan(inputs.planDigest, plan.digest)
  if (inputs.dryRun) {
    report.outcome = 'planned'
    return
  }

  const http = askHealth(
    healthQuestion(inputs),
    release.roles.fronts.map(({ service, port }) => [service, port]),
    found.settings,
  )
  if (adoption) {
    report.previous = report.serving = adoption.id
    info(`What runs was started by hand; it is kept as ${adoption.id}, to which a rollback can go`)
  }
  await walk(connection, context, transaction, { steps, approved: approve(plan.pending), http }, server, report)
  report.outcome = plan.kind === 'unchanged' ? 'unchanged' : 'deployed'
  if (inputs.url !== undefined) await visitSite(inputs.url)
}

async function visitSite(url: string): Promise<void> {
  const trouble = await visit(url, (address) => fetch(address, { signal: AbortSignal.timeout(10_000) }), pause)
  if (trouble === undefined) info(`${url} answers`)
  else
    warning(`${url} does not answer as a visitor needs it: ${trouble}. Look at the proxy, the certificate and the name`)
}

function releaseFiles(release: Release, facts: FactLines): SentFile[] {
  return [
    { path: 'release/compose.yaml', content: release.compose, mode: 0o600 },
    { path: 'release/mounts.yaml', content: release.mounts, mode: 0o600 },
    ...(release.run === undefined ? [] : [{ path: 'release/run.yaml', content: release.run, mode: 0o600 }]),
    ...writeFacts('release', facts),
    ...release.envFiles.map((file) => ({ ...file, path: `release/${file.path}` })),
    ...release.files,
  ]
}

/** What a later rollback, or the server alone, must know about the release. */
function releaseFacts(
  release: Release,
  made: Made,
  inputs: DeployInputs,
  { runner }: Context,
  name: string,
): FactLines {
  const { roles } = release
  return {
    format: ['1'],
    version: [inputs.version],
    project: [name],
    run: [String(runner.runId)],
    attempt: [String(runner.runAttempt)],
    commit: [runner.sha],
    url: [runner.runUrl],
    services: roles.replaced.map(({ level, service }) => `${level} ${service}`),
    images: [...made.images].map(([service, image]) => `${service} ${image}`),
    'images-beside': release.imagesBeside,
    django: [roles.django],
    manage: inputs.manage,
    migrate: [inputs.migrate],
    collectstatic: [inputs.collectstatic],
    data: roles.data,
    once: roles.once,
    jobs: roles.jobs,
    backing: roles.backing,
    alone: roles.alone,
    others: roles.others,
    fronts: roles.fronts.map(({ service, port }) => `${service} ${port}`),
    env: [release.env],
    'env-files': release.requiredEnvFiles,
    migrations: made.django.migrations.map((migration) => `${migration.app}.${migration.name}`),
    fingerprint: [release.fingerprint],
  }
}

function transactionFacts(id: string, counts: readonly string[], inputs: DeployInputs, { runner }: Context): FactLines {
  return {
    target: [id],
    run: [String(runner.runId)],
    url: [runner.runUrl],
    force: [inputs.force ? 'yes' : 'no'],
    'migrate-timeout': [seconds(inputs.migrateTimeout)],
    'lock-timeout': [String(inputs.migrateLockTimeout)],
    'health-timeout': inputs.healthTimeout === undefined ? [] : [seconds(inputs.healthTimeout)],
    'on-failure': [inputs.onFailure],
    update: inputs.updateServices,
    scale: counts,
    keep: [String(inputs.keepReleases)],
  }
}

const seconds = (milliseconds: number): string => String(Math.ceil(milliseconds / 1000))

/** Stops when a setting is missing; gives what the release would mount. */
async function askMounts(
  connection: Connection,
  { directory, id }: { directory: string; id: string },
): Promise<Mounts> {
  const asked = await connection.reach(command(directory, id, 'check'))
  if (asked.code !== 0) throw explainStage(asked)
  return readMounts(findDocument(asked.stdout))
}

async function askPlan(
  connection: Connection,
  { directory, id }: { directory: string; id: string },
): Promise<LivePlan | OfflinePlan> {
  const asked = await connection.reach([...command(directory, id, 'plan'), 'plan'])
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
  if (plan.kind === 'offline') return plan
  for (const { app, name, operations } of plan.pending) {
    info(`  ${app}.${name}`)
    operations.forEach((operation) => info(`    ${operation.text}${operation.reversible ? '' : ' (not reversible)'}`))
  }
  return plan
}

function showPlan(steps: readonly string[], found: LivePlan | OfflinePlan): ShownPlan {
  if (found.kind === 'live')
    return { digest: found.digest, steps, pending: found.pending, unknown: found.unknown, drift: found.drift }
  const pending = found.migrations.map(({ app, name }) => ({ app, name, operations: [] }))
  return { digest: found.digest, steps, pending, unknown: [], drift: [] }
}

function unapplied(pending: readonly Migration[]): string {
  const names = pending.map(({ app, name }) => `${app}.${name}`)
  return `Nobody applies the pending migrations (\`migrate: none\`): ${names.join(', ')}`
}

function otherPlan(approved: string, digest: string): DeployError {
  return new DeployError('plan-digest', {
    what: 'The plan is not the one that was approved',
    seen: `digest ${digest}, approved ${approved}`,
    why: 'the database or the image changed since the plan was shown',
    fix: 'look at the plan in the job summary and approve its digest, or leave plan-digest out',
  })
}
