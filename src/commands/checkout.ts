import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { info, warning } from '@actions/core'
import { checkComplete, checkDefinitions } from '../compose/definition.ts'
import { checkEnvFiles, readEnvFile } from '../compose/env-file.ts'
import { basesOf, chooseFiles } from '../compose/files.ts'
import { groupBuilds, type BuildGroup } from '../compose/group.ts'
import { findNeeds, type Needs } from '../compose/need.ts'
import { readChosen } from '../compose/overlay.ts'
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
import { valuesFor, withoutGitHub, type BuildVariables } from '../image/variable.ts'
import type { Context } from './context.ts'

/** What the checkout and the inputs say about the deployment. */
export type Checkout = {
  project: Project
  /** Why its files were chosen. */
  reason: string
  groups: readonly BuildGroup[]
  repository: Repository
  naming: NamingFacts
  /** What the build sections may use. */
  variables: BuildVariables
  /** What the server must have. */
  needs: Needs
  /** What the shipped `.env` sets; undefined when it is the server's own. */
  settings: ReadonlyMap<string, string> | undefined
}

/** The inputs that are about the checkout. */
export type CheckoutInputs = Partial<
  Pick<DeployInputs, 'images' | 'updateServices' | 'scale' | 'profiles' | 'project'>
> &
  Pick<DeployInputs, 'composeFiles' | 'services' | 'image' | 'set' | 'files' | 'envFile' | 'envFiles'>

/** Reads the checkout, and stops for all that is wrong in it at once: the server need not be asked for that. */
export async function readCheckout(inputs: CheckoutInputs, context: Context): Promise<Checkout> {
  const { run, runner, folder, environment } = context
  const { workspace } = runner
  const repository = await readRepository(workspace, inputs.files, run)
  const envFiles = shippedEnvFiles(inputs)
  const own = envFiles.find(({ path }) => path === '.env')
  const settings = own && readEnvFile(own.content).values
  const exists = (path: string): boolean => existsSync(join(workspace, path))
  const choice = chooseFiles({ given: inputs.composeFiles, settings, exists, repository })
  ;[...choice.warnings, ...describeUnread(environment, inputs)].forEach((text) => warning(text))
  choice.left.forEach((file) => info(`${file} is not taken: by Docker's convention it is for development`))
  const { project, reason } = await readChosen(
    choice,
    (files) => readProject({ workspace, files, temp: folder, run, env: environment }),
    repository,
  )
  const groups = groupBuilds(project)
  const variables = { step: withoutGitHub(environment, []), file: settings }
  const naming: NamingFacts = { image: inputs.image, repository: runner.repository, settings: valuesFor(variables) }
  const [base] = basesOf(project.files[0] ?? '', exists)
  checkAll(
    () => checkComplete(project, base),
    () => checkDefinitions(project),
    () => checkBuilds(project, groups, base),
    () => checkServices(project, inputs),
    () => checkAll(...(inputs.scale ?? []).map((scale) => () => checkScale(scale, project.model))),
    () => checkImageNames(groups, naming),
    () => checkOverrides(inputs.set, groups),
    () => inputs.images && matchImages(groups, inputs.images, naming),
    () => checkEnvFiles(project, envFiles),
  )
  return {
    project,
    reason,
    groups,
    repository,
    naming,
    variables,
    settings,
    needs: findNeeds({ project, groups, repository, shipped: envFiles }),
  }
}

/** Settings of Compose in the environment of the step: they may be meant for another step, so they decide nothing. */
function describeUnread(environment: NodeJS.ProcessEnv, inputs: CheckoutInputs): readonly string[] {
  const all: readonly [string, string, boolean][] = [
    ['COMPOSE_FILE', 'compose-files', inputs.composeFiles.length > 0],
    ['COMPOSE_PROFILES', 'profiles', (inputs.profiles ?? []).length > 0],
    ['COMPOSE_PROJECT_NAME', 'project', inputs.project !== undefined],
  ]
  return all.flatMap(([variable, input, isGiven]) =>
    environment[variable] === undefined || isGiven
      ? []
      : [`${variable} in the environment of this step is not read. If it is meant for this deployment, set ${input}`],
  )
}
