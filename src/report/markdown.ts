/** Markdown of a table cell: nothing that a name contains may be read as markup. */
export function escape(text: string): string {
  return text
    .replace(/[&<>|\\*_[\]`~$#@!]/g, (character) => `&#${character.charCodeAt(0)};`)
    .replace(/[\p{Cc}\u2028\u2029]/gu, ' ')
}
