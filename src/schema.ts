import * as v from 'valibot'
import { DeployError } from './errors.ts'

/** Names the JSON in an error, and the fix unless it is an update of the action. */
export type Origin = { what: string; fix?: string }

const UPDATE = 'use the newest version of this action; if it is the newest, report the log as an issue of the action'

/** Parses text of another process as JSON of this schema. A surprise is an error, never an empty value. */
export function parseJson<Schema extends v.GenericSchema>(
  schema: Schema,
  text: string,
  origin: Origin,
): v.InferOutput<Schema> {
  try {
    return readJson(schema, JSON.parse(text), origin)
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause
    throw new DeployError('internal', {
      what: `${origin.what} is not JSON`,
      seen: text.trim().slice(0, 200) || 'nothing',
      fix: origin.fix ?? UPDATE,
      cause,
    })
  }
}

/** Checks JSON of another process against this schema. */
export function readJson<Schema extends v.GenericSchema>(
  schema: Schema,
  value: unknown,
  { what, fix = UPDATE }: Origin,
): v.InferOutput<Schema> {
  const read = v.safeParse(schema, value)
  if (read.success) return read.output
  throw new DeployError('internal', {
    what: `${what} does not have the form that this version of the action reads`,
    seen: read.issues
      .slice(0, 3)
      .map((issue) => `${v.getDotPath(issue) ?? 'the whole document'}: ${issue.message}`)
      .join('\n'),
    fix,
  })
}
