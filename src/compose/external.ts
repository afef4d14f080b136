import { DeployError } from '../errors.ts'
import { usesOf } from './definition.ts'
import { isValues, textOf, valuesOf } from './document.ts'
import { placeOfService } from './place.ts'
import type { Project } from './project.ts'
import { hasVariable, interpolate } from './variable.ts'

/** An external volume or network: it is created by hand, and no deployment creates or removes it. */
export type External = { kind: 'volume' | 'network'; name: string; services: readonly string[] }

type Settings = ReadonlyMap<string, string> | undefined

/**
 * The external volumes and networks of the services whose names are known. `settings` are those of the shipped `.env`.
 */
export function findExternals({ model, services }: Project, settings: Settings): readonly External[] {
  const find = (kind: External['kind']): External[] =>
    Object.entries(valuesOf(model[`${kind}s`])).flatMap(([key, definition]) => {
      if (!isValues(definition) || definition['external'] !== true) return []
      const name = nameOf(textOf(definition['name']) ?? key, settings)
      const users = [...services.values()].filter((service) =>
        usesOf(service).some((use) => use.kind === `${kind}s` && use.name === key),
      )
      return name === undefined ? [] : [{ kind, name, services: users.map((service) => service.name) }]
    })
  return [...find('volume'), ...find('network')]
}

/** Undefined for a name that only the host's own `.env` decides, or that Docker would refuse: Compose reports those. */
function nameOf(text: string, settings: Settings): string | undefined {
  if (hasVariable(text) && !settings) return undefined
  const name = interpolate(text, Object.fromEntries(settings ?? []))
  return name !== undefined && /^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(name) ? name : undefined
}

/** Stops when the host lacks an external that an active service uses. `there` lists the externals of the host. */
export function checkExternals(
  externals: readonly External[],
  active: readonly string[],
  there: readonly string[],
  project: Project,
): void {
  const missing = externals.filter(
    ({ kind, name, services }) =>
      services.some((service) => active.includes(service)) && !there.includes(`${kind} ${name}`),
  )
  const [first] = missing
  if (!first) return
  const user = first.services.find((service) => active.includes(service)) ?? ''
  throw new DeployError('external-missing', {
    what: 'The Compose file uses external volumes or networks that are not on the host',
    seen: missing.map(({ kind, name, services }) => `${kind} ${name}, of ${services.join(', ')}`).join('\n'),
    why: 'external volumes and networks are created by hand, once; a deployment neither creates nor removes them',
    fix: `on the host: ${missing.map(({ kind, name }) => `docker ${kind} create ${name}`).join(' && ')}`,
    annotation: placeOfService(project, user, `${first.kind}s`),
  })
}
