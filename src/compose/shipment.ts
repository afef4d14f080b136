import { createHash } from 'node:crypto'
import { posix } from 'node:path'
import { DeployError } from '../errors.ts'
import type { Repository } from './repository.ts'

/** A file to place on the host; `path` starts below `.deploy/`. */
export type ShippedFile = { path: string; content: Buffer; mode: number }

/** A file or folder of the repository at its content address, e.g. `files/<sha256>/nginx.conf`. */
export type Shipped = { path: string; files: readonly ShippedFile[] }

/** Ships the file or folder at this path. Undefined when it does not exist, or is a folder with only placeholders. */
export function ship(repository: Repository, path: string): Shipped | undefined {
  const members = membersOf(repository, path)
  if (!members.some((member) => member === path || !isPlaceholder(member))) return undefined
  // Only this path is checked: nothing names the files below it, so they may have any characters.
  checkPath(path)
  const files = members.map((member) => ({
    path: member,
    content: repository.read(member),
    mode: repository.files.get(member) ? 0o755 : 0o644,
  }))
  const name = path === '.' ? 'repository' : posix.basename(path)
  // The hash includes the name: otherwise the host would confuse a renamed file with one that it already has.
  const hash = createHash('sha256').update(`${name}\0`)
  for (const file of files) {
    hash.update(`${posix.relative(path, file.path)}\0${file.mode}\0${file.content.length}\0`).update(file.content)
  }
  const address = `files/${hash.digest('hex')}/${name}`
  return {
    path: address,
    files: files.map((file) => ({ ...file, path: posix.join(address, posix.relative(path, file.path)) })),
  }
}

/** Whether a file only keeps its folder in Git: `.gitkeep`, `.gitignore` or a readme. */
export function isPlaceholder(path: string): boolean {
  return /^(\.|readme(\.|$))/i.test(posix.basename(path))
}

/** The files of the repository at or below this path, in a fixed order. */
export function membersOf(repository: Repository, path: string): readonly string[] {
  if (repository.files.has(path)) return [path]
  const start = path === '.' ? '' : `${path}/`
  return [...repository.files.keys()].filter((member) => member.startsWith(start)).sort()
}

/** The host reads paths line by line and word by word, so only plain characters are allowed. */
export function isPlainPath(path: string): boolean {
  return /^[\p{L}\p{N}_.][\p{L}\p{N}_.@+=,/ -]*$/u.test(path) && path === path.trim() && !path.includes('//')
}

export function checkPath(path: string): void {
  if (isPlainPath(path)) return
  throw new DeployError('compose-invalid', {
    what: 'A path in the Compose file has unsupported characters',
    seen: JSON.stringify(path),
    fix: 'rename it: letters, digits, spaces and . _ - @ + = , are fine',
  })
}
