import { posix } from 'node:path'
import { DeployError } from '../errors.ts'
import { contextOf, type BuildGroup } from './group.ts'
import { listOf } from './document.ts'
import { covers, readMount, type Mount } from './mount.ts'
import { placeOfService } from './place.ts'
import type { Project } from './project.ts'
import type { Repository } from './repository.ts'
import { membersOf } from './shipment.ts'
import { interpolate } from './variable.ts'

/** Stops when a mount hides the image's code: the container would not run the code and migrations of the image. */
export function checkCodeMounts(
  project: Project,
  django: Pick<BuildGroup, 'services'>,
  managePath: string | undefined,
  repository: Repository,
  env: Readonly<Record<string, string>> = {},
): void {
  const hidden = django.services.flatMap((name) =>
    mountsOf(project, name, env)
      .filter((mount) => hidesCode(mount, project.folder, managePath, repository))
      .map((mount) => ({ name, mount })),
  )
  const [first] = hidden
  if (!first) return
  throw new DeployError('compose-invalid', {
    what: `A mount hides the code of the image in service ${first.name}`,
    seen: hidden.map(({ name, mount }) => `${name}: ${mount.source ?? ''}:${mount.target}`).join('\n'),
    why: 'the container would run the files that are mounted and not the code of the image, as is usual in development',
    fix: waysOut(project, hidden, env),
    annotation: placeOfService(project, first.name, 'volumes'),
  })
}

/**
 * The Django image, as far as it is known before a build. It is the only image, or the only one whose context has a
 * manage.py. So a mount over its code is refused before the build.
 */
export function likelyDjango(
  { folder }: Pick<Project, 'folder'>,
  groups: readonly BuildGroup[],
  repository: Repository,
): BuildGroup | undefined {
  const holders = groups.filter((group) => {
    const context = contextOf(group)
    if (context === undefined || /^[/~]|:/.test(context)) return false
    const path = posix.join(folder, context).replace(/(.)\/$/, '$1')
    return membersOf(repository, path).some((member) => posix.basename(member) === 'manage.py')
  })
  const [only, ...others] = groups.length === 1 ? groups : holders
  return others.length === 0 ? only : undefined
}

/** The service's mounts with known variables filled in: a variable may hold the source, or `source:target`. */
function mountsOf({ services }: Project, name: string, env: Readonly<Record<string, string>>): readonly Mount[] {
  const entries = listOf(services.get(name)?.values['volumes'])
  return entries.flatMap(
    (entry) => readMount(typeof entry === 'string' ? (interpolate(entry, env) ?? entry) : entry) ?? [],
  )
}

/** The possible fixes; each works alone. */
function waysOut(
  project: Project,
  hidden: readonly { name: string; mount: Mount }[],
  env: Readonly<Record<string, string>>,
): string {
  const { files } = project
  const [first = '', ...others] = files
  const folder = posix.dirname(first)
  const production = others.at(-1) ?? posix.join(folder, 'compose.production.yaml')
  const lists = [...new Set(hidden.map(({ name }) => name))].map((name) => {
    const gone = hidden.filter((each) => each.name === name).map(({ mount }) => mount)
    const targets = gone.map(({ target }) => target)
    const kept = mountsOf(project, name, env)
      .filter(({ target }) => !targets.includes(target))
      .map(shortOf)
    return `${name}: { volumes: !override [${kept.join(', ')}] }`
  })
  const over = `compose-files: ${[...files.filter((file) => file !== production), production].join(' ')}`
  return (
    `remove the mount; one for development can move to ${posix.join(folder, 'compose.override.yaml')}, which is not deployed\n` +
    `or replace the list in ${production}, with ${over}\n` +
    `services: { ${lists.join(', ')} }`
  )
}

/** The mount as one entry of a list in YAML. */
function shortOf({ kind, source, target, readOnly }: Mount): string {
  if (kind === 'tmpfs') return `{ type: tmpfs, target: ${JSON.stringify(target)} }`
  return JSON.stringify([...(source === undefined ? [] : [source]), target, ...(readOnly ? ['ro'] : [])].join(':'))
}

/** Whether the mount covers the image's manage.py, or its source has the repository's manage.py or migrations. */
export function hidesCode(
  mount: Mount,
  folder: string,
  managePath: string | undefined,
  repository: Repository,
): boolean {
  if (managePath !== undefined && covers(mount, managePath)) return true
  const source = mount.kind === 'bind' ? interpolate(mount.source ?? '') : undefined
  if (source === undefined || /^[/~]/.test(source)) return false
  return membersOf(repository, posix.join(folder, source).replace(/(.)\/$/, '$1')).some((member) =>
    /(^|\/)(manage\.py|migrations\/[^/]+\.py)$/.test(member),
  )
}
