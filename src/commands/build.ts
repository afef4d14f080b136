import { info } from '../report/log.ts'
import { warning } from '../github/annotation.ts'
import type { BuildInputs } from '../inputs/contract.ts'
import { checkBuildVariables, describeBakedSecrets, describeBuildVariables } from '../image/variable.ts'
import type { Outcome } from '../report/report.ts'
import { readCheckout } from './checkout.ts'
import type { Context } from './context.ts'
import { buildCheckOf, obtainImages } from './images.ts'

/** Builds and pushes the images for a `deploy` in another job. Connects to no host. */
export async function build(inputs: BuildInputs, context: Context): Promise<Outcome> {
  const checkout = await context.step(
    'Inspect',
    () => readCheckout({ ...inputs, files: [], envFiles: [] }, context),
    ({ project }) => project.files.join(', '),
  )
  const check = buildCheckOf(checkout, checkout.groups, [], inputs, context)
  info(`Compose files: ${checkout.project.files.join(', ')} (${checkout.reason})`)
  describeBuildVariables(check).forEach((text) => info(`Build: ${text}`))
  checkBuildVariables(check)
  describeBakedSecrets(check).forEach((text) => warning(text))
  await obtainImages(checkout, inputs, context, () => undefined)
  return { kind: 'built' }
}
