import type { Place } from '../errors.ts'
import { placeOf, type Source } from './document.ts'

/** The place of this path in the source that has it; else of what is nearest to it; else the file. */
export function nearest(
  sources: readonly Source[],
  path: readonly string[],
  file: string | undefined,
): Place | undefined {
  const has = (keys: readonly string[]): Source | undefined => sources.find(({ document }) => document.hasIn(keys))
  const source = has(path) ?? has(path.slice(0, 2))
  return source ? placeOf(source, path) : file === undefined ? undefined : { file }
}

/** The place of a service in the Compose files, or of something in it. */
export function placeOfService(
  { files, sources }: { files: readonly string[]; sources: readonly Source[] },
  name: string,
  ...path: readonly string[]
): Place | undefined {
  return nearest(sources, ['services', name, ...path], files[0])
}
