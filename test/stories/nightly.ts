/** Long stories, which the usual run skips to save time; `script/nightly` and STORIES=all run them. */
import { test } from '@jest/globals'

/** A story for script/nightly. */
export function nightly(name: string, tell: () => Promise<void>, timeoutMs?: number): void {
  if (process.env['STORIES'] === 'all') test(name, tell, timeoutMs)
  else test.skip(`${name} (skipped: a long story, which script/nightly runs)`, tell)
}
