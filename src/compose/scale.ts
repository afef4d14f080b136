import { DeployError } from '../errors.ts'
import { Unusable } from '../values.ts'
import { isValues, listOf, textOf, valuesOf, type Values } from './document.ts'
import { splitOutside } from './variable.ts'

/** How many containers of a service somebody asked for. */
export type Scale = { service: string; count: number }

/** How many containers of a service: `web=3`; none is a number as well. */
export function parseScale(text: string): Scale {
  const [, service, digits] = /^([A-Za-z0-9][A-Za-z0-9._-]*)=(\d{1,2})$/.exec(text) ?? []
  if (service === undefined) {
    throw new Unusable(`${text} is not service=number`, 'write for example web=3, with a number from 0 to 99')
  }
  return { service, count: Number(digits) }
}

/** How many containers of each service a Compose file wants, its variables filled in. */
export type Counts = ReadonlyMap<string, number>

/** What decides how many containers there will be. */
export type CountFacts = {
  /** The input `scale`. */
  asked: readonly Scale[]
  /** Of the release that serves, as far as it is known, and of the new one. */
  before: Counts
  now: Counts
  /** Services for which the last deployment wanted no container, and how many containers of each run. */
  unstarted: readonly string[]
  running: Counts
  /** What a release brings up, and services with data, which it leaves alone. */
  services: readonly string[]
  data: readonly string[]
  /** Services whose number stands in the Compose file. */
  explicit: readonly string[]
}

/** The numbers for the swap. */
export type CountPlan = {
  /** `service=number`, or without a number where the one in the Compose file counts; the others keep as many as they have. */
  scale: readonly string[]
  /** Services that will have no container. */
  unstarted: readonly string[]
  /** Where the number in the Compose file is not what will run. */
  warnings: readonly string[]
}

/** Decides how many containers of each service the swap brings up. */
export function chooseCounts(facts: CountFacts): CountPlan {
  const { asked, before, now, unstarted, running, services, data, explicit } = facts
  const stranger = asked.find(({ service }) => !services.includes(service))
  if (stranger !== undefined) {
    throw new DeployError('input-invalid', {
      what: `Input scale names ${stranger.service}, which a release does not bring up`,
      fix: `use one of: ${services.join(', ')}`,
    })
  }
  const wanted = (service: string): number => now.get(service) ?? 1
  // Of a release of an older version of the action the numbers are not known.
  const isChanged = (service: string): boolean =>
    before.has(service) && now.has(service) && before.get(service) !== now.get(service)
  const runs = (service: string): number => running.get(service) ?? 0
  const others = services.filter((service) => asked.every((scale) => scale.service !== service))
  const changed = others.filter(isChanged)
  const kept = others.filter((service) => !changed.includes(service))
  const none = kept.filter((service) => unstarted.includes(service) && runs(service) === 0 && wanted(service) > 0)
  const unknown = kept.filter(
    (service) =>
      explicit.includes(service) && !before.has(service) && runs(service) > 0 && runs(service) !== wanted(service),
  )
  return {
    scale: [
      ...asked.map(({ service, count }) => `${service}=${count}`),
      ...changed.map((service) => `${service}=`),
      ...none.map((service) => `${service}=0`),
    ],
    unstarted: [
      ...asked.filter(({ count }) => count === 0).map(({ service }) => service),
      ...others.filter((service) => none.includes(service) || wanted(service) === 0),
    ],
    warnings: [
      ...none.map(
        (service) =>
          `${service} still has no container, as the last deployment left it; the Compose file says ${wanted(service)}. To start it, deploy with scale: ${service}=${wanted(service)}`,
      ),
      ...unknown.map(
        (service) =>
          `${service} keeps as many containers as were started by hand, ${runs(service)}; the Compose file says ${wanted(service)}. To take that, deploy with scale: ${service}=${wanted(service)}`,
      ),
      ...data
        .filter((service) => !services.includes(service) && isChanged(service))
        .map(
          (service) =>
            `${service} stays as it is, because it may hold data: its number of containers changed from ${before.get(service)} to ${wanted(service)}. To take the change over: update-services: ${service}`,
        ),
    ],
  }
}

/** The numbers of a model whose variables are not filled in, where they do not depend on one. */
export function plainCounts(model: Values): Counts {
  return new Map(
    Object.entries(valuesOf(model['services'])).flatMap(([service, values]): [string, number][] => {
      const text = countOf(valuesOf(values)) ?? '1'
      return /^\d+$/.test(text) ? [[service, Number(text)]] : []
    }),
  )
}

/** Services whose number stands in the model. */
export function explicitCounts(model: Values): readonly string[] {
  return Object.entries(valuesOf(model['services'])).flatMap(([service, values]) =>
    countOf(valuesOf(values)) === undefined ? [] : [service],
  )
}

/** Stops when the service that runs Django would have no container: there would be no site. */
export function checkDjangoRuns(
  django: string,
  { unstarted }: CountPlan,
  { files }: { files: readonly string[] },
): void {
  if (!unstarted.includes(django)) return
  throw new DeployError('compose-invalid', {
    what: `Service ${django}, which runs Django, would have no container`,
    why: 'its `deploy.replicas` or `scale` is 0, in the Compose file, in the env file or in the input scale',
    fix: `give it one: scale: ${django}=1; or name the service that runs the site first in services`,
    annotation: { file: files[0] ?? '' },
  })
}

function countOf({ scale, deploy }: Values): string | undefined {
  return textOf(scale ?? valuesOf(deploy)['replicas'])
}

/** Stops when a service cannot have that many containers. */
export function checkScale({ service, count }: Scale, model: Values): void {
  const values = valuesOf(valuesOf(model['services'])[service])
  const name = textOf(values['container_name'])
  const port = listOf(values['ports'])
    .map(fixedPort)
    .find((text) => text !== undefined)
  if (count < 2 || (name === undefined && port === undefined)) return
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
