import { isValues, listOf, textOf, textsOf, valuesOf, type Values } from './document.ts'
import { readMount, withoutSlash } from './mount.ts'
import type { Project } from './project.ts'
import { interpolate, splitOutside } from './variable.ts'

/** A named volume over a path of an image: Docker fills it from the image only while it is empty. */
export type Covered = {
  service: string
  target: string
  /** `key` is its name in the Compose file. `name` is its name on the host; undefined when it needs a variable. */
  key: string
  name: string | undefined
  /** All services that mount it. */
  users: readonly string[]
}

/** The named volumes of the services `among`. Skips `nocopy: true`: Docker never fills such a volume, on purpose. */
export function findCovered({ services, model }: Project, name: string, among: readonly string[]): readonly Covered[] {
  const all = [...services.values()]
  return among.flatMap((service) =>
    listOf(services.get(service)?.values['volumes']).flatMap((entry) => {
      const { kind, source: key, target: written = '' } = readMount(entry) ?? {}
      const target = interpolate(written)
      if (kind !== 'volume' || key === undefined || target === undefined || isNeverFilled(entry)) return []
      const users = all.filter(({ mounts }) => mounts.some(({ source }) => source === key)).map((user) => user.name)
      return [{ service, target: withoutSlash(target), key, name: nameOf(model, key, name), users }]
    }),
  )
}

function isNeverFilled(entry: unknown): boolean {
  if (isValues(entry)) return valuesOf(entry['volume'])['nocopy'] === true
  return typeof entry === 'string' && (splitOutside(entry, ':')[2] ?? '').split(',').includes('nocopy')
}

function nameOf(model: Values, key: string, project: string): string | undefined {
  const definition = valuesOf(valuesOf(model['volumes'])[key])
  return interpolate(textOf(definition['name']) ?? (definition['external'] === true ? key : `${project}_${key}`))
}

/** A folder that an image declares as a volume (`VOLUME` in its Dockerfile), and on which the Compose file mounts nothing. */
export type ImageVolume = { service: string; target: string }

/** Such folders of the services `among`, which run an image with these volumes. */
export function findImageVolumes(
  { services }: Pick<Project, 'services'>,
  among: readonly string[],
  volumes: readonly string[],
): readonly ImageVolume[] {
  return among.flatMap((service) => {
    const { mounts = [], values = {} } = services.get(service) ?? {}
    const memory = textsOf(values['tmpfs']).map((entry) => entry.split(':')[0] ?? '')
    const mounted = [...mounts.map(({ target }) => interpolate(target) ?? target), ...memory].map(withoutSlash)
    const own = volumes.map(withoutSlash).filter((target) => !mounted.includes(target))
    return own.map((target) => ({ service, target }))
  })
}
