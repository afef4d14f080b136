import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join, posix } from 'node:path'
import * as v from 'valibot'
import { DeployError } from '../errors.ts'
import type { Run } from '../process.ts'
import { readPullRequestEvent } from './event.ts'

/** The branch that a pull request targets, as it was when the run started. */
export type Base = { sha: string; branch: string }

/** A migration file that the base lacks, with the SHA-256 of its content. */
export type NewFile = { path: string; name: string; digest: string }

const fields = v.object({ base: v.object({ sha: v.string(), ref: v.string() }) })

/** Reads the base of this run's pull request from GitHub's event. */
export async function readBase(eventPath: string): Promise<Base> {
  const { base } = await readPullRequestEvent(eventPath, fields)
  return { sha: base.sha, branch: base.ref }
}

/** The migration files that the checkout has and the base lacks. */
export async function findNewMigrations(run: Run, workspace: string, { sha, branch }: Base): Promise<NewFile[]> {
  const git = (...args: readonly string[]) =>
    run('git', ['-c', `safe.directory=${workspace}`, ...args], { cwd: workspace })
  const known = await git('cat-file', '-e', `${sha}^{commit}`)
  if (known.code !== 0) throw explainMissing({ sha, branch }, known.stderr)
  const compared = await git(
    ...['diff', '--name-only', '--diff-filter=A', '--no-renames', '-z', sha, '--', ':(glob)**/migrations/*.py'],
  )
  if (compared.code !== 0)
    throw new DeployError('internal', { what: 'git does not compare the migrations', seen: compared.stderr.trim() })
  const paths = compared.stdout.split('\0').filter((path) => path !== '' && posix.basename(path) !== '__init__.py')
  return await Promise.all(
    paths.map(async (path) => ({
      path,
      name: posix.basename(path, '.py'),
      digest: createHash('sha256')
        .update(await readFile(join(workspace, path)))
        .digest('hex'),
    })),
  )
}

function explainMissing({ sha, branch }: Base, said: string): DeployError {
  return new DeployError('base-missing', {
    what: `The checkout does not have the commit of ${branch} that this pull request is compared with`,
    seen: [`commit ${sha}`, said.trim()].join('\n'),
    why: 'actions/checkout fetches only one commit by default',
    fix: 'give the step of actions/checkout `with: { fetch-depth: 0 }`',
  })
}
