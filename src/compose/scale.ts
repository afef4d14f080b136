import { DeployError } from '../errors.ts'
import { Unusable } from '../inputs/values.ts'
import type { App } from './app.ts'
import { textOf, valuesOf, type Values } from './document.ts'
import { fixedPort } from './port.ts'
import { placeOfService } from './place.ts'
import type { Project } from './project.ts'

/** The requested number of containers. */
export type Scale = { service: string; count: number }

/** Parses `web=3`; 0 is allowed. */
export function parseScale(text: string): Scale {
  const [, service, digits] = /^([A-Za-z0-9][A-Za-z0-9._-]*)=(\d{1,2})$/.exec(text) ?? []
  if (service === undefined) {
    throw new Unusable(`${text} is not service=number`, 'write for example web=3, with a number from 0 to 99')
  }
  return { service, count: Number(digits) }
}

/** Container counts by service. */
export type Counts = ReadonlyMap<string, number>

/** The parameters of `chooseCounts`. */
export type CountFacts = {
  /** The input `scale`. */
  asked: readonly Scale[]
  /** Counts of the current release (as far as known) and of the new one. */
  before: Counts
  now: Counts
  /** `unstarted`: services that the last deployment left without containers. `running`: the containers that run now. */
  unstarted: readonly string[]
  running: Counts
  /** `services`: brought up by the release. `data`: stateful services, which it does not change. */
  services: readonly string[]
  data: readonly string[]
  /** Services whose count is written in the Compose file. */
  explicit: readonly string[]
}

/** The container counts for the swap. */
export type CountPlan = {
  /**
   * `service=number`; `service=` takes the number of the Compose file. Other services keep their number of containers.
   */
  scale: readonly string[]
  /** Services that will have no container. */
  unstarted: readonly string[]
  /** Warnings about services whose number of containers is not the one in the Compose file. */
  warnings: readonly string[]
}

/** Decides how many containers of each service the swap starts. */
export function chooseCounts(facts: CountFacts): CountPlan {
  const { asked, before, now, unstarted, running, services, data, explicit } = facts
  const stranger = asked.find(({ service }) => !services.includes(service))
  if (stranger !== undefined) {
    throw new DeployError('input-invalid', {
      what: `Input scale names ${stranger.service}, which a release does not start`,
      fix: `use one of: ${services.join(', ')}`,
    })
  }
  const wanted = (service: string): number => now.get(service) ?? 1
  // The counts of a release from an older version of the action are not known.
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
          `${service} keeps as many containers as were started by hand, ${runs(service)}; the Compose file says ${wanted(service)}. To apply that, deploy with scale: ${service}=${wanted(service)}`,
      ),
      ...data
        .filter((service) => !services.includes(service) && isChanged(service))
        .map(
          (service) =>
            `${service} stays as it is, because it may hold data: its number of containers changed from ${before.get(service)} to ${wanted(service)}. To apply the change: update-services: ${service}`,
        ),
    ],
  }
}

/** The counts of a model with unfilled variables, except those that depend on a variable. */
export function plainCounts({ services }: Pick<App, 'services'>): Counts {
  return new Map(
    [...services].flatMap(([service, { values }]): [string, number][] => {
      const text = countOf(values) ?? '1'
      return /^\d+$/.test(text) ? [[service, Number(text)]] : []
    }),
  )
}

/** Services whose count is written in the model. */
export function explicitCounts({ services }: Pick<App, 'services'>): readonly string[] {
  return [...services].flatMap(([service, { values }]) => (countOf(values) === undefined ? [] : [service]))
}

/** Stops when the service that runs Django would have no container: there would be no site. */
export function checkDjangoRuns(
  django: string,
  { unstarted }: CountPlan,
  project: Pick<Project, 'files' | 'sources'>,
): void {
  if (!unstarted.includes(django)) return
  throw new DeployError('compose-invalid', {
    what: `Service ${django}, which runs Django, would have no container`,
    why: 'its `deploy.replicas` or `scale` is 0, in the Compose file, in the env file or in the input scale',
    fix: `give it one: scale: ${django}=1; or name the service that runs the site first in services`,
    annotation: placeOfService(project, django),
  })
}

function countOf({ scale, deploy }: Values): string | undefined {
  return textOf(scale ?? valuesOf(deploy)['replicas'])
}

/** Stops when a service cannot have that many containers. */
export function checkScale({ service, count }: Scale, { services }: Pick<App, 'services'>): void {
  const { values = {}, portEntries = [] } = services.get(service) ?? {}
  const name = textOf(values['container_name'])
  const port = fixedPort(portEntries)
  if (count < 2 || (name === undefined && port === undefined)) return
  throw new DeployError('input-invalid', {
    what: `Service ${service} cannot have ${count} containers`,
    seen: name === undefined ? `ports: ${port}` : `container_name: ${name}`,
    why: 'only one container can have this name or port of the host',
    fix:
      name === undefined
        ? `let a proxy publish the port and reach ${service} by its name`
        : `remove container_name from ${service}: Compose then names the containers itself`,
  })
}
