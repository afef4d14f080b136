import type { Covered } from '../compose/covered.ts'
import type { StaticFiles } from '../django/document.ts'

/** Two hashes of a covered volume: `holds` of the image's files there, `filled` of those that Docker filled it with. */
export type Below = Covered & { holds: string; filled: string | undefined }

/** Adds `filled`: this release fills a volume that does not exist yet; for others the last release recorded it. */
export function fillVolumes(
  covered: readonly (Covered & { holds: string })[],
  before: readonly string[],
  there: readonly string[],
): readonly Below[] {
  const known = new Map(before.map(readBelowLine).map((line) => [placeOf(line), line.filled]))
  return covered.map((each) => {
    const isThere = each.name === undefined || there.includes(`volume ${each.name}`)
    return { ...each, filled: isThere ? known.get(placeOf(each)) : each.holds }
  })
}

/** The hash of the image's files at a place, from the fact `below` of an equal release; undefined without a record. */
export function findHolds(lines: readonly string[], place: Pick<Covered, 'service' | 'target'>): string | undefined {
  return lines.map(readBelowLine).find((line) => placeOf(line) === placeOf(place))?.holds
}

/** As a line of the fact `below`. */
export const writeBelow = ({ service, target, holds, filled = '-' }: Below): string =>
  `${service} ${holds} ${filled} ${target}`

type Line = Pick<Below, 'service' | 'target' | 'holds' | 'filled'>

function readBelowLine(line: string): Line {
  const [service = '', holds = '', filled, ...target] = line.split(' ')
  return { service, target: target.join(' '), holds, filled: filled === '-' ? undefined : filled }
}

const placeOf = ({ service, target }: Pick<Line, 'service' | 'target'>): string => `${service} ${target}`

/** Volumes that hide other files of the image. Django's static files are left out: they are collected separately. */
export function findHidden(below: readonly Below[], django: readonly string[], files: StaticFiles): readonly Below[] {
  const isStatic = ({ service, target }: Below): boolean =>
    files.kind === 'folder' && django.includes(service) && (isBelow(files.root, target) || isBelow(target, files.root))
  return below.filter((each) => each.filled !== each.holds && !isStatic(each))
}

const isBelow = (path: string, folder: string): boolean => path === folder || path.startsWith(`${folder}/`)

/** The warning for a volume that hides files. */
export function describeHidden({ service, target, key, name, users, filled }: Below, directory: string): string {
  const what =
    filled === undefined
      ? `The volume ${key} was there before this release and may hide what the image of ${service} has in ${target}`
      : `The volume ${key} hides what the image of ${service} has in ${target}: visitors get the files of an older release`
  const remove = `cd ${directory} && docker compose rm --stop --force ${users.join(' ')} && docker volume rm ${name ?? 'NAME'}`
  return (
    `${what}. Docker fills a volume from the image only while it is empty. Remove \`${key}:${target}\` from ${service} in the Compose ` +
    `file, if only ${service} uses the files. Or, if the volume holds nothing but files of the image (no uploads, no data), on the ` +
    `host: ${remove}, then deploy again`
  )
}

/**
 * The rollback warnings about volumes that keep files of a newer release. `target` and `current` are the facts `below`.
 */
export function describeKept(target: readonly string[], current: readonly string[], version: string): string[] {
  const now = new Map(current.map(readBelowLine).map((line) => [placeOf(line), line.filled]))
  return target.map(readBelowLine).flatMap((line) => {
    const filled = now.get(placeOf(line))
    if (filled === undefined || filled === line.holds) return []
    return [
      `${line.service} of ${version} has other files in ${line.target} than the volume there, which hides them: visitors get those ` +
        `with which Docker filled the volume`,
    ]
  })
}
