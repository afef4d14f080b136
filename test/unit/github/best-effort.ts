import { jest } from '@jest/globals'
import { closeWarnings } from '../../../src/github/annotation.ts'

/** What the work wrote as annotations of the step. */
export async function warningsOf(work: () => Promise<unknown>): Promise<string[]> {
  const lines: string[] = []
  const spy = jest.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    lines.push(String(chunk))
    return true
  })
  try {
    await work()
  } finally {
    // Forget earlier warnings, so that the same text is reported again.
    closeWarnings()
    spy.mockRestore()
  }
  return lines.filter((line) => line.startsWith('::warning::')).map((line) => line.slice('::warning::'.length).trim())
}

/** Makes the time limit of a request shorter, which is too long for a unit test. */
export function shortenLimits(): void {
  const timeout = AbortSignal.timeout.bind(AbortSignal)
  jest.spyOn(AbortSignal, 'timeout').mockImplementation((limit) => timeout(limit / 50))
}

/** Makes the pause before a second request shorter. */
export function shortenPauses(): void {
  const set = globalThis.setTimeout
  jest
    .spyOn(globalThis, 'setTimeout')
    .mockImplementation(Object.assign((work: () => void, pause = 0) => set(work, pause / 100), set))
}
