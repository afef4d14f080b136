import { usesOf } from './definition.ts'
import { isValues, listOf, textOf, textsOf, valuesOf, type Values } from './document.ts'
import { readMount, withSource } from './mount.ts'
import type { Placement } from './placement.ts'
import type { Project } from './project.ts'

/** What pins a model to a release: its images by service, and the placement of its files. */
export type Pins = {
  project: Project
  name: string
  release: string
  images: ReadonlyMap<string, string>
  placement: Placement
  /** The input `profiles`. Their services are part of the release, whatever profiles the host's settings name. */
  profiles: readonly string[]
}

/**
 * The image of services that are not built because their profile is inactive. Compose requires an image for each.
 * No registry can have it: RFC 2606 reserves `.invalid`.
 */
export const NOT_BUILT = 'deploy-django.invalid/not-built'

/** The model of a release: no build sections, images by digest, repository files by content address. */
export function pin({ project, name, release, images, placement, profiles }: Pins): Values {
  const built = [...project.services.values()].flatMap((service) =>
    service.build || images.has(service.name) ? [service.name] : [],
  )
  const model = containerModel(project, built)
  const services = Object.entries(valuesOf(model['services'])).map(([service, found]) => {
    const values = valuesOf(found)
    return [
      service,
      {
        ...values,
        ...(built.includes(service) ? { image: images.get(service) ?? NOT_BUILT } : {}),
        ...(textsOf(values['profiles']).some((profile) => ['*', profile].some((one) => profiles.includes(one)))
          ? { profiles: undefined }
          : {}),
        ...movedFiles(values, placement, `./.deploy/releases/${release}/env`),
      },
    ]
  })
  return {
    ...model,
    name,
    services: Object.fromEntries(services),
    ...movedDefinitions('configs', model, placement),
    ...movedDefinitions('secrets', model, placement),
  }
}

/**
 * The part of the model that containers need. It has no builds, no images that are built here, and no unused configs
 * and secrets. The host must not need what only a build needs.
 */
export function containerModel({ model, services }: Project, built: readonly string[]): Values {
  const uses = [...services.values()].flatMap(usesOf)
  const kept = Object.entries(model).flatMap(([key, value]): [string, unknown][] => {
    if (key.startsWith('x-') || key === 'version') return []
    if (key !== 'configs' && key !== 'secrets') return [[key, value]]
    const used = Object.entries(valuesOf(value)).filter(([name]) =>
      uses.some((use) => use.kind === key && use.name === name),
    )
    return [[key, Object.fromEntries(used)]]
  })
  const withoutBuilds = Object.entries(valuesOf(model['services'])).map(([name, values]): [string, Values] => {
    // `pull_policy` is dropped too: only the digest can be pulled, and the host's login lasts for one pull.
    const dropped = ['build', 'develop', ...(built.includes(name) ? ['image', 'pull_policy'] : [])]
    return [name, Object.fromEntries(Object.entries(valuesOf(values)).filter(([key]) => !dropped.includes(key)))]
  })
  return { ...Object.fromEntries(kept), services: Object.fromEntries(withoutBuilds) }
}

function movedFiles(values: Values, { move, moveEnvFile }: Placement, envFolder: string): Values {
  const envFiles = listOf(values['env_file']).map((entry) => moveEnvFile(entry, envFolder))
  return {
    ...(envFiles.length > 0 ? { env_file: envFiles } : {}),
    ...(values['volumes'] === undefined
      ? {}
      : { volumes: listOf(values['volumes']).map((entry) => movedVolume(entry, move)) }),
    ...(values['label_file'] === undefined
      ? {}
      : { label_file: textsOf(values['label_file']).map((path) => move(path)) }),
  }
}

function movedVolume(entry: unknown, move: Placement['move']): unknown {
  const mount = readMount(entry)
  if (mount?.kind !== 'bind' || mount.source === undefined) return entry
  const source = move(mount.source, mount)
  return source === mount.source ? entry : withSource(entry, source)
}

function movedDefinitions(kind: 'configs' | 'secrets', model: Values, { move }: Placement): Values {
  if (model[kind] === undefined) return {}
  const moved = Object.entries(valuesOf(model[kind])).map(([name, definition]) => {
    const file = isValues(definition) ? textOf(definition['file']) : undefined
    return [name, isValues(definition) && file !== undefined ? { ...definition, file: move(file) } : definition]
  })
  return { [kind]: Object.fromEntries(moved) }
}
