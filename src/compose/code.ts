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
    why: 'the container would run files of the server and not those of the image, as is usual while developing',
    fix: 'move the mount to a file for development only, such as compose.override.yaml, which is not deployed; or let a file for production, named behind the other one in compose-files, replace the list: `volumes: !override [data:/data]`',
    annotation: { file: project.files[0] ?? '' },
  })
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
