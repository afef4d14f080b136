import { isValues, listOf, pairsOf, textOf, textsOf, valuesOf, type Values } from './document.ts'
import { envFilePath } from './env-file.ts'
import { readMount, strictTargets, type Mount } from './mount.ts'
import { findSharedNetwork, hostNames } from './one-off.ts'
import { readPorts, targetPorts, type Port } from './port.ts'
import { interpolate } from './variable.ts'

/** A service that must be there before another one. */
type Dependency = { service: string; condition: string }

/** A service of the merged Compose model. `values` is all of it; the other fields are typed for decisions. */
export type Service = {
  name: string
  values: Values
  /** As written, variables included. */
  image: string | undefined
  build: Values | undefined
  dependsOn: readonly Dependency[]
  /** All of `ports:`. */
  portEntries: readonly Port[]
  /** Container ports that are published on the host. */
  ports: readonly number[]
  mounts: readonly Mount[]
  /** Targets of mounts whose source must already be on the host. */
  strictTargets: readonly string[]
  /** Whether it has mounts by `volumes_from:` or `tmpfs:`. */
  hasOtherMounts: boolean
  environment: ReadonlyMap<string, string | undefined>
  profiles: readonly string[]
  /** `user`, `entrypoint` and `command` are undefined when the image decides. */
  user: string | undefined
  entrypoint: readonly string[] | undefined
  command: readonly string[] | undefined
  /** Paths of `env_file:`, as written. */
  envFiles: readonly string[]
  /** The names by which other containers reach it on its networks. */
  hostNames: readonly string[]
  /** Whose network it shares, if it has none of its own. */
  sharedNetwork: ReturnType<typeof findSharedNetwork>
  /** The service whose network it shares, by `network_mode: service:…`. */
  networkOf: string | undefined
}

/** Reads a service of the model that `docker compose config --no-interpolate` printed. */
export function readService(name: string, values: Values): Service {
  const portEntries = readPorts(values['ports'])
  return {
    name,
    values,
    image: textOf(values['image']),
    build: typeof values['build'] === 'string' ? { context: values['build'] } : buildOf(values['build']),
    dependsOn: readDependencies(values),
    portEntries,
    ports: targetPorts(portEntries),
    mounts: listOf(values['volumes'])
      .map(readMount)
      .filter((mount) => mount !== undefined),
    strictTargets: strictTargets(values),
    hasOtherMounts: values['volumes_from'] !== undefined || values['tmpfs'] !== undefined,
    environment: pairsOf(values['environment']),
    profiles: textsOf(values['profiles']),
    user: textOf(values['user']),
    entrypoint: wordsOf(values['entrypoint']),
    command: wordsOf(values['command']),
    envFiles: listOf(values['env_file']).flatMap((entry) => envFilePath(entry) ?? []),
    hostNames: hostNames(name, values),
    sharedNetwork: findSharedNetwork(values),
    networkOf: lenderOf(values, 'network_mode'),
  }
}

/** An empty list is kept: it clears the value of the image. Undefined or `null` keeps it. */
function wordsOf(value: unknown): readonly string[] | undefined {
  return value === undefined || value === null ? undefined : textsOf(value)
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
  const shared = ['network_mode', 'ipc', 'pid'].flatMap((key) => lenderOf(values, key) ?? [])
  const linked = textsOf(values['links']).map((link) => link.split(':')[0] ?? link)
  const lent = textsOf(values['volumes_from'])
    .filter((entry) => !entry.startsWith('container:'))
    .map((entry) => entry.split(':')[0] ?? entry)
  const names = new Set(named.map(({ service }) => service))
  const implied = [...new Set([...shared, ...linked, ...lent])].filter((service) => !names.has(service))
  return [...named, ...implied.map((service) => ({ service, condition: 'service_started' }))]
}

/** The service whose namespace this one uses, by `service:NAME` below a key such as `network_mode`. */
function lenderOf(values: Values, key: string): string | undefined {
  const [kind, service] = (interpolate(textOf(values[key]) ?? '') ?? '').split(':')
  return kind === 'service' && service ? service : undefined
}
