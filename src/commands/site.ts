import { info, warning } from '@actions/core'
import { existsSync } from 'node:fs'
import { join, posix } from 'node:path'
import { checkBeside } from '../compose/beside.ts'
import { checkBorrowed, describeStale, findStale, neededGroups } from '../compose/group.ts'
import { chooseProjectName, possibleNames } from '../compose/name.ts'
import { askable, checkNeeds } from '../compose/need.ts'
import { publishedPorts, takenPorts } from '../compose/port.ts'
import { activeServices, checkProfiles, chooseProfiles } from '../compose/role.ts'
import type { DeployInputs } from '../contract.ts'
import { checkAll } from '../errors.ts'
import { checkHostFiles, describeHostFiles } from '../guard/files.ts'
import { checkPlace, projectIn, type Wanted } from '../guard/place.ts'
import { checkPorts } from '../guard/port.ts'
import { candidateNames } from '../image/name.ts'
import { checkBuildVariables, describeBakedSecrets, describeBuildVariables } from '../image/variable.ts'
import { servingOf, type Serving } from '../report/report.ts'
import { describeSettings } from '../report/settings.ts'
import { connect, type Connection } from '../server/connection.ts'
import { fact } from '../server/fact.ts'
import { checkServer, look, type Server } from '../server/look.ts'
import { currentRelease, type KeptRelease } from '../server/release.ts'
import { readCheckout, type Checkout } from './checkout.ts'
import type { Context } from './context.ts'
import { buildCheckOf } from './images.ts'

/** The checkout, and the host that it is for. */
export type Site = Checkout & {
  connection: Connection
  /** Of the project, on the host. */
  directory: string
  server: Server
  /** What serves there. */
  current: KeptRelease | undefined
  /** Name of the Compose project. */
  name: string
  profiles: readonly string[]
  /** The services that these profiles start. */
  active: readonly string[]
}

/** Reads the checkout and looks at the host; refuses whatever can be refused before a build. */
export async function inspectSite(inputs: DeployInputs, context: Context): Promise<Site> {
  const { run, folder, signal } = context
  const connection = await connect(run, inputs, folder, signal)
  const [checkout] = await Promise.all([
    readCheckout(inputs, context),
    // Only the handshake, which takes as long.
    connection.reach(['true']),
  ])
  return { ...checkout, connection, ...(await inspectHost(connection, checkout, inputs, context)) }
}

type HostSite = Omit<Site, 'connection' | keyof Checkout>

async function inspectHost(
  connection: Connection,
  checkout: Checkout,
  inputs: DeployInputs,
  context: Context,
): Promise<HostSite> {
  const { runner, assets, found } = context
  const { project, groups, settings, needs } = checkout
  const named = {
    input: inputs.project,
    host: undefined,
    env: settings?.get('COMPOSE_PROJECT_NAME'),
    file: project.name,
    settings,
    repository: runner.repository,
  }
  const directory = inputs.directory ?? `deploy/${chooseProjectName(named).name}`
  const env = Object.fromEntries(settings ?? [])
  const ports = takenPorts(project, [...project.services.keys()], env).map((port) => `port:${port}`)
  const server = await look(connection, assets.transaction.toString(), directory, [
    ...new Set([...askable(needs), 'externals:', ...ports]),
  ])
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
  // What was started by hand may serve.
  const isUnknown = !current && server.containers.some(({ project: of, running }) => of === name && running)
  const serving: Serving = isUnknown ? { kind: 'unknown' } : servingOf(current?.version)
  found({ project: name, url: inputs.url, previous: current?.version, serving })
  info(`${name} in ${directory} on ${inputs.host.address}: ${current?.version ?? 'nothing'} serves`)

  const onHost = settings ? [] : server.settings
  const check = buildCheckOf(checkout, neededGroups(groups, active), onHost, inputs, context)
  describeSettings({
    files: project.files,
    reason: checkout.reason,
    project: chosen,
    directory: { path: directory, isGiven: inputs.directory !== undefined },
    profiles: { names: profiles, isGiven: inputs.profiles.length > 0 },
    env: {
      isShipped: settings !== undefined,
      isOnHost: server.files.includes('.env') || onHost.length > 0,
      others: inputs.envFiles.map(({ path }) => path).filter((path) => path !== '.env'),
    },
    build: inputs.images ? [] : describeBuildVariables(check),
  }).forEach((line) => info(line))

  const files = {
    onHost: settings ? [] : server.composeFiles,
    chosen: project.files,
    directory,
    isGiven: inputs.composeFiles.length > 0,
    isDeployed: current !== undefined && !current.id.startsWith('adopted-'),
    exists: (path: string) => existsSync(join(runner.workspace, path)),
  }
  checkAll(
    () => checkHostFiles(files),
    () => checkPorts(server.ports, takenPorts(project, active, env), name),
    () => checkProfiles(project, groups, inputs.services, profiles),
    () => void findStale(project, active),
    () => checkBorrowed(project, active, [name, ...possibleNames(sources)]),
    () => inputs.directory === undefined && !current && checkBeside(needs.beside, active, directory, project.folder),
    () =>
      checkNeeds(
        needs,
        active,
        {
          ...server,
          settings: onHost,
          isShipped: settings !== undefined,
          folder: server.folders[0] ?? posix.resolve(server.home, directory),
        },
        project,
      ),
    () => !inputs.images && checkBuildVariables(check),
  )
  findStale(project, active).forEach((stale) => warning(describeStale(stale)))
  if (!inputs.images) describeBakedSecrets(check).forEach((text) => warning(text))
  const advice = describeHostFiles(files)
  if (advice !== undefined) warning(advice)
  return { directory, server, current, name, profiles, active }
}

/** What a stack that was started by hand would have in common with this deployment. */
export function wantedPlace(
  { project, groups, naming, settings }: Pick<Checkout, 'project' | 'groups' | 'naming' | 'settings'>,
  { active, ...place }: Pick<Wanted, 'name' | 'isNamed' | 'directory'> & { active: readonly string[] },
): Wanted {
  return {
    ...place,
    services: groups.flatMap((group) => group.services).filter((service) => active.includes(service)),
    images: groups.flatMap((group) => candidateNames(group, groups, naming)),
    ports: publishedPorts(project, Object.fromEntries(settings ?? [])),
  }
}
