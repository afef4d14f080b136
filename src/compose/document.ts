import { isNode, LineCounter, parseDocument, type Document } from 'yaml'
import { DeployError, type Place } from '../errors.ts'

/** A map as parsed; its values are not checked yet. */
export type Values = Readonly<Record<string, unknown>>

/** A parsed YAML file of the repository. `place` turns an offset into line and column. */
export type Source = { path: string; document: Document; place: (offset: number) => Place }

/** Parses a YAML file. A syntax error becomes an error with line and column. */
export function parseSource(path: string, text: string): Source {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, merge: true, logLevel: 'silent' })
  const place = (offset: number): Place => {
    const { line, col } = lines.linePos(offset)
    return { file: path, line, column: col }
  }
  const [mistake] = document.errors
  if (mistake) {
    const at = place(mistake.pos[0])
    throw new DeployError('compose-invalid', {
      what: `${path} is not valid YAML`,
      seen: mistake.message,
      fix: `correct line ${at.line}, column ${at.column} of ${path}`,
      annotation: at,
      cause: mistake,
    })
  }
  return { path, document, place }
}

/** The place of the value at this path, or of its nearest parent that exists. */
export function placeOf(source: Source, path: readonly string[]): Place {
  for (let depth = path.length; depth > 0; depth--) {
    const node: unknown = source.document.getIn(path.slice(0, depth), true)
    if (isNode(node) && node.range) return source.place(node.range[0])
  }
  return { file: source.path }
}

export function isValues(value: unknown): value is Values {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The map, or an empty one for anything else. */
export function valuesOf(value: unknown): Values {
  return isValues(value) ? value : {}
}

/** The list; a single value counts as a list of one. */
export function listOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value
  return value === undefined || value === null ? [] : [value]
}

/** A scalar as text. As in Compose, numbers and booleans count as text. */
export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : undefined
}

/** The texts of a list; other entries are dropped. */
export function textsOf(value: unknown): readonly string[] {
  return listOf(value)
    .map(textOf)
    .filter((text) => text !== undefined)
}

/** Every text in a value, however deep. */
export function textsIn(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value]
  if (Array.isArray(value)) return value.flatMap(textsIn)
  return isValues(value) ? Object.values(value).flatMap(textsIn) : []
}

/** Settings as a map or as a list of `NAME=value`; a name without a value has undefined. */
export function pairsOf(value: unknown): ReadonlyMap<string, string | undefined> {
  if (isValues(value)) return new Map(Object.entries(value).map(([name, text]) => [name, textOf(text)]))
  return new Map(
    textsOf(value).map((text) => {
      const equals = text.indexOf('=')
      return equals < 0 ? [text, undefined] : [text.slice(0, equals), text.slice(equals + 1)]
    }),
  )
}
