import type { BuildGroup } from '../compose/group.ts'
import type { Project } from '../compose/project.ts'
import { DeployError } from '../errors.ts'
import type { Run } from '../process.ts'
import { onOneLine } from '../values.ts'
import { bake, planBake, type Commit } from './bake.ts'
import { findDjango, type DjangoImage } from './inspect.ts'
import { candidateNames, nameImages, registryOf, type NamingFacts } from './name.ts'
import { push, reuse } from './push.ts'
import { openRegistry, type Login, type Pause } from './registry.ts'
import type { BuildVariables } from './variable.ts'

/** What is made of the repository: the images in the registry, and which of them is the Django one. */
export type Made = {
  /** Service to `name@digest`, for every service that is built here. */
  images: ReadonlyMap<string, string>
  django: DjangoImage
}

/** What `makeImages` needs. */
export type MakeFacts = {
  project: Project
  groups: readonly BuildGroup[]
  workspace: string
  version: string
  commit: Commit
  naming: NamingFacts
  variables: BuildVariables
  set: readonly string[]
  services: readonly string[]
  manage: readonly string[]
  logins: readonly Login[]
}

/** The world outside. */
export type Tools = {
  run: Run
  env: NodeJS.ProcessEnv
  temp: string
  signal: AbortSignal
  show: (line: string) => void
  group: <T>(title: string, work: () => Promise<T>) => Promise<T>
  pause: Pause
}

/** Builds what this commit has not pushed yet, looks into the finished images, and pushes them. */
export async function makeImages(facts: MakeFacts, tools: Tools): Promise<Made> {
  const { run, env, temp, signal, show, group, pause } = tools
  const { groups, version } = facts
  const registry = await openRegistry(facts.logins, { run, env, temp, pause })
  const access = { run, registry, pause, signal, onLine: show }
  try {
    const plan = planBake(facts)
    const known = await Promise.all(
      plan.targets.map((target) => reuse(target, candidateNames(target.group, groups, facts.naming), version, access)),
    )
    const wanted = plan.targets.filter((_, index) => !known[index])
    const title =
      wanted.length === 0
        ? `The images of ${version} are built already`
        : `Bake ${wanted.map(({ name }) => name).join(', ')}`
    await group(title, () => bake(plan, wanted, { run, env, project: facts.project, temp, onLine: show, signal }))
    const django = await findDjango({ ...facts, targets: plan.targets }, { run, env })
    const names = nameImages(groups, django.target.group, facts.naming)
    const named = plan.targets.map((target) => ({ target, name: names.get(target.group.name) ?? '' }))
    const pushed = await group(`Push ${[...new Set(names.values())].join(', ')}`, () =>
      push(
        named.map(({ target: { reference }, name }) => ({ reference, name })),
        version,
        access,
      ),
    )
    const images = named.flatMap(({ target, name }) =>
      target.group.services.map((service): [string, string] => [service, pushed.get(name) ?? '']),
    )
    return { images: new Map(images), django }
  } finally {
    await registry.close()
  }
}

/**
 * The logins for the registries that the images may go to. A login that was given is for the registry that the input or
 * the Compose file names; ghcr.io, where images without a name go, has the job's own token.
 */
export function chooseLogins(
  groups: readonly BuildGroup[],
  naming: NamingFacts,
  given: { username: string | undefined; password: string | undefined; actor: string; token: string | undefined },
): Login[] {
  const { username, password, actor, token } = given
  const names = groups.flatMap((group) => candidateNames(group, groups, naming))
  const registries = [...new Set(names.map(registryOf))]
  if (username !== undefined && password !== undefined) {
    const named = registries.filter((registry) => registry !== 'ghcr.io')
    const chosen = named.length > 0 ? named : registries
    // The script on the server reads a line.
    return chosen.map((registry) => ({ registry, username, password: onOneLine(password) }))
  }
  return registries.includes('ghcr.io') && token !== undefined
    ? [{ registry: 'ghcr.io', username: actor, password: token }]
    : []
}

/** Stops when there is nothing to build: a release is made of this commit, and a ready image does not say of which it is. */
export function checkBuilds(project: Project, groups: readonly BuildGroup[], base: string | undefined): void {
  if (groups.length > 0) return
  const { files, services } = project
  const [file = ''] = files
  const over = base === undefined ? '<the file that has it>' : base
  throw new DeployError('compose-invalid', {
    what: `No service of ${files.join(' and ')} has a build section`,
    seen: [...services.values()].map(({ name, image }) => `${name}: image: ${image}`).join('\n'),
    why: 'only images that are built here, from this commit, are deployed; those of a registry are left as they are',
    fix: `add \`build: .\` to the service of the Django app, or name the file that has it as well: compose-files: ${over} ${files.join(' ')}`,
    annotation: { file },
  })
}
