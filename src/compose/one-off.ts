import { isValues, listOf, pairsOf, textOf, textsOf, valuesOf, type Values } from './document.ts'
import { readMount } from './mount.ts'
import { interpolate } from './variable.ts'

/**
 * The model of the containers that plan, migrate and collect. They are no part of the site: whatever looks for containers of the
 * service, such as a proxy, a watcher or a scheduler, must not find them.
 */
export type OneOff = {
  /** `run.yaml`, and in `run/` what the host adds to it for a network or a volume that is there, or is not. */
  files: readonly { path: string; model: Values }[]
  /** Networks and volumes that Compose would create: their key, and their name or `-` when the host has to know it. */
  networks: readonly string[]
  volumes: readonly string[]
}

/** What a service has because it serves, or because it has to keep running. */
const SERVING = [
  ...['labels', 'label_file', 'ports', 'expose', 'container_name', 'hostname', 'domainname', 'mac_address'],
  ...['restart', 'scale', 'depends_on', 'profiles', 'post_start', 'pre_stop', 'develop'],
]
/** Of an entry of `networks:`. */
const ADDRESSES = ['ipv4_address', 'ipv6_address', 'link_local_ips', 'mac_address', 'aliases']
/** With one of these set, nginx-proxy and its companion take a container for a site. */
const PROXY_VARIABLES = ['VIRTUAL_HOST', 'VIRTUAL_HOST_MULTIPORTS', 'LETSENCRYPT_HOST']

/** `docker logs` has to read what a one-off says, and its service or the daemon may have a driver that it cannot read. */
const INSTEAD: Values = { logging: { driver: 'json-file' }, healthcheck: { disable: true } }

/** The one-off model of a service, out of the pinned model of the project that has this name. */
export function oneOffModel(model: Values, service: string, project: string): OneOff {
  const values = valuesOf(valuesOf(model['services'])[service])
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
    // What a variable chooses may be any of them.
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
      ...ownVolumes.map((key) => ({
        path: `run/no-volume-${key}.yaml`,
        // An anonymous volume: it starts as the real one would, and goes with its container.
        model: add({ volumes: (volumes.get(key) ?? []).map((target) => ({ type: 'volume', target })) }),
      })),
    ],
    networks: lines('networks', ownNetworks),
    volumes: lines('volumes', ownVolumes),
  }
}

/**
 * The same for a stack whose model only the host knows: laid over its Compose files, it removes what serves. `networks` are
 * those that a container of the service is in; none when it has no network of its own.
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

/** What comes back after `oneOffOverlay`: a driver that can be read, and the networks by the names that they have. */
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

/** The settings as they are, the variables of proxies empty: an env file that only the host has may set them as well. */
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

/** Networks by key, without what belongs to one container only; none when the service shares another network. */
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

/** Where named volumes are mounted, by key. */
function volumesOf(values: Values): ReadonlyMap<string, readonly string[]> {
  const targets = new Map<string, readonly string[]>()
  for (const mount of listOf(values['volumes']).map(readMount)) {
    if (mount?.kind !== 'volume' || mount.source === undefined) continue
    const key = interpolate(mount.source)
    if (key !== undefined && key !== '') targets.set(key, [...(targets.get(key) ?? []), mount.target])
  }
  return targets
}

/** The services in whose network, processes or volumes the container has a part: their containers are there, and stay. */
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

/** A name that the host can compare, which it cannot while a variable is in it. */
const plain = (name: string): string => (/^[\w.-]+$/.test(name) ? name : '-')
