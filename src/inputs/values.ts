import { parseDocument } from 'yaml'

/**
 * Why a text cannot be used, and the fix. The caller adds the text itself, because only the caller knows whether it is
 * secret.
 */
export class Unusable extends Error {
  readonly why: string
  readonly fix: string

  constructor(why: string, fix: string) {
    super(why)
    this.why = why
    this.fix = fix
  }
}

/** The addresses of the HTTP health check. */
export type HealthUrl = { kind: 'auto' } | { kind: 'none' } | { kind: 'urls'; urls: readonly string[] }

/** A file to write on the host. */
export type EnvFile = { path: string; content: string }

/** Parses a value; an empty text gives undefined. */
export function optional<T>(parse: (text: string) => T): (text: string) => T | undefined {
  return (text) => (text === '' ? undefined : parse(text))
}

/** One value per line; empty lines are skipped. */
export function linesOf<T>(parse: (line: string) => T): (text: string) => readonly T[] {
  return (text) => nonEmptyLines(text).map(parse)
}

/** One value per word; white space and commas separate words. */
export function wordsOf<T>(parse: (word: string) => T): (text: string) => readonly T[] {
  return (text) =>
    text
      .split(/[\s,]+/)
      .filter((word) => word !== '')
      .map(parse)
}

/** One of a few words. */
export function oneOf<const T extends string>(...words: readonly T[]): (text: string) => T {
  return (text) => {
    const found = words.find((word) => word === text)
    if (found === undefined)
      throw new Unusable('it is not one of the allowed values', `use one of: ${words.join(', ')}`)
    return found
  }
}

/** Strictly true or false, because a typing error must not silently mean false. */
export function parseBoolean(text: string): boolean {
  if (text === 'true') return true
  if (text === 'false') return false
  throw new Unusable('it is neither true nor false', 'use true or false, in lower case')
}

/** A whole number in a range. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
    if (!(value >= min && value <= max)) {
      throw new Unusable('it is not a whole number in the range', `use a number from ${min} to ${max}`)
    }
    return value
  }
}

/** A duration such as `90s`, `5m` or `1h`, in milliseconds; at most 24 hours. */
export function parseDuration(text: string): number {
  const [, digits, unit] = /^(\d{1,6})(ms|s|m|h)$/.exec(text) ?? []
  const factor = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[unit ?? '']
  const value = factor === undefined ? Number.NaN : Number(digits) * factor
  if (!(value > 0 && value <= 24 * 3_600_000)) {
    throw new Unusable(
      'it is not a length of time between 1 ms and 24 hours',
      'use a number with its unit, such as 90s, 5m or 1h',
    )
  }
  return value
}

/** A release's name, which is also an image tag and a folder. */
export function parseVersion(text: string): string {
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/.test(text)) {
    throw new Unusable(
      `a version is an image tag and a folder name, and ${JSON.stringify(text.slice(0, 140))} cannot be one`,
      `set version: ${proposeVersion(text)} (up to 128 letters, digits, dots, dashes and underscores, not starting with a dot or a dash)`,
    )
  }
  return text
}

function proposeVersion(text: string): string {
  const plain = text.replace(/[^A-Za-z0-9_.]+/g, '-').replace(/^[.-]+|-+$/g, '')
  const free = RESERVED.test(plain) ? `v-${plain}` : plain
  return free.slice(0, 128) || 'v1'
}

const RESERVED = /^(rollback-|adopted-)/

/** A version for a new release. The host itself creates names with some prefixes, so they are reserved. */
export function parseNewVersion(text: string): string {
  const [reserved] = RESERVED.exec(text) ?? []
  if (reserved !== undefined) {
    throw new Unusable(
      `names that start with ${reserved} are reserved for the host`,
      `set version: ${proposeVersion(text)}`,
    )
  }
  return parseVersion(text)
}

/** A Compose project name. */
export function parseProject(text: string): string {
  // The name becomes part of an image tag, which has at most 128 characters.
  if (!/^[a-z0-9][a-z0-9_-]{0,99}$/.test(text)) {
    throw new Unusable(
      'Docker Compose does not accept it as a project name',
      'use up to 100 lower-case letters, digits, dashes and underscores, starting with a letter or digit',
    )
  }
  return text
}

/** The name of a Compose service. */
export function parseService(text: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(text)) {
    throw new Unusable(`${text} is not a service name`, 'use the names below services: in the Compose file')
  }
  return text
}

/** A Compose profile; `*` means all of them. */
export function parseProfile(text: string): string {
  if (text !== '*' && !/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(text)) {
    throw new Unusable(
      `${text} is not the name of a profile`,
      'use the names below profiles: in the Compose file, or *',
    )
  }
  return text
}

/** A folder on the host, absolute or below the home folder. */
export function parseDirectory(text: string): string {
  const path = text.replace(/^~\//, '').replace(/\/+$/, '')
  const parts = path.replace(/^\//, '').split('/')
  if (!parts.every((part) => /^[A-Za-z0-9_.+@][A-Za-z0-9_.+@-]*$/.test(part) && part !== '.' && part !== '..')) {
    throw new Unusable(
      'the path has an empty, relative or unusual part',
      'use a path such as deploy/todo or /srv/todo of letters, digits, dots, dashes and underscores',
    )
  }
  return path
}

/** A path inside the repository or inside the directory on the host, in its shortest form. */
export function parseInnerPath(text: string): string {
  const parts = text.split('/').filter((part) => part !== '' && part !== '.')
  if (text.startsWith('/') || text.startsWith('-') || parts.length === 0 || parts.includes('..')) {
    throw new Unusable(`${text} is not a path inside the repository`, 'use a path such as docker/compose.yml')
  }
  // Facts for the host have one item per line.
  if (/[\p{Cc}\\]/u.test(text)) throw new Unusable('the path has a control character or a backslash', 'rename the file')
  return parts.join('/')
}

/** Paths inside the repository, separated by spaces; or one path that contains spaces. */
export function parseInnerPaths(line: string): string {
  return line.split(/ +/).map(parseInnerPath).join(' ')
}

/** The repository to push to, without tag and digest. */
export function parseImage(text: string): string {
  if (isRepository(text)) return text
  const name = text.slice(text.lastIndexOf('/') + 1)
  const why =
    text.includes('@') || name.includes(':')
      ? 'it has a tag or digest; the tag is the version'
      : text === text.toLowerCase()
        ? 'it is not the name of an image repository'
        : 'image names have no capitals'
  const likely = text
    .replace(/@.*$/, '')
    .replace(/:[^:/]*$/, '')
    .toLowerCase()
  throw new Unusable(why, isRepository(likely) ? `use ${likely}` : 'use a name such as ghcr.io/owner/repository')
}

function isRepository(text: string): boolean {
  const part = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*'
  return new RegExp(`^(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\\d+)?/)?${part}(?:/${part})*$`).test(text)
}

/** An override for the bake: `target.field=value`. */
export function parseOverride(text: string): string {
  if (!/^[^\s.=-][^\s.=]*\.[^\s=]+=./.test(text)) {
    throw new Unusable(
      `${text} is not target.field=value`,
      'write for example *.cache-from=type=gha or web.target=prod',
    )
  }
  return text
}

/** A migration that is approved by name, or `all`. */
export function parseAcceptedMigration(text: string): string {
  if (text === 'all' || /^[A-Za-z_]\w*\.[\w-]+$/.test(text)) return text
  throw new Unusable(
    `${text} is not the name of a migration with its app`,
    'write app.0007_name as the error shows it, one per line, or all',
  )
}

/** Aliases of DATABASES in the Django settings, in the order in which they are migrated. */
export function parseDatabases(text: string): readonly string[] {
  const aliases = wordsOf((word) => word)(text)
  const wrong = aliases.find((alias) => !/^[A-Za-z_][\w.-]*$/.test(alias))
  if (wrong !== undefined)
    throw new Unusable(`${wrong} is not the name of a database`, 'use names in DATABASES, such as default archive')
  const twice = aliases.find((alias, place) => aliases.indexOf(alias) !== place)
  if (twice !== undefined) throw new Unusable(`${twice} is there twice`, 'name each database once')
  if (!aliases.includes('default'))
    throw new Unusable(
      'the database default is missing',
      `add it where it belongs in the order: ${['default', ...aliases].join(' ')}`,
    )
  return aliases
}

/** The words that start a Django command. */
export function parseManage(text: string): readonly string[] {
  const words = text.split(/\s+/)
  if (!words.every((word) => /^[A-Za-z0-9_./+@%:,=-]+$/.test(word))) {
    throw new Unusable(
      'it has quotes or characters that a shell reads',
      'use plain words, such as python manage.py or uv run manage.py',
    )
  }
  return words
}

/** `auto`, `none`, or one http address per line. */
export function parseHealthUrl(text: string): HealthUrl {
  if (text === 'auto' || text === 'none') return { kind: text }
  const urls = nonEmptyLines(text)
  for (const url of urls) {
    if (!isAddress(url)) {
      throw new Unusable(
        `${url} is not an http address`,
        'use auto, none, or addresses such as http://web:8000/healthz',
      )
    }
  }
  return { kind: 'urls', urls }
}

function isAddress(text: string): boolean {
  return /^https?:\/\/[^\s/?#@]+([/?]\S*)?$/.test(text) && URL.canParse(text)
}

/** Name of a GitHub environment. */
export function parseEnvironment(text: string): string {
  if (text.length <= 255 && !/[\p{Cc}]/u.test(text)) return text
  throw new Unusable('it is longer than 255 characters or has a control character', 'use the name as GitHub shows it')
}

/** The public address of the site. */
export function parseUrl(text: string): string {
  if (isAddress(text)) return text
  throw new Unusable('it is not an http address', 'use an address such as https://example.com/')
}

/** Headers as lines `Name: value`. */
export function parseHeaders(text: string): Readonly<Record<string, string>> {
  const pairs = nonEmptyLines(text).map((line) => {
    const [, name, value] = /^([A-Za-z0-9!#$%&'*+.^_`|~-]+):\s*(.*)$/.exec(line) ?? []
    if (name === undefined || value === undefined) {
      throw new Unusable(`${line} is not a header`, 'write one header per line, such as Host: example.org')
    }
    return [name, value] as const
  })
  return Object.fromEntries(pairs)
}

/** A status such as `204`, or a class such as `2xx`. */
export function parseStatus(text: string): string {
  if (!/^[1-5](xx|\d\d)$/.test(text)) throw new Unusable(`${text} is not an HTTP status`, 'use for example 2xx 3xx 404')
  return text
}

/** The digest of a plan, in the form of the output plan-digest. */
export function parseDigest(text: string): string {
  if (!/^[0-9a-f]{64}$/.test(text))
    throw new Unusable('it is not a digest of 64 characters', 'use the output plan-digest of a dry run')
  return text
}

/** A secret of one line, without the line end that copying adds. */
export function parseSecret(text: string): string {
  const secret = text.replace(/[\r\n]+$/, '')
  if (/[\r\n]/.test(secret)) throw new Unusable('it has more than one line', 'put only the token into the secret')
  return secret
}

/** A password or token of one line, or a key of several lines: JSON, or base64 as the program `base64` wraps it. */
export function parsePassword(text: string): string {
  const password = unixLines(text)
    .replace(/^\uFEFF/, '')
    .replace(/\n+$/, '')
  if (!password.includes('\n') || isJsonObject(password) || isWrappedBase64(password)) return password
  throw new Unusable(
    'it has more than one line and is not JSON',
    'put the password on one line; of a JSON key, put the whole file into the secret, from { to }',
  )
}

/** The same key on one line. JSON allows line ends only between its tokens, and base64 ignores them. */
export function onOneLine(password: string): string {
  return password.replace(/\s*\n\s*/g, '')
}

function isJsonObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
  } catch {
    return false
  }
}

function isWrappedBase64(text: string): boolean {
  return /^(?:[A-Za-z0-9+/]{76}\n)+[A-Za-z0-9+/]{1,76}={0,2}$/.test(text)
}

/** The content of `.env`, with exactly one line end at its end. */
export function parseDotEnv(text: string): string {
  return `${parseContent(text).replace(/\n+$/, '')}\n`
}

/** The content of a file. Its end stays as it is: a line end would become part of a secret. */
function parseContent(text: string): string {
  if (text.includes('\0')) throw new Unusable('it has a zero byte', 'store the file as plain text')
  return unixLines(text)
}

/** A YAML map of path to content. Its errors never repeat the text, which is secret. */
export function parseEnvFiles(text: string): readonly EnvFile[] {
  const fix = 'write a path, a colon and | for each file, and its content on indented lines below'
  const document = parseDocument(text)
  const [mistake] = document.errors
  if (mistake) throw new Unusable(`line ${mistake.linePos?.[0].line ?? '?'} is not YAML (${mistake.code})`, fix)
  const map: unknown = document.toJS()
  if (map === null || map === undefined) return []
  if (typeof map !== 'object' || Array.isArray(map)) throw new Unusable('it is not a map from paths to contents', fix)
  return Object.entries(map).map(([path, content]: [string, unknown]) => {
    if (typeof content !== 'string') throw new Unusable(`the content of ${path} is not a text`, fix)
    return { path: parseInnerPath(path), content: parseContent(content) }
  })
}

/** Lines for a shell, unchanged except for their line ends. */
export function parseScript(text: string): string {
  if (text.includes('\0')) throw new Unusable('it has a zero byte', 'write plain text')
  return unixLines(text)
}

/** A line `NAME=value`. No error shows the value, which may be secret. */
export function parseVariable(line: string): string {
  if (/^[A-Za-z_]\w*=/.test(line)) return line
  throw new Unusable('a line is not NAME=value', 'write one variable per line; a value cannot have several lines')
}

/** The trimmed lines of a text, without empty ones. */
export function nonEmptyLines(text: string): string[] {
  return unixLines(text)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
}

/** Replaces every kind of line end by a line feed. */
export function unixLines(text: string): string {
  return text.replaceAll('\r\n', '\n').replaceAll('\r', '\n')
}
