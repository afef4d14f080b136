import type { BuildGroup } from '../compose/group.ts'
import type { Project } from '../compose/project.ts'
import { DeployError } from '../errors.ts'
import type { Run } from '../process.ts'
import type { DoStep } from '../report/log.ts'
import { onOneLine } from '../inputs/values.ts'
import { bake, planBake, type Commit } from './bake.ts'
import { findDjango, type DjangoImage } from './inspect.ts'
import { measureImages } from './measure.ts'
import { candidateNames, nameImages, registryOf, type NamingFacts } from './name.ts'
import { count, sortBuild, sortTransfer, type Lines } from './progress.ts'
import { push, reuse } from './push.ts'
import { openRegistry, type Login, type Pause } from './registry.ts'
import type { BuildVariables } from './variable.ts'

/** The images in the registry, and which of them is the Django one. */
export type Made = {
  /** Service to `name@digest`, for every service that is built here. */
  images: ReadonlyMap<string, string>
  django: DjangoImage
  /** The unpacked sizes that are known. */
  sizes: readonly { image: string; bytes: number }[]
}

/** The parameters of `makeImages`. */
export type MakeFacts = {
  project: Project
  /** The services that the release runs. */
  active: readonly string[]
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
  /** Stops for an image that must not be deployed, before it is pushed. */
  check: (django: DjangoImage) => void
}

/** Access to programs, files and the log. */
export type Tools = {
  run: Run
  env: NodeJS.ProcessEnv
  temp: string
  signal: AbortSignal
  /** Where the output of programs goes. */
  lines: Lines
  step: DoStep
  pause: Pause
}

/** Builds the images that this commit has not pushed yet, inspects all images, and pushes them. */
export async function makeImages(facts: MakeFacts, tools: Tools): Promise<Made> {
  const { run, env, temp, signal, lines, step, pause } = tools
  const { groups, version } = facts
  const registry = await step(
    'Log in',
    () => openRegistry(facts.logins, { run, env, temp, pause }),
    () => describeLogins(facts.logins),
  )
  const transfer = sortTransfer(lines)
  const access = { run, registry, pause, signal, onLine: transfer.onLine }
  try {
    const plan = planBake(facts)
    const bakeWanted = async () => {
      const found = await Promise.all(
        plan.targets.map((target) =>
          reuse(target, candidateNames(target.group, groups, facts.naming), version, access),
        ),
      )
      const wanted = plan.targets.filter((_, index) => !found[index])
      await bake(plan, wanted, { run, env, project: facts.project, temp, onLine: sortBuild(lines), signal })
      const django = await findDjango({ ...facts, targets: plan.targets }, { run, env })
      facts.check(django)
      return { django, found, built: wanted.map(({ name }) => name) }
    }
    const { django, found } = await step('Bake', bakeWanted, ({ built }) =>
      built.length === 0
        ? `the images of ${version} are built already`
        : `${count(built.length, 'image')} (${built.join(', ')})`,
    )
    const names = nameImages(groups, django.target.group, facts.naming)
    const named = plan.targets.map((target) => ({ target, name: names.get(target.group.name) ?? '' }))
    const pushAll = async () => {
      const pushed = await push(
        named.map(({ target: { reference }, name }, index) => ({ reference, name, found: found[index] })),
        version,
        access,
      )
      return { pushed, sizes: await measureImages(pushed.values(), run) }
    }
    const { pushed, sizes } = await step('Push', pushAll, (done) =>
      [count(done.pushed.size, 'image'), count(transfer.countNew(), 'new layer')].join(', '),
    )
    const images = named.flatMap(({ target, name }) =>
      target.group.services.map((service): [string, string] => [service, pushed.get(name) ?? '']),
    )
    return { images: new Map(images), django, sizes }
  } finally {
    await registry.close()
  }
}

/** The registries and their users, for the log. */
export function describeLogins(logins: readonly Login[]): string {
  const names = logins.map(({ registry, username }) => `${username} at ${registry}`)
  return names.join(', ') || 'the logins of the runner'
}

/** Builds the images of this checkout only to inspect them; nothing is pushed. */
export async function buildImages(
  facts: Omit<MakeFacts, 'naming' | 'version' | 'logins' | 'check'>,
  { run, env, temp, signal, lines, step }: Omit<Tools, 'pause'>,
): Promise<DjangoImage> {
  const plan = planBake(facts)
  const { targets } = plan
  const options = { run, env, project: facts.project, temp, onLine: sortBuild(lines), signal }
  const names = targets.map(({ name }) => name).join(', ')
  const bakeAll = async (): Promise<DjangoImage> => {
    await bake(plan, targets, options)
    return await findDjango({ ...facts, targets }, { run, env })
  }
  return await step('Bake', bakeAll, () => `${count(targets.length, 'image')} (${names})`)
}

/**
 * The logins for the registries that the images may go to. A given login is for the registry that the input or the
 * Compose file names. Images without a name go to ghcr.io, which takes the job's own token.
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
    // The script on the host reads one line.
    return chosen.map((registry) => ({ registry, username, password: onOneLine(password) }))
  }
  return registries.includes('ghcr.io') && token !== undefined
    ? [{ registry: 'ghcr.io', username: actor, password: token }]
    : []
}

/**
 * Stops when there is nothing to build. A release belongs to this commit, and a ready image does not name its commit.
 */
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
