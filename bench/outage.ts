import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** One request: when it was sent, and the release that answered it with 200; undefined when none did within a second. */
export type Answer = { at: number; release: string | undefined }

/** Milliseconds without a 200, from the last one before to the first one after: all gaps together, and the longest. */
export type Outage = { sum: number; longest: number }

/** Watches a site from now on; call `until` with the release that has to answer in the end. */
export async function watch(port: number): Promise<{ until(release: string): Promise<Answer[]> }> {
  const child = fork(fileURLToPath(new URL('poll.ts', import.meta.url)), [String(port)], { stdio: 'inherit' })
  await once(child, 'spawn')
  return {
    async until(release) {
      child.send(release)
      const [answers] = (await once(child, 'message')) as [Answer[]]
      if (answers.at(-1)?.release !== undefined && answers.some((answer) => answer.release === release)) return answers
      throw new Error(`the site on port ${port} does not serve ${release}`)
    },
  }
}

/** Pure: computes the total and the longest time without a 200 from the answers. */
export function measureOutage(answers: readonly Answer[]): Outage {
  const outage = { sum: 0, longest: 0 }
  let last = answers[0]?.at ?? 0
  let isDown = false
  for (const { at, release } of answers) {
    if (release === undefined) {
      isDown = true
      continue
    }
    if (isDown) {
      outage.sum += at - last
      outage.longest = Math.max(outage.longest, at - last)
    }
    isDown = false
    last = at
  }
  return outage
}

/** When a release answered for the first time after everything before it. */
export function firstAnswer(answers: readonly Answer[], release: string): number {
  const before = answers.findLastIndex((answer) => answer.release !== release)
  return answers[before + 1]?.at ?? Number.NaN
}
