import type { Run } from '../process.ts'
import type { Commit } from './bake.ts'

/** The commit of the checkout. Its time becomes that of the image; without git history it is 1970. */
export async function readCommit(
  run: Run,
  { sha, workspace, serverUrl, repository }: { sha: string; workspace: string; serverUrl: string; repository: string },
): Promise<Commit> {
  const shown = await run('git', ['-c', `safe.directory=${workspace}`, 'show', '-s', '--format=%ct', sha], {
    cwd: workspace,
  })
  const time = new Date(shown.code === 0 ? Number(shown.stdout.trim()) * 1000 : 0)
  return { sha, time, source: `${serverUrl}/${repository}` }
}
