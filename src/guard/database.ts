import type { Database } from '../django/document.ts'
import { DeployError } from '../errors.ts'

/** Stops on another database than the one that the serving release was verified with; `accept` is how a person says yes. */
export function checkDatabase(before: Database | undefined, now: Database | undefined, accept: string): void {
  if (!before || !now) return
  if (!isSame(before, now)) {
    throw new DeployError('database-changed', {
      what: 'The settings lead to another database than the one that serves now',
      seen: `before: ${describe(before)}\nnow: ${describe(now)}`,
      why: 'a setting of the database has changed, or its service has got another volume',
      fix: `correct the settings; if the data was moved there, ${accept}`,
    })
  }
  if (now.empty && !before.empty) {
    throw new DeployError('database-changed', {
      what: 'The database is empty, and it was not when the release that serves now was deployed',
      seen: describe(now),
      why: 'its volume or its file is another one, or somebody emptied it',
      fix: `bring the data back; if it shall begin empty, ${accept}`,
    })
  }
}

/** The name of a database server may change: its own identity says that it is the same one, where it can be asked. */
function isSame(a: Database, b: Database): boolean {
  if (a.vendor !== b.vendor || a.name !== b.name) return false
  return a.system !== undefined && b.system !== undefined ? a.system === b.system : a.host === b.host
}

/** As people name it. */
export function describe({ vendor, system, host, name }: Database): string {
  return [vendor, host, name, system === undefined ? '' : `(system ${system})`].filter((part) => part !== '').join(' ')
}
