/** The output of containers in the log of a deployment, as `show_last_lines` on the host prints it. */
export const HEAD = 'last lines of '
export const MARK = '  | '

/** Slightly more lines than the host shows for one container. */
const LONGEST_BLOCK = 24

/** The last lines of the container that failed last, from the line that names it. */
export function lastBlock(lines: readonly string[]): readonly string[] {
  const start = lines.findLastIndex((line) => line.startsWith(HEAD))
  return start < 0 || start < lines.length - LONGEST_BLOCK ? lines.slice(-12) : lines.slice(start)
}

/**
 * The last lines of so many containers, each with its name; undefined without any. The host shows the service that gave
 * the answer last.
 */
export function lastLines(lines: readonly string[], count: number): string | undefined {
  const end = lines.findLastIndex((line) => line.startsWith(MARK))
  const begin = lines.findLastIndex((line, at) => at < end && !line.startsWith(MARK) && !line.startsWith(HEAD))
  const blocks = lines.slice(begin + 1, end + 1)
  const start = blocks.flatMap((line, at) => (line.startsWith(HEAD) ? [at] : [])).slice(-count)[0]
  if (start === undefined) return undefined
  return blocks
    .slice(start)
    .map((line) => line.replace(/^last lines of \/?/, 'the last lines of '))
    .join('\n')
}
