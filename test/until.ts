import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'

/** Asks until it is so. */
export async function until(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  seconds = 60,
  pauseMs = 100,
): Promise<void> {
  const end = Date.now() + seconds * 1000
  while (!(await isSo())) {
    if (Date.now() > end) assert.fail(`not within ${seconds} s: ${what}`)
    await pause(pauseMs)
  }
}
