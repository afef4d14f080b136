import { createHash } from 'node:crypto'
import type { Run } from '../process.ts'

/**
 * The parts of an image that decide what it does. Labels are left out: they name the commit, so each release has
 * others.
 */
const CONTENT = '{{json .RootFS.Layers}} {{json .Config.Env}} {{json .Config.Entrypoint}} {{json .Config.Cmd}}'

/** A content hash of each service's image; images that are not on the runner are left out. */
export async function readContents(
  images: ReadonlyMap<string, string>,
  run: Run,
): Promise<ReadonlyMap<string, string>> {
  const read = await Promise.all(
    [...images].map(async ([service, image]): Promise<[string, string][]> => {
      const { code, stdout } = await run('docker', ['image', 'inspect', '--format', CONTENT, image])
      return code === 0 ? [[service, createHash('sha256').update(stdout).digest('hex')]] : []
    }),
  )
  return new Map(read.flat())
}
