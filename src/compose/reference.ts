import { splitOutside } from './variable.ts'

/** The name of an image as it is written, variables included. */
export type Reference = { repository: string; tag: string | undefined; digest: string | undefined }

/** Splits a name into its parts; a colon or slash inside `${…}` belongs to the variable. */
export function parseReference(image: string): Reference {
  const [name = '', digest] = splitOutside(image, '@')
  const parts = splitOutside(name, ':')
  const hasTag = parts.length > 1 && splitOutside(parts.at(-1) ?? '', '/').length === 1
  return { repository: hasTag ? parts.slice(0, -1).join(':') : name, tag: hasTag ? parts.at(-1) : undefined, digest }
}

/**
 * Whether the name has no registry and no owner. Except for Docker's own images, only the machine that built it has it.
 */
export function isLocal({ repository }: Reference): boolean {
  return splitOutside(repository, '/').length === 1
}
