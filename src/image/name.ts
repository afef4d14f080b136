import type { BuildGroup } from '../compose/group.ts'
import { parseReference } from '../compose/reference.ts'
import { interpolate, missingIn } from '../compose/variable.ts'
import { checkAll, DeployError } from '../errors.ts'
import { parseImage, Unusable } from '../inputs/values.ts'
import { isGitHubs } from './variable.ts'

/** What decides the names of images. */
export type NamingFacts = {
  /** The input `image`. */
  image: string | undefined
  /** `owner/name` on GitHub. */
  repository: string
  /** The values of the step and of the shipped env file, which a name may use. */
  settings: Readonly<Record<string, string | undefined>>
}

/**
 * Stops when an image name of the Compose file is unknown or cannot be pushed. The image must not silently go
 * elsewhere.
 */
export function checkImageNames(groups: readonly BuildGroup[], facts: NamingFacts): void {
  if (facts.image !== undefined) return
  const repository = `ghcr.io/${facts.repository.toLowerCase()}`
  checkAll(...groups.map((group) => () => checkImageName(group, facts.settings, repository)))
}

function checkImageName({ name, image }: BuildGroup, settings: NamingFacts['settings'], repository: string): void {
  const written = image === undefined ? undefined : parseReference(image).repository
  if (written === undefined) return
  const [missing] = missingIn(written, (variable) => settings[variable] !== undefined)
  if (missing !== undefined) {
    throw new DeployError('variable-missing', {
      what: `The name of the image of service ${name} needs ${missing}, which is not set`,
      seen: `image: ${image}`,
      why: 'the image is pushed before the runner connects to the host, so a variable in the .env of the host comes too late',
      fix: isGitHubs(missing)
        ? `${missing} is a variable of GitHub's own and does not reach the Compose file; set the input image: ${repository}`
        : `one of these: a line of env-file: ${missing}=… · or this step's environment: env: { ${missing}: … } · or the input image: ${repository}`,
    })
  }
  const text = interpolate(written, settings) ?? written
  // A local name cannot be pushed, so it is not used.
  if (!text.includes('/')) return
  try {
    parseImage(parseReference(text).repository)
  } catch (error) {
    if (!(error instanceof Unusable)) throw error
    throw new DeployError('compose-invalid', {
      what: `The image of service ${name} cannot be pushed under its name: ${error.why}`,
      seen: `image: ${image}`,
      fix: `${error.fix}, or set the input image: ${repository}`,
    })
  }
}

/**
 * Repository names by group name, once the Django group is known. Groups without their own name add `-<service>` to
 * Django's.
 */
export function nameImages(
  groups: readonly BuildGroup[],
  django: BuildGroup,
  facts: NamingFacts,
): ReadonlyMap<string, string> {
  const base = bareName(django, facts)
  const names = new Map([[django.name, base]])
  for (const group of groups.filter(({ name }) => name !== django.name)) {
    const own = facts.image === undefined ? ownName(group, facts.settings) : undefined
    const isTaken = own === undefined || [...names.values()].includes(own)
    names.set(group.name, isTaken ? `${base}-${suffixOf(group.name)}` : own)
  }
  return names
}

/**
 * Names under which an earlier run may have pushed the group. The Django group is not known yet. So the group's own
 * bare name comes first, then the bare name of every group with this group's suffix.
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

function bareName(group: BuildGroup, { image, repository, settings }: NamingFacts): string {
  return image ?? ownName(group, settings) ?? `ghcr.io/${repository.toLowerCase()}`
}

/** The group's own `image:` without tag and digest. A name without a slash is a local one, which cannot be pushed. */
function ownName(group: BuildGroup, settings: NamingFacts['settings']): string | undefined {
  // The tag is removed first: only the host may know its variables, and the version replaces it.
  const text = group.image === undefined ? undefined : interpolate(parseReference(group.image).repository, settings)
  const name = text === undefined ? undefined : parseReference(text).repository
  return name?.includes('/') ? name : undefined
}

function suffixOf(service: string): string {
  return service
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
}
