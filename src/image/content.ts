import { createHash } from 'node:crypto'
import type { Run } from '../process.ts'

/** Everything of an image that does something; labels name the commit, so each release has other ones. */
const CONTENT = '{{json .RootFS.Layers}} {{json .Config.Env}} {{json .Config.Entrypoint}} {{json .Config.Cmd}}'

/** A hash of what each service's image holds; an image that is not on the runner is left out. */
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
