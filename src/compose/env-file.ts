import { posix } from 'node:path'
import { checkAll, DeployError } from '../errors.ts'
import type { EnvFile } from '../values.ts'
import { isValues, listOf, textOf } from './document.ts'
import type { Project } from './project.ts'
import { canBecome, interpolate, isWhole, knownPath, withDefaults } from './variable.ts'

/** A line that Compose would read differently from a person. Its text stays out of it: it may be secret. */
export type Misread = { line: number; why: string; fix: string }

/** The settings of an env file, and the lines that would not arrive as they are written. */
export type EnvFileText = { values: ReadonlyMap<string, string>; misread: readonly Misread[] }

const NAME = /[^\S\n]*(?:export[^\S\n]+)?(?!export\b)([A-Za-z_][\w.-]*)[^\S\n]*[=:]([^\S\n]*)/y
const NOTHING = /[^\S\n]*(?:#[^\n]*)?(?:\n|$)/y
const SINGLE = /'([^']*)'/y
const DOUBLE = /"((?:\\[^]|[^"\\])*)"/y
const LINE = /[^\n]*/y
/** What every version of Compose makes of a backslash in double quotes. */
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', '"': '"', '\\': '\\', $: '$$' }
const IN_SINGLE_QUOTES =
  "put the value in single quotes, as in SECRET_KEY='ab$cd'; one with a single quote in it in double quotes, with \\$ for a dollar sign"

/** Reads an env file as Compose does; `known` are settings that its values may refer to besides those above them. */
export function readEnvFile(text: string, known: ReadonlyMap<string, string> = new Map()): EnvFileText {
  return readLines(text, (value, values, refuse) => fill(value, new Map([...known, ...values]), refuse))
}

/**
 * The same with values that are not final: `$$` stands for a dollar sign, and a variable that is not known here stays. Those of
 * `outer` count before those of the file, and these before the ones of `earlier` files.
 */
export function readEnvTemplates(
  text: string,
  outer: ReadonlyMap<string, string>,
  earlier: ReadonlyMap<string, string>,
): EnvFileText {
  return readLines(text, (value, values) => withDefaults(value, new Map([...earlier, ...values, ...outer])))
}

/** Gives a value its variables; `values` are those above it. */
type Fill = (value: string, values: ReadonlyMap<string, string>, refuse: Refuse) => string

function readLines(text: string, fillIn: Fill): EnvFileText {
  const values = new Map<string, string>()
  const misread: Misread[] = []
  let at = 0
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at
    const found = pattern.exec(text)
    if (found) at = pattern.lastIndex
    return found ?? undefined
  }
  while (at < text.length) {
    if (take(NOTHING)) continue
    const line = text.slice(0, at).split('\n').length
    const refuse = (why: string, fix: string): void => void misread.push({ line, why, fix })
    const [, name, space = ''] = take(NAME) ?? []
    const value = name === undefined ? undefined : readValue(take, text[at], space, refuse)
    if (name === undefined) refuse('it does not have the form NAME=value', 'write NAME=value, or # before a comment')
    else if (value !== undefined) values.set(name, fillIn(value, values, refuse))
    if (misread.at(-1)?.line === line) take(LINE)
  }
  return { values, misread }
}

type Refuse = (why: string, fix: string) => void
type Take = (pattern: RegExp) => RegExpExecArray | undefined

/** The value with its quotes and escapes undone, in which `$$` stands for a dollar sign and `$` for a variable. */
function readValue(take: Take, quote: string | undefined, space: string, refuse: Refuse): string | undefined {
  if (quote !== "'" && quote !== '"') return readPlain(take(LINE)?.[0] ?? '', space, refuse)
  const [, inside] = take(quote === "'" ? SINGLE : DOUBLE) ?? []
  if (inside === undefined) {
    refuse('a quote is opened and never closed', 'close it, or put the other kind of quotes around the value')
    take(/[^]*/y)
  } else if (quote === "'" && inside.endsWith('\\')) {
    refuse(
      'Compose takes a quote behind a backslash as a part of the value',
      'use double quotes, and \\\\ for a backslash',
    )
  } else if (quote === '"' && /\\[^nr"\\$]/.test(inside.replaceAll('\\\\', ''))) {
    refuse('versions of Compose read this backslash in double quotes differently', IN_SINGLE_QUOTES)
  } else if (!take(NOTHING)) {
    refuse('text stands behind the closing quote', 'put other quotes around the whole value, or # before a comment')
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
    refuse('Compose takes this # and what follows as the value', "put quotes around the value; an empty one is NAME=''")
  } else if (/\t#/.test(line)) {
    refuse('Compose takes this # as a part of the value', 'put quotes around the value, or a space before the #')
  }
  const value = line.replace(/ +#.*$/, '').trimEnd()
  refuseDoubled(value, refuse)
  return value.replace(/\$(?![A-Za-z_{])/g, '$$$$')
}

/** Nobody can tell whether the file was written for Compose or holds what a generator of passwords gave. */
function refuseDoubled(text: string, refuse: Refuse): void {
  if (text.includes('$$')) refuse('Compose makes one dollar sign of two', IN_SINGLE_QUOTES)
}

/** The value with its variables filled in. One in braces that is not known here may be known on the server. */
function fill(value: string, known: ReadonlyMap<string, string>, refuse: Refuse): string {
  const text = value.replaceAll('$$', '\0')
  const isLost = [...text.matchAll(/\$([A-Za-z_]\w*)/g)].some(([, name = '']) => !known.has(name))
  const isBroken = !isWhole(text) || /\$\{(?![A-Za-z_]\w*(:?[-?+]|\}))/.test(text)
  if (isLost || isBroken) {
    refuse('a dollar sign starts a variable for Compose, and what follows it would be lost', IN_SINGLE_QUOTES)
  }
  return interpolate(value, Object.fromEntries(known)) ?? ''
}

/** Stops for shipped env files that Compose would read differently from who wrote them; `format: raw` is read as it is. */
export function checkEnvFiles({ folder, services }: Project, files: readonly EnvFile[]): void {
  const entries = [...services.values()].flatMap(({ values }) => listOf(values['env_file']))
  const read = entries
    .filter((entry) => !isValues(entry) || entry['format'] !== 'raw')
    .map((entry) => textOf(isValues(entry) ? entry['path'] : entry) ?? '')
  // What is only mounted, or the file of a secret, may have any form.
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
    what: `The env file ${path} would not arrive as it is written: line ${[...new Set(lines)].join(', ')}`,
    why: misread.map(({ line, why }) => `line ${line}: ${why}`).join('\n'),
    fix: [...new Set(misread.map(({ fix }) => fix))].join('\n'),
  })
}
