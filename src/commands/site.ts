import { info } from '@actions/core'
import { checkBeside } from '../compose/beside.ts'
import { chooseProjectName } from '../compose/name.ts'
import { askable, checkNeeds } from '../compose/need.ts'
import { publishedPorts } from '../compose/port.ts'
import { activeServices, checkProfiles, chooseProfiles } from '../compose/role.ts'
import type { DeployInputs } from '../contract.ts'
import { checkAll } from '../errors.ts'
import { checkPlace, projectIn, type Wanted } from '../guard/place.ts'
import { candidateNames } from '../image/name.ts'
import { servingOf, type Serving } from '../report/report.ts'
import { connect, type Connection } from '../server/connection.ts'
import { checkServer, fact, look, type Server } from '../server/look.ts'
import { currentRelease, type KeptRelease } from '../server/release.ts'
import { readCheckout, type Checkout } from './checkout.ts'
import type { Context } from './context.ts'

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
  { runner, assets, found }: Context,
): Promise<HostSite> {
  const { project, groups, settings, needs } = checkout
  const named = {
    input: inputs.project,
    server: undefined,
    env: settings?.get('COMPOSE_PROJECT_NAME'),
    file: project.name,
    repository: runner.repository,
  }
  const directory = inputs.directory ?? `deploy/${chooseProjectName(named)}`
  const server = await look(connection, assets.transaction.toString(), directory, askable(needs))
  checkServer(server, inputs.host.user)
  const current = currentRelease(server)
  const name = chooseProjectName({
    ...named,
    server: fact(current?.facts, 'project') ?? projectIn(server),
    env: settings ? named.env : server.projectName,
  })
  const profiles = chooseProfiles(inputs.profiles, settings ? settings.get('COMPOSE_PROFILES') : server.profiles)
  const active = activeServices(project, inputs.services, profiles).map((service) => service.name)
  checkPlace(server, wantedPlace(checkout, { name, isNamed: inputs.project !== undefined, directory, active }))
  // What was started by hand may serve.
  const isUnknown = !current && server.containers.some(({ project: of, running }) => of === name && running)
  const serving: Serving = isUnknown ? { kind: 'unknown' } : servingOf(current?.version)
  found({ project: name, url: inputs.url, previous: current?.version, serving })
  info(`${name} in ${directory} on ${inputs.host.address}: ${current?.version ?? 'nothing'} serves`)

  checkAll(
    () => checkProfiles(project, groups, inputs.services, profiles),
    () => inputs.directory === undefined && !current && checkBeside(needs.beside, active, directory, project.folder),
    () => checkNeeds(needs, active, { ...server, settings: settings ? [] : server.settings }, project),
  )
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
