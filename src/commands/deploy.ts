import { info, warning } from '@actions/core'
import { setTimeout as pause } from 'node:timers/promises'
import { neededGroups } from '../compose/group.ts'
import type { DeployInputs } from '../contract.ts'
import { record, recordFacts } from '../github/record.ts'
import { servingOf, type Outcome } from '../report/report.ts'
import { visit } from '../report/visit.ts'
import type { Context } from './context.ts'
import { execute } from './execute.ts'
import { obtainImages } from './images.ts'
import { planDeployment } from './plan.ts'
import { stageRelease } from './release.ts'
import { inspectSite } from './site.ts'

/** From the repository to a running, verified release. */
export async function deploy(inputs: DeployInputs, context: Context): Promise<Outcome> {
  const site = await inspectSite(inputs, context)
  const images = await obtainImages({ ...site, groups: neededGroups(site.groups, site.active) }, inputs, context)
  const staged = await stageRelease(site, images, inputs, context)
  const plan = await planDeployment(site, staged, inputs, context)
  if (inputs.dryRun) return { kind: 'planned' }
  if (staged.adoption) keepAdopted(staged.adoption.id, context)
  const facts = recordFacts(inputs, context.runner, { commit: context.runner.sha, description: inputs.version })
  const { kind } = await record(facts, () => execute(site, staged.transaction, plan, inputs.version, context))
  if (inputs.url !== undefined) await visitSite(inputs.url)
  return { kind }
}

function keepAdopted(id: string, { found }: Context): void {
  found({ previous: id, serving: servingOf(id) })
  info(`What runs was started by hand; it is kept as ${id}, to which a rollback can go`)
}

async function visitSite(url: string): Promise<void> {
  const trouble = await visit(url, (address) => fetch(address, { signal: AbortSignal.timeout(10_000) }), pause)
  if (trouble === undefined) info(`${url} answers`)
  else warning(`${url} is not reachable from outside: ${trouble}. Check the proxy, the certificate and DNS`)
}
