import { parseImage, parseService, Unusable } from './values.ts'

/** Parses the output `images` of a `build`: service to `name@digest`. */
export function parseImages(text: string): ReadonlyMap<string, string> {
  const fix = 'pass the output of the build job as it is: images: ${{ needs.build.outputs.images }}'
  let found: unknown
  try {
    found = JSON.parse(text)
  } catch {
    throw new Unusable('it is not JSON', fix)
  }
  if (typeof found !== 'object' || found === null || Array.isArray(found)) {
    throw new Unusable('it is not a JSON object that maps services to images', fix)
  }
  return new Map(
    Object.entries(found).map(([service, image]: [string, unknown]) => {
      const [, name, digest] = typeof image === 'string' ? (/^([^@]+)@(sha256:[0-9a-f]{64})$/.exec(image) ?? []) : []
      if (name === undefined || digest === undefined) throw new Unusable(`${service} has no image with a digest`, fix)
      return [parseService(service), `${parseImage(name)}@${digest}`]
    }),
  )
}
