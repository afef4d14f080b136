import { createHash } from 'node:crypto'
import { posix } from 'node:path'
import { DeployError } from '../errors.ts'
import type { Repository } from './repository.ts'

/** A file to place on the server; `path` starts below `.deploy/`. */
export type ShippedFile = { path: string; content: Buffer; mode: number }

/** Something of the repository under its content's address, e.g. `files/<sha256>/nginx.conf`. */
export type Shipped = { path: string; files: readonly ShippedFile[] }

/** The file or folder at this path of the repository; undefined when it is not there or only kept in Git for what comes into it. */
export function ship(repository: Repository, path: string): Shipped | undefined {
  const members = membersOf(repository, path)
  if (!members.some((member) => member === path || !isPlaceholder(member))) return undefined
  // What is below a folder is never named again: any character will do.
  checkPath(path)
  const files = members.map((member) => ({
    path: member,
    content: repository.read(member),
    mode: repository.files.get(member) ? 0o755 : 0o644,
  }))
  const name = path === '.' ? 'repository' : posix.basename(path)
  // The server keeps one thing under an address: without the name it would take a renamed file for one that it has.
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

/** Whether a file only keeps its folder in Git: `.gitkeep`, `.gitignore`, a readme for who puts something there. */
export function isPlaceholder(path: string): boolean {
  return /^(\.|readme(\.|$))/i.test(posix.basename(path))
}

/** The files of the repository at or below this path, in a fixed order. */
export function membersOf(repository: Repository, path: string): readonly string[] {
  if (repository.files.has(path)) return [path]
  const start = path === '.' ? '' : `${path}/`
  return [...repository.files.keys()].filter((member) => member.startsWith(start)).sort()
}

/** The server reads such paths line by line and word by word, so only plain characters are taken. */
export function checkPath(path: string): void {
  if (/^[\p{L}\p{N}_.][\p{L}\p{N}_.@+=,/ -]*$/u.test(path) && path === path.trim() && !path.includes('//')) return
  throw new DeployError('compose-invalid', {
    what: 'A path that the Compose file names has characters that cannot be deployed',
    seen: JSON.stringify(path),
    fix: 'rename it: letters, digits, spaces and . _ - @ + = , are fine',
  })
}
