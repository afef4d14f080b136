import { DeployError } from '../errors.ts'
import { usesOf } from './definition.ts'
import { isValues, textOf, valuesOf } from './document.ts'
import type { Project } from './project.ts'
import { hasVariable, interpolate } from './variable.ts'

/** What the Compose file calls external: somebody made it by hand, and nobody else makes or removes it. */
export type External = { kind: 'volume' | 'network'; name: string; services: readonly string[] }

type Settings = ReadonlyMap<string, string> | undefined

/** The external volumes and networks of the services, as far as their names are known; `settings` is the shipped `.env`. */
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

/** What only the server's own `.env` says, and what Docker would not take as a name, is left to Compose to complain about. */
function nameOf(text: string, settings: Settings): string | undefined {
  if (hasVariable(text) && !settings) return undefined
  const name = interpolate(text, Object.fromEntries(settings ?? []))
  return name !== undefined && /^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(name) ? name : undefined
}

/** Stops when the server does not have what the active services use; `there` is its answer. */
export function checkExternals(
  externals: readonly External[],
  active: readonly string[],
  there: readonly string[],
  { files }: Project,
): void {
  const missing = externals.filter(
    ({ kind, name, services }) =>
      services.some((service) => active.includes(service)) && !there.includes(`${kind} ${name}`),
  )
  if (missing.length === 0) return
  throw new DeployError('external-missing', {
    what: 'The Compose file uses external volumes or networks that are not on the server',
    seen: missing.map(({ kind, name, services }) => `${kind} ${name}, of ${services.join(', ')}`).join('\n'),
    why: 'what is external is made by hand, once; a deployment neither makes nor removes it',
    fix: `on the server: ${missing.map(({ kind, name }) => `docker ${kind} create ${name}`).join(' && ')}`,
    annotation: { file: files[0] ?? '' },
  })
}
