import type { App } from '../compose/app.ts'
import { isFileMount } from '../compose/mount.ts'
import { DeployError } from '../errors.ts'
import type { Mounted } from '../host/container.ts'
import { userOf } from './bind.ts'
import type { Mounts } from './mount.ts'

/** The parameters of `explainDenial`: the mounts, and the users of the services. */
export type DenialFacts = {
  mounts: Mounts
  /** The release's own model. */
  app: App
}

/** Adds the cause to a failure when a container was denied access to a bind mount. Other failures stay as they are. */
export function explainDenial(failure: unknown, facts: DenialFacts): unknown {
  if (!(failure instanceof DeployError)) return failure
  const lines = [failure.seen, failure.why].flatMap((text) => text?.split('\n') ?? [])
  for (const line of lines.filter((text) => /permission denied/i.test(text))) {
    const paths = [...line.matchAll(/\/[\w.@+/-]*[\w@+-]/g)].map(([path]) => path)
    const found = paths.flatMap((path) => findMount(path, facts.mounts))[0]
    if (found) return denied(failure, line.trim(), found.service, found.mount, facts.app)
  }
  return failure
}

/** The bind mounts above the path. Shipped files are skipped, because every user may read them. */
function findMount(path: string, mounts: Mounts): { service: string; mount: Mounted }[] {
  return [...mounts].flatMap(([service, all]) =>
    all
      .filter(({ kind, source }) => kind === 'bind' && !source.includes('/.deploy/'))
      .filter(({ target }) => path === target || path.startsWith(`${target.replace(/\/$/, '')}/`))
      .map((mount) => ({ service, mount })),
  )
}

function denied(
  failure: DeployError,
  seen: string,
  service: string,
  { source, target }: Mounted,
  app: App,
): DeployError {
  const image = app.services.get(service)?.image ?? 'IMAGE'
  const user = userOf(app, service) ?? `$(docker run --rm --entrypoint id ${image} -u)`
  const isFile = isFileMount(source, target)
  return new DeployError('mount-denied', {
    what: `A container of ${service} has no permission to use ${source} of the host, which it mounts at ${target}`,
    seen,
    why: 'it does not belong to the user in the container',
    fix: isFile
      ? `ship it with env-file or env-files: every user of the container can read that copy, but no other user of the host can. Or on the host: chmod a+r ${source}`
      : `on the host, as root: chown -R ${user} ${source}`,
    cause: failure,
  })
}
