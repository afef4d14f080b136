import { endGroup, info, startGroup, summary, warning } from '@actions/core'
import type { Progress } from '../server/follow.ts'

const HEARTBEAT_MS = 15_000

/** A foldable part of the log. A failure is told after the group, where it is seen. */
export async function group<T>(title: string, work: () => Promise<T>): Promise<T> {
  startGroup(title)
  const begun = Date.now()
  try {
    return await work()
  } finally {
    info(`(${((Date.now() - begun) / 1000).toFixed(1)} s)`)
    endGroup()
  }
}

/** The job summary; a runner without one only misses it. */
export async function writeSummary(text: string): Promise<void> {
  await summary
    .addRaw(text)
    .write()
    .catch((cause: unknown) => warning(`The job summary could not be written: ${String(cause)}`))
}

/** A line that a program printed. */
export function show(line: string): void {
  info(harmless(line))
}

/** Shows a transaction's progress, and that it lives while nothing is to be shown. Call `stop` at its end. */
export function showProgress(): { show: (progress: Progress) => void; stop: () => void } {
  let step = 'starting'
  let since = Date.now()
  const heartbeat = setInterval(() => {
    info(`  … ${step}, ${Math.round((Date.now() - since) / 1000)} s`)
  }, HEARTBEAT_MS)
  return {
    show(progress) {
      heartbeat.refresh()
      if (progress.kind === 'log') {
        info(`  ${harmless(progress.text)}`)
        return
      }
      const { line } = progress
      info(harmless(`${line.time} ${[line.step, line.state, line.detail].join(' ').trim()}`))
      step = line.step
      since = Date.now()
    },
    stop: () => clearInterval(heartbeat),
  }
}

/**
 * A line that others wrote, so that the runner shows it and does not obey it. The threat is a container that prints
 * `::add-mask::x`, or a visitor whose address has `##[error]` in it and gets into the last lines of a log. The runner
 * looks for the first behind any white space, for the second anywhere, and begins a line at each control character.
 */
export function harmless(line: string): string {
  return line
    .replace(/[\p{Cc}\u2028\u2029]/gu, (control) => (control === '\t' ? control : ' '))
    .replaceAll('##[', '## [')
    .replace(/^(\s*:):/, '$1 :')
}
