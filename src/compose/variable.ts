import { posix } from 'node:path'

/**
 * A parsed `${…}` expression: `${NAME}`, `${NAME:-default}`, `${NAME-default}`, `${NAME:?message}`, `${NAME:+text}`.
 */
type Expression = { name: string; operator: string; operand: string }

/** The index just behind the `}` that closes the `${` at `start`; undefined when nothing closes it. */
function endOf(text: string, start: number): number | undefined {
  let depth = 0
  for (let at = start; at < text.length; at++) {
    if (text.startsWith('${', at)) depth++
    if (text[at] === '}' && --depth === 0) return at + 1
  }
  return undefined
}

/** Splits at each separator outside `${…}`. */
export function splitOutside(text: string, separator: string): readonly string[] {
  const parts: string[] = []
  let from = 0
  for (let at = 0; at < text.length; at++) {
    if (text.startsWith('$$', at)) at++
    else if (text.startsWith('${', at)) at = (endOf(text, at) ?? text.length) - 1
    else if (text[at] === separator) {
      parts.push(text.slice(from, at))
      from = at + 1
    }
  }
  return [...parts, text.slice(from)]
}

/** Whether the text has a variable. */
export function hasVariable(text: string): boolean {
  return /\$[A-Za-z_{]/.test(text.replaceAll('$$', ''))
}

/** Whether each `${` is closed; Compose cuts some short forms at a colon inside `${A:-b}`. */
export function isWhole(text: string): boolean {
  const plain = text.replaceAll('$$', '')
  for (let at = plain.indexOf('${'); at >= 0; at = plain.indexOf('${', at + 2)) {
    if (endOf(plain, at) === undefined) return false
  }
  return true
}

/** Fills in the variables as Compose would. Undefined when a variable without a default is not set. */
export function interpolate(text: string, env: Readonly<Record<string, string | undefined>> = {}): string | undefined {
  let result = ''
  for (let at = 0; at < text.length; at++) {
    if (text[at] !== '$') result += text[at]
    else if (text[at + 1] === '$') result += text[at++]
    else {
      const end = text[at + 1] === '{' ? endOf(text, at) : undefined
      const [bare = ''] = /^\$[A-Za-z_][A-Za-z0-9_]*/.exec(text.slice(at)) ?? []
      const whole = end === undefined ? bare : text.slice(at, end)
      const value = end === undefined ? env[bare.slice(1)] : evaluate(whole.slice(2, -1), env)
      if (whole === '' || value === undefined) return undefined
      result += value
      at += whole.length - 1
    }
  }
  return result
}

/** Whether a variable is set. With `needsText`, an empty value does not count, as in `${NAME:?}`. */
type IsSet = (name: string, needsText: boolean) => boolean

/** The unset variables that the text needs; a variable with a default is not needed. */
export function missingIn(text: string, isSet: IsSet): readonly string[] {
  return expressionsIn(text).flatMap((expression) => missingOf(expression, isSet))
}

function missingOf({ name, operator, operand }: Expression, isSet: IsSet): readonly string[] {
  const has = isSet(name, operator.startsWith(':'))
  switch (operator.replace(':', '')) {
    case '-':
      return has ? [] : missingIn(operand, isSet)
    case '+':
      return has ? missingIn(operand, isSet) : []
    default:
      return has ? [] : [name]
  }
}

/** The variables in the text, including those in defaults. */
export function namesIn(text: string): readonly string[] {
  return expressionsIn(text).flatMap(({ name, operand }) => [name, ...namesIn(operand)])
}

function expressionsIn(text: string): readonly Expression[] {
  const found: Expression[] = []
  const plain = text.replaceAll('$$', '')
  for (let at = plain.indexOf('$'); at >= 0; at = plain.indexOf('$', at + 1)) {
    const end = plain[at + 1] === '{' ? endOf(plain, at) : undefined
    const [, bare] = /^\$([A-Za-z_][A-Za-z0-9_]*)/.exec(plain.slice(at)) ?? []
    const expression = end === undefined ? bare && parse(bare) : parse(plain.slice(at + 2, end - 1))
    if (!expression) continue
    found.push(expression)
    at = (end ?? at + 1) - 1
  }
  return found
}

/**
 * Gives unset variables a default, such as those from the env file of an included file: `${A}` becomes `${A-value}`. In
 * the values `$$` is a dollar sign, and each must pass `isOperand`.
 */
export function withDefaults(text: string, defaults: ReadonlyMap<string, string>): string {
  let result = ''
  for (let at = 0; at < text.length; at++) {
    const end = text.startsWith('${', at) ? endOf(text, at) : undefined
    const [bare = ''] = /^\$[A-Za-z_][A-Za-z0-9_]*/.exec(text.slice(at)) ?? []
    const whole = text.startsWith('$$', at) ? '$$' : end === undefined ? bare : text.slice(at, end)
    const expression = whole === '$$' ? undefined : end === undefined ? parse(bare.slice(1)) : parse(whole.slice(2, -1))
    result += expression ? defaulted(expression, defaults, whole) : whole || text[at]
    at += Math.max(whole.length - 1, 0)
  }
  return result
}

/** Fills in every expression that uses one of `names` from `env`; the other expressions stay. */
export function withValues(
  text: string,
  env: Readonly<Record<string, string | undefined>>,
  names: ReadonlySet<string>,
): string {
  let result = ''
  for (let at = 0; at < text.length; at++) {
    const end = text.startsWith('${', at) ? endOf(text, at) : undefined
    const [bare = ''] = /^\$[A-Za-z_][A-Za-z0-9_]*/.exec(text.slice(at)) ?? []
    const whole = text.startsWith('$$', at) ? '$$' : end === undefined ? bare : text.slice(at, end)
    const value = namesIn(whole).some((name) => names.has(name)) ? interpolate(whole, env) : undefined
    result += value?.replaceAll('$', '$$$$') ?? (whole || text[at])
    at += Math.max(whole.length - 1, 0)
  }
  return result
}

function defaulted(
  { name, operator, operand }: Expression,
  defaults: ReadonlyMap<string, string>,
  whole: string,
): string {
  const value = defaults.get(name)
  const inner = withDefaults(operand, defaults)
  if (value === undefined || (value === '' && operator.startsWith(':'))) {
    return operator === '' ? whole : `\${${name}${operator}${inner}}`
  }
  if (operator.endsWith('+')) return inner
  // With `:`, an empty variable takes the file's value too. Keeping the written default as well would make the text
  // unreadable.
  return `\${${name}${operator.startsWith(':') ? ':-' : '-'}${value}}`
}

/** Whether Compose can read the text after `${NAME-`: braces only in variables, and all on one line. */
export function isOperand(text: string): boolean {
  let plain = ''
  for (let at = 0; at < text.length; at++) {
    if (text.startsWith('$$', at)) at++
    else if (text.startsWith('${', at)) at = (endOf(text, at) ?? at + 1) - 1
    else plain += text[at]
  }
  return !/[{}\n\r]/.test(plain)
}

function evaluate(body: string, env: Readonly<Record<string, string | undefined>>): string | undefined {
  const expression = parse(body)
  if (!expression) return undefined
  const { name, operator, operand } = expression
  const value = env[name]
  const isSet = operator.startsWith(':') ? value !== undefined && value !== '' : value !== undefined
  switch (operator.replace(':', '')) {
    case '-':
      return isSet ? value : interpolate(operand, env)
    case '+':
      return isSet ? interpolate(operand, env) : ''
    case '?':
      return isSet ? value : undefined
    default:
      return value
  }
}

function parse(body: string): Expression | undefined {
  const [, name, operator = '', operand = ''] = /^([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-?+])([\s\S]*))?$/.exec(body) ?? []
  return name === undefined ? undefined : { name, operator, operand }
}

/**
 * A path that is known without the host: plain, below `${PWD}`, or the default of one variable. `rebuild` puts another
 * path in its place. PWD is the folder of the Compose file, where people start it.
 */
export function knownPath(written: string): { path: string; rebuild: (path: string) => string } | undefined {
  const text = fromHere(written)
  if (!hasVariable(text)) return { path: text.replaceAll('$$', '$'), rebuild: (path) => path }
  if (!text.startsWith('${') || endOf(text, 0) !== text.length) return undefined
  const expression = parse(text.slice(2, -1))
  if (!expression || !/^:?-$/.test(expression.operator) || hasVariable(expression.operand)) return undefined
  const { name, operator, operand } = expression
  return { path: operand, rebuild: (path) => `\${${name}${operator}${path}}` }
}

const fromHere = (written: string): string => written.replace(/^\$(PWD|\{PWD\})(?=\/|$)/, '.')

/** Splits a relative path before its first variable: `./nginx/${SITE:-shop}.conf` gives `./nginx` and the rest. */
export function cutAtVariable(written: string): { folder: string; rest: string } | undefined {
  const text = fromHere(written)
  if (!hasVariable(text) || /^[/~$]|\$\$/.test(text)) return undefined
  const slash = text.lastIndexOf('/', text.indexOf('$'))
  return { folder: text.slice(0, Math.max(slash, 0)) || '.', rest: text.slice(slash + 1) }
}

/** Whether some values of its variables turn the text into this path or a folder above it. */
export function canBecome(text: string, path: string): boolean {
  const any: Record<string, string> = new Proxy({}, { get: () => '\0' })
  const parts = posix.normalize(interpolate(text, any) ?? '').split('\0')
  const pattern = parts.map((part) => part.replace(/[^\w/]/g, '\\$&')).join('[^/]*')
  return new RegExp(`^${pattern}(/|$)`).test(posix.normalize(path))
}
