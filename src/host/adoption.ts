import { oneOffOverlay, oneOffRest } from '../compose/one-off.ts'
import { withRole, writeRoles, type Assigned, type Roles } from '../compose/role.ts'
import { rollbackFacts } from '../deployment/plan.ts'
import { isOurs, type Container } from './container.ts'
import type { Server } from './look.ts'
import type { FactLines, PlanFact, ReleaseFact } from './fact.ts'
import { writeFacts, type SentFile } from './stage.ts'

/** A stack that was started by hand and becomes a release: its id, and the parts of the plan for the step `adopt`. */
export type Adoption = { id: string; facts: FactLines<PlanFact>; files: readonly SentFile[] }

/** The parameters of `planAdoption`. */
export type AdoptionFacts = {
  server: Server
  /** The Compose project's name. */
  name: string
  /** The new release's roles, and all services that its Compose file names. */
  roles: Roles
  named: readonly string[]
  manage: readonly string[]
  time: Date
}

/** The adoption of the running stack of this name that was started by hand; undefined when there is none. */
export function planAdoption(facts: AdoptionFacts): Adoption | undefined {
  const { server, name, time } = facts
  // One of our releases serves. Later changes by hand are not kept.
  if (server.current !== undefined && !server.current.startsWith('adopted-')) return undefined
  const stack = server.containers.filter((each) => each.project === name && !isOurs(each))
  const app = appOf(stack, facts)
  const first = app.find(({ running }) => running)
  if (!first) return undefined
  const id = `adopted-${time.toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}`
  // If a service has several containers, a running one decides.
  const images = new Map(
    stack.toSorted((a, b) => Number(a.running) - Number(b.running)).map(({ service, image }) => [service, image]),
  )
  const pins = Object.fromEntries(
    [...images.keys()].map((service) => [service, { image: tagOf(name, id, service), pull_policy: 'never' }]),
  )
  const django = djangoOf(app, facts.roles)
  const networks = networksOf(app.find(({ service, running }) => running && service === django))
  return {
    id,
    facts: {
      adopt: [id, server.current ?? '-'],
      'adopt-images': [...images].map(([service, image]) => `${service} ${image}`),
      'adopt-files': first.files,
      'adopt-env-files': first.envFiles,
    },
    files: [
      ...writeFacts('plan/adopted', releaseFacts(id, app, stack, facts)),
      { path: 'plan/adopted/pins.yaml', content: JSON.stringify({ services: pins }), mode: 0o600 },
      // The first file removes parts of the model, the second adds them. In one file, the removed parts would stay
      // removed.
      { path: 'plan/adopted/run-without.yaml', content: oneOffOverlay(django, networks), mode: 0o600 },
      { path: 'plan/adopted/run-with.yaml', content: JSON.stringify(oneOffRest(django, networks)), mode: 0o600 },
    ],
  }
}

/** The container's own networks. With `network_mode` it uses those of the host or of another container, or none. */
function networksOf(container: Container | undefined): readonly string[] {
  const networks = container?.networks ?? []
  return networks.some((name) => ['host', 'none', 'bridge'].includes(name)) ? [] : networks
}

/** The service whose container answers questions about Django. */
function djangoOf(app: readonly Container[], { django }: Roles): string {
  const services = app.map(({ service }) => service).sort()
  return services.includes(django) ? django : (services[0] ?? '')
}

/** The containers that the release replaces, and those of the app whose service the new Compose file lacks. */
function appOf(stack: readonly Container[], { roles, named }: AdoptionFacts): readonly Container[] {
  const names = withRole(roles.services, 'app')
  const replaced = stack.filter(({ service }) => names.includes(service))
  const gone = stack.filter(({ service, running }) => running && !named.includes(service))
  return [...replaced, ...gone.filter((each) => isApp(each, replaced))]
}

/**
 * Whether the container runs the app's code. It has the app's image; or Compose built its image beside that one, and it
 * has no data of its own. Compose names an image that it builds after the project and the service.
 */
function isApp({ project, service, image, imageName, mounts }: Container, replaced: readonly Container[]): boolean {
  if (replaced.some((each) => each.image === image)) return true
  const shared = replaced.flatMap((each) => each.mounts.map(({ source }) => source))
  const isBuilt = [`${project}-${service}`, `${project}_${service}`].includes(imageName.replace(/:latest$/, ''))
  return isBuilt && mounts.every(({ source, readOnly }) => readOnly || shared.includes(source))
}

function releaseFacts(
  id: string,
  app: readonly Container[],
  stack: readonly Container[],
  { name, roles, manage }: AdoptionFacts,
): FactLines<ReleaseFact> {
  const services = [...new Set(app.map(({ service }) => service))].sort()
  const isThere = (service: string): boolean => stack.some((each) => each.service === service)
  const levelOf = (name: string): number => roles.services.find(({ service }) => service === name)?.level ?? 0
  const kept = roles.services
    .filter(({ service, role }) => role !== 'app' && role !== 'job' && isThere(service))
    // Its definition was not compared, so a rollback must not restore it.
    .map((each): Assigned => (each.role === 'cache' ? { ...each, role: 'database' } : each))
  return {
    version: [id],
    project: [name],
    services: writeRoles([
      ...services.map((service): Assigned => ({ service, role: 'app', level: levelOf(service) })),
      ...kept,
    ]),
    images: services.map((service) => `${service} ${tagOf(name, id, service)}`),
    django: [djangoOf(app, roles)],
    manage,
    // The adopted stack is responsible for its own migrations.
    migrate: ['none'],
    fronts: roles.fronts.filter(({ service }) => isThere(service)).map(({ service, port }) => `${service} ${port}`),
    env: ['server'],
    'env-files': [],
    'optional-env-files': [],
    fingerprint: [],
    // The step itself checks whether a volume hides static files. Nothing is known about a trial container.
    ...rollbackFacts({ jobs: [], static: true, try: false }),
  }
}

/** The tag starts with the release's id, so that it is removed with the release. */
function tagOf(name: string, id: string, service: string): string {
  return `deploy-django/${name}:${id}.${service}`
}
