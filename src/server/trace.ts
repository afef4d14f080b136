import { debug, isDebug } from '@actions/core'
import { harmless } from '../report/log.ts'
import type { RunOptions } from '../process.ts'

/** Whether the script on the host wrote this line for debug logging; see `trace` in transaction/word.sh. */
export function isTrace(line: string): boolean {
  return line.startsWith('trace: ')
}

/** The text without those lines. */
export function withoutTrace(text: string): string {
  return text.replace(/^trace: .*\n?/gm, '')
}

/** Under debug logging the script on the host is asked for its trace. */
export function askForTrace(words: readonly string[]): readonly string[] {
  return isDebug() && words[0] === 'sh' ? ['env', 'DEPLOY_DJANGO_TRACE=yes', ...words] : words
}

/** Shows the trace as debug lines and passes all other lines on. */
export function divertTrace(onLine: RunOptions['onLine']): RunOptions['onLine'] {
  if (!isDebug()) return onLine
  return (line, stream) => {
    if (stream === 'stderr' && isTrace(line)) showTrace(line)
    else onLine?.(line, stream)
  }
}

/** A line for who has asked for debug logging. */
export function showTrace(line: string): void {
  if (isDebug()) debug(harmless(line))
}
