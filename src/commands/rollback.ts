import { info, warning } from '@actions/core'
import { findDrifts } from '../compose/drift.ts'
import { findDocument, readFitReport, readSettings, type Settings } from '../django/document.ts'
import { askHealth } from '../django/health.ts'
import { planRollback } from '../django/plan.ts'
import { needsCollecting, readCollect } from '../django/static.ts'
import { checkDatabase } from '../guard/database.ts'
import type { Mounts } from '../guard/mount.ts'
import type { RollbackInputs } from '../contract.ts'
import { group, show } from '../report/log.ts'
import type { Report } from '../report/report.ts'
import { connect, type Connection } from '../server/connection.ts'
import { explainProbe, explainUnfit } from '../server/failure.ts'
import { nothingDeployed, requireProject } from '../server/find.ts'
import { command } from '../server/follow.ts'
import { checkServer, fact, type Server } from '../server/look.ts'
import { chooseTarget, frontsOf, imagesOf, readModel, versionOf, type KeptRelease } from '../server/release.ts'
import { incoming, planFiles, send, stage } from '../server/stage.ts'
import { newId, type Transaction } from '../server/transaction.ts'
import { askMounts } from './ask.ts'
import type { Context } from './context.ts'
import { healthQuestion, walk } from './walk.ts'

/** Back to an older release, from what the server kept of it: no checkout, no build, no registry. */
export async function rollback(inputs: RollbackInputs, context: Context, report: Report): Promise<void> {
  const { run, folder, signal, assets, runner } = context
  const connection = await connect(run, inputs, folder, signal)

  const { directory, server } = await requireProject(connection, assets.transaction.toString(), inputs.directory)
  checkServer(server, inputs.host.user)
  if (server.served.length === 0) throw nothingDeployed(directory)
  const target = chooseTarget(server, inputs.version)
  report.version = target.version
  report.previous = report.serving = versionOf(server, server.current)
  report.project = target.facts.get('project')?.[0]
  report.images = imagesOf(target.facts)
  const [before, model] = await Promise.all(
    [server.current, target.id].map((id) => readModel(connection, directory, id)),
  )
  const { data = [], backing = [] } = Object.fromEntries(target.facts)
  const keeping = data.filter((service) => !backing.includes(service))
  for (const { service, keys } of findDrifts(before ?? {}, model ?? {}, keeping))
    warning(`${service} stays as it is, because it may hold data; ${target.version} had another ${keys.join(', ')}`)
  info(`${report.project} serves ${report.serving ?? 'nothing'}; going back to ${target.version} (${target.id})`)

  const transaction = { directory, id: newId(`rollback-${target.version}`, runner, server.plans) }
  await group(`Stage ${transaction.id}`, async () => {
    const files = planFiles('plan', assets, {
      target: [target.id],
      run: [String(runner.runId)],
      url: [runner.runUrl],
      force: ['no'],
      'migrate-timeout': ['3600'],
      'lock-timeout': ['5000'],
      'health-timeout': inputs.healthTimeout === undefined ? [] : [String(Math.ceil(inputs.healthTimeout / 1000))],
      keep: ['100'],
    })
    await send(run, connection, incoming(directory, transaction.id), files, folder)
    await stage(connection, directory, transaction.id, [], show)
  })

  const { settings, mounts } = await group(`Does ${target.version} fit the database`, () =>
    checkFit(connection, transaction, target, server),
  )
  const plan = planRollback({
    jobs: target.facts.get('jobs') ?? [],
    static: needsCollecting(
      readCollect(fact(target.facts, 'collectstatic')),
      settings.static,
      mounts.get(fact(target.facts, 'django') ?? ''),
    ),
  })
  report.plan = { digest: plan.digest, steps: plan.steps, pending: [], unknown: [], drift: [] }
  if (inputs.dryRun) {
    report.outcome = 'planned'
    return
  }
  const http = askHealth(healthQuestion(inputs), frontsOf(target.facts), settings)
  await walk(connection, context, transaction, { steps: plan.steps, approved: [], http }, server, report)
  report.outcome = 'rolled-back'
}

/** Asks the target's own code; refuses when it cannot live with the schema. Gives the settings that it saw, and its mounts. */
async function checkFit(
  connection: Connection,
  transaction: Transaction,
  target: KeptRelease,
  server: Server,
): Promise<{ settings: Settings; mounts: Mounts }> {
  const mounts = await askMounts(connection, transaction)
  const asked = await connection.reach([...command(transaction.directory, transaction.id, 'plan'), 'fit'])
  const document = findDocument(asked.stdout)
  if (document && asked.code === 20) throw explainUnfit(readFitReport(document))
  if (!document || asked.code !== 0) throw explainProbe(asked.code, document, asked.stderr)
  const { ahead, database } = readFitReport(document)
  checkDatabase(server.database, database, `deploy ${target.version} again with \`force: true\``)
  info(
    ahead.length === 0
      ? `The database is as ${target.version} knows it.`
      : `These migrations stay applied, ${target.version} can live with them: ${ahead.join(', ')}`,
  )
  return { settings: readSettings(document['settings']), mounts }
}
