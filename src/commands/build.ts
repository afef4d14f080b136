import type { BuildInputs } from '../contract.ts'
import type { Report } from '../report/report.ts'
import { readCheckout } from './checkout.ts'
import type { Context } from './context.ts'
import { obtainImages } from './images.ts'

/** Builds and pushes the images, for a `deploy` in another job; no server is asked. */
export async function build(inputs: BuildInputs, context: Context, report: Report): Promise<void> {
  const checkout = await readCheckout({ ...inputs, files: [], envFile: undefined, envFiles: [] }, context)
  const { made } = await obtainImages(checkout, inputs, context)
  report.images = Object.fromEntries(made.images)
  report.outcome = 'built'
}
