import { lstatSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join, posix } from 'node:path'
import { DeployError } from '../errors.ts'
import type { Run } from '../process.ts'

/** The files of the repository that may be shipped, by path; the value says whether the file is executable. */
export type Repository = { files: ReadonlyMap<string, boolean>; read: (path: string) => Buffer }

/** The tracked files of the checkout and those of `extra` (files or folders that a step made). */
export async function readRepository(workspace: string, extra: readonly string[], run: Run): Promise<Repository> {
  const listed = await run('git', ['-c', `safe.directory=${workspace}`, 'ls-files', '--stage', '-z'], {
    cwd: workspace,
  })
  // Without git, actions/checkout unpacks an archive: everything in it is tracked.
  const tracked = listed.code === 0 ? parseIndex(listed.stdout, workspace) : listFiles(workspace, '')
  const added = extra.flatMap((path) => {
    const found = listFiles(workspace, path)
    if (found.length > 0) return found
    throw new DeployError('input-invalid', {
      what: `Input files names ${path}, which is not in the workspace`,
      fix: 'correct the path, or make the file in a step before this one',
    })
  })
  return { files: new Map([...tracked, ...added]), read: (path) => readFileSync(join(workspace, path)) }
}

/** Submodules (160000) have no content in the index. `listFiles` resolves symbolic links (120000). */
function parseIndex(text: string, workspace: string): readonly (readonly [string, boolean])[] {
  return text.split('\0').flatMap((line) => {
    const [, mode, path] = /^(\d{6}) [0-9a-f]+ \d\t([\s\S]+)$/.exec(line) ?? []
    if (mode === undefined || path === undefined || mode === '160000') return []
    return mode === '120000' ? listFiles(workspace, path) : [[path, mode === '100755'] as const]
  })
}

function listFiles(workspace: string, path: string): readonly (readonly [string, boolean])[] {
  const place = join(workspace, path)
  const isLink = lstatSync(place, { throwIfNoEntry: false })?.isSymbolicLink()
  const stat = statSync(place, { throwIfNoEntry: false })
  // A link to a file counts as that file. A link to a folder is skipped: it may form a loop.
  if (!stat || (isLink && stat.isDirectory())) return []
  if (!stat.isDirectory()) return [[path, (stat.mode & 0o111) !== 0]]
  const names = readdirSync(place).filter((name) => name !== '.git' && name !== 'node_modules')
  return names.flatMap((name) => listFiles(workspace, posix.join(path, name)))
}
