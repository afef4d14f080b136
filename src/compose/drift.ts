import { createHash } from 'node:crypto'
import { canonical } from '../canonical.ts'
import { DeployError } from '../errors.ts'
import { sourcesOf } from './definition.ts'
import type { App } from './app.ts'
import { isValues, listOf, pairsOf, textsIn, valuesOf, type Values } from './document.ts'
import { withoutMark } from './mark.ts'
import { readMount, withoutSlash } from './mount.ts'
import { NOT_BUILT } from './pin.ts'
import { behindApp, readRoles, withRole, type Roles } from './role.ts'
import { interpolate, namesIn, withValues } from './variable.ts'

/** A service that keeps an older definition, and the keys in which the repository differs. */
export type Drift = {
  service: string
  keys: readonly string[]
  /** Variables in these keys that are new there or have another value now. */
  variables: readonly string[]
  /** Whether the Compose file is unchanged, so that only values of variables differ. */
  isOnlyValues: boolean
  /** Whether mounts of init scripts differ: `only` them, or something else `too`. */
  initScripts?: 'only' | 'too' | undefined
}

/** The values of `.env` in the current release and in the new one. */
export type Settings = { before: ReadonlyMap<string, string>; now: ReadonlyMap<string, string> }

/** No drift: env files and start order always come from the new release. */
const TAKEN_OVER = ['env_file', 'depends_on']
const CONTENTS = ['configs', 'secrets'] as const
const DEFINITIONS = ['volumes', 'networks', 'configs', 'secrets'] as const

/**
 * Services whose definition differs between the current model and the new one, with variables filled in from
 * `settings`. Without `settings` the host's own `.env` applies. Its older values are unknown, so the models are
 * compared as written.
 */
export function findDrifts(
  { model: before }: App,
  { model }: App,
  services: readonly string[],
  settings?: Settings,
): readonly Drift[] {
  const [was, will] = settings ? [filled(before, settings.before), filled(model, settings.now)] : [before, model]
  return services.flatMap((service) => {
    const keys = differences(was, will, service)
    if (keys.length === 0) return []
    const texts = (side: Values): readonly string[] => textsIn(keys.map((key) => partOf(side, service, key)))
    const old = new Set(texts(before).flatMap(namesIn))
    const isOther = (name: string): boolean => !old.has(name) || settings?.before.get(name) !== settings?.now.get(name)
    const variables = settings ? [...new Set(texts(model).flatMap(namesIn))].filter(isOther).sort() : []
    const isOnlyValues = differences(before, model, service).length === 0
    return [{ service, keys, variables, isOnlyValues, initScripts: findInitScripts(was, will, service, keys) }]
  })
}

const INIT_FOLDER = '/docker-entrypoint-initdb.d'

/** A mounted init script runs only for an empty data folder: no new container applies a changed one. */
function findInitScripts(
  before: Values,
  model: Values,
  service: string,
  keys: readonly string[],
): Drift['initScripts'] {
  const isInit = (entry: unknown): boolean => withoutSlash(`${readMount(entry)?.target}/`).startsWith(INIT_FOLDER)
  const [old, now] = [before, model].map((side) => listOf(definitionOf(side, service)?.['volumes']))
  const isSame = (wanted: boolean): boolean => {
    const [was, will] = [old, now].map((entries) => entries?.filter((entry) => isInit(entry) === wanted))
    return canonical(was) === canonical(will)
  }
  if (isSame(true)) return undefined
  return keys.length === 1 && isSame(false) ? 'only' : 'too'
}

/** The keys in which a service's definitions differ. Empty unless both releases run the service. */
function differences(before: Values, model: Values, service: string): readonly string[] {
  const [old, now] = [ownOf(before, service), ownOf(model, service)]
  if (!old || !now || old['image'] === NOT_BUILT) return []
  const keys = [...new Set([...Object.keys(old), ...Object.keys(now)])].filter(
    (key) => !TAKEN_OVER.includes(key) && canonical(old[key]) !== canonical(now[key]),
  )
  const contents = CONTENTS.filter((kind) => sourcesOf(now[kind]).some((name) => isOther(before, model, kind, name)))
  return [...new Set([...keys, ...contents])].sort()
}

/** The value of a service's key, with the definitions of the configs or secrets that it names. */
function partOf(model: Values, service: string, key: string): unknown {
  const part = definitionOf(model, service)?.[key]
  const kind = CONTENTS.find((one) => one === key)
  return kind ? [part, ...sourcesOf(part).map((name) => valuesOf(model[kind])[name])] : part
}

/** The model with the variables of `.env` filled in. A text that needs another variable stays as written. */
function filled(model: Values, settings: ReadonlyMap<string, string>): Values {
  const env = Object.fromEntries(settings)
  return mapTexts(withPassed(model, [...settings.keys()]), (text) => interpolate(text, env) ?? text)
}

/** The model in which changed variables have their old values; other variables stay. */
function settled(model: Values, { before, now }: Settings): Values {
  const names = new Set([...before.keys(), ...now.keys()].filter((name) => before.get(name) !== now.get(name)))
  const env = Object.fromEntries(before)
  return mapTexts(withPassed(model, [...names]), (text) => withValues(text, env, names))
}

/** `environment: [NAME]` passes a variable on, as `NAME: ${NAME}` does. */
function withPassed(model: Values, names: readonly string[]): Values {
  const services = Object.entries(valuesOf(model['services'])).map(([name, found]): [string, unknown] => {
    const values = valuesOf(found)
    const isPassed = ([key, value]: [string, unknown]): boolean => (value ?? null) === null && names.includes(key)
    const pairs = [...pairsOf(values['environment'])]
    if (!pairs.some(isPassed)) return [name, found]
    const environment = pairs.map((pair) => [pair[0], isPassed(pair) ? `\${${pair[0]}}` : (pair[1] ?? null)])
    return [name, { ...values, environment: Object.fromEntries(environment) }]
  })
  return services.length === 0 ? model : { ...model, services: Object.fromEntries(services) }
}

function mapTexts(values: Values, change: (text: string) => string): Values {
  const map = (value: unknown): unknown => {
    if (typeof value === 'string') return change(value)
    if (Array.isArray(value)) return value.map(map)
    return isValues(value) ? mapTexts(value, change) : value
  }
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, map(value)]))
}

/** A hash of what `findDrifts` compares. The host compares releases by it, because it reads no model. */
export function hashDefinition({ model }: App, service: string): string {
  const kept = Object.entries(ownOf(model, service) ?? {}).filter(([key]) => !TAKEN_OVER.includes(key))
  const contents = CONTENTS.map((kind) =>
    sourcesOf(Object.fromEntries(kept)[kind]).map((name) => valuesOf(model[kind])[name]),
  )
  return createHash('sha256')
    .update(canonical([kept, contents]))
    .digest('hex')
}

/** Whether a config or secret of the old model has another definition now. */
function isOther(before: Values, model: Values, kind: 'configs' | 'secrets', name: string): boolean {
  const [old, now] = [valuesOf(before[kind])[name], valuesOf(model[kind])[name]]
  return old !== undefined && canonical(old) !== canonical(now)
}

/** Stops when `update-services` names a service that is not behind the app: a changed definition of others is applied anyway. */
export function checkUpdates(update: readonly string[], { services }: Roles): void {
  const data = behindApp(services)
  const stranger = update.find((service) => !data.includes(service))
  if (stranger === undefined) return
  throw new DeployError('input-invalid', {
    what: `Input update-services names ${stranger}, which is not a stateful service`,
    fix:
      data.length > 0
        ? `use ${data.join(', ')}; services that a release replaces are always up to date`
        : 'remove update-services: there is no such service, and services that a release replaces are always up to date',
  })
}

/**
 * The warning for a service that keeps its definition. It names variables but not their values, which may be secret.
 */
export function describeDrift({ service, keys, variables, isOnlyValues, initScripts }: Drift, image = ''): string {
  const scripts = `Scripts in ${INIT_FOLDER} run only for an empty data folder, so a new container does not run them either: run their statements by hand, such as \`${clientOf(service, image)}\` in the project's folder on the host`
  if (initScripts === 'only') return `The init scripts of ${service} changed. ${scripts}`
  const parts = keys.join(', ')
  const names = variables.join(', ')
  const change = isOnlyValues
    ? `the value of ${names} in its ${parts} changed`
    : `${parts} changed in the Compose file${names === '' ? '' : `, or the value of ${names} did`}`
  return (
    `${service} stays as it was defined before, because it may hold data: ${change}. ` +
    `To apply the change: update-services: ${service}` +
    (keepsPassword(image) && (keys.includes('secrets') || variables.some((name) => /passw/i.test(name)))
      ? '. That does not change a password: the database keeps the password of its first start. Change it there with ALTER USER'
      : '') +
    (initScripts === 'too' ? `. ${scripts}` : '')
  )
}

/** The command that opens the client of a database in its container. */
function clientOf(service: string, image: string): string {
  const client = /mysql|maria|percona/.test(image)
    ? `${/maria/.test(image) ? 'mariadb' : 'mysql'} -u root -p`
    : `sh -c 'psql -U "\${POSTGRES_USER:-postgres}" $POSTGRES_DB'`
  return `docker compose exec ${service} ${client}`
}

/** PostgreSQL and MySQL read a password from the environment once, for an empty volume. */
function keepsPassword(image: string): boolean {
  return /postgres|postgis|timescale|pgvector|mysql|maria|percona/.test(image.split('/').at(-1) ?? '')
}

/** Services that the last release kept running and whose profile is no longer active: no release stops or updates them. */
export function findDormant(
  facts: ReadonlyMap<string, readonly string[]> | undefined,
  named: readonly string[],
  active: readonly string[],
  running: readonly string[],
): readonly string[] {
  return behindApp(readRoles(facts?.get('services'))).filter(
    (name) => named.includes(name) && !active.includes(name) && running.includes(name),
  )
}

/** The warning for a dormant service. */
export function describeDormant(service: string, profiles: readonly string[], project: string): string {
  return (
    `${service} keeps running as the last release left it, although none of its profiles (${profiles.join(', ')}) is active. ` +
    `To stop it, on the host: ${stopCommand(service, project)}`
  )
}

function stopCommand(service: string, project: string): string {
  const labels = [`project=${project}`, `service=${service}`].map(
    (label) => `--filter label=com.docker.compose.${label}`,
  )
  return `docker stop $(docker ps -q ${labels.join(' ')})`
}

/** Caches and databases of the current release that the Compose file no longer has. */
export function findAbandoned(
  facts: ReadonlyMap<string, readonly string[]> | undefined,
  named: readonly string[],
): readonly string[] {
  const before = readRoles(facts?.get('services'))
  return withRole(before, 'cache', 'database').filter((service) => !named.includes(service))
}

/** The warning for a service that the Compose file no longer has. */
export function describeAbandoned(service: string, project: string): string {
  return (
    `${service} is no longer in the Compose file; it stays as it is, because it may hold data. ` +
    `When nothing needs it, stop it on the host: ${stopCommand(service, project)}`
  )
}

/**
 * The model in which drifted services keep their definitions from `served`. Otherwise a manual `docker compose up -d`
 * would recreate a database with another image or an empty volume. Changed variables are replaced by their old values,
 * which only the old release has.
 */
export function keepDefinitions(
  served: Values,
  model: Values,
  drifts: readonly Drift[],
  settings: Settings | undefined,
): Values {
  const before = settings ? settled(served, settings) : served
  const kept = drifts.map(({ service }): [string, Values] => {
    const now = definitionOf(model, service) ?? {}
    const taken = TAKEN_OVER.flatMap((key) => (now[key] === undefined ? [] : [[key, now[key]]]))
    const old = Object.entries(definitionOf(before, service) ?? {}).filter(([key]) => !TAKEN_OVER.includes(key))
    return [service, Object.fromEntries([...old, ...taken])]
  })
  if (kept.length === 0) return model
  // Kept services still need definitions that only the old model has, such as a volume.
  const definitions = DEFINITIONS.flatMap((kind) => {
    const all = {
      ...valuesOf(before[kind]),
      ...valuesOf(model[kind]),
      ...keptContents(before, model, kind, Object.fromEntries(kept)),
    }
    return Object.keys(all).length === 0 ? [] : [[kind, all]]
  })
  const services = { ...valuesOf(model['services']), ...Object.fromEntries(kept) }
  return { ...model, ...Object.fromEntries(definitions), services }
}

/** The old definitions of configs and secrets that only kept services use: their containers run with these. */
function keptContents(before: Values, model: Values, kind: string, kept: Readonly<Record<string, Values>>): Values {
  if (kind !== 'configs' && kind !== 'secrets') return {}
  const others = Object.entries(valuesOf(model['services'])).filter(([name]) => !(name in kept))
  const taken = others.flatMap(([, values]) => sourcesOf(valuesOf(values)[kind]))
  const names = Object.values(kept).flatMap((values) => sourcesOf(values[kind]))
  return Object.fromEntries(
    Object.entries(valuesOf(before[kind])).filter(([name]) => names.includes(name) && !taken.includes(name)),
  )
}

function definitionOf(model: Values, service: string): Values | undefined {
  const found = valuesOf(model['services'])[service]
  return found === undefined ? undefined : valuesOf(found)
}

/** What the repository says of the service. */
function ownOf(model: Values, service: string): Values | undefined {
  const found = definitionOf(model, service)
  return found && withoutMark(found)
}
