/**
 * Long tables of stories: a usual run of script/test tells one part of them and names it, script/nightly tells all. Which part it
 * is moves on with each commit. One that is asked for by `npm run test:e2e` is always told.
 */
import { test } from '@jest/globals'

export const PARTS = 4

/** A test of a long table; it belongs to a part by its name. */
export function story(name: string, tell: () => Promise<void>): void {
  const now = process.env['STORIES_PART'] ?? ''
  const part = [...name].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % PARTS
  if (now === '' || Number(now) === part) test(name, tell)
  else
    test.skip(
      `${name} (skipped: it is told in part ${part}, this run tells part ${now} of 0 to ${PARTS - 1}; script/nightly tells all)`,
      tell,
    )
}
