import { DeployError } from '../errors.ts'
import { Unusable } from '../values.ts'
import { isValues, listOf, textOf, valuesOf, type Values } from './document.ts'
import type { Roles } from './role.ts'
import { splitOutside } from './variable.ts'

/** How many containers of a service somebody asked for. */
export type Scale = { service: string; count: number }

/** How many containers of a service: `web=3`. */
export function parseScale(text: string): Scale {
  const [, service, digits] = /^([A-Za-z0-9][A-Za-z0-9._-]*)=(\d{1,2})$/.exec(text) ?? []
  if (service === undefined || Number(digits) < 1) {
    throw new Unusable(`${text} is not service=number`, 'write for example web=3, with a number from 1 to 99')
  }
  return { service, count: Number(digits) }
}

/** The counts for the swap, as `service=number`, or without a number where the one in the Compose file shall count. */
export function chooseCounts(asked: readonly Scale[], before: Values, model: Values, roles: Roles): readonly string[] {
  const services = [...roles.replaced.map(({ service }) => service), ...roles.others, ...roles.backing]
  const stranger = asked.find(({ service }) => !services.includes(service))
  if (stranger !== undefined) {
    throw new DeployError('input-invalid', {
      what: `Input scale names ${stranger.service}, which a release does not bring up`,
      fix: `use one of: ${services.join(', ')}`,
    })
  }
  const changed = services.filter((service) => {
    const [old, now] = [serviceOf(before, service), serviceOf(model, service)]
    return old && now && countOf(old) !== countOf(now) && asked.every((scale) => scale.service !== service)
  })
  return [...asked.map(({ service, count }) => `${service}=${count}`), ...changed.map((service) => `${service}=`)]
}

function serviceOf(model: Values, service: string): Values | undefined {
  const found = valuesOf(model['services'])[service]
  return found === undefined ? undefined : valuesOf(found)
}

function countOf({ scale, deploy }: Values): string | undefined {
  return textOf(scale ?? valuesOf(deploy)['replicas'])
}

/** Stops when a service cannot have that many containers. */
export function checkScale({ service, count }: Scale, model: Values): void {
  const values = serviceOf(model, service) ?? {}
  const name = textOf(values['container_name'])
  const port = listOf(values['ports'])
    .map(fixedPort)
    .find((text) => text !== undefined)
  if (count === 1 || (name === undefined && port === undefined)) return
  throw new DeployError('input-invalid', {
    what: `Service ${service} cannot have ${count} containers`,
    seen: name === undefined ? `ports: ${port}` : `container_name: ${name}`,
    why: 'only one container can have this name or port of the server',
    fix:
      name === undefined
        ? `let a proxy publish the port and reach ${service} by its name`
        : `remove container_name from ${service}: Compose names the containers by itself`,
  })
}

/** The port of the server that an entry of `ports:` takes, when it is no range. */
function fixedPort(entry: unknown): string | undefined {
  const published = isValues(entry) ? textOf(entry['published']) : splitOutside(textOf(entry) ?? '', ':').at(-2)
  return published === undefined || published.includes('-') ? undefined : published
}
