import { createHash, type Hash } from 'node:crypto'
import { chmod, mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Run } from '../process.ts'
import { lookInside } from './container.ts'

/**
 * The hash of the files that an image holds at each of these paths: names and contents, no times. A path without files
 * is left out; so are all paths if the image is not on the runner.
 */
export async function readBelow(
  image: string,
  paths: readonly string[],
  { run, folder }: { run: Run; folder: string },
): Promise<ReadonlyMap<string, string>> {
  const docker = (...args: string[]) => run('docker', args)
  const readPath = async (id: string, path: string): Promise<[string, string][]> => {
    const temp = await mkdtemp(join(folder, 'below-'))
    try {
      const copy = join(temp, 'copy')
      const copied = await docker('cp', '--follow-link', `${id}:${path}`, copy)
      if (copied.code !== 0) return []
      const hash = createHash('sha256')
      return (await addFolder(hash, copy, '')) === 0 ? [] : [[path, hash.digest('hex')]]
    } finally {
      await rm(temp, { recursive: true, force: true })
    }
  }
  const looked = await lookInside(image, docker, async (id) => {
    const read = await Promise.all(paths.map((path) => readPath(id, path)))
    return new Map(read.flat())
  })
  return looked.kind === 'seen' ? looked.seen : new Map()
}

/** Adds the folder to the hash, and returns the number of files. */
async function addFolder(hash: Hash, folder: string, place: string): Promise<number> {
  // Without write permission for its owner, the folder's files could not be removed.
  await chmod(folder, 0o700)
  const entries = await readdir(folder, { withFileTypes: true })
  let count = 0
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const [path, name] = [join(folder, entry.name), `${place}/${entry.name}`]
    if (entry.isDirectory()) {
      count += await addFolder(hash, path, name)
      continue
    }
    const content = entry.isSymbolicLink() ? await readlink(path) : await readContent(path)
    hash.update(JSON.stringify([name, createHash('sha256').update(content).digest('hex')]))
    count += 1
  }
  return count
}

async function readContent(path: string): Promise<Buffer> {
  await chmod(path, 0o600)
  return await readFile(path)
}
