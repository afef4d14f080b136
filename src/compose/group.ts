import { checkAll, DeployError } from '../errors.ts'
import { textOf } from './document.ts'
import { identify, neededServices, type Build } from './build.ts'
import { placeOfService } from './place.ts'
import type { Project } from './project.ts'
import { isLocal, parseReference } from './reference.ts'
import type { Service } from './service.ts'
import { interpolate } from './variable.ts'

/** Services that run one image, and how it is built. */
export type BuildGroup = {
  /** The service that gives the image its name: one with published ports, else the first by name. */
  name: string
  services: readonly string[]
  build: Build
  /** `image:` of the group as written: the primary service's, else the first that has one. */
  image: string | undefined
}

/**
 * Groups the services by the image that they build. An identical build section or the name of a built image joins them.
 */
export function groupBuilds(project: Project): readonly BuildGroup[] {
  const groups: { services: Service[]; keys: Set<string> }[] = []
  for (const service of project.services.values()) {
    const keys = keysOf(service, project)
    if (keys.length === 0) continue
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
  return groups.map(({ services }) => toGroup(services, project)).sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** The keys by which a service joins a group; empty when its image is not built here. */
function keysOf(service: Service, project: Project): readonly string[] {
  const written = builtNames(project)
  if (service.build) {
    return [
      `build ${identify(service.build)}`,
      ...(service.image === undefined ? [] : [`image ${fullName(service.image)}`]),
    ]
  }
  const [named] = service.image === undefined ? [] : sameImage(service.image, written)
  if (named !== undefined) return [`image ${fullName(named)}`]
  const build = project.services.get(borrowed(service, project)?.of ?? '')?.build
  return build ? [`build ${identify(build)}`] : []
}

/** `image:` of the services that are built here, as written. */
function builtNames(project: Project): readonly string[] {
  const built = [...project.services.values()].filter(({ build }) => build)
  return [...new Set(built.flatMap(({ image }) => image ?? []))]
}

/**
 * The one built image that a name refers to. A local name may have a different tag from the built one: no registry has it.
 */
function sameImage(image: string, built: readonly string[]): readonly string[] {
  const exact = built.filter((name) => fullName(name) === fullName(image))
  if (exact.length > 0) return exact
  const { repository, digest } = parseReference(image)
  const others = isLocal(parseReference(image)) && digest === undefined ? built : []
  const same = others.filter((name) => parseReference(name).repository === repository)
  return same.length === 1 ? same : []
}

function fullName(image: string): string {
  const { tag, digest } = parseReference(image)
  return tag === undefined && digest === undefined ? `${image}:latest` : image
}

/** A service that uses the image of another service by Compose's default name, `<project>-<service>`. */
type Borrowed = { service: string; image: string; of: string; prefix: string }

/** A placeholder for the name of this project. */
const THIS_PROJECT = '\0'

function borrowed({ name, image, build }: Service, { services }: Project): Borrowed | undefined {
  if (image === undefined || build) return undefined
  const text = interpolate(image, { COMPOSE_PROJECT_NAME: THIS_PROJECT }) ?? image
  const reference = parseReference(text)
  if (!isLocal(reference) || reference.digest !== undefined) return undefined
  const built = [...services.values()].filter((service) => service.build).map((service) => service.name)
  const [of] = built
    .filter((service) => [`-${service}`, `_${service}`].some((end) => reference.repository.endsWith(end)))
    .sort((a, b) => b.length - a.length)
  const prefix = of === undefined ? '' : reference.repository.slice(0, -of.length - 1)
  return of === undefined || prefix === '' ? undefined : { service: name, image, of, prefix }
}

/** Stops when an active service uses the default image name of another project. That image is old or missing. */
export function checkBorrowed(project: Project, active: readonly string[], names: readonly string[]): void {
  const written = builtNames(project)
  const known = [THIS_PROJECT, ...names]
  checkAll(
    ...[...project.services.values()].map((service) => () => {
      const found = borrowed(service, project)
      if (!found || !active.includes(service.name) || sameImage(found.image, written).length > 0) return
      // Compose 1 removed these characters from names.
      const plain = (name: string): string => name.replace(/[-_]/g, '')
      if (known.some((name) => name === found.prefix || plain(name) === plain(found.prefix))) return
      throw strangeName(found, names[0] ?? '', project)
    }),
  )
}

function strangeName({ service, image, of, prefix }: Borrowed, name: string, project: Project): DeployError {
  return new DeployError('compose-invalid', {
    what: `Service ${service} uses the image ${image}, which Compose creates for ${of} only in a project named ${prefix}; this project is ${name}`,
    seen: `${service}: image: ${image}`,
    why: 'in this project the name belongs to an old image, or to none',
    fix: `if ${service} runs the image of ${of}: copy the build: section of ${of} to ${service} and remove its image: (one image is built for both)\nif it is an image of Docker Hub: image: docker.io/library/${image}`,
    annotation: placeOfService(project, service, 'image'),
  })
}

/** The groups of these services, and the groups whose images their builds use. No other group must be built. */
export function neededGroups(groups: readonly BuildGroup[], services: readonly string[]): readonly BuildGroup[] {
  const needed = new Set<BuildGroup>()
  const add = (name: string): void => {
    const group = groups.find((each) => each.services.includes(name))
    if (!group || needed.has(group)) return
    needed.add(group)
    neededServices(group.build).forEach(add)
  }
  services.forEach(add)
  return groups.filter((group) => needed.has(group))
}

function toGroup(services: readonly Service[], project: Project): BuildGroup {
  const sorted = services.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  const built = sorted.filter((service) => service.build)
  const primary = built.find((service) => service.ports.length > 0) ?? built[0]
  const [build, other] = new Map(built.map(({ build = {} }) => [identify(build), build])).values()
  if (!primary || !build) throw new DeployError('internal', { what: 'A build group without a build' })
  if (other) {
    const names = built.map(({ name }) => name).join(', ')
    throw new DeployError('compose-invalid', {
      what: `The services ${names} build different images with the same name`,
      seen: built.find(({ image }) => image !== undefined)?.image,
      why: 'the image that is built last would replace the other',
      fix: `give each its own image:, or make their build: sections the same`,
      annotation: placeOfService(project, primary.name, 'image'),
    })
  }
  return {
    name: primary.name,
    services: sorted.map(({ name }) => name),
    build,
    image: primary.image ?? built.find(({ image }) => image !== undefined)?.image,
  }
}

/** A service whose image is another tag of an image that is built here. The release does not change it. */
export type Stale = { service: string; image: string; of: string; written: string }

/**
 * Active services whose image is another tag of an image built here. Stops for a local name: no registry has that tag.
 */
export function findStale(project: Project, active: readonly string[]): readonly Stale[] {
  const services = [...project.services.values()]
  const groups = groupBuilds(project).flatMap((group) => group.services)
  const kept = services.filter(({ name }) => active.includes(name) && !groups.includes(name))
  return kept.flatMap(({ name, image }) => {
    if (image === undefined) return []
    const { repository } = parseReference(image)
    const same = services.filter((other) => other.build && parseReference(other.image ?? '').repository === repository)
    const [first] = same
    if (!first?.image) return []
    if (isLocal(parseReference(image))) throw nobodyHas(name, image, same, project)
    return [{ service: name, image, of: first.name, written: first.image }]
  })
}

function nobodyHas(service: string, image: string, same: readonly Service[], project: Project): DeployError {
  const names = same.map((other) => other.image ?? '').sort()
  return new DeployError('compose-invalid', {
    what: `Service ${service} uses the image ${image}, which is not built here and is in no registry`,
    seen: `built here: ${names.join(', ')}`,
    why: 'a container would keep an old image that is still on the host, or find none',
    fix: `change image: of ${service} to the one that it runs: ${names.join(', ')}`,
    annotation: placeOfService(project, service, 'image'),
  })
}

/** The warning for a stale service. */
export function describeStale({ service, image, of, written }: Stale): string {
  return (
    `${service} keeps the image ${image}, although this release builds ${written} for ${of}. ` +
    `To deploy the new image to ${service} too, give it image: ${written}`
  )
}

/** The build context as written; undefined when it has a variable. */
export const contextOf = ({ build }: BuildGroup): string | undefined => interpolate(textOf(build['context']) ?? '.')
