import { canonical } from '../canonical.ts'
import { textOf, valuesOf, type Values } from './document.ts'

/** A network or volume whose definition in the repository differs from the one that created it. */
export type ResourceDrift = {
  kind: 'network' | 'volume'
  key: string
  /** The options that differ. */
  options: readonly string[]
  /** The new definition is internal, but the existing network reaches other networks. */
  isOpen: boolean
}

/**
 * Finds networks and volumes on the host whose definition changed. `there` lists those of the host as `network NAME`
 * and `volume NAME`. Docker cannot change an existing one: Compose 2 ignores the change, Compose 5 stops the site to
 * recreate the network.
 */
export function findResourceDrifts(
  before: Values,
  model: Values,
  project: string,
  there: readonly string[],
): readonly ResourceDrift[] {
  const kinds = ['network', 'volume'] as const
  return kinds.flatMap((kind) => {
    const [old, now] = [before, model].map((side) => valuesOf(side[`${kind}s`]))
    return Object.keys(now ?? {}).flatMap((key) => {
      // The default network exists without a definition.
      const isDefined = Object.hasOwn(old ?? {}, key) || (key === 'default' && Object.keys(before).length > 0)
      if (!isDefined) return []
      const usual = `${project}_${key}`
      const was = stated(valuesOf(old?.[key]), usual)
      const wanted = stated(valuesOf(now?.[key]), usual)
      const name = textOf(was['name']) ?? usual
      // A volume with another name is another place for data: `checkMounts` handles that.
      const isOther = kind === 'volume' && was['name'] !== wanted['name']
      if (isOther || was['external'] === true || wanted['external'] === true) return []
      if (!name.includes('$') && !there.includes(`${kind} ${name}`)) return []
      const options = [...new Set([...Object.keys(was), ...Object.keys(wanted)])]
        .filter((option) => canonical(was[option]) !== canonical(wanted[option]))
        .sort()
      const isOpen = kind === 'network' && wanted['internal'] === true && was['internal'] !== true
      return options.length === 0 ? [] : [{ kind, key, options, isOpen }]
    })
  })
}

/** A definition without the usual name and empty options, which Compose adds when it resolves a model. */
function stated(definition: Values, usual: string): Values {
  return Object.fromEntries(
    Object.entries(definition).filter(
      ([option, value]) =>
        value !== null && canonical(value) !== '{}' && !(option === 'name' && value === usual) && value !== false,
    ),
  )
}

/** The model with the old definitions of what drifted, so that no version of Compose changes existing resources. */
export function keepResources(before: Values, model: Values, drifts: readonly ResourceDrift[]): Values {
  return drifts.reduce<Values>((kept, { kind, key }) => {
    const kinds = `${kind}s`
    return { ...kept, [kinds]: { ...valuesOf(kept[kinds]), [key]: valuesOf(before[kinds])[key] ?? {} } }
  }, model)
}

/** The warning for a network or volume that keeps its definition. */
export function describeResourceDrift({ kind, key, options, isOpen }: ResourceDrift, directory: string): string {
  const hole = isOpen ? ' It is NOT internal: its containers still reach other networks.' : ''
  const change =
    kind === 'network'
      ? `To apply the change, on the host: cd ${directory} && docker compose down (the site is down until that deploy ends, volumes stay), then deploy again`
      : `Its data stays where it is. To apply the change, move the data: see "Changed networks and volumes" in docs/troubleshooting.md`
  return `The ${kind} ${key} stays as it was created, because Docker cannot change one that exists: ${options.join(', ')} changed in the Compose file.${hole} ${change}`
}
