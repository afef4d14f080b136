import { isValues, listOf, pairsOf, textOf, textsOf, valuesOf, type Values } from './document.ts'
import { readMount, type Mount } from './mount.ts'
import { interpolate, splitOutside } from './variable.ts'

/** One service that must be there before another. */
type Dependency = { service: string; condition: string }

/** A service of the merged Compose model: what decisions need, typed; `values` is all of it. */
export type Service = {
  name: string
  values: Values
  /** As written, variables included. */
  image: string | undefined
  build: Values | undefined
  dependsOn: readonly Dependency[]
  /** Container ports that are published on the server. */
  ports: readonly number[]
  mounts: readonly Mount[]
  environment: ReadonlyMap<string, string | undefined>
  profiles: readonly string[]
}

/** Reads a service of the model that `docker compose config --no-interpolate` printed. */
export function readService(name: string, values: Values): Service {
  return {
    name,
    values,
    image: textOf(values['image']),
    build: typeof values['build'] === 'string' ? { context: values['build'] } : buildOf(values['build']),
    dependsOn: readDependencies(values),
    ports: [...new Set(listOf(values['ports']).flatMap(readPort))],
    mounts: listOf(values['volumes'])
      .map(readMount)
      .filter((mount) => mount !== undefined),
    environment: pairsOf(values['environment']),
    profiles: textsOf(values['profiles']),
  }
}

function buildOf(build: unknown): Values | undefined {
  return isValues(build) ? { context: '.', ...build } : undefined
}

function readDependencies(values: Values): readonly Dependency[] {
  const named = isValues(values['depends_on'])
    ? Object.entries(values['depends_on']).map(([service, entry]) => ({
        service,
        condition: textOf(valuesOf(entry)['condition']) ?? 'service_started',
      }))
    : textsOf(values['depends_on']).map((service) => ({ service, condition: 'service_started' }))
  const shared = ['network_mode', 'ipc', 'pid'].flatMap((key) => {
    const [kind, service] = (interpolate(textOf(values[key]) ?? '') ?? '').split(':')
    return kind === 'service' && service ? [service] : []
  })
  const linked = textsOf(values['links']).map((link) => link.split(':')[0] ?? link)
  const lent = textsOf(values['volumes_from'])
    .filter((entry) => !entry.startsWith('container:'))
    .map((entry) => entry.split(':')[0] ?? entry)
  const names = new Set(named.map(({ service }) => service))
  const implied = [...new Set([...shared, ...linked, ...lent])].filter((service) => !names.has(service))
  return [...named, ...implied.map((service) => ({ service, condition: 'service_started' }))]
}

/** The container's side of a published port; the first of a range. */
function readPort(entry: unknown): readonly number[] {
  if (isValues(entry)) return entry['published'] === undefined ? [] : toPort(textOf(entry['target']) ?? '')
  const text = textOf(entry)
  if (text === undefined) return []
  const parts = splitOutside(text.replace(/\[[^\]]*\]:/, ''), ':')
  // A port without a colon gets some free port of the server: nobody is meant to find it.
  return parts.length < 2 ? [] : toPort(parts.at(-1) ?? '')
}

function toPort(text: string): readonly number[] {
  const [, digits] = /^(\d{1,5})(?:-\d+)?(?:\/tcp)?$/.exec(interpolate(text) ?? '') ?? []
  return digits === undefined ? [] : [Number(digits)]
}
