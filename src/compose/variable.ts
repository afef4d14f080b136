import { posix } from 'node:path'

/** What a `${…}` expression says: `${NAME}`, `${NAME:-default}`, `${NAME-default}`, `${NAME:?message}`, `${NAME:+text}`. */
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

/** Cuts at a separator that does not stand inside `${…}`. */
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

/** Whether a variable decides this text. */
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

/** The text with its variables filled in as Compose would; undefined when one without a default is not set. */
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

/** Whether a variable is set; `needsText` asks for a value that is not empty, as `${NAME:?}` does. */
type IsSet = (name: string, needsText: boolean) => boolean

/** The variables without which the text cannot be filled in; one with a default is not among them. */
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

/** The variables that the text uses, those in defaults as well. */
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
 * The text in which a variable that is not set has a value of its own, as those of an included file have from its env file:
 * `${A}` becomes `${A-value}`. In the values `$$` stands for a dollar sign, and `isOperand` is true of them.
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
  // Set, but empty, it takes the value of the file too: what is written would make the text one that nobody can read.
  return `\${${name}${operator.startsWith(':') ? ':-' : '-'}${value}}`
}

/** Whether Compose can read the text behind `${NAME-`: braces must belong to variables, and all must be on one line. */
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
 * A path that the repository can know: plain, below `${PWD}`, or the default of one variable; `rebuild` puts another one in
 * its place. PWD is the folder of the Compose file, where people start it.
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

/** Of a relative path with a variable in it, such as `./nginx/${SITE:-shop}.conf`: the folder before that, and the rest. */
export function cutAtVariable(written: string): { folder: string; rest: string } | undefined {
  const text = fromHere(written)
  if (!hasVariable(text) || /^[/~$]|\$\$/.test(text)) return undefined
  const slash = text.lastIndexOf('/', text.indexOf('$'))
  return { folder: text.slice(0, Math.max(slash, 0)) || '.', rest: text.slice(slash + 1) }
}

/** Whether the text can become this path, or a folder above it, whatever its variables are. */
export function canBecome(text: string, path: string): boolean {
  const any: Record<string, string> = new Proxy({}, { get: () => '\0' })
  const parts = posix.normalize(interpolate(text, any) ?? '').split('\0')
  const pattern = parts.map((part) => part.replace(/[^\w/]/g, '\\$&')).join('[^/]*')
  return new RegExp(`^${pattern}(/|$)`).test(posix.normalize(path))
}
