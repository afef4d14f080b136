import type { Run } from '../process.ts'
import type { Commit } from './bake.ts'

/** The commit of the checkout, with the time that becomes the image's. A workspace without git history has no time. */
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
