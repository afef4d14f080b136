import {
  checkUpdates,
  describeAbandoned,
  describeDormant,
  describeDrift,
  findAbandoned,
  findDormant,
  hashDefinition,
} from '../compose/drift.ts'
import { readEnvFile } from '../compose/env-file.ts'
import type { Project } from '../compose/project.ts'
import { makeRelease, type Release } from '../compose/release.ts'
import { describeResourceDrift } from '../compose/resource.ts'
import { assignRoles, behindApp, describeUnnamed, withRole, writeRoles } from '../compose/role.ts'
import { rollbackFacts } from '../deployment/plan.ts'
import { DEFAULT } from '../django/label.ts'
import { warning } from '../github/annotation.ts'
import type { DeployInputs } from '../inputs/contract.ts'
import { fillVolumes, findHolds, writeBelow, type Below } from '../guard/hidden.ts'
import { findCovered, findImageVolumes, type Covered } from '../compose/covered.ts'
import { startLines } from '../guard/serving.ts'
import { describeImageVolume, describeUnkept } from '../guard/volume.ts'
import { readBelow } from '../image/below.ts'
import { readContents } from '../image/content.ts'
import type { Made } from '../image/make.ts'
import { show } from '../report/log.ts'
import { planAdoption, type Adoption } from '../host/adoption.ts'
import type { Connection } from '../host/connection.ts'
import { runningCounts } from '../host/look.ts'
import { contentsOf, isAsDeployed } from '../host/release.ts'
import { checkDiskSpace } from '../host/disk-space.ts'
import { fact, type FactLines, type PlanFact, type ReleaseFact } from '../host/fact.ts'
import { incoming, planFiles, send, stage, writeFacts, type RegistryLogin, type SentFile } from '../host/stage.ts'
import { newId, type Transaction } from '../host/transaction.ts'
import type { Context } from './context.ts'
import type { Images } from './images.ts'
import type { Site } from './site.ts'

/** A release that exists only on the runner. */
export type PreparedRelease = {
  /** The deployment that stages the release. A new release has the deployment's id. */
  transaction: Transaction
  release: Release
  made: Made
  /** The start command of the Django service, from its Compose file and its image. */
  command: string
  /** The image paths that named volumes cover. */
  below: readonly Below[]
  /** The stack that was started by hand and becomes a release of its own; undefined without one. */
  adoption: Adoption | undefined
}

/** A release whose folder and images are on the host, or those of an equal release. */
export type StagedRelease = PreparedRelease

/** A staged release, its site and the inputs. */
export type Candidate = { site: Site; staged: StagedRelease; inputs: DeployInputs }

/** Makes the release. Stops for an image or a Compose file that cannot be deployed. */
export async function prepareRelease(
  site: Site,
  { made }: Images,
  inputs: DeployInputs,
  context: Context,
): Promise<PreparedRelease> {
  const { connection, project, groups, repository, directory, server, current, before, name, profiles } = site
  const { run, runner, assets } = context
  await checkDiskSpace(connection, assets.transaction.toString(), server, made.sizes)
  const transaction = { directory, id: newId(inputs.version, runner, takenIds(server)) }
  const roles = assignRoles({ project, groups, django: made.django.target.group, services: inputs.services, profiles })
  checkUpdates(inputs.updateServices, roles)
  const release = makeRelease({
    project,
    name,
    id: transaction.id,
    roles,
    djangoServices: made.django.services,
    images: made.images,
    repository,
    envFile: inputs.envFile,
    envFiles: inputs.envFiles,
    profiles: inputs.profiles,
    before,
    settingsBefore: site.settingsBefore === undefined ? undefined : readEnvFile(site.settingsBefore).values,
    there: server.externals,
    update: inputs.updateServices,
    contents: await readContents(made.images, run),
    contentsBefore: contentsOf(current?.facts),
  })
  const below = await lookBelow(site, release, context)
  await warnOfImageVolumes(site, release, made, context)
  const named = [...project.services.keys()]
  release.warnings.forEach((text) => warning(text))
  describeUnkept(project, behindApp(roles.services)).forEach((text) => warning(text))
  roles.unnamed.forEach((service) => warning(describeUnnamed(service, inputs.services)))
  release.drifts.forEach((drift) => warning(describeDrift(drift, project.services.get(drift.service)?.image)))
  release.resourceDrifts.forEach((drift) => warning(describeResourceDrift(drift, directory)))
  findAbandoned(current?.facts, named).forEach((service) => warning(describeAbandoned(service, name)))
  const running = [...runningCounts(server, name).keys()]
  findDormant(current?.facts, named, site.active, running).forEach((service) =>
    warning(describeDormant(service, project.services.get(service)?.profiles ?? [], name)),
  )
  const adoption = planAdoption({ server, name, roles, named, manage: inputs.manage, time: new Date() })
  return { transaction, release, made, command: commandOf(project, roles.django, made), below, adoption }
}

function commandOf({ services }: Project, django: string, made: Made): string {
  const service = services.get(django)
  const { command, entrypoint } = made.django.facts
  return [...(service?.entrypoint ?? entrypoint), ...(service?.command ?? command)].join(' ')
}

/** Sends the release to the host, where it is immutable, and pulls its images. The site does not change. */
export async function stageRelease(
  { connection, name }: Site,
  prepared: PreparedRelease,
  { logins }: Images,
  inputs: DeployInputs,
  context: Context,
): Promise<StagedRelease> {
  const { runner, assets } = context
  const { transaction, adoption } = prepared
  const facts = { ...factsOfDeploy(transaction.id, inputs, runner), ...adoption?.facts }
  const files = [
    ...releaseFiles(prepared.release, releaseFacts(prepared, inputs, name, runner.sha)),
    ...planFiles('plan', assets, facts, inputs.manage),
    ...(adoption?.files ?? []),
  ]
  await stageFiles(connection, transaction, { files, logins }, context)
  return prepared
}

/** Sends the files of a deployment to the host and pulls its images there. `title` is that of the step. */
export async function stageFiles(
  connection: Connection,
  { directory, id }: Transaction,
  { files, logins }: { files: readonly SentFile[]; logins: readonly RegistryLogin[] },
  { run, folder, step }: Context,
  title = `${id} is on ${connection.host.address}`,
): Promise<void> {
  const sendAndPull = async (): Promise<void> => {
    await send(run, connection, incoming(directory, id), files, folder)
    await stage(connection, directory, id, logins, show)
  }
  await step('Stage', sendAndPull, () => title)
}

/** Whether the current release seems equal to this one. */
export function isSameRelease(
  { server, current, choice }: Site,
  { release }: PreparedRelease,
  { force, scale, migrate, databases }: DeployInputs,
): boolean {
  return (
    !force &&
    isAsDeployed(server) &&
    isEqual(current, release) &&
    migratesAlike(current, { migrate, databases }) &&
    scale.every(({ service, count }) => (choice.running.get(service) ?? 0) === count)
  )
}

/** Whether the current release's facts agree with this deploy on who migrates which databases. */
function migratesAlike(
  current: Site['current'],
  { migrate, databases }: Pick<DeployInputs, 'migrate' | 'databases'>,
): boolean {
  const before = current?.facts.get('databases') ?? [DEFAULT]
  const isSame = before.join(' ') === databases.join(' ')
  return isSame && (fact(current?.facts, 'migrate') === 'none') === (migrate === 'none')
}

/** Sends only a plan for the current release, because an equal release is already on the host. */
export async function stageCheck(
  { connection, directory, server, current }: Site,
  prepared: PreparedRelease,
  { logins }: Images,
  inputs: DeployInputs,
  context: Context,
): Promise<StagedRelease> {
  const { runner, assets } = context
  const taken = [...takenIds(server), prepared.transaction.id]
  const transaction = { directory, id: newId(inputs.version, runner, taken) }
  const files = planFiles('plan', assets, factsOfDeploy(current?.id ?? '', inputs, runner), inputs.manage)
  const title = `${current?.version ?? inputs.version} is on ${connection.host.address} already`
  await stageFiles(connection, transaction, { files, logins }, context, title)
  return { ...prepared, transaction }
}

const isEqual = (current: Site['current'], { fingerprint }: Release): boolean =>
  fact(current?.facts, 'fingerprint') === fingerprint

const takenIds = ({ plans, releases }: Site['server']): readonly string[] => [...plans, ...releases.keys()]

/** Warns of image volumes with files of the image: a new container gets those of the container before it. */
async function warnOfImageVolumes(
  { project }: Site,
  { roles, images }: Release,
  { django }: Made,
  context: Context,
): Promise<void> {
  const among = withRole(roles.services, 'app').filter((service) => django.target.group.services.includes(service))
  for (const volume of findImageVolumes(project, among, django.facts.volumes)) {
    const image = images.get(volume.service)
    if (image !== undefined && (await readBelow(image, [volume.target], context)).size > 0)
      warning(describeImageVolume(volume))
  }
}

/** Reads the image paths that named volumes cover. For an equal release they are already known. */
async function lookBelow(
  { project, name, server, current }: Site,
  release: Release,
  context: Context,
): Promise<readonly Below[]> {
  const before = current?.facts.get('below') ?? []
  const { roles, images } = release
  const covered = findCovered(project, name, withRole(roles.services, 'app', 'job'))
  const holdsOf = isEqual(current, release)
    ? (each: Covered) => findHolds(before, each)
    : await readCovered(covered, images, context)
  const found = covered.flatMap((each) => {
    const holds = holdsOf(each)
    return holds === undefined ? [] : [{ ...each, holds }]
  })
  return fillVolumes(found, before, server.externals)
}

/** Reads these image paths, with one container for each image. */
async function readCovered(
  covered: readonly Covered[],
  images: Release['images'],
  context: Context,
): Promise<(each: Covered) => string | undefined> {
  const imageOf = ({ service }: Covered): string => images.get(service) ?? ''
  const built = covered.filter(({ service }) => images.has(service))
  const read = [...Map.groupBy(built, imageOf)].map(async ([image, places]) => {
    const paths = [...new Set(places.map(({ target }) => target))]
    return [image, await readBelow(image, paths, context)] as const
  })
  const held = new Map(await Promise.all(read))
  return (each) => held.get(imageOf(each))?.get(each.target)
}

/** The release folder. */
function releaseFiles(release: Release, facts: FactLines<ReleaseFact>): SentFile[] {
  return [
    { path: 'release/compose.yaml', content: release.compose, mode: 0o600 },
    { path: 'release/mounts.yaml', content: release.mounts, mode: 0o600 },
    ...release.oneOff.files.map((file) => ({ ...file, path: `release/${file.path}`, mode: 0o600 })),
    ...writeFacts('release', facts),
    ...release.envFiles.map((file) => ({ ...file, path: `release/${file.path}` })),
    ...release.files,
  ]
}

/** The facts that a later rollback, or the host on its own, needs about the release. */
function releaseFacts(
  { release, below, made, command }: PreparedRelease,
  inputs: DeployInputs,
  name: string,
  commit: string,
): FactLines<ReleaseFact> {
  const { roles } = release
  return {
    version: [inputs.version],
    project: [name],
    commit: [commit],
    services: writeRoles(roles.services),
    proxies: roles.proxies,
    images: [...made.images].map(([service, image]) => `${service} ${image}`),
    'images-beside': release.imagesBeside,
    django: [roles.django],
    manage: inputs.manage,
    start: startLines(command),
    migrate: [inputs.migrate],
    databases: inputs.databases,
    collectstatic: [inputs.collectstatic],
    try: [inputs.try],
    behind: behindApp(roles.services).map((service) => `${service} ${hashDefinition(release.app, service)}`),
    optional: roles.optional,
    networks: release.oneOff.networks,
    volumes: release.oneOff.volumes,
    fronts: roles.fronts.map(({ service, port }) => `${service} ${port}`),
    env: [release.env],
    'env-files': release.requiredEnvFiles,
    'optional-env-files': release.optionalEnvFiles,
    'variable-files': release.variableFiles,
    'bound-files': release.boundFiles,
    contents: [...release.contents].map(([service, hash]) => `${service} ${hash}`),
    below: below.map(writeBelow),
    strangers: made.django.strangers,
    fingerprint: [release.fingerprint],
    ...rollbackFacts({
      jobs: withRole(roles.services, 'job'),
      static: inputs.collectstatic !== 'never',
      try: inputs.try === 'auto',
    }),
  }
}

function factsOfDeploy(target: string, inputs: DeployInputs, runner: Context['runner']): FactLines<PlanFact> {
  return {
    ...deploymentFacts(target, runner, inputs.healthTimeout),
    force: [inputs.force ? 'yes' : 'no'],
    'migrate-timeout': [seconds(inputs.migrateTimeout)],
    'lock-timeout': [String(inputs.migrateLockTimeout)],
    'on-failure': [inputs.onFailure],
    update: inputs.updateServices,
    keep: [String(inputs.keepReleases)],
  }
}

/** Facts for the host: who deploys what. */
export function deploymentFacts(
  target: string,
  runner: Context['runner'],
  healthTimeout: number | undefined,
): FactLines<PlanFact> {
  return {
    target: [target],
    run: [String(runner.runId)],
    url: [runner.runUrl],
    'health-timeout': healthTimeout === undefined ? [] : [seconds(healthTimeout)],
  }
}

const seconds = (milliseconds: number): string => String(Math.ceil(milliseconds / 1000))
