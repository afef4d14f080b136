import { setSecret } from '@actions/core'
import type { App } from '../compose/app.ts'
import { findDrifts, type Settings as EnvValues } from '../compose/drift.ts'
import { readEnvFile } from '../compose/env-file.ts'
import { behindApp, broughtUp, withRole } from '../compose/role.ts'
import { chooseCounts, plainCounts } from '../compose/scale.ts'
import { warning } from '../github/annotation.ts'
import type { RollbackInputs } from '../inputs/contract.ts'
import { secretsIn } from '../inputs/secret.ts'
import { canonical } from '../canonical.ts'
import { backingUp, backupLines, dumpLines, planBackup, type Backup } from '../deployment/backup.ts'
import { describeOperation, planOperations } from '../deployment/operation.ts'
import { listObstacles } from '../deployment/order.ts'
import { digestPlan, otherPlan, planLook, planRollback } from '../deployment/plan.ts'
import { planTrial } from '../deployment/trial.ts'
import {
  findDocument,
  readCompatibility,
  readReverseReport,
  readSettings,
  type Compatibility,
  type Migration,
  type ReverseReport,
  type Settings,
} from '../django/document.ts'
import { labelOf } from '../django/label.ts'
import { askHealth, askTrial, healthQuestion, isAuto } from '../django/health.ts'
import { needsCollecting, readCollect } from '../django/static.ts'
import { record, recordFacts } from '../github/record.ts'
import { bindSources } from '../guard/bind.ts'
import { explainDenial } from '../guard/denied.ts'
import { checkDatabases } from '../guard/database.ts'
import { describeKept } from '../guard/hidden.ts'
import { mountsOf } from '../guard/mount.ts'
import { describeStrangersBehind } from '../guard/stranger.ts'
import { info } from '../report/log.ts'
import { servingOf, type Outcome } from '../report/report.ts'
import { connect, type Connection } from '../host/connection.ts'
import {
  explainIrreversible,
  explainOldSettings,
  explainProbe,
  explainStage,
  explainIncompatible,
} from '../host/failure.ts'
import { explanations } from '../host/explanation.ts'
import { nothingDeployed, requireProject } from '../host/find.ts'
import { command } from '../host/follow.ts'
import { fact, ROLLBACK_FACTS } from '../host/fact.ts'
import { checkServer, runningCounts, type Server } from '../host/look.ts'
import {
  chooseTarget,
  currentRelease,
  frontsOf,
  imagesOf,
  isAsDeployed,
  readDotEnv,
  readAppOf,
  readHealth,
  servicesOf,
  versionOf,
  type KeptHealth,
  type KeptRelease,
} from '../host/release.ts'
import { planFiles } from '../host/stage.ts'
import { newId, type Transaction } from '../host/transaction.ts'
import type { Run } from '../process.ts'
import type { Context } from './context.ts'
import { execute, type Decided } from './execute.ts'
import { checkBackup, countFacts, runningServices } from './plan.ts'
import { askResolved, prepareMounts, type Resolved } from './resolve.ts'
import { deploymentFacts, stageFiles } from './release.ts'

/** Rolls back to an older release, using only its files on the host: no checkout, no build, no registry. */
export async function rollback(inputs: RollbackInputs, context: Context): Promise<Outcome> {
  const site = await context.step(
    'Inspect',
    () => inspectTarget(inputs, context),
    ({ name, server, target }) =>
      `${name} serves ${versionOf(server, server.current) ?? 'nothing'}; going back to ${target.version}`,
  )
  const transaction = await stageRollback(site, inputs, context)
  await warnOfSettings(site, transaction)
  const compatible = await context.step(
    'Plan',
    () => checkCompatibility(site, transaction, inputs, context.run),
    () => `${site.target.version} is compatible with the database`,
  )
  const plan = decide(site, compatible, inputs, context)
  await checkBackup(compatible.backup, site.connection, transaction)
  if (inputs.dryRun) return { kind: 'planned' }
  const { version, facts } = site.target
  const commit = fact(facts, 'commit') ?? ''
  const wanted = recordFacts(inputs, context.runner, { commit, description: `rollback to ${version}` })
  const { kind } = await record(wanted, () => execute(site, transaction, plan, version, context))
  return { kind }
}

/** The project on its host, and the release to roll back to. */
type Site = {
  connection: Connection
  directory: string
  server: Server
  name: string
  target: KeptRelease
  /** Pinned models of the current release and of the target. */
  before: App
  app: App
  /** Values of their `.env` files; undefined unless both have one. */
  env: EnvValues | undefined
  /** The health checks with which the target was deployed; undefined when the inputs have one of their own. */
  health: KeptHealth | undefined
}

async function inspectTarget(
  inputs: RollbackInputs,
  { run, runner, folder, signal, assets, found }: Context,
): Promise<Site> {
  const connection = await connect(run, inputs, folder, signal)
  const { directory, server } = await requireProject(connection, assets.transaction.toString(), inputs.directory)
  checkServer(server, inputs.host.user, directory)
  if (server.served.length === 0) throw nothingDeployed(directory)
  const target = chooseTarget(server, inputs.version)
  const name = fact(target.facts, 'project') ?? ''
  const serving = versionOf(server, server.current)
  found({
    version: target.version,
    previous: serving,
    serving: servingOf(serving),
    since: server.since,
    project: name,
    directory,
    rollbackPage: runner.workflowPage,
    manage: target.facts.get('manage'),
    images: imagesOf(target.facts),
  })
  const [before, app, health, ...texts] = await Promise.all([
    readAppOf(connection, directory, server.current),
    readAppOf(connection, directory, target.id),
    isAuto(healthQuestion(inputs)) ? readHealth(connection, directory, target.id) : undefined,
    readDotEnv(connection, directory, currentRelease(server)),
    readDotEnv(connection, directory, target),
  ])
  texts.flatMap((text) => secretsIn(text ?? '')).forEach((secret) => setSecret(secret))
  const [was, now] = texts.map((text) => (text === undefined ? undefined : readEnvFile(text).values))
  const env = was && now && { before: was, now }
  warnOfKept(target, before, app, env)
  describeKept(
    target.facts.get('below') ?? [],
    currentRelease(server)?.facts.get('below') ?? [],
    target.version,
  ).forEach((text) => warning(text))
  const strangers = describeStrangersBehind(
    target.version,
    target.facts.get('strangers') ?? [],
    currentRelease(server)?.facts.get('strangers') ?? [],
  )
  if (strangers !== undefined) warning(strangers)
  return { connection, directory, server, name, target, before, app, env, health }
}

function warnOfKept({ version, facts }: KeptRelease, before: App, app: App, env: EnvValues | undefined): void {
  const keeping = withRole(servicesOf(facts), 'database', 'one-time')
  for (const { service, keys, variables } of findDrifts(before, app, keeping, env)) {
    const names = variables.length === 0 ? '' : ` (${variables.join(', ')})`
    warning(`${service} stays as it is, because it is stateful; ${version} had another ${keys.join(', ')}${names}`)
  }
}

/** A rollback restores the target's env files. A token that was rotated since would have its old value again. */
async function warnOfSettings({ connection, server, target }: Site, { directory, id }: Transaction): Promise<void> {
  const asked = await connection.callOrThrow(command(directory, id, 'returning'))
  if (asked.code !== 0) throw explainStage(asked)
  const text = describeReturning(asked.stdout, target.version, versionOf(server, server.current))
  if (text !== undefined) warning(text)
}

/** The warning for lines `returning variable NAME` and `returning file PATH`; undefined without such lines. */
export function describeReturning(text: string, version: string, serving: string | undefined): string | undefined {
  const named = (kind: string): string[] =>
    [...text.matchAll(/^returning (\w+) (\S.*)$/gm)].flatMap(([, word, name = '']) => (word === kind ? [name] : []))
  const [variables, files] = [named('variable'), named('file')]
  const parts = [
    ...(variables.length > 0 ? [`these variables have other values: ${variables.join(', ')}`] : []),
    ...(files.length > 0 ? [`these files have other contents: ${files.join(', ')}`] : []),
  ]
  if (parts.length === 0) return undefined
  return `The rollback restores the env files of ${version}. Compared with ${serving ?? 'now'}, ${parts.join('; ')}. If one of them was rotated, its old value is in use again. To run the code of ${version} with the current values, deploy it again: git tag ${version}-again ${version} && git push origin ${version}-again`
}

async function stageRollback(
  { connection, directory, server, target }: Site,
  inputs: RollbackInputs,
  context: Context,
): Promise<Transaction> {
  const { runner, assets } = context
  const transaction = { directory, id: newId(`rollback-${target.version}`, runner, server.plans) }
  const facts = { ...deploymentFacts(target.id, runner, inputs.healthTimeout), ...ROLLBACK_FACTS }
  const files = planFiles('plan', assets, facts, target.facts.get('manage'))
  await stageFiles(connection, transaction, { files, logins: [] }, context)
  return transaction
}

/** What going back does to the schema. */
type Reversal = { unapply: readonly Migration[]; backup: Backup }

const NO_REVERSAL: Reversal = { unapply: [], backup: { kind: 'none' } }

/** The target's resolved model, what it found in the database, and what going back to it does to the schema. */
type Compatible = { report: Compatibility; settings: Settings } & Reversal & Resolved

/**
 * Runs the compatibility check in the target's image. Stops when its code cannot use the database, even after the
 * requested reversal.
 */
async function checkCompatibility(
  site: Site,
  transaction: Transaction,
  inputs: RollbackInputs,
  run: Run,
): Promise<Compatible> {
  const { connection, target, server, app } = site
  const resolved = await askResolved(connection, transaction)
  const services = servicesOf(target.facts).map(({ service }) => service)
  const sources = bindSources(resolved.mounts, services, app)
  await prepareMounts(connection, transaction, sources, { mounts: resolved.mounts, app }, run)
  const asked = await connection.callOrThrow([...command(transaction.directory, transaction.id, 'plan'), 'fit'])
  const document = findDocument(asked.stdout)
  if (document && asked.code === explanations.database_refused.exit) throw explainOldSettings(document)
  const isIncompatible = asked.code === explanations.unfit.exit
  if (!document || (asked.code !== 0 && !isIncompatible))
    throw explainDenial(explainProbe(asked.code, document, asked.stderr), { ...resolved, app })
  const report = readCompatibility(document)
  checkDatabases(
    server.databases,
    report.database ? [report.database] : [],
    `deploy ${target.version} again with \`force: true\``,
  )
  const found = { report, settings: readSettings(document), ...resolved }
  if (inputs.reverseMigrations) return { ...found, ...(await planReversal(site, transaction, inputs)) }
  if (isIncompatible) throw explainIncompatible(report, await findReversal(site, transaction).catch(() => undefined))
  info(
    report.ahead.length === 0
      ? `The database has no migration that ${target.version} lacks.`
      : `These migrations stay applied, ${target.version} can work with them: ${report.ahead.join(', ')}`,
  )
  return { ...found, ...NO_REVERSAL }
}

/** What the current release unapplies for the target. Warns of lost data. Stops when it cannot be unapplied. */
async function planReversal(site: Site, transaction: Transaction, { backup }: RollbackInputs): Promise<Reversal> {
  const { version } = site.target
  const report = await findReversal(site, transaction)
  const { unapply, losses, stays, database, dump } = report
  if ([...report.rewritten, ...report.irreversible, ...report.blocked].length > 0) throw explainIrreversible(report)
  if (losses.length > 0) warning(`Going back to ${version} loses data that was written since:\n${losses.join('\n')}`)
  if (stays.length > 0)
    warning(`These migrations stay applied, because neither release knows them: ${stays.join(', ')}`)
  else if (unapply.length === 0) info(`Nothing is unapplied: ${version} knows every migration of the database.`)
  const loss = losses.length === 0 ? undefined : `going back loses data: ${losses.join('; ')}`
  const way = { database, facts: dump, app: site.before, running: runningServices(site) }
  return { unapply, backup: planBackup({ ...way, policy: backup, isMigrating: unapply.length > 0, loss }) }
}

/** Reads from the current release what to unapply. The host passes on the migrations that the target knows. */
async function findReversal({ connection, app }: Site, { directory, id }: Transaction): Promise<ReverseReport> {
  const asked = await connection.callOrThrow([...command(directory, id, 'plan'), 'reverse'])
  const document = findDocument(asked.stdout)
  if (!document || (asked.code !== 0 && asked.code !== explanations.irreversible.exit))
    throw explainDenial(explainProbe(asked.code, document, asked.stderr), { mounts: new Map(), app })
  return readReverseReport(document)
}

/** Decides the plan and prints it. */
function decide(
  { server, name, target, before, app, env, health }: Site,
  { report, settings, unapply, backup, mounts, counts }: Compatible,
  inputs: RollbackInputs,
  { found }: Context,
): Decided {
  const services = servicesOf(target.facts)
  const replaced = withRole(services, 'app')
  const collect = readCollect(fact(target.facts, 'collectstatic'))
  const django = fact(target.facts, 'django') ?? ''
  const numbers = chooseCounts({
    asked: [],
    before: new Map([...plainCounts(before), ...server.counts]),
    now: counts,
    unstarted: server.unstarted,
    running: runningCounts(server, name),
    services: broughtUp(services),
    data: [],
    explicit: [],
  })
  numbers.warnings.forEach((text) => warning(text))
  const running = runningServices({ server, name })
  const { unstarted } = numbers
  const trial = planTrial({
    choice: fact(target.facts, 'try'),
    service: django,
    before,
    app,
    env,
    changing: withRole(services, 'cache'),
    running,
    unstarted,
    replaced,
    migratesItself: false,
  })
  const preparation = {
    jobs: withRole(services, 'job'),
    static: needsCollecting(collect, settings.static, mountsOf(replaced, mounts)),
    try: trial.obstacle === undefined,
  }
  const ahead = report.ahead.toSorted()
  const isServed = target.id === server.current && isAsDeployed(server) && unapply.length === 0
  const evidence = canonical({ from: server.current, unapply, ahead })
  const planned = isServed ? planLook(evidence) : planRollback(preparation, unapply.length > 0, evidence)
  const steps = backup.kind === 'dump' ? backingUp(planned.steps) : planned.steps
  const { order, return: way } = planned
  const operations = planOperations({
    steps,
    before,
    app,
    services,
    servicesBefore: servicesOf(currentRelease(server)?.facts),
    proxies: target.facts.get('proxies') ?? [],
    update: [],
    running,
    unstarted,
    pending: [],
    unapply: unapply.map(labelOf),
    stopReason: unapply.length > 0 ? `its code cannot work with the schema of ${target.version}` : undefined,
    backup: backup.kind === 'dump' ? { database: backup.way.database.name, reason: backup.reason } : undefined,
    adopted: undefined,
    trial,
  })
  const scaled = countFacts(numbers, counts, [...broughtUp(services), ...behindApp(services)])
  const fingerprint = fact(target.facts, 'fingerprint') ?? ''
  const digest = digestPlan({ ...planned, steps }, { fingerprint, operations, counts: scaled })
  info(`Plan of the rollback to ${target.version}:`)
  operations.forEach((operation) => info(`  ${describeOperation(operation)}`))
  found({ plan: { digest, order, return: way, operations, pending: [], unknown: [], drift: [] } })
  if (inputs.planDigest !== undefined && inputs.planDigest !== digest) throw otherPlan(inputs.planDigest, digest)
  const { database } = report
  const fronts = frontsOf(target.facts).filter(([service]) => !unstarted.includes(service))
  const web = app.services.get(django)
  const question = healthQuestion(inputs)
  return {
    kind: isServed ? 'unchanged' : 'rolled-back',
    steps,
    manage: target.facts.get('manage'),
    approved: [],
    return: way,
    obstacles: listObstacles([]),
    backup: backup.kind === 'dump' ? backupLines(backup.way) : undefined,
    dump: database && dumpLines({ database, facts: report.dump, app, running }),
    http: health?.http ?? askHealth(question, fronts, settings, app, web),
    trialHttp: health?.trial ?? askTrial(question, fronts, settings, web),
    denial: { mounts, app },
    counts: scaled,
  }
}
