/** Long stories that the usual run leaves out, so that it fits its time: `script/nightly` tells them, and so does STORIES=all. */
import { test } from '@jest/globals'

/** A story for script/nightly. */
export function nightly(name: string, tell: () => Promise<void>, timeoutMs?: number): void {
  if (process.env['STORIES'] === 'all') test(name, tell, timeoutMs)
  else test.skip(`${name} (skipped: a long story, which script/nightly tells)`, tell)
}
