import type { App } from '../compose/app.ts'
import { isFileMount } from '../compose/mount.ts'
import type { Mounts } from './mount.ts'

/** A path that the host must have before the first start. Docker would create a missing one as a folder of root. */
export type BindSource = { kind: 'file' | 'folder'; path: string }

/** The host paths that these services mount, as Compose on the host resolves them. `app` is the release's own model. */
export function bindSources(mounts: Mounts, services: readonly string[], app: App): readonly BindSource[] {
  const found = services.flatMap((service) =>
    (mounts.get(service) ?? [])
      .flatMap(({ kind, source, target, device }) => {
        const path = kind === 'bind' ? source : device
        return path === undefined || app.services.get(service)?.strictTargets.includes(target) ? [] : [{ path, target }]
      })
      .filter(({ path }) => !path.includes('/.deploy/')),
  )
  const kinds = found.map(({ path, target }): [string, BindSource['kind']] => [
    path,
    isFileMount(path, target) ? 'file' : 'folder',
  ])
  return [...new Map(kinds)].map(([path, kind]) => ({ kind, path }))
}

/** A folder that was just created on the host, and its owner's user id. */
export type MadeFolder = { path: string; owner: string }

/** Reads the line that the host prints for a folder that it created. */
export function readMadeFolder(line: string): MadeFolder | undefined {
  const [, path, owner] = /^created the folder (.+) for containers, owned by user (\d+)$/.exec(line) ?? []
  return path !== undefined && owner !== undefined ? { path, owner } : undefined
}

/**
 * Warnings about new folders that a container's user cannot write to, with the fix. `users` are user ids by service.
 */
export function warnOfOwners(
  made: readonly MadeFolder[],
  mounts: Mounts,
  users: ReadonlyMap<string, string>,
): readonly string[] {
  return made.flatMap(({ path, owner }) => {
    const services = [...mounts].filter(([, all]) =>
      all.some((each) => (each.device ?? each.source) === path && !each.readOnly),
    )
    const found = services.flatMap(([service]) => {
      const user = users.get(service)
      return user === undefined || user === '0' || user === owner ? [] : [{ service, user }]
    })
    const [first] = found
    return first === undefined
      ? []
      : [
          `The folder ${path} was missing on the host and was created for user ${owner}, but ${first.service} runs as user ${first.user} and cannot write to it. On the host, as root: chown -R ${first.user} ${path}`,
        ]
  })
}

/** The user id in `user:` of a service; undefined for a name, or when the image decides. */
export function userOf({ services }: App, service: string): string | undefined {
  const user = services.get(service)?.user ?? ''
  return /^(\d+)(?::\d+)?$/.exec(user)?.[1]
}
