import * as v from 'valibot'
import type { Document } from '../django/document.ts'
import { DeployError } from '../errors.ts'
import { isOurs, type Container, type Mounted } from '../host/container.ts'
import type { Server } from '../host/look.ts'
import { readJson } from '../schema.ts'

/** The mounts of the new release by service, as Compose on the host resolves them. */
export type Mounts = ReadonlyMap<string, readonly Mounted[]>

/** The parameters of `checkMounts`. */
export type MountFacts = {
  containers: readonly Container[]
  mounts: Mounts
  /** `managePath`: manage.py in the image. `django`: the services of that image. */
  managePath: string | undefined
  django: readonly string[]
}

const number = v.union([v.number(), v.string()])
const entry = v.object({
  type: v.string(),
  source: v.optional(v.string(), ''),
  target: v.string(),
  read_only: v.optional(v.boolean(), false),
})
const volume = v.nullable(
  v.object({ name: v.optional(v.string()), driver_opts: v.nullish(v.object({ device: v.optional(v.string()) })) }),
)
const service = v.object({
  volumes: v.nullish(v.array(entry)),
  volumes_from: v.nullish(v.array(v.string())),
  scale: v.nullish(number),
  deploy: v.nullish(v.object({ replicas: v.nullish(number) })),
})
const resolved = v.object({
  model: v.object({
    services: v.record(v.string(), service),
    volumes: v.nullish(v.record(v.string(), volume)),
  }),
})

type Model = v.InferOutput<typeof resolved>['model']

/**
 * The document of the command `check` of transaction.sh: a Compose model with mounts and container counts only, variables
 * filled in.
 */
function readModel(document: Document | undefined): Model {
  // A stack that was started by hand and adopted has no such model.
  if (!document) return { services: {} }
  return readJson(resolved, document, { what: 'The Compose model that the host filled in' }).model
}

/** Reads the mounts of each service, including those by `volumes_from`. */
export function readMounts(document: Document | undefined): Mounts {
  const { services, volumes } = readModel(document)
  const own = (name: string): readonly Mounted[] =>
    (services[name]?.volumes ?? []).flatMap((mount) => toMounted(mount, volumes ?? {}))
  return new Map(
    Object.entries(services).map(([name, { volumes_from }]) => {
      const lent = (volumes_from ?? []).map((text) => text.split(':')[0] ?? text)
      return [name, [name, ...lent].flatMap(own)]
    }),
  )
}

/** All mounts of these services; undefined when none of them is known. */
export function mountsOf(services: readonly string[], mounts: Mounts): readonly Mounted[] | undefined {
  const known = services.flatMap((service) => mounts.get(service) ?? [])
  return services.some((service) => mounts.has(service)) ? known : undefined
}

/** Reads the container counts of the Compose file. */
export function readCounts(document: Document | undefined): ReadonlyMap<string, number> {
  const services = Object.entries(readModel(document).services)
  return new Map(services.map(([name, { scale, deploy }]) => [name, Number(scale ?? deploy?.replicas ?? 1)]))
}

function toMounted(
  { type: kind, source, target, read_only: readOnly }: v.InferOutput<typeof entry>,
  volumes: NonNullable<Model['volumes']>,
): readonly Mounted[] {
  if (kind === 'bind') return [{ kind, source, target, readOnly }]
  // A volume without a source is anonymous: it belongs to its container.
  if (kind !== 'volume' || source === '') return []
  const { name = source, driver_opts } = volumes[source] ?? {}
  const device = driver_opts?.device
  return [{ kind, source: name, target, readOnly, ...(device !== undefined && { device }) }]
}

/** Stops when a path that a container has mounted now would get another source or none. */
export function checkMounts(facts: MountFacts): void {
  const moved = findMoves(facts).filter(({ isCode }) => !isCode)
  const [first] = moved
  if (!first) return
  throw new DeployError('mount-changed', {
    what: `The mount of service ${first.service} at ${first.now.target} would ${first.next ? 'get another source' : 'disappear'}`,
    seen: [...new Set(moved.map(lineOf))].join('\n'),
    why: 'the data would stay in the old source: the container would start with what the new source holds, often nothing',
    fix: 'mount the same volume or folder as now; if the data was moved on purpose, deploy once with `force: true`',
  })
}

/** Whether only failed deployments created this container. Nothing was committed, so it may get any definition. */
export function isRenewable(container: Container, server: Pick<Server, 'current' | 'served' | 'plans'>): boolean {
  // Without any plan, our records were removed, so the earlier release is unknown.
  const isFirst = server.current === undefined && server.served.length === 0 && server.plans.length > 0
  return isFirst && isOurs(container)
}

/** Warnings about folders that a stack started by hand has mounted over its code, for each service of the Django image. */
export function describeCodeMounts(facts: MountFacts): readonly string[] {
  const covered = findMoves(facts).filter(({ isCode, service }) => isCode && facts.django.includes(service))
  return covered.map(
    ({ service, now: { source, target } }) =>
      `${service} runs with the folder ${source} mounted at ${target}, over its code. Its new container runs the code of the image: what only that folder has, such as a local_settings.py that Git ignores, is no longer there. Mount such a file (\`volumes\`), and give its content with \`env-files\``,
  )
}

/** A mount of a container that its new container will not have. `isCode`: it covers code, and not data. */
type Move = { service: string; now: Mounted; next: Mounted | undefined; isCode: boolean }

const findMoves = (facts: MountFacts): readonly Move[] =>
  facts.containers.flatMap((container) => container.mounts.flatMap((now) => moveOf(container, now, facts)))

function moveOf({ service, folder }: Container, now: Mounted, { mounts, managePath, django }: MountFacts): Move[] {
  const wanted = mounts.get(service)
  if (!wanted) return []
  const next = wanted.find(({ target }) => plain(target) === plain(now.target))
  const move = [{ service, now, next, isCode: false }]
  if (next) {
    if (next.kind === now.kind && plain(next.source) === plain(now.source)) return []
    // A shipped file has a new path whenever its content changes.
    return now.kind === 'bind' && (isShipped(now) || isShipped(next)) ? [] : move
  }
  const isCode =
    now.kind === 'bind' &&
    (plain(now.source) === plain(folder) ||
      (django.includes(service) && managePath !== undefined && managePath.startsWith(`${plain(now.target)}/`)))
  if (isCode) return [{ service, now, next, isCode }]
  // A mount that the container cannot write to holds no data of it, such as secrets and configs.
  return now.readOnly || isShipped(now) || isAnonymous(now) ? [] : move
}

const plain = (path: string): string => path.replace(/(.)\/+$/, '$1')
const isShipped = ({ kind, source }: Mounted): boolean => kind === 'bind' && source.includes('/.deploy/')
const isAnonymous = ({ kind, source }: Mounted): boolean => kind === 'volume' && /^[0-9a-f]{64}$/.test(source)

function lineOf({ service, now, next }: Move): string {
  return `${service} ${now.target}: now ${now.source}, then ${next?.source ?? 'nothing'}`
}
