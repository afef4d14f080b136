import type { ImageVolume } from '../compose/covered.ts'
import type { Project } from '../compose/project.ts'
import { parseReference } from '../compose/reference.ts'
import type { Service } from '../compose/service.ts'
import { interpolate } from '../compose/variable.ts'
import { DeployError } from '../errors.ts'

const SINCE_18 = '/var/lib/postgresql'

/** Where these database images keep their rows. PostgreSQL 18 and later use the parent folder. */
const PLACES: readonly { image: RegExp; root: string; place: (tag: string) => string }[] = [
  {
    image: /^(postgres|postgresql|postgis|pgvector|timescaledb)$/,
    root: SINCE_18,
    place: (tag) => (Number.parseInt(tag.replace(/^pg/, ''), 10) < 18 ? `${SINCE_18}/data` : SINCE_18),
  },
  { image: /^(mysql|mysql-server|mariadb|percona)$/, root: '/var/lib/mysql', place: () => '/var/lib/mysql' },
]

/** Warnings about databases without a volume: their anonymous volume is not found again. */
export function describeUnkept({ services }: Pick<Project, 'services'>, data: readonly string[]): readonly string[] {
  return data.flatMap((name) => {
    const service = services.get(name)
    const place = service && placeOf(service)
    if (place === undefined) return []
    return [
      `${name} has no volume: its rows are in an anonymous volume, which \`docker compose down\` or a removed container leaves behind. ` +
        `Give it one in the Compose file: volumes: ["${name}-data:${place}"], and ${name}-data: at the top level below volumes:. ` +
        `If it holds rows already, dump them first: the new volume starts empty` +
        (place === SINCE_18
          ? `. Before PostgreSQL 18 the place is ${place}/data: name the version in the image, such as postgres:18`
          : ''),
    ]
  })
}

function placeOf({ image, mounts, hasOtherMounts, environment }: Service): string | undefined {
  const text = image === undefined ? undefined : (interpolate(image) ?? image)
  // `volumes_from`, `tmpfs` or PGDATA: the place of the rows was chosen on purpose.
  if (text === undefined || hasOtherMounts) return undefined
  if (environment.has('PGDATA')) return undefined
  const { repository, tag = '' } = parseReference(text)
  const found = PLACES.find((each) => each.image.test(repository.split('/').at(-1) ?? ''))
  return found === undefined || mounts.some(({ target }) => target.startsWith(found.root))
    ? undefined
    : found.place(tag)
}

/** Stops for an image volume over manage.py: from the second deploy on, containers would run older code. */
export function checkImageVolumes(volumes: readonly ImageVolume[], managePath: string | undefined): void {
  const first = volumes.find(({ target }) => managePath !== undefined && `${managePath}/`.startsWith(`${target}/`))
  if (first === undefined) return
  throw new DeployError('compose-invalid', {
    what: `The image of ${first.service} declares a volume over its code`,
    seen: `VOLUME ${first.target}; manage.py is at ${managePath}`,
    why: 'Compose gives a new container the volume of the previous one, so it would run the code of the first release',
    fix: 'remove that VOLUME from the Dockerfile, or from the image that it is built on: keep a volume only for a folder that the app writes to',
  })
}

/** The warning for an image volume where the image has files. */
export function describeImageVolume({ service, target }: ImageVolume): string {
  return (
    `The image of ${service} declares a volume (VOLUME ${target}) and has files there. Compose gives a new container the volume of the ` +
    `container before it, so visitors get the files of an older release. Remove the line from the Dockerfile, or mount a volume there ` +
    `in the Compose file`
  )
}
