import { DeployError } from '../errors.ts'
import { canonical, pairsOf, type Values } from './document.ts'
import type { Project } from './project.ts'
import type { Service } from './service.ts'

/** Services that run one image, and how it is built. */
export type BuildGroup = {
  /** The service that gives the image its name: one with published ports, else the first by name. */
  name: string
  services: readonly string[]
  build: Values
  /** `image:` of the group as written: the primary service's, else the first that has one. */
  image: string | undefined
}

/** The images that the project builds: an identical build section, or the `image:` of a built service, joins services. */
export function groupBuilds(project: Project): readonly BuildGroup[] {
  const groups: { services: Service[]; keys: Set<string> }[] = []
  const built = [...project.services.values()].filter((service) => service.build)
  const images = new Set(built.map((service) => service.image).filter((image) => image !== undefined))
  for (const service of project.services.values()) {
    const byImage = service.image !== undefined && images.has(service.image)
    if (!service.build && !byImage) continue
    const keys = [
      ...(service.build ? [`build ${definition(service.build)}`] : []),
      ...(byImage ? [`image ${service.image}`] : []),
    ]
    const joined = groups.filter((group) => keys.some((key) => group.keys.has(key)))
    const [first, ...others] = joined.length > 0 ? joined : [{ services: [], keys: new Set<string>() }]
    if (!first) continue
    if (joined.length === 0) groups.push(first)
    for (const other of others) {
      groups.splice(groups.indexOf(other), 1)
      first.services.push(...other.services)
      for (const key of other.keys) first.keys.add(key)
    }
    first.services.push(service)
    for (const key of keys) first.keys.add(key)
  }
  return groups.map(({ services }) => toGroup(services)).sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** The groups of the services, and those from which their builds take something; no other has to be built. */
export function neededGroups(groups: readonly BuildGroup[], services: readonly string[]): readonly BuildGroup[] {
  const needed = new Set<BuildGroup>()
  const add = (name: string): void => {
    const group = groups.find((each) => each.services.includes(name))
    if (!group || needed.has(group)) return
    needed.add(group)
    const contexts = [...pairsOf(group.build['additional_contexts']).values()]
    contexts.flatMap((context) => /^service:(.+)$/.exec(context ?? '')?.[1] ?? []).forEach(add)
  }
  services.forEach(add)
  return groups.filter((group) => needed.has(group))
}

function definition(build: Values): string {
  const context = build['context']
  const plain = typeof context === 'string' ? context.replace(/^\.\/(?=.)/, '').replace(/(.)\/+$/, '$1') : context
  const dockerfile = build['dockerfile'] ?? 'Dockerfile'
  return canonical({ ...build, context: plain, dockerfile })
}

function toGroup(services: readonly Service[]): BuildGroup {
  const sorted = services.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  const built = sorted.filter((service) => service.build)
  const primary = built.find((service) => service.ports.length > 0) ?? built[0]
  const [build, other] = new Map(built.map(({ build = {} }) => [definition(build), build])).values()
  if (!primary || !build) throw new DeployError('internal', { what: 'A build group without a build' })
  if (other) {
    const names = built.map(({ name }) => name).join(', ')
    throw new DeployError('compose-invalid', {
      what: `The services ${names} build different images of one name`,
      seen: built.find(({ image }) => image !== undefined)?.image,
      why: 'the image that is built last would replace the other',
      fix: `give each its own image:, or make their build: sections the same`,
    })
  }
  return {
    name: primary.name,
    services: sorted.map(({ name }) => name),
    build,
    image: primary.image ?? sorted.find(({ image }) => image !== undefined)?.image,
  }
}
