import { DeployError } from '../errors.ts'
import { sourcesOf } from './definition.ts'
import { canonical, valuesOf, type Values } from './document.ts'
import type { Roles } from './role.ts'

/** A service that runs as an older release defined it, and where the repository differs. */
export type Drift = { service: string; keys: readonly string[] }

/** Not the container itself: settings are the new release's, and so is the order. */
const TAKEN_OVER = ['env_file', 'depends_on']
const DEFINITIONS = ['volumes', 'networks', 'configs', 'secrets'] as const

/** Services whose definition differs between the model that serves and a newer one. */
export function findDrifts(before: Values, model: Values, services: readonly string[]): readonly Drift[] {
  return services.flatMap((service) => {
    const [old, now] = [definitionOf(before, service), definitionOf(model, service)]
    if (!old || !now) return []
    const keys = [...new Set([...Object.keys(old), ...Object.keys(now)])].filter(
      (key) => !TAKEN_OVER.includes(key) && canonical(old[key]) !== canonical(now[key]),
    )
    const contents = (['configs', 'secrets'] as const).filter((kind) =>
      sourcesOf(now[kind]).some((name) => isOther(before, model, kind, name)),
    )
    const all = [...new Set([...keys, ...contents])].sort()
    return all.length === 0 ? [] : [{ service, keys: all }]
  })
}

/** Whether a config or secret that both models have leads to another file. */
function isOther(before: Values, model: Values, kind: 'configs' | 'secrets', name: string): boolean {
  const [old, now] = [valuesOf(before[kind])[name], valuesOf(model[kind])[name]]
  return old !== undefined && canonical(old) !== canonical(now)
}

/** Stops when `update-services` names what is no service with data; all others take a changed definition anyway. */
export function checkUpdates(update: readonly string[], { data }: Roles): void {
  const stranger = update.find((service) => !data.includes(service))
  if (stranger === undefined) return
  throw new DeployError('input-invalid', {
    what: `Input update-services names ${stranger}, which is no service with data of its own`,
    fix:
      data.length > 0
        ? `use ${data.join(', ')}; what the release replaces is always up to date`
        : 'remove update-services: there is no such service, and what the release replaces is always up to date',
  })
}

/** What to say about a service that stays as it is. */
export function describeDrift({ service, keys }: Drift): string {
  return (
    `${service} stays as it was defined before, because it may hold data: ${keys.join(', ')} changed in the Compose file. ` +
    `To take the change over: update-services: ${service}`
  )
}

/** Services with data that the release which serves has and the Compose file has not; what ran to its end is no matter. */
export function findAbandoned(
  facts: ReadonlyMap<string, readonly string[]> | undefined,
  named: readonly string[],
): readonly string[] {
  const ended = facts?.get('once') ?? []
  return (facts?.get('data') ?? []).filter((service) => !ended.includes(service) && !named.includes(service))
}

/** What to say about a service with data that the Compose file has no more. */
export function describeAbandoned(service: string, project: string): string {
  const labels = [`project=${project}`, `service=${service}`].map(
    (label) => `--filter label=com.docker.compose.${label}`,
  )
  return (
    `${service} is no longer in the Compose file; it stays as it is, because it may hold data. ` +
    `When nothing needs it, on the server: docker stop $(docker ps -q ${labels.join(' ')})`
  )
}

/**
 * The model with the definitions of `before` for what drifted: nobody who starts the project by hand shall recreate a database
 * with another image, or with a volume that is empty.
 */
export function keepDefinitions(before: Values, model: Values, drifts: readonly Drift[]): Values {
  const kept = drifts.map(({ service }): [string, Values] => {
    const now = definitionOf(model, service) ?? {}
    const taken = TAKEN_OVER.flatMap((key) => (now[key] === undefined ? [] : [[key, now[key]]]))
    const old = Object.entries(definitionOf(before, service) ?? {}).filter(([key]) => !TAKEN_OVER.includes(key))
    return [service, Object.fromEntries([...old, ...taken])]
  })
  if (kept.length === 0) return model
  // What only the old definition names, such as its volume, is still needed.
  const definitions = DEFINITIONS.flatMap((kind) => {
    const all = {
      ...valuesOf(before[kind]),
      ...valuesOf(model[kind]),
      ...ownOf(before, model, kind, Object.fromEntries(kept)),
    }
    return Object.keys(all).length === 0 ? [] : [[kind, all]]
  })
  const services = { ...valuesOf(model['services']), ...Object.fromEntries(kept) }
  return { ...model, ...Object.fromEntries(definitions), services }
}

/** Configs and secrets that only services which stay use: those of before, as the containers have them. */
function ownOf(before: Values, model: Values, kind: string, kept: Readonly<Record<string, Values>>): Values {
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
