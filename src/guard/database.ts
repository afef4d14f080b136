import type { Database } from '../django/document.ts'
import { DEFAULT } from '../django/label.ts'
import { DeployError } from '../errors.ts'

/** Compares every database of the input `databases` with what the current release was verified with. */
export function checkDatabases(before: readonly Database[], now: readonly Database[], accept: string): void {
  const [first] = findChanges(before, now)
  if (!first) return
  throw new DeployError('database-changed', { ...first, fix: `${first.fix}, ${accept}` })
}

const aliasOf = ({ alias = DEFAULT }: Database): string => alias

/** A database that changed without a deploy. `checkDatabases` appends the approval to `fix`. */
type Change = { what: string; seen: string; why: string; fix: string }

/** What has changed, in one line per database, since the current release was verified. */
export function describeChanges(before: readonly Database[], now: readonly Database[]): readonly string[] {
  return findChanges(before, now).map(({ what, seen }) => `${what}: ${seen.replaceAll('\n', ', ')}`)
}

/** Compares each database with the one of the same alias. */
function findChanges(before: readonly Database[], now: readonly Database[]): readonly Change[] {
  return now.flatMap((each) => {
    const known = before.find((other) => aliasOf(other) === aliasOf(each))
    return (known && findChange(known, each)) ?? []
  })
}

/** Two database servers on one volume destroy its data, and a deploy does not stop the service that was renamed. */
const RENAMED =
  'if its service or volume was renamed in the Compose file, the data is in the old volume: give both their old names, or keep the old volume with `name: OLDVOLUME` in its new entry below `volumes:` (`docker volume ls` on the host lists it), and before you deploy, stop the container of a renamed service there: `docker stop CONTAINER`'

/** Whether the database is not the one that the current release was verified with, or is empty now. */
function findChange(before: Database, now: Database): Change | undefined {
  if (!isSame(before, now)) {
    return {
      what: 'The settings no longer point to the current database',
      seen: `before: ${describe(before)}\nnow: ${describe(now)}`,
      why: 'a setting of the database has changed, or its service has got another volume',
      fix: `correct the settings; ${RENAMED}; if the data was moved there`,
    }
  }
  if (now.empty && !before.empty) {
    return {
      what: 'The database is empty, but it was not when the current release was deployed',
      seen: describe(now),
      why: 'its volume or its file was replaced, or it was emptied by hand',
      fix: `restore the data; ${RENAMED}; if it must start empty`,
    }
  }
  return undefined
}

/** The host name of a database may change. Its system identifier, if known, decides whether it is the same one. */
function isSame(a: Database, b: Database): boolean {
  if (a.vendor !== b.vendor || a.name !== b.name) return false
  return a.system !== undefined && b.system !== undefined ? a.system === b.system : a.host === b.host
}

/** The database as messages name it. */
export function describe({ vendor, system, host, name }: Database): string {
  return [vendor, host, name, system === undefined ? '' : `(system ${system})`].filter((part) => part !== '').join(' ')
}
