import { setOutput } from '@actions/core'
import type { StatusInputs } from '../inputs/contract.ts'
import { info, show, writeSummary } from '../report/log.ts'
import { renderStatus, reportStatus, statusHeadline, statusOutputs } from '../report/status.ts'
import { connect } from '../host/connection.ts'
import { findProject } from '../host/find.ts'
import { askStatus } from '../host/status.ts'
import type { World } from './context.ts'

/** Reports what a host serves. Read-only: it works during a deployment, and where nothing was ever deployed. */
export async function status(inputs: StatusInputs, { run, folder, signal, assets }: World): Promise<void> {
  const connection = await connect(run, inputs, folder, signal)
  const script = assets.transaction.toString()
  const found = await findProject(connection, script, inputs.directory)
  const now = found.directory === undefined ? undefined : await askStatus(connection, script, found.directory)
  const report = reportStatus(inputs.host.address, found, now)
  for (const [name, value] of Object.entries(statusOutputs(report))) setOutput(name, value)
  await writeSummary(renderStatus(report))
  info(statusHeadline(report))
  report.containers.forEach(({ service, state, health, image }) =>
    show(`  ${service} ${state} ${health ?? ''} ${image}`),
  )
  report.deployments.forEach(({ begun, id, outcome }) => show(`  ${begun} ${id} ${outcome}`))
}
