import { info } from '../report/log.ts'
import { setSecret } from '@actions/core'
import { existsSync } from 'node:fs'
import { join, posix } from 'node:path'
import { checkBeside } from '../compose/beside.ts'
import { findImageVolumes } from '../compose/covered.ts'
import { checkCodeMounts, likelyDjango } from '../compose/code.ts'
import { checkBorrowed, describeStale, findStale, neededGroups } from '../compose/group.ts'
import type { App } from '../compose/app.ts'
import { chooseProjectName, possibleNames, type ProjectName } from '../compose/name.ts'
import { askable, checkNeeds } from '../compose/need.ts'
import { publishedPorts, takenPorts } from '../compose/port.ts'
import { activeServices, checkProfiles, chooseProfiles } from '../compose/role.ts'
import { warning } from '../github/annotation.ts'
import type { DeployInputs } from '../inputs/contract.ts'
import { secretsIn } from '../inputs/secret.ts'
import { checkCounts, type CountChoice } from '../deployment/count.ts'
import { checkAll } from '../errors.ts'
import { findRollbackPage } from '../github/workflow.ts'
import { checkHostFiles, describeHostFiles, type HostFiles } from '../guard/files.ts'
import { checkFormats } from '../guard/format.ts'
import { checkPlace, projectIn, type Wanted } from '../guard/place.ts'
import { checkPorts } from '../guard/port.ts'
import { checkImageVolumes } from '../guard/volume.ts'
import type { DjangoImage } from '../image/inspect.ts'
import { candidateNames } from '../image/name.ts'
import {
  checkBuildVariables,
  describeBakedSecrets,
  describeBuildVariables,
  type BuildCheck,
} from '../image/variable.ts'
import { servingOf, type Serving } from '../report/report.ts'
import { describeSettings } from '../report/settings.ts'
import { connect, type Connection } from '../host/connection.ts'
import { fact } from '../host/fact.ts'
import {
  checkArchitecture,
  checkServer,
  describeUnpruned,
  isIdle,
  look,
  runningCounts,
  type Server,
} from '../host/look.ts'
import { currentRelease, readAppOf, readDotEnv, type KeptRelease } from '../host/release.ts'
import { namesIn, readCheckout, type Checkout } from './checkout.ts'
import type { Context } from './context.ts'
import { findServing } from './serving.ts'
import { buildCheckOf } from './images.ts'

/** The checkout and its host. */
export type Site = Checkout &
  Place & {
    connection: Connection
    /** Pinned model of the current release; empty on a first deploy. */
    before: App
    /** Text of the current release's `.env`; undefined when it uses the host's own. */
    settingsBefore: string | undefined
    /** Facts that decide the number of containers of each service. */
    choice: CountChoice
  }

/** The project's directory on the host, and its state there. */
type Place = {
  /** The project's directory on the host. */
  directory: string
  server: Server
  /** The current release. */
  current: KeptRelease | undefined
  /** The Compose project's name, the source of that name, and all names that the project may have had. */
  name: string
  chosen: ProjectName
  possible: readonly string[]
  profiles: readonly string[]
  /** The services that these profiles start. */
  active: readonly string[]
}

/** Reads the checkout and inspects the host. Stops for every problem that needs no build to be found. */
export async function inspectSite(inputs: DeployInputs, context: Context): Promise<Site> {
  const { run, folder, signal } = context
  const connection = await connect(run, inputs, folder, signal)
  const read = readCheckout(inputs, context).catch(async (cause: unknown) => {
    await findServing(async () => connection, inputs, context)
    throw cause
  })
  // Only the handshake, which takes as long as reading the checkout.
  const [checkout] = await Promise.all([read, connection.callOrThrow(['true'])])
  const place = await findPlace(connection, checkout, inputs, context)
  context.found({ rollbackPage: findRollbackPage(checkout.repository, context.runner) })
  reportServing(place, checkout, inputs, context)
  const site = { ...checkout, connection, ...place, ...(await readBefore(connection, place, checkout, inputs)) }
  const checks = checksOf(site, inputs, context)
  printSettings(site, checks, inputs)
  checkSite(site, checks, inputs)
  warnOfSite(site, checks)
  return site
}

/** Inspects the host, which may know the project's name and profiles when the checkout does not. */
async function findPlace(
  connection: Connection,
  checkout: Checkout,
  inputs: DeployInputs,
  { runner, assets, found }: Context,
): Promise<Place> {
  const { project, settings, needs } = checkout
  const named = namesIn(checkout, inputs, runner)
  const directory = inputs.directory ?? `deploy/${chooseProjectName(named).name}`
  const ports = takenPorts(project, [...project.services.keys()], envOf(checkout)).map((port) => `port:${port}`)
  const server = await look(connection, assets.transaction.toString(), directory, [
    ...new Set([...askable(needs), 'externals:', ...ports]),
  ])
  if (isIdle(server)) found({ serving: servingOf(undefined) })
  checkServer(server, inputs.host.user, directory)
  const current = currentRelease(server)
  const sources = {
    ...named,
    host: fact(current?.facts, 'project') ?? projectIn(server),
    env: settings ? named.env : server.projectName,
  }
  const chosen = chooseProjectName(sources)
  const { name } = chosen
  const profiles = chooseProfiles(inputs.profiles, settings ? settings.get('COMPOSE_PROFILES') : server.profiles)
  const active = activeServices(project, inputs.services, profiles).map((service) => service.name)
  checkPlace(server, wantedPlace(checkout, { name, isNamed: inputs.project !== undefined, directory, active }))
  return { directory, server, current, name, chosen, possible: possibleNames(sources), profiles, active }
}

function reportServing(place: Place, { groups }: Checkout, { url }: DeployInputs, { found }: Context): void {
  const { directory, server, current, name } = place
  const built = groups.flatMap((group) => group.services)
  found({
    project: name,
    directory,
    url,
    previous: current?.version,
    serving: servingBefore(place, built),
    since: server.since,
  })
}

/**
 * What serves before the deployment. A stack that was started by hand may serve. The database of a first deploy that
 * failed does not.
 */
export function servingBefore(
  {
    server: { containers },
    current,
    name,
  }: {
    server: Pick<Server, 'containers'>
    current: Pick<KeptRelease, 'version'> | undefined
    name: string
  },
  built: readonly string[],
): Serving {
  const isUnknown = containers.some((each) => each.project === name && each.running && built.includes(each.service))
  return !current && isUnknown ? { kind: 'unknown' } : servingOf(current?.version)
}

/** Reads the current release, and the facts that decide the numbers of containers. */
async function readBefore(
  connection: Connection,
  { directory, server, current, name }: Place,
  { project }: Checkout,
  inputs: DeployInputs,
): Promise<Pick<Site, 'before' | 'settingsBefore' | 'choice'>> {
  const [before, settingsBefore] = await Promise.all([
    readAppOf(connection, directory, current?.id),
    readDotEnv(connection, directory, current),
  ])
  secretsIn(settingsBefore ?? '').forEach((secret) => setSecret(secret))
  const choice = {
    project,
    scale: inputs.scale,
    update: inputs.updateServices,
    before,
    counts: server.counts,
    unstarted: server.unstarted,
    running: runningCounts(server, name),
  }
  return { before, settingsBefore, choice }
}

/** Facts for the checks of the site. */
type Checks = {
  /** Undefined when nothing is built. */
  build: BuildCheck | undefined
  files: HostFiles
  /** The names that the host's own `.env` sets; empty when an `.env` is shipped. */
  settingsOnHost: readonly string[]
}

function checksOf(site: Site, inputs: DeployInputs, context: Context): Checks {
  const { project, groups, active, settings, server, directory, current } = site
  const settingsOnHost = settings ? [] : server.settings
  return {
    build: inputs.images
      ? undefined
      : buildCheckOf(site, neededGroups(groups, active), settingsOnHost, inputs, context),
    files: {
      onHost: settings ? [] : server.composeFiles,
      chosen: project.files,
      directory,
      isGiven: inputs.composeFiles.length > 0,
      isDeployed: current !== undefined && !current.id.startsWith('adopted-'),
      exists: (path) => existsSync(join(context.runner.workspace, path)),
    },
    settingsOnHost,
  }
}

/** Prints the deployment's settings and the source of each. */
function printSettings(site: Site, { build, settingsOnHost }: Checks, inputs: DeployInputs): void {
  const { project, reason, chosen, directory, profiles, settings, server } = site
  describeSettings({
    files: project.files,
    reason,
    project: chosen,
    directory: { path: directory, isGiven: inputs.directory !== undefined },
    profiles: { names: profiles, isGiven: inputs.profiles.length > 0 },
    env: {
      isShipped: settings !== undefined,
      isOnHost: server.files.includes('.env') || settingsOnHost.length > 0,
      others: inputs.envFiles.map(({ path }) => path).filter((path) => path !== '.env'),
    },
    build: build ? describeBuildVariables(build) : [],
  }).forEach((line) => info(line))
}

/** Stops for all problems that no build changes, and reports them together. */
function checkSite(site: Site, { build, files, settingsOnHost }: Checks, inputs: DeployInputs): void {
  const { project, groups, needs, server, name, active, profiles, directory, current, settings } = site
  const candidates = {
    groups: groups.filter((group) => group.services.some((service) => active.includes(service))),
    allGroups: groups,
    services: inputs.services,
    profiles,
  }
  const has = {
    ...server,
    settings: settingsOnHost,
    emptySettings: settings ? [] : server.emptySettings,
    isShipped: settings !== undefined,
    folder: server.folders[0] ?? posix.resolve(server.home, directory),
  }
  checkAll(
    () => checkHostFiles(files),
    () => checkPorts(server.ports, takenPorts(project, active, envOf(site)), name),
    () => checkFormats(project, active, server.compose),
    () => checkCode(site),
    () => checkProfiles(project, groups, inputs.services, profiles),
    () => void findStale(project, active),
    () => checkCounts(site.choice, candidates),
    () => checkBorrowed(project, active, [name, ...site.possible]),
    () => inputs.directory === undefined && !current && checkBeside(needs.beside, active, directory, project.folder),
    () => checkNeeds(needs, active, has, project),
    () => build && checkBuildVariables(build),
  )
}

/**
 * Before the build, only the files that the mounts bring from the repository are known. After the build, so are the
 * paths of the image that they hide.
 */
function checkCode(
  site: Site,
  django = likelyDjango(site.project, site.groups, site.repository),
  managePath?: string,
): void {
  const services = django?.services.filter((service) => site.active.includes(service)) ?? []
  checkCodeMounts(site.project, { services }, managePath, site.repository, envOf(site))
}

/** Stops for a Django image that cannot run on this host or with these mounts. */
export function checkImage(site: Site, { target, facts, managePath }: DjangoImage): void {
  checkAll(
    () => checkArchitecture(site.server, facts.architecture),
    () => checkCode(site, target.group, managePath),
    () => checkImageVolumes(findImageVolumes(site.project, target.group.services, facts.volumes), managePath),
  )
}

function warnOfSite({ project, active, server, directory }: Site, { build, files }: Checks): void {
  findStale(project, active).forEach((stale) => warning(describeStale(stale)))
  if (build) describeBakedSecrets(build).forEach((text) => warning(text))
  const advice = [describeHostFiles(files), describeUnpruned(server, directory)]
  advice.forEach((text) => text !== undefined && warning(text))
}

const envOf = ({ settings }: Pick<Checkout, 'settings'>): Record<string, string> => Object.fromEntries(settings ?? [])

/** Properties by which a stack that was started by hand is recognized as this project. */
export function wantedPlace(
  { project, groups, naming, settings }: Pick<Checkout, 'project' | 'groups' | 'naming' | 'settings'>,
  { active, ...place }: Pick<Wanted, 'name' | 'isNamed' | 'directory'> & { active: readonly string[] },
): Wanted {
  return {
    ...place,
    services: groups.flatMap((group) => group.services).filter((service) => active.includes(service)),
    images: groups.flatMap((group) => candidateNames(group, groups, naming)),
    ports: publishedPorts(project, envOf({ settings })),
  }
}
