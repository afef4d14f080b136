import type { BuildGroup } from '../compose/group.ts'
import { interpolate, splitOutside } from '../compose/variable.ts'
import { parseImage, Unusable } from '../values.ts'

/** What decides the names of images. */
export type NamingFacts = {
  /** The input `image`. */
  image: string | undefined
  /** `owner/name` on GitHub. */
  repository: string
}

/** Repository names of the groups once it is known which of them is Django; by group name. Others add `-<service>` to its. */
export function nameImages(
  groups: readonly BuildGroup[],
  django: BuildGroup,
  facts: NamingFacts,
): ReadonlyMap<string, string> {
  const base = bareName(django, facts)
  const names = new Map([[django.name, base]])
  for (const group of groups.filter(({ name }) => name !== django.name)) {
    const own = facts.image === undefined ? ownName(group) : undefined
    const isTaken = own === undefined || [...names.values()].includes(own)
    names.set(group.name, isTaken ? `${base}-${suffixOf(group.name)}` : own)
  }
  return names
}

/**
 * Names under which an earlier run may have pushed the group. Which group is Django is not known yet, so its own bare
 * name comes first, then the bare name of every group with its suffix.
 */
export function candidateNames(
  group: BuildGroup,
  groups: readonly BuildGroup[],
  facts: NamingFacts,
): readonly string[] {
  const bases = groups.map((each) => bareName(each, facts))
  return [...new Set([bareName(group, facts), ...bases.map((base) => `${base}-${suffixOf(group.name)}`)])]
}

/** The registry that a repository name points to. */
export function registryOf(name: string): string {
  const [first = '', ...others] = name.split('/')
  return others.length > 0 && (/[.:]/.test(first) || first === 'localhost') ? first : 'docker.io'
}

function bareName(group: BuildGroup, { image, repository }: NamingFacts): string {
  return image ?? ownName(group) ?? `ghcr.io/${repository.toLowerCase()}`
}

/** The group's own `image:` without tag and digest. A name without a slash is a local one: nobody can push it. */
function ownName(group: BuildGroup): string | undefined {
  // The tag goes first: it may be a variable that only the server knows, and the version takes its place.
  const text = group.image === undefined ? undefined : interpolate(withoutTag(group.image))
  const name = text?.replace(/@.*$/, '').replace(/:[^:/]*$/, '')
  if (name === undefined || !name.includes('/')) return undefined
  try {
    return parseImage(name)
  } catch (error) {
    if (error instanceof Unusable) return undefined
    throw error
  }
}

function withoutTag(image: string): string {
  const parts = splitOutside(image, ':')
  const hasTag = parts.length > 1 && splitOutside(parts.at(-1) ?? '', '/').length === 1
  return hasTag ? parts.slice(0, -1).join(':') : image
}

function suffixOf(service: string): string {
  return service
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
}
