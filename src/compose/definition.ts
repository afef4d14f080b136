import { checkAll, DeployError } from '../errors.ts'
import { isValues, listOf, pairsOf, textOf, textsOf, valuesOf, type Values } from './document.ts'
import type { Project } from './project.ts'
import type { Service } from './service.ts'
import { hasVariable } from './variable.ts'

/** A name of something that is defined beside the services. */
export type Use = { kind: 'volumes' | 'networks' | 'configs' | 'secrets'; name: string }

/** All that the service uses of these, as written. */
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

/** Stops for a name without a definition: Compose misses it only when it fills in the variables, which is on the server. */
export function checkDefinitions({ files, model, services }: Project): void {
  const isDefined = ({ kind, name }: Use): boolean =>
    hasVariable(name) || name in valuesOf(model[kind]) || (kind === 'networks' && name === 'default')
  // One that no profile starts is not looked at by Compose either.
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
        annotation: { file: files[0] ?? '' },
      })
    }),
  )
}

/** Stops for services without an image, and for builds that take something of a service that is not built. */
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
  const annotation = { file: project.files[0] ?? '' }
  checkAll(
    ...services.filter(isBare).map(({ name }) => () => {
      throw new DeployError('compose-invalid', {
        what: `Service ${name} has neither an image nor a build section`,
        why: `${project.files.join(' and ')} may be meant to lie over another file`,
        fix: `name that file in front, for example: ${over}`,
        annotation,
      })
    }),
    ...strangers.map(({ name, of }) => () => {
      throw new DeployError('compose-invalid', {
        what: `The build of service ${name} takes something of service ${of}, which is not built`,
        seen: `additional_contexts: service:${of}`,
        fix: `name a service with a build: section, or the file that has it in front: ${over}`,
        annotation,
      })
    }),
  )
}

/** One behind a profile may be a template for others. */
function isBare({ image, build, values, profiles }: Service): boolean {
  return !image && !build && !values['provider'] && profiles.length === 0
}
