import type { Code, Problem } from '../errors.ts'
import { explainComplaint } from './complaint.ts'
import { explanations } from './explanation.ts'

/** Exit codes whose cause stands in what was printed around them, not in one line. */
const NEEDS_TAIL: readonly number[] = [21, 33, 35, 43, 45, 46, 47, 124, 126, 127, 137]

/** Whether an exit code has an explanation of its own. */
export function isKnownExit(code: number): boolean {
  return code in explanations
}

/** All of them as lines `code what: why. fix`, for who goes back by hand on the server. */
export function explanationLines(): readonly string[] {
  return Object.entries(explanations).map(([code, { what, why, fix }]) => {
    const cause = why === undefined ? '' : ` (${why})`
    return `${code} ${what}${cause}. To mend it: ${fix ?? 'see the last lines above'}`
  })
}

/** The code and the text of the error for an exit code; `said` is the program's one line about it, `tail` its last lines. */
export function explainExit(code: number, said: string | undefined, tail: string, step?: string): [Code, Problem] {
  const known = explanations[code]
  const all = tail.includes(said ?? '') ? tail : `${said}\n${tail}`.trim()
  const complaint = explainComplaint(tail)
  // Of a container that ended only what kept its program from starting is Docker's word; the rest is its own log.
  if (code === 47 && complaint?.[0] === 'container-exited') return complaint
  if (known) return [known.code, { ...known, seen: (NEEDS_TAIL.includes(code) ? all : said) || undefined }]
  if (complaint) return complaint
  const during = step === undefined ? '' : ` (step ${step})`
  return [
    'transaction-failed',
    {
      what: `The server could not do a step of the deployment${during}`,
      seen: all || undefined,
      why: `exit code ${code}`,
      fix: 'see the last lines; when they do not help, run the job again with debug logging',
    },
  ]
}
