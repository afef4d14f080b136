import { posix } from 'node:path'
import type { EnvFile } from '../inputs/values.ts'
import type { Repository } from './repository.ts'

/** The repository as a release ships it: with the shipped env files, and without its own `.env` files. */
export type Shippable = Repository & {
  /** The path of the shipped env file whose copy lies at this path of the repository. */
  envFileAt: (path: string) => string | undefined
  /** The `.env` files of the repository at or below this path, which are not sent. */
  leftOut: (path: string) => readonly string[]
}

/**
 * Lays the shipped env files over the tracked files. A committed `.env` holds settings for development, so it is never
 * sent. A path of `env-files` starts from the folder of the Compose file, or from the root of the repository.
 */
export function withEnvFiles(repository: Repository, folder: string, envFiles: readonly EnvFile[]): Shippable {
  const places = envFiles.flatMap((file) =>
    [posix.join(folder, file.path), file.path].map((place): [string, EnvFile] => [place, file]),
  )
  const shipped = new Map(places.toReversed())
  const own = [...repository.files.keys()].filter((path) => posix.basename(path) === '.env')
  const tracked = [...repository.files].filter(([path]) => !own.includes(path))
  return {
    files: new Map([...tracked, ...[...shipped.keys()].map((path): [string, boolean] => [path, false])]),
    read: (path) => {
      const file = shipped.get(path)
      return file === undefined ? repository.read(path) : Buffer.from(file.content)
    },
    envFileAt: (path) => shipped.get(path)?.path,
    leftOut: (path) =>
      own.filter((one) => !shipped.has(one) && (path === '.' || one === path || one.startsWith(`${path}/`))),
  }
}
