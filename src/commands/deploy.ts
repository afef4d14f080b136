import { info } from '../report/log.ts'
import { setTimeout as pause } from 'node:timers/promises'
import { neededGroups } from '../compose/group.ts'
import { warning } from '../github/annotation.ts'
import type { DeployInputs } from '../inputs/contract.ts'
import { record, recordFacts } from '../github/record.ts'
import { count } from '../image/progress.ts'
import { servingOf, type Outcome } from '../report/report.ts'
import { visit } from '../report/visit.ts'
import type { Context } from './context.ts'
import { execute, type Decided } from './execute.ts'
import { obtainImages, type Images } from './images.ts'
import { planCheck, planDeployment } from './plan.ts'
import {
  isSameRelease,
  prepareRelease,
  stageCheck,
  stageRelease,
  type PreparedRelease,
  type StagedRelease,
} from './release.ts'
import { checkImage, inspectSite, type Site } from './site.ts'

/** From the repository to a running, verified release. */
export async function deploy(inputs: DeployInputs, context: Context): Promise<Outcome> {
  const site = await context.step(
    'Inspect',
    () => inspectSite(inputs, context),
    ({ name, directory, current }) =>
      `${name} in ${directory} on ${inputs.host.address}, where ${current?.version ?? 'nothing'} serves`,
  )
  const needed = { ...site, groups: neededGroups(site.groups, site.active) }
  const images = await obtainImages(needed, inputs, context, (django) => checkImage(site, django))
  const prepared = await context.step(
    'Prepare',
    () => prepareRelease(site, images, inputs, context),
    ({ release }) => `${inputs.version} has ${count(release.roles.services.length, 'service')}`,
  )
  const { staged, plan } = await stageAndPlan(site, prepared, images, inputs, context)
  if (inputs.dryRun) return { kind: 'planned' }
  if (staged.adoption) keepAdopted(staged.adoption.id, context)
  const facts = recordFacts(inputs, context.runner, { commit: context.runner.sha, description: inputs.version })
  const { kind } = await record(facts, () => execute(site, staged.transaction, plan, inputs.version, context))
  if (inputs.url !== undefined) await visitSite(inputs.url)
  return { kind }
}

/**
 * If an equal release already serves, stages only a check of it. If that finds work, stages this release and plans
 * again.
 */
async function stageAndPlan(
  site: Site,
  prepared: PreparedRelease,
  images: Images,
  inputs: DeployInputs,
  context: Context,
): Promise<{ staged: StagedRelease; plan: Decided }> {
  if (isSameRelease(site, prepared, inputs)) {
    const staged = await stageCheck(site, prepared, images, inputs, context)
    const plan = await planCheck(site, staged, inputs, context)
    if (plan) return { staged, plan }
  }
  const staged = await stageRelease(site, prepared, images, inputs, context)
  return { staged, plan: await planDeployment(site, staged, inputs, context) }
}

function keepAdopted(id: string, { found }: Context): void {
  found({ previous: id, serving: servingOf(id) })
  info(`The running stack was started by hand; it is kept as ${id}, so a rollback can go back to it`)
}

async function visitSite(url: string): Promise<void> {
  const trouble = await visit(url, (address) => fetch(address, { signal: AbortSignal.timeout(10_000) }), pause)
  if (trouble === undefined) info(`${url} answers`)
  else warning(`${url} is not reachable from outside: ${trouble}. Check the proxy, the certificate and DNS`)
}
