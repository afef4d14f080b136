import { isValues, listOf, textOf, textsOf, valuesOf, type Values } from '../compose/document.ts'
import { DeployError } from '../errors.ts'
import type { Container, Mounted } from '../server/container.ts'

/** What the new release mounts, by service, as Compose on the server resolves it. */
export type Mounts = ReadonlyMap<string, readonly Mounted[]>

/** What decides whether a changed mount is one that loses data. */
export type MountFacts = {
  containers: readonly Container[]
  mounts: Mounts
  /** manage.py in the image, and the services of that image. */
  managePath: string | undefined
  django: readonly string[]
}

/** Reads the document of the verb `check` of transaction.sh: a model of Compose with mounts only, its variables filled in. */
export function readMounts(document: Values | undefined): Mounts {
  const model = valuesOf(document?.['model'])
  const volumes = valuesOf(model['volumes'])
  const services = valuesOf(model['services'])
  const own = (name: string): readonly Mounted[] =>
    listOf(valuesOf(services[name])['volumes']).flatMap((entry) => resolve(entry, volumes))
  return new Map(
    Object.entries(services).map(([name, values]) => {
      const lent = textsOf(valuesOf(values)['volumes_from']).map((entry) => entry.split(':')[0] ?? entry)
      return [name, [name, ...lent].flatMap(own)]
    }),
  )
}

/** Reads the numbers of containers that the Compose file wants, in the same document. */
export function readCounts(document: Values | undefined): ReadonlyMap<string, number> {
  const services = Object.entries(valuesOf(valuesOf(document?.['model'])['services']))
  return new Map(
    services.map(([name, values]) => {
      const { scale, deploy } = valuesOf(values)
      return [name, Number(textOf(scale ?? valuesOf(deploy)['replicas']) ?? 1)]
    }),
  )
}

function resolve(entry: unknown, volumes: Values): readonly Mounted[] {
  if (!isValues(entry)) return []
  const { type: kind, source: from } = entry
  const [source, target, readOnly] = [textOf(from) ?? '', textOf(entry['target']) ?? '', entry['read_only'] === true]
  if (kind === 'bind') return [{ kind, source, target, readOnly }]
  // Without a source it is an anonymous volume, which travels along with its container.
  if (kind !== 'volume' || source === '') return []
  const volume = valuesOf(volumes[source])
  const device = textOf(valuesOf(volume['driver_opts'])['device'])
  const folder = device === undefined ? {} : { device }
  return [{ kind, source: textOf(volume['name']) ?? source, target, readOnly, ...folder }]
}

/** Stops when a path that a container has mounted now would come from elsewhere or from nowhere. */
export function checkMounts(facts: MountFacts): void {
  const moved = facts.containers.flatMap((container) =>
    container.mounts.flatMap((now) => moveOf(container, now, facts)),
  )
  const [first] = moved
  if (!first) return
  throw new DeployError('mount-changed', {
    what: `What service ${first.service} has mounted at ${first.now.target} would come from ${first.next ? 'elsewhere' : 'nowhere'}`,
    seen: [...new Set(moved.map(lineOf))].join('\n'),
    why: 'the data of the container would stay behind: it would start with what lies in the other place, often nothing',
    fix: 'mount the same volume or folder as now',
  })
}

type Move = { service: string; now: Mounted; next: Mounted | undefined }

function moveOf({ service, folder }: Container, now: Mounted, { mounts, managePath, django }: MountFacts): Move[] {
  const wanted = mounts.get(service)
  if (!wanted) return []
  const next = wanted.find(({ target }) => plain(target) === plain(now.target))
  const move = [{ service, now, next }]
  if (next) {
    if (next.kind === now.kind && plain(next.source) === plain(now.source)) return []
    // A file of the repository lies under the address of its content.
    return now.kind === 'bind' && (isShipped(now) || isShipped(next)) ? [] : move
  }
  // What the container cannot write is no data of it; secrets and configs are mounted so.
  if (now.readOnly || isShipped(now) || isAnonymous(now)) return []
  const isCode =
    now.kind === 'bind' &&
    (plain(now.source) === plain(folder) ||
      (django.includes(service) && managePath !== undefined && managePath.startsWith(`${plain(now.target)}/`)))
  return isCode ? [] : move
}

const plain = (path: string): string => path.replace(/(.)\/+$/, '$1')
const isShipped = ({ kind, source }: Mounted): boolean => kind === 'bind' && source.includes('/.deploy/')
const isAnonymous = ({ kind, source }: Mounted): boolean => kind === 'volume' && /^[0-9a-f]{64}$/.test(source)

function lineOf({ service, now, next }: Move): string {
  return `${service} ${now.target}: now ${now.source}, then ${next?.source ?? 'nothing'}`
}
