import type { BuildGroup } from '../compose/group.ts'
import { interpolate } from '../compose/variable.ts'
import { parseImage, Unusable } from '../values.ts'

/** What decides the names of images. */
export type NamingFacts = {
  /** The input `image`. */
  image: string | undefined
  /** `owner/name` on GitHub. */
  repository: string
}

/** Repository names of the groups once it is known which of them is Django; by group name. */
export function nameImages(
  groups: readonly BuildGroup[],
  django: BuildGroup,
  facts: NamingFacts,
): ReadonlyMap<string, string> {
  const names = new Map<string, string>()
  const ordered = [django, ...groups.filter((group) => group.name !== django.name)]
  for (const group of ordered) {
    const [bare = '', suffixed = bare] = candidateNames(group, facts)
    const isTaken = group.name !== django.name && (bare === baseName(facts) || [...names.values()].includes(bare))
    names.set(group.name, isTaken ? suffixed : bare)
  }
  return names
}

/** Names under which an earlier run may have pushed the group, in the order in which they are tried: bare, then suffixed. */
export function candidateNames(group: BuildGroup, facts: NamingFacts): readonly string[] {
  const bare = (facts.image === undefined ? ownName(group) : undefined) ?? baseName(facts)
  return [bare, `${bare}-${suffixOf(group.name)}`]
}

/** The registry that a repository name points to. */
export function registryOf(name: string): string {
  const [first = '', ...others] = name.split('/')
  return others.length > 0 && (/[.:]/.test(first) || first === 'localhost') ? first : 'docker.io'
}

function baseName({ image, repository }: NamingFacts): string {
  return image ?? `ghcr.io/${repository.toLowerCase()}`
}

/** The group's own `image:` without tag and digest. A name without a slash is a local one: nobody can push it. */
function ownName(group: BuildGroup): string | undefined {
  const text = group.image === undefined ? undefined : interpolate(group.image)
  const name = text?.replace(/@.*$/, '').replace(/:[^:/]*$/, '')
  if (name === undefined || !name.includes('/')) return undefined
  try {
    return parseImage(name)
  } catch (error) {
    if (error instanceof Unusable) return undefined
    throw error
  }
}

function suffixOf(service: string): string {
  return service
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
}
