import type { Finished } from '../process.ts'

/** Runs `docker` with these arguments. */
type Docker = (...args: string[]) => Promise<Finished>

/** What was seen in the image, or what Docker said when it could not create the container. */
export type Looked<T> = { kind: 'seen'; seen: T } | { kind: 'missing'; stderr: string }

/** Looks at the files of an image, by `docker cp` from a container that never starts. No code of the image runs. */
export async function lookInside<T>(
  image: string,
  docker: Docker,
  look: (id: string) => Promise<T>,
  options: readonly string[] = [],
): Promise<Looked<T>> {
  // `/` never runs: `docker create` needs a command when the image has none.
  const created = await docker('create', ...options, '--network', 'none', image, '/')
  if (created.code !== 0) return { kind: 'missing', stderr: created.stderr }
  const id = created.stdout.trim()
  try {
    return { kind: 'seen', seen: await look(id) }
  } finally {
    await docker('rm', '--force', '--volumes', id)
  }
}
