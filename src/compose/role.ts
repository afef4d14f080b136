import { checkAll, DeployError } from '../errors.ts'
import { textOf, textsOf } from './document.ts'
import type { BuildGroup } from './group.ts'
import { placeOfService } from './place.ts'
import type { Project } from './project.ts'
import { plainCounts, type Scale } from './scale.ts'
import type { Service } from './service.ts'

/** How a release treats a service. docs/host.md has the table. */
export type Role =
  /** Replaced by the release. */
  | 'app'
  /** In front of the app. It is not replaced, but a changed definition is applied. */
  | 'front'
  /** Behind the app or independent of it, and stateless. A changed definition is applied. */
  | 'cache'
  /**
   * Like `cache`, but it may hold data. It is started when absent, and never changed unless `update-services` names it.
   */
  | 'database'
  /** Runs to completion before the app in each release. Other services wait for it, and its image is built here. */
  | 'job'
  /** Runs to completion, only once in the life of the project. */
  | 'one-time'

/** A service with its one role. */
export type Assigned = {
  service: string
  role: Role
  /** For app services: the length of the longest chain of app services that it depends on. */
  level: number
}

/** The active services, each with its role. */
export type Roles = {
  /** In order: the app by level, fronts, services behind the app, jobs. After the app, dependencies come first. */
  services: readonly Assigned[]
  /** App services that are a proxy in front of the app: they keep running while the app is stopped. */
  proxies: readonly string[]
  /**
   * Kept services that no service depends on, such as a tool for backups or certificates; never published fronts. They
   * may exit without failing the deployment.
   */
  optional: readonly string[]
  /** Services behind the app that run an app image, because the input `services` does not name them. */
  unnamed: readonly string[]
  /** The service whose container runs Django's commands. */
  django: string
  /** Where visitors enter: published ports of the app and of its fronts. */
  fronts: readonly { service: string; port: number }[]
}

/** The services with one of these roles. */
export function withRole(services: readonly Assigned[], ...roles: readonly Role[]): readonly string[] {
  return services.filter(({ role }) => roles.includes(role)).map(({ service }) => service)
}

/** The services behind the app: a release starts them before the app when they are absent. */
export function behindApp(services: readonly Assigned[]): readonly string[] {
  return withRole(services, 'cache', 'database', 'one-time')
}

/** Services that a release starts: in new containers, or when their definition changed. */
export function broughtUp(services: readonly Assigned[]): readonly string[] {
  return withRole(services, 'app', 'front', 'cache')
}

/** The lines of the fact `services`: `role level service`. */
export function writeRoles(services: readonly Assigned[]): string[] {
  return services.map(({ role, level, service }) => `${role} ${level} ${service}`)
}

/** Reads these lines. Unknown roles, which a later version of the action may have, are skipped. */
export function readRoles(lines: readonly string[] = []): readonly Assigned[] {
  return lines.flatMap((line) => {
    const [role = '', level = '', service = ''] = line.split(' ')
    return isRole(role) ? [{ role, level: Number(level), service }] : []
  })
}

const ROLES: readonly string[] = ['app', 'front', 'cache', 'database', 'job', 'one-time'] satisfies Role[]

const isRole = (word: string): word is Role => ROLES.includes(word)

/** The parameters of `assignRoles`. `services` is the input; `profiles` are the active ones. */
export type RoleFacts = {
  project: Project
  groups: readonly BuildGroup[]
  django: BuildGroup
  services: readonly string[]
  profiles: readonly string[]
}

/** Assigns a role to every active service, and puts them in order. */
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
  const levels = new Map(names.map((name) => [name, levelOf(project, name, names)]))
  const app = names.toSorted((a, b) => (levels.get(a) ?? 0) - (levels.get(b) ?? 0) || (a < b ? -1 : 1))
  const behind = kept.filter((name) => !isFront(name))
  const roleBehind = (name: string): Role =>
    oneShots.includes(name) ? 'one-time' : keepsData(project, name) ? 'database' : 'cache'
  const assign =
    (roleOf: (name: string) => Role) =>
    (service: string): Assigned => ({ service, role: roleOf(service), level: levels.get(service) ?? 0 })
  return {
    services: [
      ...app.map(assign(() => 'app')),
      ...kept.filter(isFront).map(assign(() => 'front')),
      ...behind.map(assign(roleBehind)),
      ...jobs.map(assign(() => 'job')),
    ],
    proxies: app.filter((name) => !django.services.includes(name) && isBuiltProxy(project.services.get(name))),
    optional: kept.filter(
      (name) =>
        (!isFront(name) || project.services.get(name)?.ports.length === 0) &&
        !active.some(({ dependsOn }) => dependsOn.some(({ service }) => service === name)),
    ),
    unnamed: behind.filter((name) => groups.some(joins(name, names))),
    django: djangoService(project, django, names, services),
    fronts: running
      .filter((service) => (names.includes(service.name) || isFront(service.name)) && !isWorker(service))
      .flatMap(({ name, ports }) => ports.map((port) => ({ service: name, port }))),
  }
}

const joins =
  (name: string, replaced: readonly string[]) =>
  ({ services }: BuildGroup): boolean =>
    services.includes(name) && services.some((service) => replaced.includes(service))

/** The warning for a service that runs the image of the app but is not replaced with it. */
export function describeUnnamed(name: string, services: readonly string[]): string {
  return (
    `${name} runs the image of the app, but the input services does not name it, so no release replaces it, ` +
    `and a new container of it starts before the migrations. Add it: services: ${[...services, name].join(' ')}`
  )
}

/** The services that the input names, and those that Compose starts by default. */
export function activeServices(
  project: Project,
  services: readonly string[],
  profiles: readonly string[],
): readonly Service[] {
  return [...project.services.values()].filter(
    (service) => services.includes(service.name) || isActive(service, profiles),
  )
}

/** The active profiles: those of the input, else COMPOSE_PROFILES of the env file or of the host. */
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
  const profilesOf = (all: readonly Service[]): string =>
    [...new Set(all.flatMap((one) => one.profiles))].sort().join(' ')
  const all = [...project.services.values()]
  const known = profilesOf(all.filter(({ name }) => built.includes(name)))
  throw new DeployError('compose-invalid', {
    what: 'No service would be replaced by this release',
    seen: `active profiles: ${profiles.join(', ') || 'none'}; profiles of the services that are built here: ${known || 'none'}`,
    why: 'all services that are built here belong to profiles that are not active',
    fix: `set the input profiles, or COMPOSE_PROFILES in .env, to the profiles of this host; leave out those for development or another host. The Compose file has: ${profilesOf(all)}`,
    annotation: placeOfService(project, built[0] ?? '', 'profiles'),
  })
}

/** Whether Compose starts the service by default with these profiles. */
function isActive({ profiles }: Service, active: readonly string[]): boolean {
  return profiles.length === 0 || active.includes('*') || profiles.some((profile) => active.includes(profile))
}

/** Whether the service has storage of its own: a volume or a writable bind mount. */
function hasOwnData({ mounts }: Service): boolean {
  return mounts.some(({ kind, readOnly }) => !readOnly && (kind === 'volume' || kind === 'bind'))
}

const DATABASE =
  /postgres|postgis|timescale|pgvector|mysql|maria|percona|mongo|couch|elastic|opensearch|minio|rabbit|sql|db/

/**
 * Whether a new container could lose data. A database without a volume keeps its data in an anonymous volume or in the
 * container.
 */
function keepsData(project: Project, name: string): boolean {
  const service = project.services.get(name)
  return !service || hasOwnData(service) || looksLikeDatabase(name, service.image)
}

function looksLikeDatabase(name: string, image: string | undefined): boolean {
  return DATABASE.test(image?.split('/').at(-1) ?? '') || DATABASE.test(name)
}

/** Ways to a database. A release needs them before it migrates. */
const WAYS = /bouncer|pooler|pgpool|pgcat|odyssey|supavisor|proxysql|maxscale|cloud[-_]?sql|tunnel|tailscale|wireguard/

/** Whether a service that is built here is behind the app: stateful, such as a database, or the way to one. */
function isBackend(service: Service, project: Project, django: BuildGroup, above: boolean): boolean {
  if (django.services.includes(service.name) || above) return false
  if (WAYS.test(service.name) && service.ports.length === 0) return true
  if (!hasOwnData(service)) return false
  if (makesFilesForOthers(service, project)) return false
  return service.ports.length === 0 || django.services.some((app) => dependsOnAny(project, app, [service.name]))
}

/**
 * Whether the service only writes files that another service serves, such as a frontend. The files belong to the
 * release and are not data.
 */
function makesFilesForOthers({ name, image, mounts }: Service, project: Project): boolean {
  if (looksLikeDatabase(name, image) || mounts.some(({ target }) => DATABASE.test(target))) return false
  const others = [...project.services.values()].filter((other) => other.name !== name)
  const isServed = (source: string | undefined): boolean =>
    others.some((other) => other.mounts.some((mount) => mount.source === source && mount.readOnly))
  return mounts.every(({ readOnly, source }) => readOnly || (source !== undefined && isServed(source)))
}

const PROXY = /nginx|traefik|caddy|haproxy|httpd|apache|envoy|proxy/

/**
 * Whether the service is a proxy without a dependency on the app. It is published, is named like a proxy, and no
 * replaced service depends on it.
 */
function isProxy(project: Project, name: string, replaced: readonly string[]): boolean {
  const service = project.services.get(name)
  if (!service || service.ports.length === 0) return false
  const looks = PROXY.test(service.image?.split('/').at(-1) ?? '') || PROXY.test(name)
  return looks && !replaced.some((app) => dependsOnAny(project, app, [name]))
}

/** Whether the service is a proxy, by the name of the service, its image, folder, Dockerfile or build target. */
function isBuiltProxy(service: Service | undefined): boolean {
  const { context, dockerfile, target } = service?.build ?? {}
  const words = [
    service?.name,
    service?.image?.split('/').at(-1),
    lastFolder(textOf(context)),
    textOf(dockerfile),
    textOf(target),
  ]
  return !isWorker(service) && words.some((word) => word !== undefined && PROXY.test(word))
}

const lastFolder = (path: string | undefined): string | undefined => path?.replace(/\/+$/, '').split('/').at(-1)

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

/** The length of the longest chain of replaced services that this one depends on. */
function levelOf(project: Project, name: string, replaced: readonly string[], path: readonly string[] = []): number {
  if (path.includes(name)) return 0
  const next = project.services.get(name)?.dependsOn ?? []
  const levels = next.map(
    ({ service }) => levelOf(project, service, replaced, [...path, name]) + (replaced.includes(service) ? 1 : 0),
  )
  return Math.max(0, ...levels)
}

/** The names, dependencies first. */
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

/**
 * Whether the service is a worker that visitors do not reach, by its command or name. Flower counts although it is
 * often published.
 */
function isWorker(service: Service | undefined): boolean {
  const command = textsOf(service?.values['command']).join(' ')
  return !SERVER.test(command) && (TASKS.test(command) || WORKER.test(service?.name ?? ''))
}

/**
 * The services, closest to visitors first: published, behind another service, writing files that others serve, the
 * rest, workers.
 */
export function visitedFirst(project: Project, names: readonly string[]): readonly string[] {
  const all = [...project.services.values()]
  const isServed = (name: string): boolean =>
    (project.services.get(name)?.mounts ?? []).some(
      ({ source, readOnly }) =>
        !readOnly && all.some((other) => other.mounts.some((mount) => mount.readOnly && mount.source === source)),
    )
  const rank = (name: string): number => {
    const service = project.services.get(name)
    if (isWorker(service)) return 4
    if ((service?.ports.length ?? 0) > 0) return 0
    // A service outside `names`, such as a proxy, depends on it.
    const waiting = all.filter(({ dependsOn }) => dependsOn.some((each) => each.service === name))
    if (waiting.some((other) => !names.includes(other.name))) return 1
    return isServed(name) ? 2 : 3
  }
  return names.toSorted((a, b) => rank(a) - rank(b))
}

/** Whether the name is that of the app itself, such as `web-1` or `django_app`, and not of a part such as `admin`. */
const isCalledApp = (name: string): boolean =>
  name.split(/[-_.\d]+/).some((word) => ['web', 'django', 'app', 'backend', 'site'].includes(word))

/**
 * In order: named in `services`, published, a dependency of another service, a usual name of the app, without settings of
 * its own, with a health check, the group's own name. Workers, and services without containers, only if there is no other.
 */
function djangoService(
  project: Project,
  django: BuildGroup,
  replaced: readonly string[],
  services: readonly string[],
): string {
  const all = django.services.filter((name) => replaced.includes(name))
  const none = [...plainCounts(project)].filter(([, count]) => count === 0).map(([name]) => name)
  const running = all.filter((name) => !none.includes(name))
  const servers = (running.length > 0 ? running : all).filter((name) => !isWorker(project.services.get(name)))
  const candidates = servers.length > 0 ? servers : all
  const isAsked = (name: string): boolean =>
    [...project.services.values()].some(
      (other) => !django.services.includes(other.name) && other.dependsOn.some(({ service }) => service === name),
    )
  const of = (has: (service: Service) => boolean) => (name: string) => {
    const service = project.services.get(name)
    return service !== undefined && has(service)
  }
  const signs = [
    of(({ ports }) => ports.length > 0),
    isAsked,
    isCalledApp,
    of(({ environment }) => !environment.has('DJANGO_SETTINGS_MODULE')),
    of(({ values }) => values['healthcheck'] !== undefined),
    (name: string) => name === django.name,
  ]
  // Smaller is better: an earlier sign outweighs all later ones together.
  const rank = (name: string): number => signs.reduce((sum, has) => 2 * sum + (has(name) ? 0 : 1), 0)
  const found = services.find((name) => all.includes(name)) ?? candidates.toSorted((a, b) => rank(a) - rank(b))[0]
  if (found !== undefined) return found
  throw new DeployError('compose-invalid', {
    what: 'No service of the Django image would be replaced',
    seen: `the image is that of ${django.services.join(', ')}`,
    fix: `add one of them to the input services: ${django.services.join(' ')}`,
  })
}

/** Inputs whose values are names in the Compose file. */
export type NamingInputs = {
  services: readonly string[]
  updateServices?: readonly string[]
  scale?: readonly Scale[]
  profiles?: readonly string[]
}

/** Stops for names that the Compose file does not have, and for service names that the host cannot store. */
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
    fix:
      known.length === 0
        ? 'leave the input out: the Compose file has none'
        : `use one of: ${[...new Set(known)].join(', ')}`,
  })
}

function checkKept(project: Project): void {
  const odd = [...project.services.keys()].find((name) => !/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name))
  if (odd === undefined) return
  throw new DeployError('compose-invalid', {
    what: `Service name ${JSON.stringify(odd)} is not supported`,
    fix: 'begin it with a letter or digit',
  })
}
