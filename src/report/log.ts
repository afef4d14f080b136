import { endGroup, info, startGroup } from '@actions/core'
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
        info(`  ${progress.text}`)
        return
      }
      const { line } = progress
      info(`${line.time} ${[line.step, line.state, line.detail].join(' ').trim()}`)
      step = line.step
      since = Date.now()
    },
    stop: () => clearInterval(heartbeat),
  }
}
