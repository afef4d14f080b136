/** Titles of the log, in their order, and the part that ends with each; a release that already runs is not staged. */
const STAGES = [
  ['Inspect', 'runner: start, look at repository and host'],
  ['Push', 'runner: find the images, look into them, push'],
  ['Stage', 'host: stage'],
  ['Plan', 'host: plan'],
] as const

/**
 * Milliseconds of the parts of a deploy, read from its log, in which each step has a line when it has ended: what the runner does
 * before the first file is sent, what comes after it, and the steps of the deployment, as the host timed them.
 */
export function readParts(
  lines: readonly { at: number; text: string }[],
  begun: number,
  ended: number,
): Map<string, number> {
  const titles = lines.flatMap(({ at, text }) => {
    const [, name, seconds] = /^(?:##\[group\])?(\w+): .*\b(\d+\.\d) s$/.exec(text) ?? []
    return name === undefined ? [] : [{ at, name, milliseconds: Number(seconds) * 1000 }]
  })
  const stages = STAGES.flatMap(([title, part]) =>
    titles.filter(({ name }) => name === title).map(({ at }) => ({ part, at })),
  )
  const ends = [...stages, { part: 'host: deployment', at: ended }]
  const parts = new Map(ends.map(({ part, at }, index) => [part, at - (ends[index - 1]?.at ?? begun)]))
  for (const { name, milliseconds } of titles) {
    if (/^[a-z]/.test(name)) parts.set(`step: ${name}`, milliseconds)
  }
  return parts
}

/** What a deploy needs of the runner, before anything is sent: the plain recipe leaves that out of its clock. */
export function runnerPart(parts: ReadonlyMap<string, number>): number {
  return [...parts].reduce((sum, [part, time]) => (part.startsWith('runner:') ? sum + time : sum), 0)
}
