import { posix } from 'node:path'
import { checkAll, DeployError } from '../errors.ts'
import type { EnvFile } from '../inputs/values.ts'
import { isValues, listOf, textOf } from './document.ts'
import type { Project } from './project.ts'
import { canBecome, interpolate, isWhole, knownPath, withDefaults } from './variable.ts'

/** A line that Compose would read differently from what its author meant. Its text is left out: it may be secret. */
export type Misread = { line: number; why: string; fix: string }

/** The settings of an env file, and the lines that Compose would misread. */
export type EnvFileText = { values: ReadonlyMap<string, string>; misread: readonly Misread[] }

const NAME = /[^\S\n]*(?:export[^\S\n]+)?(?!export\b)([A-Za-z_][\w.-]*)[^\S\n]*[=:]([^\S\n]*)/y
const NOTHING = /[^\S\n]*(?:#[^\n]*)?(?:\n|$)/y
const SINGLE = /(')([^']*)'/y
const DOUBLE = /(")((?:\\[^]|[^"\\])*)"/y
const LINE = /[^\n]*/y
/** The escapes in double quotes that all versions of Compose read alike. */
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', '"': '"', '\\': '\\', $: '$$' }
const IN_SINGLE_QUOTES =
  "put the value in single quotes, as in SECRET_KEY='ab$cd'; one with a single quote in it in double quotes, with \\$ for a dollar sign"

/** Reads an env file as Compose does. Values may refer to earlier lines and to `known`. */
export function readEnvFile(text: string, known: ReadonlyMap<string, string> = new Map()): EnvFileText {
  return readLines(text, (value, values, refuse) => fill(value, new Map([...known, ...values]), refuse))
}

/**
 * Reads an env file but leaves unknown variables in its values, where `$$` is a dollar sign. Precedence: `outer`, then
 * the file, then `earlier` files.
 */
export function readEnvTemplates(
  text: string,
  outer: ReadonlyMap<string, string>,
  earlier: ReadonlyMap<string, string>,
): EnvFileText {
  return readLines(text, (value, values) => withDefaults(value, new Map([...earlier, ...values, ...outer])))
}

/** Fills in the variables of a value; `values` are the settings of earlier lines. */
type Fill = (value: string, values: ReadonlyMap<string, string>, refuse: Refuse) => string

function readLines(text: string, fillIn: Fill): EnvFileText {
  const values = new Map<string, string>()
  const misread: Misread[] = []
  for (const assignment of assignmentsIn(text)) {
    const { line, name } = assignment
    const refuse = (why: string, fix: string): void => void misread.push({ line, why, fix })
    const value = name === undefined ? undefined : readValue(assignment, refuse)
    if (name === undefined) refuse('it does not have the form NAME=value', 'write NAME=value, or # before a comment')
    else if (value !== undefined) values.set(name, fillIn(value, values, refuse))
    // After an unclosed quote, the next lines may belong to the value.
    if (isOpen(assignment)) break
  }
  return { values, misread }
}

/** One setting of an env file as written, valid for Compose or not. */
export type Assignment = {
  line: number
  /** Undefined when the line is not `NAME=value`. */
  name: string | undefined
  space: string
  /** The rest of the line after `=` or `:` and the space. */
  written: string
  /** A value in quotes, which may end on a later line. `behind` is the text after the closing quote. */
  quoted: { quote: string; inside: string; behind: string } | undefined
}

/** The settings of an env file in order, without comments and empty lines. */
export function assignmentsIn(text: string): readonly Assignment[] {
  const found: Assignment[] = []
  let at = 0
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at
    const match = pattern.exec(text)
    if (match) at = pattern.lastIndex
    return match ?? undefined
  }
  const rest = (): string => take(LINE)?.[0] ?? ''
  while (at < text.length) {
    if (take(NOTHING)) continue
    const line = text.slice(0, at).split('\n').length
    const [, name, space = ''] = take(NAME) ?? []
    const start = at
    const written = rest()
    at = start
    const [, quote = '', inside] = name === undefined ? [] : (take(SINGLE) ?? take(DOUBLE) ?? [])
    const behind = rest()
    found.push({ line, name, space, written, quoted: inside === undefined ? undefined : { quote, inside, behind } })
  }
  return found
}

/** Whether a quote is opened and never closed. */
function isOpen({ written, quoted }: Assignment): boolean {
  return quoted === undefined && /^['"]/.test(written)
}

type Refuse = (why: string, fix: string) => void

/** The value without quotes and escapes. In it `$$` is a dollar sign, and `$` starts a variable. */
function readValue(assignment: Assignment, refuse: Refuse): string | undefined {
  const { written, space, quoted } = assignment
  if (isOpen(assignment)) {
    refuse('a quote is opened and never closed', 'close it, or put the other kind of quotes around the value')
    return undefined
  }
  if (!quoted) return readPlain(written, space, refuse)
  const { quote, inside, behind } = quoted
  if (quote === "'" && inside.endsWith('\\')) {
    refuse(
      'Compose reads a quote after a backslash as part of the value',
      'use double quotes, and \\\\ for a backslash',
    )
  } else if (quote === '"' && /\\[^nr"\\$]/.test(inside.replaceAll('\\\\', ''))) {
    refuse('versions of Compose read this backslash in double quotes differently', IN_SINGLE_QUOTES)
  } else if (!/^\s*(#.*)?$/.test(behind)) {
    refuse('there is text after the closing quote', 'put other quotes around the whole value, or # before a comment')
  } else if (quote === "'") {
    return inside.replaceAll('$', '$$$$')
  } else {
    refuseDoubled(inside.replace(/\\[^]/g, ''), refuse)
    return inside.replace(/\\([^])|\$(?![A-Za-z_{])/g, (_, escaped?: string) =>
      escaped === undefined ? '$$' : (ESCAPES[escaped] ?? escaped),
    )
  }
  return undefined
}

function readPlain(line: string, space: string, refuse: Refuse): string {
  if (space !== '' && line.startsWith('#')) {
    refuse('Compose reads this # and what follows as the value', "put quotes around the value; an empty one is NAME=''")
  } else if (/\t#/.test(line)) {
    refuse('Compose reads this # as part of the value', 'put quotes around the value, or a space before the #')
  }
  const value = line.replace(/ +#.*$/, '').trimEnd()
  refuseDoubled(value, refuse)
  return value.replace(/\$(?![A-Za-z_{])/g, '$$$$')
}

/** `$$` is ambiguous: an escape written for Compose, or two characters of a generated password. */
function refuseDoubled(text: string, refuse: Refuse): void {
  if (text.includes('$$')) refuse('Compose turns two dollar signs into one', IN_SINGLE_QUOTES)
}

/** Fills in the variables. An unknown `$NAME` is refused; an unknown `${NAME}` is not, because the host may know it. */
function fill(value: string, known: ReadonlyMap<string, string>, refuse: Refuse): string {
  const text = value.replaceAll('$$', '\0')
  const isLost = [...text.matchAll(/\$([A-Za-z_]\w*)/g)].some(([, name = '']) => !known.has(name))
  const isBroken = !isWhole(text) || /\$\{(?![A-Za-z_]\w*(:?[-?+]|\}))/.test(text)
  if (isLost || isBroken) {
    refuse('a dollar sign starts a variable for Compose, and what follows it would be lost', IN_SINGLE_QUOTES)
  }
  return interpolate(value, Object.fromEntries(known)) ?? ''
}

/** The path in an entry of `env_file:`, short or long. */
export function envFilePath(entry: unknown): string | undefined {
  return textOf(isValues(entry) ? entry['path'] : entry)
}

/** The env files of a service that are read in another format, as written. */
export function formattedEnvFiles({ services }: Project, service: string): readonly string[] {
  return listOf(services.get(service)?.values['env_file']).flatMap((entry) =>
    isValues(entry) && entry['format'] !== undefined ? (envFilePath(entry) ?? []) : [],
  )
}

/** Stops for shipped env files that Compose would misread. `format: raw` is read literally, so it is not checked. */
export function checkEnvFiles({ folder, services }: Project, files: readonly EnvFile[]): void {
  const entries = [...services.values()].flatMap(({ values }) => listOf(values['env_file']))
  const read = entries
    .filter((entry) => !isValues(entry) || entry['format'] !== 'raw')
    .map((entry) => envFilePath(entry) ?? '')
  // Files that are only mounted, or that hold a secret, may have any format.
  const isRead = (path: string): boolean =>
    read
      .map((text) => knownPath(text)?.path ?? text)
      .flatMap((text) => [posix.normalize(text), posix.join(folder, text)])
      .some((text) => text === path || canBecome(text, path))
  const known = readEnvFile(files.find(({ path }) => path === '.env')?.content ?? '').values
  const checked = files.filter(({ path }) => path === '.env' || isRead(path))
  checkAll(...checked.map((file) => () => checkEnvFile(file, file.path === '.env' ? new Map() : known)))
}

function checkEnvFile({ path, content }: EnvFile, known: ReadonlyMap<string, string>): void {
  const { misread } = readEnvFile(content, known)
  if (misread.length === 0) return
  const lines = misread.map(({ line }) => line)
  throw new DeployError('input-invalid', {
    what: `The env file ${path} would be read differently from how it is written: line ${[...new Set(lines)].join(', ')}`,
    why: misread.map(({ line, why }) => `line ${line}: ${why}`).join('\n'),
    fix: [...new Set(misread.map(({ fix }) => fix))].join('\n'),
  })
}
