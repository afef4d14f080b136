import { oneOffOverlay, oneOffRest } from '../compose/one-off.ts'
import type { Roles } from '../compose/role.ts'
import { isOurs, type Container } from './container.ts'
import type { Server } from './look.ts'
import type { FactLines, PlanFact, ReleaseFact } from './fact.ts'
import { writeFacts, type SentFile } from './stage.ts'

/** What runs by hand and will be a release: its id, and what the step `adopt` needs of it in the plan. */
export type Adoption = { id: string; facts: FactLines<PlanFact>; files: readonly SentFile[] }

/** What decides whether and how a stack is adopted. */
export type AdoptionFacts = {
  server: Server
  /** The Compose project's name. */
  name: string
  /** Of the release that comes over it, and all services that its Compose file names. */
  roles: Roles
  named: readonly string[]
  manage: readonly string[]
  time: Date
}

/** The adoption of the stack that runs under this name and was started by hand; undefined when there is none. */
export function planAdoption(facts: AdoptionFacts): Adoption | undefined {
  const { server, name, time } = facts
  // A release of ours is what serves; what was done by hand since then is not kept.
  if (server.current !== undefined && !server.current.startsWith('adopted-')) return undefined
  const stack = server.containers.filter((each) => each.project === name && !isOurs(each))
  const app = appOf(stack, facts)
  const first = app.find(({ running }) => running)
  if (!first) return undefined
  const id = `adopted-${time.toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}`
  // Of several containers a running one decides.
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
      // What removes parts of the model comes first: what the same file removed would not come back.
      { path: 'plan/adopted/run-without.yaml', content: oneOffOverlay(django, networks), mode: 0o600 },
      { path: 'plan/adopted/run-with.yaml', content: JSON.stringify(oneOffRest(django, networks)), mode: 0o600 },
    ],
  }
}

/** Those of its own: with `network_mode` it has that of the host, of another container, or none. */
function networksOf(container: Container | undefined): readonly string[] {
  const networks = container?.networks ?? []
  return networks.some((name) => ['host', 'none', 'bridge'].includes(name)) ? [] : networks
}

/** The service whose container is asked about Django. */
function djangoOf(app: readonly Container[], { django }: Roles): string {
  const services = app.map(({ service }) => service).sort()
  return services.includes(django) ? django : (services[0] ?? '')
}

/** What the release replaces, and what runs the app's code under a name that the new Compose file has no more. */
function appOf(stack: readonly Container[], { roles, named }: AdoptionFacts): readonly Container[] {
  const names = roles.replaced.map(({ service }) => service)
  const replaced = stack.filter(({ service }) => names.includes(service))
  const gone = stack.filter(({ service, running }) => running && !named.includes(service))
  return [...replaced, ...gone.filter((each) => isApp(each, replaced))]
}

/** It runs the same image, or one that was built beside it and has no data of its own: Compose labels what it builds by service. */
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
  const there = (wanted: readonly string[]): string[] =>
    wanted.filter((service) => stack.some((each) => each.service === service))
  const levelOf = (service: string): number => roles.replaced.find((each) => each.service === service)?.level ?? 0
  return {
    version: [id],
    project: [name],
    services: services.map((service) => `${levelOf(service)} ${service}`),
    images: services.map((service) => `${service} ${tagOf(name, id, service)}`),
    django: [djangoOf(app, roles)],
    manage,
    // Whether it has ever been migrated is its own affair.
    migrate: ['none'],
    data: there(roles.data),
    once: there(roles.once),
    others: there(roles.others),
    fronts: roles.fronts
      .filter(({ service }) => there([service]).length > 0)
      .map(({ service, port }) => `${service} ${port}`),
    env: ['server'],
    'env-files': [],
    fingerprint: [],
  }
}

/** Below the tags of the release, which go with it. */
function tagOf(name: string, id: string, service: string): string {
  return `deploy-django/${name}:${id}.${service}`
}
