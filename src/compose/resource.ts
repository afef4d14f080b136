import { canonical, textOf, valuesOf, type Values } from './document.ts'

/** A network or volume that the repository defines in another way than the release that created it. */
export type ResourceDrift = {
  kind: 'network' | 'volume'
  key: string
  /** The options that differ. */
  options: readonly string[]
  /** The definition wants the network to be cut off from other networks, and the one that exists is not. */
  isOpen: boolean
}

/**
 * What differs of networks and volumes that are on the host; `there` are `network NAME` and `volume NAME` of all that it has. Docker
 * cannot change one that exists: Compose 2 ignores another definition, Compose 5 stops the site to create the network anew.
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
      // The default network is there without a definition.
      const isDefined = Object.hasOwn(old ?? {}, key) || (key === 'default' && Object.keys(before).length > 0)
      if (!isDefined) return []
      const usual = `${project}_${key}`
      const was = stated(valuesOf(old?.[key]), usual)
      const wanted = stated(valuesOf(now?.[key]), usual)
      const name = textOf(was['name']) ?? usual
      // Another volume is another place for data, which a guard looks at.
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

/** What a definition says: Compose writes the usual name and empty options into a model that it resolves. */
function stated(definition: Values, usual: string): Values {
  return Object.fromEntries(
    Object.entries(definition).filter(
      ([option, value]) =>
        value !== null && canonical(value) !== '{}' && !(option === 'name' && value === usual) && value !== false,
    ),
  )
}

/** The model with the definitions that the host has, so that no version of Compose touches what exists. */
export function keepResources(before: Values, model: Values, drifts: readonly ResourceDrift[]): Values {
  return drifts.reduce<Values>((kept, { kind, key }) => {
    const kinds = `${kind}s`
    return { ...kept, [kinds]: { ...valuesOf(kept[kinds]), [key]: valuesOf(before[kinds])[key] ?? {} } }
  }, model)
}

/** What to say about one that stays as it is. */
export function describeResourceDrift({ kind, key, options, isOpen }: ResourceDrift, directory: string): string {
  const hole = isOpen ? ' It is NOT internal: its containers still reach other networks.' : ''
  const change =
    kind === 'network'
      ? `To take the change over, on the server: cd ${directory} && docker compose down (the site is away, volumes stay), then deploy again`
      : `Its data stays where it is. To take the change over, move the data: see "Changed networks and volumes" in docs/troubleshooting.md`
  return `The ${kind} ${key} stays as it was created, because Docker cannot change one that exists: ${options.join(', ')} changed in the Compose file.${hole} ${change}`
}
