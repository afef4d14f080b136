import type { RunOptions } from '../process.ts'

/** Where the lines of a program go: to the log, or only to the debug log. */
export type Lines = { show: (line: string) => void; showDetail: (line: string) => void }

/** BuildKit's own steps, which are not in the Dockerfile. */
const OWN_STEP =
  /^#\d+ (?:\[(?:\S+ )?(?:internal|auth)\b|(?:\[\S+\] )?(?:importing|exporting to|resolving|building with)\b)/
/** BuildKit's own lines inside a step. */
const OWN_LINE =
  /^#\d+ (?:sha256:|extracting |transferring |resolve |writing |naming |preparing |exporting |\.\.\.$|DONE 0\.0s$)/

/**
 * Shows the lines of the Dockerfile's steps. BuildKit's own lines go to the debug log. It remembers BuildKit's steps.
 */
export function sortBuild({ show, showDetail }: Lines): NonNullable<RunOptions['onLine']> {
  const own = new Set<string>()
  return (line) => {
    const number = /^#(\d+) /.exec(line)?.[1]
    if (number !== undefined && OWN_STEP.test(line)) own.add(number)
    const isDetail = line === '' || (number !== undefined && (own.has(number) || OWN_LINE.test(line)))
    if (isDetail) showDetail(line)
    else show(line)
  }
}

/**
 * Shows the lines of `docker push` and `docker pull`. Lines about layers go to the debug log; pushed layers are
 * counted.
 */
export function sortTransfer({ show, showDetail }: Lines): {
  onLine: NonNullable<RunOptions['onLine']>
  countNew: () => number
} {
  const sent = new Set<string>()
  return {
    onLine(line) {
      const [, layer, state] = /^([0-9a-f]{12}): (.*)$/.exec(line) ?? []
      if (layer === undefined || state === undefined) return show(line)
      if (state === 'Pushed') sent.add(layer)
      showDetail(line)
    },
    countNew: () => sent.size,
  }
}

/** `1 image`, `2 images` */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}
