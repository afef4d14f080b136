import { info, warning } from '@actions/core'
import type { Values } from '../compose/document.ts'
import { findDrifts } from '../compose/drift.ts'
import { chooseCounts, plainCounts } from '../compose/scale.ts'
import type { RollbackInputs } from '../contract.ts'
import { describeOperation, planOperations } from '../deployment/operation.ts'
import { planRollback } from '../deployment/plan.ts'
import { findDocument, readFitReport, readSettings, type Settings } from '../django/document.ts'
import { askHealth } from '../django/health.ts'
import { needsCollecting, readCollect } from '../django/static.ts'
import { record, recordFacts } from '../github/record.ts'
import { bindSources } from '../guard/bind.ts'
import { explainDenial } from '../guard/denied.ts'
import { checkDatabase } from '../guard/database.ts'
import { group, show } from '../report/log.ts'
import { servingOf, type Outcome } from '../report/report.ts'
import { connect, type Connection } from '../server/connection.ts'
import { explainOldSettings, explainProbe, explainStage, explainUnfit } from '../server/failure.ts'
import { explanations } from '../server/explanation.ts'
import { nothingDeployed, requireProject } from '../server/find.ts'
import { command } from '../server/follow.ts'
import { fact } from '../server/fact.ts'
import { checkServer, runningCounts, type Server } from '../server/look.ts'
import {
  chooseTarget,
  frontsOf,
  imagesOf,
  readModel,
  servicesOf,
  versionOf,
  type KeptRelease,
} from '../server/release.ts'
import { incoming, planFiles, send, stage } from '../server/stage.ts'
import { newId, type Transaction } from '../server/transaction.ts'
import type { Context } from './context.ts'
import { execute, type Decided } from './execute.ts'
import { askResolved, countFacts, healthQuestion, prepareMounts, type Resolved } from './plan.ts'
import { deploymentFacts } from './release.ts'

/** Back to an older release, from what the host kept of it: no checkout, no build, no registry. */
export async function rollback(inputs: RollbackInputs, context: Context): Promise<Outcome> {
  const site = await inspectTarget(inputs, context)
  const transaction = await stageRollback(site, inputs, context)
  await warnOfSettings(site, transaction)
  const compatible = await group(`Compatibility of ${site.target.version} with the database`, () =>
    checkCompatibility(site, transaction),
  )
  const plan = decide(site, compatible, inputs, context)
  if (inputs.dryRun) return { kind: 'planned' }
  const { version, facts } = site.target
  const commit = fact(facts, 'commit') ?? ''
  const wanted = recordFacts(inputs, context.runner, { commit, description: `rollback to ${version}` })
  const { kind } = await record(wanted, () => execute(site, transaction, plan, version, context))
  return { kind }
}

/** The project on its host, and the release to go back to. */
type Site = {
  connection: Connection
  directory: string
  server: Server
  name: string
  target: KeptRelease
  /** Pinned models of the release that serves and of the target. */
  before: Values
  model: Values
}

async function inspectTarget(inputs: RollbackInputs, { run, folder, signal, assets, found }: Context): Promise<Site> {
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
    project: name,
    images: imagesOf(target.facts),
  })
  const [before, model] = await Promise.all([
    readModel(connection, directory, server.current),
    readModel(connection, directory, target.id),
  ])
  warnOfKept(target, before, model)
  info(`${name} serves ${serving ?? 'nothing'}; going back to ${target.version} (${target.id})`)
  return { connection, directory, server, name, target, before, model }
}

function warnOfKept({ version, facts }: KeptRelease, before: Values, model: Values): void {
  const { data = [], backing = [] } = Object.fromEntries(facts)
  const keeping = data.filter((service) => !backing.includes(service))
  for (const { service, keys } of findDrifts(before, model, keeping))
    warning(`${service} stays as it is, because it is stateful; ${version} had another ${keys.join(', ')}`)
}

/** The env files of the target come back with it: a token that was rotated since would be the old one again. */
async function warnOfSettings({ connection, server, target }: Site, { directory, id }: Transaction): Promise<void> {
  const asked = await connection.reach(command(directory, id, 'returning'))
  if (asked.code !== 0) throw explainStage(asked)
  const names = [...asked.stdout.matchAll(/^returning ([\w.-]+)$/gm)].map(([, name]) => name)
  if (names.length === 0) return
  const { version } = target
  warning(
    `With ${version} its env files come back, in which these variables have other values than in those of ${versionOf(server, server.current) ?? 'now'}: ${names.join(', ')}. If one of them was rotated, its old value is in use again. To run the code of ${version} with the values of now, deploy it again: git tag ${version}-again ${version} && git push origin ${version}-again`,
  )
}

async function stageRollback(
  { connection, directory, server, target }: Site,
  inputs: RollbackInputs,
  { run, runner, folder, assets }: Context,
): Promise<Transaction> {
  const transaction = { directory, id: newId(`rollback-${target.version}`, runner, server.plans) }
  await group(`Stage ${transaction.id}`, async () => {
    const facts = deploymentFacts({ target: target.id, runner, healthTimeout: inputs.healthTimeout })
    await send(run, connection, incoming(directory, transaction.id), planFiles('plan', assets, facts), folder)
    await stage(connection, directory, transaction.id, [], show)
  })
  return transaction
}

/** The target's own settings, and what the host filled in of its model. */
type Compatible = { settings: Settings } & Resolved

/** Asks the target's own code; refuses when it cannot use the database as it is. Gives what it saw. */
async function checkCompatibility(
  { connection, target, server, model }: Site,
  transaction: Transaction,
): Promise<Compatible> {
  const resolved = await askResolved(connection, transaction)
  const services = servicesOf(target.facts)
  await prepareMounts(connection, transaction, bindSources(resolved.mounts, services, model))
  const asked = await connection.reach([...command(transaction.directory, transaction.id, 'plan'), 'fit'])
  const document = findDocument(asked.stdout)
  if (document && asked.code === explanations.unfit.exit) throw explainUnfit(readFitReport(document))
  if (document && asked.code === explanations.database_refused.exit) throw explainOldSettings(document)
  if (!document || asked.code !== 0)
    throw explainDenial(explainProbe(asked.code, document, asked.stderr), { ...resolved, model })
  const { ahead, database } = readFitReport(document)
  checkDatabase(server.database, database, `deploy ${target.version} again with \`force: true\``)
  info(
    ahead.length === 0
      ? `The database is as ${target.version} knows it.`
      : `These migrations stay applied, ${target.version} can live with them: ${ahead.join(', ')}`,
  )
  return { settings: readSettings(document['settings']), ...resolved }
}

/** Decides what will be done and prints it. */
function decide(
  { server, name, target, before, model }: Site,
  { settings, mounts, counts }: Compatible,
  inputs: RollbackInputs,
  { found }: Context,
): Decided {
  const { data = [], backing = [], jobs = [], others = [], services = [] } = Object.fromEntries(target.facts)
  const collect = readCollect(fact(target.facts, 'collectstatic'))
  const { steps, digest } = planRollback({
    jobs,
    static: needsCollecting(collect, settings.static, mounts.get(fact(target.facts, 'django') ?? '')),
  })
  const replaced = services.map((line) => line.replace(/^\d+ /, ''))
  const numbers = chooseCounts({
    asked: [],
    before: new Map([...plainCounts(before), ...server.counts]),
    now: counts,
    unstarted: server.unstarted,
    running: runningCounts(server, name),
    services: [...replaced, ...others, ...backing],
    data: [],
    explicit: [],
  })
  numbers.warnings.forEach((text) => warning(text))
  const operations = planOperations({
    steps,
    before,
    model,
    roles: { data, backing, jobs, others, replaced },
    update: [],
    running: server.containers.flatMap((each) => (each.project === name && each.running ? [each.service] : [])),
    unstarted: numbers.unstarted,
    pending: [],
    adopted: undefined,
  })
  info(`Plan of the rollback to ${target.version}:`)
  operations.forEach((operation) => info(`  ${describeOperation(operation)}`))
  found({ plan: { digest, operations, pending: [], unknown: [], drift: [] } })
  const fronts = frontsOf(target.facts).filter(([service]) => !numbers.unstarted.includes(service))
  return {
    kind: 'rolled-back',
    steps,
    approved: [],
    http: askHealth(healthQuestion(inputs), fronts, settings),
    denial: { mounts, model },
    counts: countFacts(numbers, counts, [...replaced, ...others, ...data]),
  }
}
