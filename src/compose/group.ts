import { checkAll, DeployError } from '../errors.ts'
import { canonical, pairsOf, type Values } from './document.ts'
import type { Project } from './project.ts'
import { isLocal, parseReference } from './reference.ts'
import type { Service } from './service.ts'
import { interpolate } from './variable.ts'

/** Services that run one image, and how it is built. */
export type BuildGroup = {
  /** The service that gives the image its name: one with published ports, else the first by name. */
  name: string
  services: readonly string[]
  build: Values
  /** `image:` of the group as written: the primary service's, else the first that has one. */
  image: string | undefined
}

/** The images that the project builds: an identical build section, or the name of a built image, joins services. */
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
  return groups.map(({ services }) => toGroup(services)).sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** What a service has in common with the others of its group; nothing when its image is not built here. */
function keysOf(service: Service, project: Project): readonly string[] {
  const written = builtNames(project)
  if (service.build) {
    return [
      `build ${definition(service.build)}`,
      ...(service.image === undefined ? [] : [`image ${fullName(service.image)}`]),
    ]
  }
  const [named] = service.image === undefined ? [] : sameImage(service.image, written)
  if (named !== undefined) return [`image ${fullName(named)}`]
  const build = project.services.get(borrowed(service, project)?.of ?? '')?.build
  return build ? [`build ${definition(build)}`] : []
}

/** `image:` of the services that are built here, as written. */
function builtNames(project: Project): readonly string[] {
  const built = [...project.services.values()].filter(({ build }) => build)
  return [...new Set(built.flatMap(({ image }) => image ?? []))]
}

/** The one built image that a name means: the same, or the only one of a local name, which no registry has under another tag. */
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

/** A service that uses the image of another one by the name that Compose gives it: `<project>-<service>`. */
type Borrowed = { service: string; image: string; of: string; prefix: string }

/** What stands for the name of this project, whatever that is. */
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

/** Stops when an active service uses the name that the image of another one has only in a project that is called differently. */
export function checkBorrowed(project: Project, active: readonly string[], names: readonly string[]): void {
  const written = builtNames(project)
  const known = [THIS_PROJECT, ...names]
  checkAll(
    ...[...project.services.values()].map((service) => () => {
      const found = borrowed(service, project)
      if (!found || !active.includes(service.name) || sameImage(found.image, written).length > 0) return
      // Compose 1 left these characters out.
      const plain = (name: string): string => name.replace(/[-_]/g, '')
      if (known.some((name) => name === found.prefix || plain(name) === plain(found.prefix))) return
      throw strangeName(found, names[0] ?? '', project)
    }),
  )
}

function strangeName({ service, image, of, prefix }: Borrowed, name: string, { files }: Project): DeployError {
  return new DeployError('compose-invalid', {
    what: `Service ${service} uses the image ${image}, which Compose makes for ${of} only in a project called ${prefix}; this one is ${name}`,
    seen: `${service}: image: ${image}`,
    why: 'here the name is that of an old image, or of none',
    fix: `if ${service} runs the image of ${of}: copy the build: section of ${of} to ${service} and remove its image: (one image is built for both)\nif it is an image of Docker Hub: image: docker.io/library/${image}`,
    annotation: { file: files[0] ?? '' },
  })
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
    image: primary.image ?? built.find(({ image }) => image !== undefined)?.image,
  }
}

/** A service that keeps an image with another tag although the same repository is built here. */
export type Stale = { service: string; image: string; of: string; written: string }

/** The active services that a release leaves on another tag of what it builds; stops when no registry can have that tag. */
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

function nobodyHas(service: string, image: string, same: readonly Service[], { files }: Project): DeployError {
  const names = same.map((other) => other.image ?? '').sort()
  return new DeployError('compose-invalid', {
    what: `Service ${service} uses the image ${image}, which is not built here and is in no registry`,
    seen: `built here: ${names.join(', ')}`,
    why: 'a container would keep an old image that is still on the host, or find none',
    fix: `change image: of ${service} to the one that it runs: ${names.join(', ')}`,
    annotation: { file: files[0] ?? '' },
  })
}

/** What to say about it. */
export function describeStale({ service, image, of, written }: Stale): string {
  return (
    `${service} keeps the image ${image}; this release does not change it, although it builds ${written} for ${of}. ` +
    `To deploy the new image to ${service} as well, write image: ${written} there`
  )
}
