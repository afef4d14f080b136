import { isValues, listOf, pairsOf, textOf, textsOf, valuesOf, type Values } from './document.ts'
import { readMount } from './mount.ts'
import { interpolate } from './variable.ts'

/**
 * The model of containers beside the site: for plan, backup, migrations, static files and trial. Programs that look for
 * the service's containers, such as a proxy, a watcher or a scheduler, must not find them.
 */
export type OneOff = {
  /**
   * `run.yaml`, and overlays in `run/`. The host adds those for a trial, and for networks and volumes that exist or are
   * missing.
   */
  files: readonly { path: string; model: Values }[]
  /** `key name` of the networks and volumes that Compose would create. The name is `-` when a variable is in it. */
  networks: readonly string[]
  volumes: readonly string[]
}

/** Keys that a service has because it serves visitors or must keep running. */
const SERVING = [
  ...['labels', 'label_file', 'ports', 'expose', 'container_name', 'hostname', 'domainname', 'mac_address'],
  ...['restart', 'scale', 'depends_on', 'profiles', 'post_start', 'pre_stop', 'develop'],
]
/** Keys in an entry of `networks:` that belong to one container only. */
const ADDRESSES = ['ipv4_address', 'ipv6_address', 'link_local_ips', 'mac_address', 'aliases']
/** nginx-proxy and its companion treat a container with one of these variables as a site. */
const PROXY_VARIABLES = ['VIRTUAL_HOST', 'VIRTUAL_HOST_MULTIPORTS', 'LETSENCRYPT_HOST']

/** `docker logs` must read the output of a one-off. The log driver of the service or the daemon may not allow that. */
const INSTEAD: Values = { logging: { driver: 'json-file' }, healthcheck: { disable: true } }

/**
 * Derives the one-off model of a service from the pinned model of the project with this name. It also mounts what the
 * other Django services (`siblings`) mount. The volume of the static files may belong to one of them.
 */
export function oneOffModel(model: Values, service: string, project: string, siblings: readonly string[] = []): OneOff {
  const values = withMountsOf(siblings, valuesOf(model['services']), service)
  const owned = (kind: 'networks' | 'volumes', key: string): boolean =>
    valuesOf(valuesOf(model[kind])[key])['external'] !== true
  const joined = networksOf(values)
  const ownNetworks = [...joined.keys()].filter((key) => owned('networks', key))
  const given = [...joined].filter(([key]) => !owned('networks', key))
  const volumes = volumesOf(values)
  const ownVolumes = [...volumes.keys()].filter((key) => owned('volumes', key))
  const add = (more: Values): Values => ({ services: { [service]: more } })
  const join = (key: string, definition: unknown): Values => ({
    ...add({ networks: { [key]: joined.get(key) ?? null } }),
    networks: { [key]: definition },
  })
  const nameOf = (kind: 'networks' | 'volumes', key: string): string =>
    textOf(valuesOf(valuesOf(model[kind])[key])['name']) ?? `${project}_${key}`
  const lines = (kind: 'networks' | 'volumes', keys: readonly string[]): string[] =>
    keys.map((key) => `${key} ${plain(nameOf(kind, key))}`)

  const own: Values = {
    ...pick(model, ['secrets', 'configs']),
    name: project,
    services: {
      ...referred(values, valuesOf(model['services'])),
      [service]: { ...strip(values), ...(given.length > 0 && { networks: Object.fromEntries(given) }) },
    },
    // All volumes stay: a variable may choose any of them.
    ...pick(model, ['volumes']),
    networks: pick(
      valuesOf(model['networks']),
      given.map(([key]) => key),
    ),
  }
  return {
    files: [
      { path: 'run.yaml', model: own },
      ...ownNetworks.flatMap((key) => [
        { path: `run/network-${key}.yaml`, model: join(key, { name: nameOf('networks', key), external: true }) },
        { path: `run/new-network-${key}.yaml`, model: join(key, valuesOf(model['networks'])[key] ?? null) },
      ]),
      ...(ownNetworks.length > 0 && given.length === 0
        ? [{ path: 'run/no-network.yaml', model: add({ network_mode: 'bridge' }) }]
        : []),
      ...(findSharedNetwork(values) === undefined
        ? [{ path: 'run/try.yaml', model: add(trial(service, values)) }]
        : []),
      ...ownVolumes.map((key) => ({
        path: `run/no-volume-${key}.yaml`,
        // An anonymous volume starts with the same content as the real one, and is removed with its container.
        model: add({ volumes: (volumes.get(key) ?? []).map((target) => ({ type: 'volume', target })) }),
      })),
    ],
    networks: lines('networks', ownNetworks),
    volumes: lines('volumes', ownVolumes),
  }
}

/**
 * What a trial container adds to the one-off model: the health check, and its own names as 127.0.0.1. On the network
 * these names lead to the current release.
 */
function trial(service: string, values: Values): Values {
  const own = hostNames(service, values)
  const added = isValues(values['extra_hosts'])
    ? Object.fromEntries(own.map((name) => [name, '127.0.0.1']))
    : own.map((name) => `${name}:127.0.0.1`)
  return { healthcheck: { disable: false, ...valuesOf(values['healthcheck']) }, extra_hosts: added }
}

/** The names of a service's containers on its networks, except names with a variable. */
export function hostNames(service: string, values: Values): readonly string[] {
  const aliases = Object.values(valuesOf(values['networks'])).flatMap((entry) => textsOf(valuesOf(entry)['aliases']))
  const named = ['container_name', 'hostname'].flatMap((key) => textOf(values[key]) ?? [])
  return [...new Set([service, ...named, ...aliases])].filter((name) => plain(name) !== '-')
}

/** Whose network a service shares, if any. Two containers in one network cannot listen on the same port. */
export function findSharedNetwork(
  values: Values,
): 'the host' | 'another container' | 'what a variable names' | undefined {
  const mode = interpolate(textOf(values['network_mode']) ?? '')
  if (mode === undefined) return 'what a variable names'
  return mode === 'host' ? 'the host' : /^(service|container):/.test(mode) ? 'another container' : undefined
}

/**
 * The one-off model of a stack whose model only the host knows. It is an overlay that resets the keys for serving.
 * `networks` are those of the service's container; empty when the service shares another network.
 */
export function oneOffOverlay(service: string, networks: readonly string[]): string {
  const reset = [...SERVING, 'logging', ...(networks.length > 0 ? ['networks', 'network_mode'] : [])]
  const name = JSON.stringify(service)
  return [
    `services: {${name}: {`,
    ...reset.map((key) => `  ${key}: !reset null,`),
    '  deploy: {labels: !reset null, replicas: !reset null, restart_policy: !reset null},',
    '  healthcheck: {test: !reset null, disable: true},',
    `  environment: {${PROXY_VARIABLES.map((variable) => `${variable}: ""`).join(', ')}},`,
    '}}\n',
  ].join('\n')
}

/** What follows `oneOffOverlay`: a log driver that `docker logs` can read, and the networks by their real names. */
export function oneOffRest(service: string, networks: readonly string[]): Values {
  const joined = networks.map((name, index): [string, Values] => [`joined${index}`, { name, external: true }])
  return {
    services: {
      [service]: {
        logging: INSTEAD['logging'],
        ...(joined.length > 0 && { networks: Object.fromEntries(joined.map(([key]) => [key, null])) }),
      },
    },
    networks: Object.fromEntries(joined),
  }
}

function strip(values: Values): Values {
  const dropped = [...SERVING, 'networks', 'environment', 'deploy', ...Object.keys(INSTEAD)]
  const rest = Object.fromEntries(Object.entries(values).filter(([key]) => !dropped.includes(key)))
  const resources = valuesOf(values['deploy'])['resources']
  const environment = withoutProxies(values)
  return {
    ...rest,
    ...INSTEAD,
    ...(resources === undefined ? {} : { deploy: { resources } }),
    ...(environment === undefined ? {} : { environment }),
  }
}

/**
 * The environment with empty proxy variables. With an env file they are always emptied: the file may set them on the
 * host.
 */
function withoutProxies(values: Values): unknown {
  const named = pairsOf(values['environment'])
  const found = PROXY_VARIABLES.filter((name) => named.has(name) || values['env_file'] !== undefined)
  if (found.length === 0) return values['environment']
  if (Array.isArray(values['environment'])) {
    const others = values['environment'].filter((entry) => !found.includes((textOf(entry) ?? '').replace(/=.*$/s, '')))
    return [...others, ...found.map((name) => `${name}=`)]
  }
  return { ...valuesOf(values['environment']), ...Object.fromEntries(found.map((name) => [name, ''])) }
}

/** Networks by key, without keys that belong to one container only. Empty when the service shares another network. */
function networksOf(values: Values): ReadonlyMap<string, unknown> {
  if (values['network_mode'] !== undefined) return new Map()
  const networks = values['networks'] ?? 'default'
  if (!isValues(networks)) return new Map(textsOf(networks).map((key) => [key, null]))
  return new Map(
    Object.entries(networks).map(([key, entry]) => {
      const kept = Object.entries(valuesOf(entry)).filter(([name]) => !ADDRESSES.includes(name))
      return [key, kept.length === 0 ? null : Object.fromEntries(kept)]
    }),
  )
}

/** The service with its siblings' writable mounts added, except at targets that it mounts itself. */
function withMountsOf(siblings: readonly string[], services: Values, service: string): Values {
  const values = valuesOf(services[service])
  const own = listOf(values['volumes'])
  const taken = new Set(own.map((entry) => readMount(entry)?.target))
  const added = siblings
    .flatMap((name) => listOf(valuesOf(services[name])['volumes']))
    .filter((entry) => {
      const mount = readMount(entry)
      if (mount?.source === undefined || mount.readOnly || taken.has(mount.target)) return false
      taken.add(mount.target)
      return mount.kind === 'volume' || mount.kind === 'bind'
    })
  return added.length === 0 ? values : { ...values, volumes: [...own, ...added] }
}

/** The targets of named volumes, by volume key. */
function volumesOf(values: Values): ReadonlyMap<string, readonly string[]> {
  const targets = new Map<string, readonly string[]>()
  for (const mount of listOf(values['volumes']).map(readMount)) {
    if (mount?.kind !== 'volume' || mount.source === undefined) continue
    const key = interpolate(mount.source)
    if (key !== undefined && key !== '') targets.set(key, [...(targets.get(key) ?? []), mount.target])
  }
  return targets
}

/** Services whose network, processes or volumes the container shares. They are stubs: their containers already run. */
function referred(values: Values, services: Values): Values {
  const shared = ['network_mode', 'ipc', 'pid'].flatMap((key) => {
    const [kind, name] = (textOf(values[key]) ?? '').split(':')
    return kind === 'service' && name !== undefined ? [name] : []
  })
  const others = [...textsOf(values['links']), ...textsOf(values['volumes_from'])].map(
    (text) => text.split(':')[0] ?? '',
  )
  const names = [...shared, ...others].filter((name) => services[name] !== undefined)
  return Object.fromEntries(
    names.map((name) => [name, { image: valuesOf(services[name])['image'], network_mode: 'none' }]),
  )
}

function pick(values: Values, keys: readonly string[]): Values {
  return Object.fromEntries(keys.flatMap((key) => (values[key] === undefined ? [] : [[key, values[key]]])))
}

/** The name, or `-` when a variable in it keeps the host from comparing it. */
const plain = (name: string): string => (/^[\w.-]+$/.test(name) ? name : '-')
