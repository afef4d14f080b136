import { checkAll, DeployError } from '../errors.ts'
import { isValues, listOf, pairsOf, textOf, textsOf, valuesOf, type Values } from './document.ts'
import { placeOfService } from './place.ts'
import type { Project } from './project.ts'
import type { Service } from './service.ts'
import { hasVariable } from './variable.ts'

/** A reference to a top-level definition. */
export type Use = { kind: 'volumes' | 'networks' | 'configs' | 'secrets'; name: string }

/** All top-level definitions that the service uses, with their names as written. */
export function usesOf({ values, mounts }: Service): readonly Use[] {
  const named: readonly [Use['kind'], readonly string[]][] = [
    ['volumes', mounts.flatMap(({ kind, source }) => (kind === 'volume' && source !== undefined ? [source] : []))],
    ['networks', networksOf(values)],
    ['configs', sourcesOf(values['configs'])],
    ['secrets', sourcesOf(values['secrets'])],
  ]
  return named.flatMap(([kind, names]) => names.map((name) => ({ kind, name })))
}

function networksOf({ networks, network_mode }: Values): readonly string[] {
  if (network_mode !== undefined) return []
  const names = isValues(networks) ? Object.keys(networks) : textsOf(networks)
  return names.length > 0 ? names : ['default']
}

/** Names of the configs or secrets that a service uses. */
export function sourcesOf(entries: unknown): readonly string[] {
  return listOf(entries).flatMap((entry) => textOf(isValues(entry) ? entry['source'] : entry) ?? [])
}

/** Stops for a name without a definition. Compose would report it only on the host, when it fills in the variables. */
export function checkDefinitions(project: Project): void {
  const { model, services } = project
  const isDefined = ({ kind, name }: Use): boolean =>
    hasVariable(name) || name in valuesOf(model[kind]) || (kind === 'networks' && name === 'default')
  // Skips services with profiles: Compose does not check inactive ones either.
  const always = [...services.values()].filter(({ profiles }) => profiles.length === 0)
  const missing = always.flatMap((service) =>
    usesOf(service)
      .filter((use) => !isDefined(use))
      .map((use) => ({ service: service.name, ...use })),
  )
  checkAll(
    ...missing.map(({ service, kind, name }) => () => {
      throw new DeployError('compose-invalid', {
        what: `Service ${service} uses ${name}, which is not defined below ${kind}:`,
        fix: `define ${name} below ${kind}:, or add the file that has it to compose-files`,
        annotation: placeOfService(project, service, kind),
      })
    }),
  )
}

/**
 * Stops for services with neither an image nor a build, and for builds that use the image of a service without a build.
 */
export function checkComplete(project: Project, base?: string): void {
  const services = [...project.services.values()]
  const names = services.filter(({ build }) => build).map(({ name }) => name)
  const strangers = services.flatMap(({ name, build }) =>
    [...pairsOf(build?.['additional_contexts']).values()].flatMap((context) => {
      const [, of] = /^service:(.+)$/.exec(context ?? '') ?? []
      return of === undefined || names.includes(of) ? [] : [{ name, of }]
    }),
  )
  const over = `compose-files: ${base ?? '<the file that has it>'} ${project.files.join(' ')}`
  checkAll(
    ...services.filter(isBare).map(({ name }) => () => {
      throw new DeployError('compose-invalid', {
        what: `Service ${name} has neither an image nor a build section`,
        why: `${project.files.join(' and ')} may override another file`,
        fix: `name that file first, for example: ${over}`,
        annotation: placeOfService(project, name),
      })
    }),
    ...strangers.map(({ name, of }) => () => {
      throw new DeployError('compose-invalid', {
        what: `The build of service ${name} uses the image of service ${of}, which is not built here`,
        seen: `additional_contexts: service:${of}`,
        fix: `name a service with a build: section, or put the file that has it first: ${over}`,
        annotation: placeOfService(project, name, 'build'),
      })
    }),
  )
}

/** A service behind a profile may lack both: it may be a template for others. */
export function isBare({ image, build, values, profiles }: Service): boolean {
  return !image && !build && !values['provider'] && profiles.length === 0
}
