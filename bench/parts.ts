/**
 * Milliseconds of the parts of a deploy, read from its log: what the runner does before the first file is sent, the
 * groups after it, and the steps of the transaction, from their own journal.
 */
export function readParts(
  lines: readonly { at: number; text: string }[],
  begun: number,
  ended: number,
): Map<string, number> {
  const parts = new Map<string, number>()
  const groups = lines.flatMap(({ at, text }) => {
    const [, title] = /^##\[group\](\w+)/.exec(text) ?? []
    return title === undefined ? [] : [{ at, title }]
  })
  const stage = groups.findIndex(({ title }) => title === 'Stage')
  const from = groups[stage]?.at ?? Number.NaN
  const [images] = groups
  parts.set('runner: start, look at repository and server', (images?.at ?? Number.NaN) - begun)
  parts.set('runner: find the images, look into them, push', from - (images?.at ?? Number.NaN))
  const rest = [...groups.slice(stage), { at: ended, title: '' }]
  rest.forEach(({ at, title }, index) => {
    const next = rest[index + 1]
    if (next) parts.set(`server: ${title.toLowerCase()}`, next.at - at)
  })
  const starts = new Map<string, number>()
  for (const { text } of lines) {
    const [, time = '', step = '', state] = /^(\d{4}-\S+Z) (\w+) (begin|end)\b/.exec(text) ?? []
    if (state === 'begin') starts.set(step, Date.parse(time))
    const start = starts.get(step)
    if (state === 'end' && start !== undefined && step !== 'begin') parts.set(`step: ${step}`, Date.parse(time) - start)
  }
  return parts
}

/** What a deploy needs of the runner, before anything is sent: the plain recipe leaves that out of its clock. */
export function runnerPart(parts: ReadonlyMap<string, number>): number {
  return [...parts].reduce((sum, [part, time]) => (part.startsWith('runner:') ? sum + time : sum), 0)
}
