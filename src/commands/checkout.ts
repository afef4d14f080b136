import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { checkDefinitions } from '../compose/definition.ts'
import { checkEnvFiles, readEnvFile } from '../compose/env-file.ts'
import { chooseFiles } from '../compose/files.ts'
import { groupBuilds, type BuildGroup } from '../compose/group.ts'
import { findNeeds, type Needs } from '../compose/need.ts'
import { readProject, type Project } from '../compose/project.ts'
import { shippedEnvFiles } from '../compose/release.ts'
import { readRepository, type Repository } from '../compose/repository.ts'
import { checkServices } from '../compose/role.ts'
import { checkScale } from '../compose/scale.ts'
import type { DeployInputs } from '../contract.ts'
import { checkAll } from '../errors.ts'
import { checkOverrides } from '../image/bake.ts'
import { checkBuilds } from '../image/make.ts'
import { checkImageNames, type NamingFacts } from '../image/name.ts'
import { matchImages } from '../image/take.ts'
import type { Context } from './context.ts'

/** What the checkout and the inputs say about the deployment. */
export type Checkout = {
  project: Project
  groups: readonly BuildGroup[]
  repository: Repository
  naming: NamingFacts
  /** What the server must have. */
  needs: Needs
  /** What the shipped `.env` sets; undefined when it is the server's own. */
  settings: ReadonlyMap<string, string> | undefined
}

/** The inputs that are about the checkout. */
export type CheckoutInputs = Partial<Pick<DeployInputs, 'images' | 'updateServices' | 'scale' | 'profiles'>> &
  Pick<DeployInputs, 'composeFiles' | 'services' | 'image' | 'set' | 'files' | 'envFile' | 'envFiles'>

/** Reads the checkout, and stops for all that is wrong in it at once: the server need not be asked for that. */
export async function readCheckout(inputs: CheckoutInputs, context: Context): Promise<Checkout> {
  const { run, runner, folder, environment } = context
  const { workspace } = runner
  const repository = await readRepository(workspace, inputs.files, run)
  const files = chooseFiles(inputs.composeFiles, (path) => existsSync(join(workspace, path)), repository)
  const project = await readProject({ workspace, files, temp: folder, run, env: environment })
  const groups = groupBuilds(project)
  const envFiles = shippedEnvFiles(inputs)
  const own = envFiles.find(({ path }) => path === '.env')
  const settings = own && readEnvFile(own.content).values
  const naming: NamingFacts = {
    image: inputs.image,
    repository: runner.repository,
    // As for Compose, the environment of the step wins.
    settings: { ...Object.fromEntries(settings ?? []), ...environment },
  }
  checkAll(
    () => checkDefinitions(project),
    () => checkBuilds(project, groups),
    () => checkServices(project, inputs),
    () => checkAll(...(inputs.scale ?? []).map((scale) => () => checkScale(scale, project.model))),
    () => checkImageNames(groups, naming),
    () => checkOverrides(inputs.set, groups),
    () => inputs.images && matchImages(groups, inputs.images, naming),
    () => checkEnvFiles(project, envFiles),
  )
  return {
    project,
    groups,
    repository,
    naming,
    settings,
    needs: findNeeds({ project, groups, repository, shipped: envFiles }),
  }
}
