import { DeployError } from '../errors.ts'
import type { Connection } from './connection.ts'
import type { Server } from './look.ts'
import { imagesOf } from './release.ts'

/** An image by digest, with its size when it is unpacked. */
export type SizedImage = { image: string; bytes: number }

/** Stops, before anything is sent, when Docker's disk on the server has no room for the images, and says what would make some. */
export async function checkRoom(
  connection: Connection,
  script: string,
  server: Server,
  images: readonly SizedImage[],
): Promise<void> {
  const shortage = findShortage(server, images)
  if (!shortage) return
  const asked = await connection.reach(['sh', '-s', 'room', '.'], { stdin: script, timeoutMs: 120_000 })
  throw explainShortage(shortage, asked.stdout)
}

type Shortage = { needed: number; free: number }

/**
 * Pure: the images that no release on the server has must fit as if none of their layers were there. Layers that are there
 * make it less, but a disk with no more room than that is one on which the database soon cannot write.
 */
export function findShortage(server: Server, images: readonly SizedImage[]): Shortage | undefined {
  if (server.freeDisk === undefined) return undefined
  const there = new Set([...server.releases.values()].flatMap((facts) => Object.values(imagesOf(facts))))
  const sizes = new Map(images.filter(({ image }) => !there.has(image)).map(({ image, bytes }) => [image, bytes]))
  const needed = [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0)
  const free = server.freeDisk * 1024
  return needed > free ? { needed, free } : undefined
}

/** `reclaimable` has a line for each kind of thing that Docker could remove: `Images 1.2GB (40%)`. */
function explainShortage({ needed, free }: Shortage, reclaimable: string): DeployError {
  const lines = reclaimable.split('\n').filter((line) => /^(Images|Containers|Build Cache) /.test(line))
  return new DeployError('server-disk', {
    what: 'The disk of the host has too little space for the new images',
    seen: [
      `${megabytes(free)} free where Docker keeps its images, ${megabytes(needed)} needed`,
      ...(lines.length > 0 ? [`Docker could free: ${lines.join(', ')}`] : []),
    ].join('\n'),
    fix: 'on the host: `docker builder prune` and `docker image prune` remove what nothing uses, `docker system df` shows what takes the space; a lower `keep-releases` keeps fewer images',
  })
}

const megabytes = (bytes: number): string => `${Math.floor(bytes / 1_000_000)} MB`
