import type { BuildInputs } from '../contract.ts'
import type { Outcome } from '../report/report.ts'
import { readCheckout } from './checkout.ts'
import type { Context } from './context.ts'
import { obtainImages } from './images.ts'

/** Builds and pushes the images, for a `deploy` in another job; no host is asked. */
export async function build(inputs: BuildInputs, context: Context): Promise<Outcome> {
  const checkout = await readCheckout({ ...inputs, files: [], envFile: undefined, envFiles: [] }, context)
  await obtainImages(checkout, inputs, context)
  return { kind: 'built' }
}
