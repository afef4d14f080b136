import { isDeepStrictEqual } from 'node:util'
import { error as annotateError, info, warning as annotateWarning } from '@actions/core'
import type { Place } from '../errors.ts'

/** GitHub shows ten warnings of a step and silently drops the rest. The action's process is one step. */
const MOST_WARNINGS = 10

type Warning = { text: string; place: Place | undefined }

let warnings: Warning[] = []

/** Writes a warning once: into the log, the summary, and as an annotation while the step has any left. */
export function warning(text: string, place?: Place): void {
  const isKnown = (known: Warning): boolean => known.text === text && isDeepStrictEqual(known.place, place)
  if (warnings.some(isKnown)) return
  warnings.push({ text, place })
  // The last annotation is reserved: it counts the warnings that did not fit.
  if (warnings.length < MOST_WARNINGS) annotateWarning(text, propertiesOf(place))
  else if (warnings.length > MOST_WARNINGS) info(`Warning: ${text}`)
}

/** Writes the last annotation and returns all warnings since the last call. */
export function closeWarnings(): readonly string[] {
  const all = warnings
  warnings = []
  const [last, ...others] = all.slice(MOST_WARNINGS - 1)
  if (last && others.length === 0) annotateWarning(last.text, propertiesOf(last.place))
  if (last && others.length > 0) {
    info(`Warning: ${last.text}`)
    annotateWarning(`… and ${others.length + 1} more warnings: see the summary`)
  }
  return all.map(({ text }) => text)
}

/** Writes the annotation of a failure. The annotation makes the step red. */
export function annotateFailure(text: string, title: string, place: Place | undefined): void {
  annotateError(text, { title, ...propertiesOf(place) })
}

function propertiesOf(place: Place | undefined): { file?: string; startLine?: number; startColumn?: number } {
  if (place === undefined) return {}
  const { file, line, column } = place
  return {
    file,
    ...(line !== undefined && { startLine: line }),
    ...(column !== undefined && { startColumn: column }),
  }
}
