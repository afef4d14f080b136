import { copyWith, type DeployError } from '../errors.ts'

/** The fix for an older release that a rollback did not bring up: its code cannot be changed. */
export const OLD_RELEASE_FIX =
  'choose another version, or deploy a corrected release; this one served before, so look in the last lines of its containers for what has changed outside it: a service that it needs, or a value that it reads'

/** How the texts name the release that did not come up. */
export const NEW_RELEASE = /\bthe new release\b/i

/** Names the release in a failure that calls it new. A rollback gets a fix that does not change the code. */
export function explainRelease(failure: DeployError, version: string, isRollback: boolean): DeployError {
  if (!NEW_RELEASE.test(failure.what)) return failure
  const slow = failure.code === 'health-timeout' ? '; raise `health-timeout` if it is only slow' : ''
  const fix = isRollback ? OLD_RELEASE_FIX + slow : failure.fix
  return copyWith(failure, { what: failure.what.replace(NEW_RELEASE, () => version), fix })
}
