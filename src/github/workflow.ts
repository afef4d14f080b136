import type { Repository } from '../compose/repository.ts'

/** A step or job that uses the rollback of this action, or of a copy of it. */
const USES = /^\s*(?:-\s*)?uses:\s*['"]?[\w.-]+\/[\w.-]+\/(?:rollback|\.github\/workflows\/rollback\.ya?ml)@/m

/** The page of the repository's rollback workflow that can be started by hand; undefined when there is none. */
export function findRollbackPage(
  { files, read }: Repository,
  { serverUrl, repository }: { serverUrl: string; repository: string },
): string | undefined {
  const found = [...files.keys()].sort().find((path) => {
    if (!/^\.github\/workflows\/[\w.-]+\.ya?ml$/.test(path)) return false
    const text = read(path).toString()
    return /\bworkflow_dispatch\b/.test(text) && USES.test(text)
  })
  return found && `${serverUrl}/${repository}/actions/workflows/${found.slice('.github/workflows/'.length)}`
}
