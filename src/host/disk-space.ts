import { DeployError } from '../errors.ts'
import type { Connection } from './connection.ts'
import type { Server } from './look.ts'
import { imagesOf } from './release.ts'

/** An image by digest, with its unpacked size. */
export type SizedImage = { image: string; bytes: number }

/**
 * Stops, before anything is sent, when Docker's disk on the host is too small for the images. The error says what frees
 * disk space.
 */
export async function checkDiskSpace(
  connection: Connection,
  script: string,
  server: Server,
  images: readonly SizedImage[],
): Promise<void> {
  const shortage = findShortage(server, images)
  if (!shortage) return
  const asked = await connection.callOrThrow(['sh', '-s', 'reclaimable', '.'], { stdin: script, timeoutMs: 120_000 })
  throw explainShortage(shortage, asked.stdout)
}

type Shortage = { needed: number; free: number }

/**
 * Pure: the disk must hold the new images as if the host had none of their layers. Shared layers need less space, but a
 * disk that full would soon stop the database from writing.
 */
export function findShortage(server: Server, images: readonly SizedImage[]): Shortage | undefined {
  if (server.freeDisk === undefined) return undefined
  const there = new Set([...server.releases.values()].flatMap((facts) => Object.values(imagesOf(facts))))
  const sizes = new Map(images.filter(({ image }) => !there.has(image)).map(({ image, bytes }) => [image, bytes]))
  const needed = [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0)
  const free = server.freeDisk * 1024
  return needed > free ? { needed, free } : undefined
}

/** `reclaimable` has a line for each kind of object that Docker could remove: `Images 1.2GB (40%)`. */
function explainShortage({ needed, free }: Shortage, reclaimable: string): DeployError {
  const lines = reclaimable.split('\n').filter((line) => /^(Images|Containers|Build Cache) /.test(line))
  return new DeployError('server-disk', {
    what: 'The disk of the host has too little space for the new images',
    seen: [
      `${megabytes(free)} free where Docker keeps its images, ${megabytes(needed)} needed`,
      ...(lines.length > 0 ? [`Docker could free: ${lines.join(', ')}`] : []),
    ].join('\n'),
    fix: 'on the host: `docker builder prune` and `docker image prune` remove unused caches and images, `docker system df` shows the largest users of space; a lower `keep-releases` keeps fewer images',
  })
}

const megabytes = (bytes: number): string => `${Math.floor(bytes / 1_000_000)} MB`
