import { setTimeout as pause } from 'node:timers/promises'
import { info, warning } from '@actions/core'
import { checkCodeMounts } from '../compose/code.ts'
import { checkUpdates, describeAbandoned, describeDrift, findAbandoned } from '../compose/drift.ts'
import { neededGroups } from '../compose/group.ts'
import { makeRelease } from '../compose/release.ts'
import { assignRoles } from '../compose/role.ts'
import { chooseCounts } from '../compose/scale.ts'
import type { DeployInputs } from '../contract.ts'
import type { LivePlan, Migration, OfflinePlan } from '../django/document.ts'
import { askHealth } from '../django/health.ts'
import { adopting, approve, planDeploy } from '../django/plan.ts'
import { needsCollecting } from '../django/static.ts'
import { DeployError } from '../errors.ts'
import { checkDatabase } from '../guard/database.ts'
import { checkMounts } from '../guard/mount.ts'
import { measureImages } from '../image/measure.ts'
import { group, show } from '../report/log.ts'
import { visit } from '../report/visit.ts'
import type { Report, ShownPlan } from '../report/report.ts'
import { planAdoption } from '../server/adoption.ts'
import { connect } from '../server/connection.ts'
import { explainUnfit } from '../server/failure.ts'
import { checkArchitecture, fact } from '../server/look.ts'
import { readModel } from '../server/release.ts'
import { checkRoom } from '../server/room.ts'
import { incoming, planFiles, send, stage } from '../server/stage.ts'
import { newId } from '../server/transaction.ts'
import { askMounts, askPlan } from './ask.ts'
import { readCheckout } from './checkout.ts'
import type { Context } from './context.ts'
import { releaseFacts, releaseFiles, transactionFacts } from './facts.ts'
import { obtainImages } from './images.ts'
import { meetServer } from './meet.ts'
import { healthQuestion, walk } from './walk.ts'

/** From the repository to a running, verified release. */
export async function deploy(inputs: DeployInputs, context: Context, report: Report): Promise<void> {
  const { run, runner, folder, assets, signal } = context
  const connection = await connect(run, inputs, folder, signal)

  // The repository, then the server: nothing is built for a server that cannot take it.
  const [checkout] = await Promise.all([
    readCheckout(inputs, context),
    // Only the handshake, which takes as long.
    connection.reach(['true']),
  ])
  const { project, groups, repository, naming } = checkout
  const { directory, server, current, name, profiles, active } = await meetServer(
    connection,
    checkout,
    inputs,
    context,
    report,
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
  const named = [...project.services.keys()]
  findAbandoned(current?.facts, named).forEach((service) => warning(describeAbandoned(service, name)))
  const adoption = planAdoption({
    ...{ server, name, roles, named },
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
    if (found.problems.length > 0) throw explainUnfit({ ahead: found.unknown, problems: found.problems })
  }
  if (inputs.migrate !== 'external') {
    found.elsewhere.forEach((names, alias) => names.length > 0 && warning(describeElsewhere(alias, names)))
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

function showPlan(steps: readonly string[], found: LivePlan | OfflinePlan): ShownPlan {
  if (found.kind === 'live')
    return { digest: found.digest, steps, pending: found.pending, unknown: found.unknown, drift: found.drift }
  const pending = found.migrations.map(({ app, name }) => ({ app, name, operations: [] }))
  return { digest: found.digest, steps, pending, unknown: [], drift: found.drift }
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
