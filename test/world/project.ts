import { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from '../../src/process.ts'
import { output } from './docker.ts'

const examples = fileURLToPath(new URL('../../examples', import.meta.url))

/** A git repository of its own with an example in it, as a user would have it. */
export type Project = AsyncDisposable & {
  workspace: string
  /** The last commit. */
  readonly sha: string
  /** Makes the next commit: the example at another version, with the files of `write` kept. Returns its sha. */
  upgrade(version: string): Promise<string>
  /** Writes a file of the repository and commits it; later versions keep it. Returns the new sha. */
  write(path: string, text: string): Promise<string>
}

/** Copies an example (`todo`) at a version (`v1` is the example as it is) into a fresh repository with one commit. */
export async function makeProject(example: string, version = 'v1'): Promise<Project> {
  const workspace = await mkdtemp(join(tmpdir(), `deploy-django-${example}-`))
  const edits = new Map<string, string>()
  let sha = ''
  let commits = 0
  const git = async (...args: readonly string[]): Promise<string> => {
    // Fixed dates and names give the same sha for the same content.
    const date = new Date(Date.UTC(2026, 0, 1, 12, commits)).toISOString()
    const who = { GIT_AUTHOR_NAME: 'Todo', GIT_AUTHOR_EMAIL: 'todo@example.com', GIT_AUTHOR_DATE: date }
    const by = { GIT_COMMITTER_NAME: 'Todo', GIT_COMMITTER_EMAIL: 'todo@example.com', GIT_COMMITTER_DATE: date }
    const env = { ...process.env, ...who, ...by, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' }
    return output(`git ${args[0]}`, await run('git', args, { cwd: workspace, env }))
  }
  const commit = async (message: string): Promise<string> => {
    for (const [path, text] of edits) {
      await mkdir(dirname(join(workspace, path)), { recursive: true })
      await writeFile(join(workspace, path), text)
    }
    await git('add', '--all')
    await git('commit', '--quiet', '--allow-empty', '--message', message)
    commits += 1
    sha = await git('rev-parse', 'HEAD')
    return sha
  }
  const upgrade = async (to: string): Promise<string> => {
    for (const name of await readdir(workspace)) {
      if (name !== '.git') await rm(join(workspace, name), { recursive: true })
    }
    await lay(example, to, workspace)
    return commit(`Release ${to}`)
  }
  await git('init', '--quiet', '--initial-branch', 'main')
  await upgrade(version)
  return {
    workspace,
    get sha() {
      return sha
    },
    upgrade,
    async write(path, text) {
      edits.set(path, text)
      return commit(`Change ${path}`)
    },
    [Symbol.asyncDispose]: () => rm(workspace, { recursive: true, force: true }),
  }
}

/** Lays an example at a version into a folder: its tree, then the versions that this one follows, then this one. */
async function lay(example: string, version: string, into: string): Promise<void> {
  const source = join(examples, example)
  const versions = join(source, 'versions')
  if (version === 'v1') {
    // `git ls-files` would leave out what is new; what a build or a person left behind is ignored by name.
    const left = new Set([versions, join(source, '.env'), join(source, 'data')])
    await cp(source, into, { recursive: true, filter: (path) => !left.has(path) && !path.endsWith('__pycache__') })
    return
  }
  const overlay = join(versions, version)
  if (!existsSync(overlay)) throw new Error(`the example ${example} has no version ${version}: ${overlay} is not there`)
  const follows = join(overlay, 'FOLLOWS')
  await lay(example, existsSync(follows) ? (await readFile(follows, 'utf8')).trim() : 'v1', into)
  await cp(overlay, into, { recursive: true, filter: (path) => path !== follows })
}
