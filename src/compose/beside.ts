import { posix } from 'node:path'
import { DeployError } from '../errors.ts'
import { listOf, valuesOf, type Values } from './document.ts'
import { readMount } from './mount.ts'
import { knownPath } from './variable.ts'

/** A path above the folder of the first Compose file, and the service that mounts it. */
export type Beside = { service: string; path: string }

/** What a pinned model mounts from there: nothing of it is shipped. */
export function mountsBeside({ services }: Values): readonly Beside[] {
  return Object.entries(valuesOf(services)).flatMap(([service, values]) =>
    listOf(valuesOf(values)['volumes']).flatMap((entry) => {
      const mount = readMount(entry)
      const path = mount?.kind === 'bind' ? posix.normalize(knownPath(mount.source ?? '')?.path ?? '') : ''
      return path.startsWith('..') ? [{ service, path }] : []
    }),
  )
}

/** Stops when data would lie in the folder of all projects, where another one may have the same. */
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
    what: 'The Compose file mounts folders that would lie beside the directory of this project on the host',
    seen: mounts.map(({ service, path }) => `${service}: ${path} would be ${posix.join(directory, path)}`).join('\n'),
    why: 'the directory stands for the folder of the Compose file, and above it are other projects',
    fix: `put the directory deeper, in this step and in those of the other actions: directory: ${below}`,
  })
}
