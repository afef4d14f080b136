import { info } from '../report/log.ts'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { checkComplete, checkDefinitions } from '../compose/definition.ts'
import { checkEnvFiles, readEnvFile } from '../compose/env-file.ts'
import { basesOf, chooseFiles } from '../compose/files.ts'
import { groupBuilds, type BuildGroup } from '../compose/group.ts'
import type { NameSources } from '../compose/name.ts'
import { findNeeds, type Needs } from '../compose/need.ts'
import { readChosen } from '../compose/overlay.ts'
import { readProject, type Project } from '../compose/project.ts'
import { shippedEnvFiles } from '../compose/release.ts'
import { readRepository, type Repository } from '../compose/repository.ts'
import { checkServices } from '../compose/role.ts'
import { checkScale } from '../compose/scale.ts'
import { warning } from '../github/annotation.ts'
import type { DeployInputs } from '../inputs/contract.ts'
import { checkAll } from '../errors.ts'
import { checkOverrides, describeTags, type Commit } from '../image/bake.ts'
import { readCommit } from '../image/commit.ts'
import { checkBuilds } from '../image/make.ts'
import { checkImageNames, type NamingFacts } from '../image/name.ts'
import { matchImages } from '../image/take.ts'
import { valuesFor, withoutGitHub, type BuildVariables } from '../image/variable.ts'
import type { Context } from './context.ts'

/** Facts from the checkout and the inputs that shape the deployment. */
export type Checkout = {
  project: Project
  /** Why these files were chosen. */
  reason: string
  groups: readonly BuildGroup[]
  repository: Repository
  commit: Commit
  naming: NamingFacts
  /** The variables that build sections may use. */
  variables: BuildVariables
  /** What the release requires from the host. */
  needs: Needs
  /** Values of the shipped `.env`; undefined when the host keeps its own `.env`. */
  settings: ReadonlyMap<string, string> | undefined
}

/** The inputs that concern the checkout. */
export type CheckoutInputs = Partial<
  Pick<DeployInputs, 'images' | 'updateServices' | 'scale' | 'profiles' | 'project'>
> &
  Pick<DeployInputs, 'composeFiles' | 'services' | 'image' | 'set' | 'files' | 'envFile' | 'envFiles'>

/** The sources of the project's name that need no answer from the host. */
export function namesIn(
  { project, settings }: Checkout,
  inputs: Pick<CheckoutInputs, 'project'>,
  { repository }: Context['runner'],
): NameSources & { host: undefined } {
  const env = settings?.get('COMPOSE_PROJECT_NAME')
  return { input: inputs.project, host: undefined, env, file: project.name, settings, repository }
}

/** Reads the checkout and throws all its problems at once. Needs no answer from the host. */
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
  choice.left.forEach((file) => info(`${file} is not used: by Docker's convention it is for development`))
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
    () => checkAll(...(inputs.scale ?? []).map((scale) => () => checkScale(scale, project))),
    () => checkImageNames(groups, naming),
    () => checkOverrides(inputs.set, groups),
    () => inputs.images && matchImages(groups, inputs.images, naming),
    () => checkEnvFiles(project, envFiles),
  )
  if (inputs.images === undefined) describeTags(project).forEach((text) => warning(text))
  return {
    project,
    reason,
    groups,
    repository,
    commit: await readCommit(run, runner),
    naming,
    variables,
    settings,
    needs: findNeeds({ project, groups, repository, shipped: envFiles }),
  }
}

/** Compose settings in the step's environment may be meant for another step. They are reported, never used. */
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
