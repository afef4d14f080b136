import { debug, isDebug } from '@actions/core'
import { harmless } from '../report/log.ts'
import type { RunOptions } from '../process.ts'

/** Whether the script on the host printed this line for debug logging; see `trace` in transaction/word.sh. */
export function isTrace(line: string): boolean {
  return line.startsWith('trace: ')
}

/** Removes the trace lines from the text. */
export function withoutTrace(text: string): string {
  return text.replace(/^trace: .*\n?/gm, '')
}

/** Turns on the trace of the script on the host if debug logging is on. */
export function askForTrace(words: readonly string[]): readonly string[] {
  return isDebug() && words[0] === 'sh' ? ['env', 'DEPLOY_DJANGO_TRACE=yes', ...words] : words
}

/** Shows trace lines as debug lines and passes on all others. */
export function divertTrace(onLine: RunOptions['onLine']): RunOptions['onLine'] {
  if (!isDebug()) return onLine
  return (line, stream) => {
    if (stream === 'stderr' && isTrace(line)) showTrace(line)
    else onLine?.(line, stream)
  }
}

/** Shows a line only when debug logging is on. */
export function showTrace(line: string): void {
  if (isDebug()) debug(harmless(line))
}
