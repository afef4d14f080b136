import { textOf, valuesOf, type Values } from '../compose/document.ts'
import { isFileMount } from '../compose/mount.ts'
import { DeployError } from '../errors.ts'
import type { Mounted } from '../server/container.ts'
import type { Mounts } from './mount.ts'

/** What may explain that a container is denied something: what it mounts, and as which user it runs. */
export type DenialFacts = {
  mounts: Mounts
  /** Pinned model of the release. */
  model: Values
}

/** The same failure with its cause, when a container was denied what it mounts from the host; else the failure itself. */
export function explainDenial(failure: unknown, facts: DenialFacts): unknown {
  if (!(failure instanceof DeployError)) return failure
  const lines = [failure.seen, failure.why].flatMap((text) => text?.split('\n') ?? [])
  for (const line of lines.filter((text) => /permission denied/i.test(text))) {
    const paths = [...line.matchAll(/\/[\w.@+/-]*[\w@+-]/g)].map(([path]) => path)
    const found = paths.flatMap((path) => findMount(path, facts.mounts))[0]
    if (found) return denied(failure, line.trim(), found.service, found.mount, facts.model)
  }
  return failure
}

/** The bind mount below which the path lies. What is shipped may be read by anybody. */
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
  model: Values,
): DeployError {
  const values = valuesOf(valuesOf(model['services'])[service])
  const image = textOf(values['image']) ?? 'IMAGE'
  const [, given] = /^(\d+)(?::\d+)?$/.exec(textOf(values['user']) ?? '') ?? []
  const user = given ?? `$(docker run --rm --entrypoint id ${image} -u)`
  const isFile = isFileMount(source, target)
  return new DeployError('mount-denied', {
    what: `A container of ${service} may not use ${source} of the host, which it mounts at ${target}`,
    seen,
    why: 'it belongs to another user than the one in the container',
    fix: isFile
      ? `ship it with env-file or env-files: each user of the container may read that copy, and no other user of the host. Or on the host: chmod a+r ${source}`
      : `on the host, as root: chown -R ${user} ${source}`,
    cause: failure,
  })
}
