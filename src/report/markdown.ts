/** The limit for a text from outside in a table's cell. */
const LONGEST_TEXT = 600

/** Text for Markdown. The threat is a name that acts as markup or as a mention, or that makes a page too long. */
export function escape(text: string): string {
  return shorten(text)
    .replace(/[&<>|\\*_[\]`~$#@!]/g, (character) => `&#${character.charCodeAt(0)};`)
    .replace(/[\p{Cc}\u2028\u2029]/gu, ' ')
}

/** Text as code in Markdown. A character that could end the code becomes a space. */
export function code(text: string): string {
  return `\`${shorten(text).replace(/[`|\\\p{Cc}\u2028\u2029]/gu, ' ')}\``
}

/** A block of unchanged lines. No line can end the block. */
export function block(text: string): readonly string[] {
  return ['```text', text.replaceAll('```', "'''"), '```', '']
}

/** A link to an address that we made ourselves. */
export function link(text: string, address: string): string {
  return `[${escape(text)}](${address.replace(/[\s()<>]/g, encodeURIComponent)})`
}

/** A table; its cells are Markdown already. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return rows.length === 0 ? [] : [line(head), line(head.map(() => '---')), ...rows.map(line), '']
}

/** A folded section. */
export function details(title: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : [`<details><summary>${escape(title)}</summary>`, '', ...lines, '</details>', '']
}

function shorten(text: string): string {
  return text.length <= LONGEST_TEXT ? text : `${text.slice(0, LONGEST_TEXT)}…`
}
