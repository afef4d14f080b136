import { isValues, listOf, textOf, valuesOf, type Values } from '../compose/document.ts'
import { isFileMount } from '../compose/mount.ts'
import { interpolate } from '../compose/variable.ts'
import type { Mounts } from './mount.ts'

/** What the host must have before the first start: Docker would make each that is missing, as a folder of root. */
export type BindSource = { kind: 'file' | 'folder'; path: string }

/** What these services mount from the host, as Compose there resolves it; `model` is the release's own. */
export function bindSources(mounts: Mounts, services: readonly string[], model: Values): readonly BindSource[] {
  const found = services.flatMap((service) =>
    (mounts.get(service) ?? [])
      .flatMap(({ kind, source, target, device }) => {
        const path = kind === 'bind' ? source : device
        return path === undefined || isStrict(model, service, target) ? [] : [{ path, target }]
      })
      .filter(({ path }) => !path.includes('/.deploy/')),
  )
  const kinds = found.map(({ path, target }): [string, BindSource['kind']] => [
    path,
    isFileMount(path, target) ? 'file' : 'folder',
  ])
  return [...new Map(kinds)].map(([path, kind]) => ({ kind, path }))
}

/** `create_host_path: false`: somebody wants an error, and Docker gives it. */
function isStrict(model: Values, service: string, target: string): boolean {
  const entries = listOf(valuesOf(valuesOf(model['services'])[service])['volumes']).filter(isValues)
  return entries.some((entry) => {
    const text = textOf(entry['target']) ?? ''
    return (interpolate(text) ?? text) === target && valuesOf(entry['bind'])['create_host_path'] === false
  })
}
