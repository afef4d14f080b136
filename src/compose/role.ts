import { checkAll, DeployError } from '../errors.ts'
import { textsOf } from './document.ts'
import type { BuildGroup } from './group.ts'
import type { Project } from './project.ts'
import { plainCounts, type Scale } from './scale.ts'
import type { Service } from './service.ts'

/** What happens to each service in a deployment. */
export type Roles = {
  /** Replaced by the release; one that depends on a replaced one has a higher level. */
  replaced: readonly { level: number; service: string }[]
  /** Not replaced and needed by the app or independent of it; those that others depend on come first. */
  data: readonly string[]
  /** Those of `data` that keep nothing, such as a cache: they take a changed definition, a database never does. */
  backing: readonly string[]
  /** Not replaced, not published and needed by no service, such as a tool for backups or certificates: it may end as it likes. */
  alone: readonly string[]
  /** Not replaced and in front of the app. */
  others: readonly string[]
  /** Those of `data` that run to their end, and only once in the life of the project. */
  once: readonly string[]
  /** Run to their end for each release, before the app: what others wait for, out of the release's own images. */
  jobs: readonly string[]
  /** The service whose container is asked about Django. */
  django: string
  /** Where visitors come in: published ports of the app and of what stands in front of it. */
  fronts: readonly { service: string; port: number }[]
}

/** What decides the roles. `services` is the input; `profiles` are the active ones. */
export type RoleFacts = {
  project: Project
  groups: readonly BuildGroup[]
  django: BuildGroup
  services: readonly string[]
  profiles: readonly string[]
}

/** Decides for every active service whether the release replaces it, and in which order. */
export function assignRoles({ project, groups, django, services, profiles }: RoleFacts): Roles {
  const active = activeServices(project, services, profiles)
  const built = new Set(groups.flatMap((group) => group.services))
  const oneShots = findOneShots(active).filter((name) => !services.includes(name))
  const jobs = inOrder(
    project,
    oneShots.filter((name) => built.has(name)),
  )
  const running = active.filter(({ name }) => !jobs.includes(name))
  const above = (service: Service): boolean => dependsOnAny(project, service.name, django.services)
  const wanted = running.filter((service) => {
    if (services.length > 0) return services.includes(service.name)
    return built.has(service.name) && !isBackend(service, project, django, above(service))
  })
  const names = wanted.map(({ name }) => name)
  const kept = inOrder(
    project,
    running.filter(({ name }) => !names.includes(name)).map(({ name }) => name),
  )
  const isFront = (name: string): boolean => dependsOnAny(project, name, names) || isProxy(project, name, names)
  return {
    replaced: names
      .map((service) => ({ level: levelOf(project, service, names), service }))
      .sort((a, b) => a.level - b.level || (a.service < b.service ? -1 : 1)),
    data: kept.filter((name) => !isFront(name)),
    backing: kept.filter((name) => !isFront(name) && !oneShots.includes(name) && !keepsData(project, name)),
    alone: kept.filter(
      (name) =>
        (!isFront(name) || project.services.get(name)?.ports.length === 0) &&
        !active.some(({ dependsOn }) => dependsOn.some(({ service }) => service === name)),
    ),
    others: kept.filter(isFront),
    once: oneShots.filter((name) => !built.has(name)),
    jobs,
    django: djangoService(project, django, names, services),
    fronts: running
      .filter((service) => (names.includes(service.name) || isFront(service.name)) && !isWorker(service))
      .flatMap(({ name, ports }) => ports.map((port) => ({ service: name, port }))),
  }
}

/** What a release brings up: new containers, and those with a changed definition. */
export function broughtUp({ replaced, others, backing }: Pick<Roles, 'replaced' | 'others' | 'backing'>): string[] {
  return [...replaced.map(({ service }) => service), ...others, ...backing]
}

/** The services that the input names, and those that Compose would start by itself. */
export function activeServices(
  project: Project,
  services: readonly string[],
  profiles: readonly string[],
): readonly Service[] {
  return [...project.services.values()].filter(
    (service) => services.includes(service.name) || isActive(service, profiles),
  )
}

/** The active profiles: those of the input, else those that the env file names. */
export function chooseProfiles(given: readonly string[], settings: string | undefined): readonly string[] {
  return given.length > 0 ? given : (settings ?? '').split(',').filter((profile) => profile !== '')
}

/** Stops when no service that is built here is active: the release would replace nothing. */
export function checkProfiles(
  project: Project,
  groups: readonly BuildGroup[],
  services: readonly string[],
  profiles: readonly string[],
): void {
  const built = groups.flatMap((group) => group.services)
  if (activeServices(project, services, profiles).some(({ name }) => built.includes(name))) return
  const known = [...new Set(built.flatMap((name) => project.services.get(name)?.profiles ?? []))]
  throw new DeployError('compose-invalid', {
    what: 'No service would be replaced by this release',
    seen: `active profiles: ${profiles.join(', ') || 'none'}; profiles of the services that are built here: ${known.join(', ') || 'none'}`,
    why: 'all services that are built here belong to profiles that are not active',
    fix: `set profiles: ${known.join(' ') || '<name>'}, or those of them that run on this server; or COMPOSE_PROFILES in .env`,
    annotation: { file: project.files[0] ?? '' },
  })
}

/** Whether Compose would start the service by itself. */
function isActive({ profiles }: Service, active: readonly string[]): boolean {
  return profiles.length === 0 || active.includes('*') || profiles.some((profile) => active.includes(profile))
}

/** Whether the service keeps something: a volume or a writable bind mount. */
function hasOwnData({ mounts }: Service): boolean {
  return mounts.some(({ kind, readOnly }) => !readOnly && (kind === 'volume' || kind === 'bind'))
}

const DATABASE =
  /postgres|postgis|timescale|pgvector|mysql|maria|percona|mongo|couch|elastic|opensearch|minio|rabbit|sql|db/

/** Whether a new container could lose something: a database without a volume has an anonymous one, or keeps all in itself. */
function keepsData(project: Project, name: string): boolean {
  const service = project.services.get(name)
  return !service || hasOwnData(service) || looksLikeDatabase(name, service.image)
}

function looksLikeDatabase(name: string, image: string | undefined): boolean {
  return DATABASE.test(image?.split('/').at(-1) ?? '') || DATABASE.test(name)
}

/** A database that is built here: it keeps data, and stands behind the app, not in front of it. */
function isBackend(service: Service, project: Project, django: BuildGroup, above: boolean): boolean {
  if (django.services.includes(service.name) || above || !hasOwnData(service)) return false
  if (makesFilesForOthers(service, project)) return false
  return service.ports.length === 0 || django.services.some((app) => dependsOnAny(project, app, [service.name]))
}

/** A frontend that copies its files into what another service serves: the files are the release's, not data. */
function makesFilesForOthers({ name, image, mounts }: Service, project: Project): boolean {
  if (looksLikeDatabase(name, image) || mounts.some(({ target }) => DATABASE.test(target))) return false
  const others = [...project.services.values()].filter((other) => other.name !== name)
  const isServed = (source: string | undefined): boolean =>
    others.some((other) => other.mounts.some((mount) => mount.source === source && mount.readOnly))
  return mounts.every(({ readOnly, source }) => readOnly || (source !== undefined && isServed(source)))
}

const PROXY = /nginx|traefik|caddy|haproxy|httpd|apache|envoy|proxy/

/** A proxy that finds the app by itself: it is published, looks like one, and no replaced service waits for it. */
function isProxy(project: Project, name: string, replaced: readonly string[]): boolean {
  const service = project.services.get(name)
  if (!service || service.ports.length === 0) return false
  const looks = PROXY.test(service.image?.split('/').at(-1) ?? '') || PROXY.test(name)
  return looks && !replaced.some((app) => dependsOnAny(project, app, [name]))
}

function findOneShots(services: readonly Service[]): readonly string[] {
  const waited = services
    .flatMap(({ dependsOn }) => dependsOn)
    .filter(({ condition }) => condition === 'service_completed_successfully')
    .map(({ service }) => service)
  return [...new Set(waited)].filter((name) => services.some((service) => service.name === name)).sort()
}

function dependsOnAny(project: Project, from: string, names: readonly string[], seen = new Set<string>()): boolean {
  if (seen.has(from)) return false
  seen.add(from)
  const next = project.services.get(from)?.dependsOn ?? []
  return next.some(({ service }) => names.includes(service) || dependsOnAny(project, service, names, seen))
}

/** How many replaced services stand in line before this one. */
function levelOf(project: Project, name: string, replaced: readonly string[], path: readonly string[] = []): number {
  if (path.includes(name)) return 0
  const next = project.services.get(name)?.dependsOn ?? []
  const levels = next.map(
    ({ service }) => levelOf(project, service, replaced, [...path, name]) + (replaced.includes(service) ? 1 : 0),
  )
  return Math.max(0, ...levels)
}

/** The names with what they depend on first. */
function inOrder(project: Project, names: readonly string[]): readonly string[] {
  const result: string[] = []
  const seen = new Set<string>()
  const add = (name: string): void => {
    if (seen.has(name)) return
    seen.add(name)
    for (const { service } of project.services.get(name)?.dependsOn ?? []) add(service)
    if (names.includes(name)) result.push(name)
  }
  for (const name of names.toSorted()) add(name)
  return result
}

const SERVER = /gunicorn|uwsgi|uvicorn|daphne|hypercorn|granian|runserver/
const TASKS = /celery|flower|\bbeat\b|rqworker|rqscheduler|qcluster|huey|dramatiq/
const WORKER = /celery|flower|worker|beat|queue|cron|sched|tasks/

/** Whether the service is not what visitors reach, by its command or its name; Flower is often published as well. */
function isWorker(service: Service | undefined): boolean {
  const command = textsOf(service?.values['command']).join(' ')
  return !SERVER.test(command) && (TASKS.test(command) || WORKER.test(service?.name ?? ''))
}

/** In order: named in `services`, published, asked for by another service, the group's own name; workers only if there is no other. */
function djangoService(
  project: Project,
  django: BuildGroup,
  replaced: readonly string[],
  services: readonly string[],
): string {
  const all = django.services.filter((name) => replaced.includes(name))
  const none = [...plainCounts(project.model)].filter(([, count]) => count === 0).map(([name]) => name)
  const running = all.filter((name) => !none.includes(name))
  const servers = (running.length > 0 ? running : all).filter((name) => !isWorker(project.services.get(name)))
  const candidates = servers.length > 0 ? servers : all
  const isAsked = (name: string): boolean =>
    [...project.services.values()].some(
      (other) => !django.services.includes(other.name) && other.dependsOn.some(({ service }) => service === name),
    )
  const found =
    services.find((name) => all.includes(name)) ??
    candidates.find((name) => (project.services.get(name)?.ports.length ?? 0) > 0) ??
    candidates.find(isAsked) ??
    (candidates.includes(django.name) ? django.name : candidates[0])
  if (found !== undefined) return found
  throw new DeployError('compose-invalid', {
    what: 'No service of the Django image would be replaced',
    seen: `the image is that of ${django.services.join(', ')}`,
    fix: `add one of them to the input services: ${django.services.join(' ')}`,
  })
}

/** The inputs that name what is in the Compose file. */
export type NamingInputs = {
  services: readonly string[]
  updateServices?: readonly string[]
  scale?: readonly Scale[]
  profiles?: readonly string[]
}

/** Stops for names that the Compose file does not have, and for those that the server could not keep. */
export function checkServices(project: Project, inputs: NamingInputs): void {
  const { services, updateServices = [], scale = [], profiles = [] } = inputs
  const names = [...project.services.keys()]
  const known = [...project.services.values()].flatMap((service) => service.profiles)
  checkAll(
    () => checkKnown('services', services, names),
    () => checkKnown('update-services', updateServices, names),
    () =>
      checkKnown(
        'scale',
        scale.map(({ service }) => service),
        names,
      ),
    () =>
      checkKnown(
        'profiles',
        profiles.filter((name) => name !== '*'),
        known,
      ),
    () => checkKept(project),
  )
}

function checkKnown(input: string, given: readonly string[], known: readonly string[]): void {
  const stranger = given.find((name) => !known.includes(name))
  if (stranger === undefined) return
  throw new DeployError('input-invalid', {
    what: `Input ${input} names ${stranger}, which the Compose file does not have`,
    fix: known.length === 0 ? 'leave it out: there are none' : `use one of: ${[...new Set(known)].join(', ')}`,
  })
}

function checkKept(project: Project): void {
  const odd = [...project.services.keys()].find((name) => !/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name))
  if (odd === undefined) return
  throw new DeployError('compose-invalid', {
    what: `Service name ${JSON.stringify(odd)} cannot be deployed`,
    fix: 'start it with a letter or digit',
  })
}
