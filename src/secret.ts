import { unixLines } from './values.ts'

/** The names of settings whose values are secret, whatever these look like. */
const SECRET_NAME = /SECRET|PASS|PWD|TOKEN|KEY|CREDENTIAL|AUTH|SALT|DSN|PRIVATE/i
const ASSIGNMENT = /^\s*(?:export\s+)?([A-Za-z_][\w.-]*)\s*[=:]\s*(.*)$/

/**
 * What is secret in an env file, line by line: values by their name, passwords in addresses, texts that look random.
 * `DEBUG=False` is an env line too, and a mask on `False` or on the name of the database would blank half of the log (and
 * GitHub drops outputs that contain a mask); so a value of fewer than six characters, or of up to eleven lower-case letters
 * only, is never one. `redact` in transaction/redaction.sh has the same rule for what leaves the server.
 */
export function secretsIn(content: string): string[] {
  const secrets = assignmentsIn(content).flatMap(({ name, value }) => {
    const [, password] = /:\/\/[^\s/:@]*:([^\s@]+)@/.exec(value) ?? []
    return [...(password === undefined ? [] : [password]), ...(isSecret(name, value) ? value.split('\n') : [])]
  })
  return [...new Set(secrets.map((text) => text.trim()).filter(canBeHidden))]
}

function isSecret(name: string, value: string): boolean {
  return SECRET_NAME.test(name) || /^(?=[^]*\d)(?=[^]*[A-Za-z])[^\s./,]{16,}$/.test(value)
}

function canBeHidden(text: string): boolean {
  return text.length >= 6 && !/^[a-z]{0,11}$/.test(text)
}

/** Names and values as they are written and as Compose reads them. */
function assignmentsIn(content: string): { name: string; value: string }[] {
  const lines = unixLines(content).split('\n')
  const found: { name: string; value: string }[] = []
  for (let at = 0; at < lines.length; at += 1) {
    const [, name, text] = ASSIGNMENT.exec(lines[at] ?? '') ?? []
    if (name === undefined || text === undefined) continue
    found.push({ name, value: text.trim() })
    const [quoted, single, double] = QUOTED.exec([text, ...lines.slice(at + 1)].join('\n')) ?? []
    if (quoted === undefined) {
      const value = text
        .replace(/^['"]/, '')
        .replace(/\s#.*$/, '')
        .trim()
      found.push({ name, value })
      continue
    }
    at += quoted.split('\n').length - 1
    found.push({ name, value: single ?? double ?? '' })
    if (double !== undefined) found.push({ name, value: unescaped(double) })
  }
  return found
}

const QUOTED = /^(?:'([^']*)'|"((?:[^"\\]|\\[^])*)")/

function unescaped(text: string): string {
  return text.replace(/\\([^])/g, (_, letter: string) => (letter === 'n' ? '\n' : letter))
}
