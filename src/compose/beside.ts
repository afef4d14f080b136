import { posix } from 'node:path'
import { DeployError } from '../errors.ts'
import type { Placement } from './placement.ts'
import type { Project } from './project.ts'
import { knownPath } from './variable.ts'

/** A path above the folder of the first Compose file, and the service that mounts it. */
export type Beside = { service: string; path: string }

/** Finds bind mounts of such paths that are not shipped. */
export function mountsBeside({ services }: Project, { move }: Pick<Placement, 'move'>): readonly Beside[] {
  return [...services.values()].flatMap(({ name, mounts }) =>
    mounts.flatMap((mount) => {
      const { kind, source = '' } = mount
      const path = posix.normalize(knownPath(source)?.path ?? '')
      return kind === 'bind' && path.startsWith('..') && move(source, mount) === source ? [{ service: name, path }] : []
    }),
  )
}

/** Stops when an active service mounts such a path: on the host it would lie among other projects. */
export function checkBeside(
  all: readonly Beside[],
  active: readonly string[],
  directory: string,
  folder: string,
): void {
  const mounts = all.filter(({ service }) => active.includes(service))
  if (mounts.length === 0) return
  const steps = Math.max(...mounts.map(({ path }) => path.split('/').filter((part) => part === '..').length))
  const named = folder === '.' ? [] : folder.split('/')
  const missing = Array.from({ length: Math.max(0, steps - named.length) }, () => 'compose')
  const below = posix.join(directory, ...named, ...missing)
  throw new DeployError('input-invalid', {
    what: 'The Compose file mounts folders that would be outside the directory of this project on the host',
    seen: mounts.map(({ service, path }) => `${service}: ${path} would be ${posix.join(directory, path)}`).join('\n'),
    why: 'on the host, the directory replaces the folder of the Compose file, and above it are other projects',
    fix: `choose a deeper directory, in this step and in those of the other actions: directory: ${below}`,
  })
}
