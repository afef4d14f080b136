/**
 * Long tables of stories: a usual run of script/test tells one part of them, script/nightly tells all. Which part it is moves on
 * with each commit; what is skipped names both. One that is asked for by `npm run test:e2e` is always told.
 */
import { test } from '@jest/globals'

const PARTS = 4
const given = process.env['STORIES_PART'] ?? ''

/** A test of a long table; it belongs to a part by its name. */
export function story(name: string, tell: () => Promise<void>): void {
  const now = given === '' ? undefined : Number(given) % PARTS
  const part = [...name].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % PARTS
  if (now === undefined || now === part) test(name, tell)
  else
    test.skip(
      `${name} (skipped: it is told in part ${part}, this run tells part ${now} of 0 to ${PARTS - 1}; script/nightly tells all)`,
      tell,
    )
}
