import { posix } from 'node:path'
import { DeployError } from '../errors.ts'
import type { BuildGroup } from './group.ts'
import { covers, type Mount } from './mount.ts'
import type { Project } from './project.ts'
import type { Repository } from './repository.ts'
import { membersOf } from './shipment.ts'
import { interpolate } from './variable.ts'

/** Stops when a mount lies over the code of the image: its migrations would not be what runs. */
export function checkCodeMounts(
  project: Project,
  django: BuildGroup,
  managePath: string | undefined,
  repository: Repository,
): void {
  const hidden = django.services.flatMap((name) =>
    (project.services.get(name)?.mounts ?? [])
      .filter((mount) => hidesCode(mount, project.folder, managePath, repository))
      .map((mount) => ({ name, mount })),
  )
  const [first] = hidden
  if (!first) return
  throw new DeployError('compose-invalid', {
    what: `A mount hides the code of the image in service ${first.name}`,
    seen: hidden.map(({ name, mount }) => `${name}: ${mount.source ?? ''}:${mount.target}`).join('\n'),
    why: 'the container would run files of the host and not those of the image, as is usual in development',
    fix: waysOut(project, hidden),
    annotation: { file: project.files[0] ?? '' },
  })
}

/** Each of these works alone. */
function waysOut(project: Project, hidden: readonly { name: string; mount: Mount }[]): string {
  const { files, services } = project
  const [first = '', ...others] = files
  const folder = posix.dirname(first)
  const production = others.at(-1) ?? posix.join(folder, 'compose.production.yaml')
  const lists = [...new Set(hidden.map(({ name }) => name))].map((name) => {
    const gone = hidden.filter((each) => each.name === name).map(({ mount }) => mount)
    const kept = (services.get(name)?.mounts ?? []).filter((mount) => !gone.includes(mount)).map(shortOf)
    return `${name}: { volumes: !override [${kept.join(', ')}] }`
  })
  const over = `compose-files: ${[...files.filter((file) => file !== production), production].join(' ')}`
  return (
    `move the mount to ${posix.join(folder, 'compose.override.yaml')}, which Docker takes in development and which is not deployed\n` +
    `or replace the list in ${production}, with ${over}\n` +
    `services: { ${lists.join(', ')} }`
  )
}

/** The mount as one entry of a list in YAML. */
function shortOf({ kind, source, target, readOnly }: Mount): string {
  if (kind === 'tmpfs') return `{ type: tmpfs, target: ${JSON.stringify(target)} }`
  return JSON.stringify([...(source === undefined ? [] : [source]), target, ...(readOnly ? ['ro'] : [])].join(':'))
}

/** Whether the mount lies over manage.py or over migrations of the image, or brings those of the repository. */
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
