import { assignmentsIn } from '../compose/env-file.ts'
import { nonEmptyLines, unixLines } from './values.ts'

/** Names of settings whose values are always secret. */
const SECRET_NAME = /SECRET|PASS|PWD|TOKEN|KEY|CREDENTIAL|AUTH|SALT|DSN|PRIVATE/i

/** A line that only an env file or another file of settings has. `pw=1` and padded base64 may be a whole password. */
const SETTING = /^(?:export[ \t]+)?(?:[A-Z_][A-Z0-9_]*[ \t]*=[ \t]*[^= \t]|[A-Za-z_][\w.-]*[ \t]*:[ \t]+[^ \t])/

/**
 * Finds the secrets of an env file, line by line: values with a secret name, passwords in addresses, random-looking
 * texts, members of JSON by the same rules, the lines of PEM blocks. A file without any setting is itself a secret: its only line, or its lines of eight characters and more
 * without a space. A value of fewer than six characters, or of up to eleven lower-case letters only, is never a secret. A mask on
 * such a value (`False`, a database's name) would hide half of the log. GitHub also drops outputs that contain a mask.
 * redaction.awk applies the same rule to the host's output.
 */
export function secretsIn(content: string): string[] {
  const whole = wholeSecretsIn(content)
  const settings = settingsIn(content)
  const members = [content, ...settings.map(({ value }) => value)].flatMap(membersIn)
  const secrets = [
    ...[...settings, ...members].flatMap(({ name, value }) => [
      ...passwordsIn(value),
      ...(isSecret(name, value) ? value.split('\n') : []),
    ]),
    ...blockLinesIn(content),
    ...whole,
    ...whole.flatMap(passwordsIn),
  ]
  return [...new Set(secrets.map((text) => text.trim()).filter(canBeHidden))]
}

function passwordsIn(address: string): string[] {
  const [, password] = /:\/\/[^\s/:@]*:([^\s@]+)@/.exec(address) ?? []
  return password === undefined ? [] : [password]
}

/** The lines that are secrets as a whole, because the file has no settings. */
function wholeSecretsIn(content: string): string[] {
  const lines = nonEmptyLines(content)
  if (lines.some((line) => SETTING.test(line))) return []
  return lines.length === 1 ? lines : lines.filter(isLong)
}

const isLong = (line: string): boolean => /^[^\s#]\S{7,}$/.test(line)

/** The lines of PEM blocks. The headers of an encrypted key look like settings. */
function blockLinesIn(content: string): string[] {
  const blocks = content.match(/-----BEGIN [^]*?(?:-----END |$)/g) ?? []
  return blocks.flatMap((block) => nonEmptyLines(block).filter(isLong))
}

function isSecret(name: string, value: string): boolean {
  return SECRET_NAME.test(name) || /^(?=[^]*\d)(?=[^]*[A-Za-z])[^\s./,]{16,}$/.test(value)
}

function canBeHidden(text: string): boolean {
  return text.length >= 6 && !/^[a-z]{0,11}$/.test(text)
}

type Setting = { name: string; value: string }

/** Names with their values, both as written and as Compose reads them, even from a line that Compose would refuse. */
function settingsIn(content: string): Setting[] {
  return assignmentsIn(unixLines(content)).flatMap(({ name, written, quoted }) => {
    if (name === undefined) return []
    const plain = written.replace(/^['"]/, '').replace(/\s#.*$/, '')
    const inside = quoted?.inside ?? plain.trim()
    const values = [written.trim(), inside, ...withLineEnds(quoted?.quote === '"' ? unescaped(inside) : inside)]
    return values.map((value) => ({ name, value }))
  })
}

/** Members of JSON whose value is a text. */
function membersIn(text: string): Setting[] {
  return [...text.matchAll(/"([^"\\]+)"\s*:\s*"((?:\\[^]|[^"\\])*)"/g)].map(([, name = '', value = '']) => ({
    name,
    value: unescaped(value),
  }))
}

/** The text as it is, and with the line ends that an app makes of a written `\n`. */
function withLineEnds(text: string): string[] {
  return text.includes('\\n') ? [text, ...withLineEnds(unescaped(text))] : [text]
}

function unescaped(text: string): string {
  return text.replace(/\\([^])/g, (_, letter: string) => ESCAPES[letter] ?? letter)
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r' }
