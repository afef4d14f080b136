import { info } from '@actions/core'
import { findDocument, readPlan, type LivePlan, type OfflinePlan } from '../django/document.ts'
import { describe } from '../guard/database.ts'
import { readMounts, type Mounts } from '../guard/mount.ts'
import type { Connection } from '../server/connection.ts'
import { explainProbe, explainStage } from '../server/failure.ts'
import { command } from '../server/follow.ts'
import type { Transaction } from '../server/transaction.ts'

/** Stops when a setting is missing; gives what the release would mount. */
export async function askMounts(connection: Connection, { directory, id }: Transaction): Promise<Mounts> {
  const asked = await connection.reach(command(directory, id, 'check'))
  if (asked.code !== 0) throw explainStage(asked)
  return readMounts(findDocument(asked.stdout))
}

/** The plan of the image on the database as it is now. */
export async function askPlan(connection: Connection, { directory, id }: Transaction): Promise<LivePlan | OfflinePlan> {
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
  if (plan.unrecorded.length > 0) info(`applied by their parts, and recorded: ${plan.unrecorded.join(', ')}`)
  for (const { app, name, operations } of plan.pending) {
    info(`  ${app}.${name}`)
    operations.forEach((operation) => info(`    ${operation.text}${operation.reversible ? '' : ' (not reversible)'}`))
  }
  return plan
}
