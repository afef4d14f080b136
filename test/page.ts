/** A page of the documentation as somebody follows it: what it says to write, and what it says to type, in order. */

/** A block of the page: a file, lines for the end of a file, or commands. */
export type Piece =
  | { kind: 'file'; path: string; text: string }
  | { kind: 'end'; path: string; text: string }
  | { kind: 'commands'; text: string }

/**
 * The blocks of a page. The line above that of a file ends with its path, in backticks, and a colon; "At the end of" before
 * it means that the block is added. A block of `sh` is typed.
 */
export function piecesOf(page: string): Piece[] {
  const blocks = page.matchAll(/^(?:([^\n]*)`([^`\n]+)`:\n\n)?```(\w+)\n([^]*?)^```$/gm)
  return [...blocks].map(([, before, path, language = '', text = '']) => {
    if (path !== undefined) return { kind: before?.endsWith('At the end of ') ? 'end' : 'file', path, text }
    if (language === 'sh') return { kind: 'commands', text }
    throw new Error(`Nobody knows what to do with this block of ${language}:\n${text}`)
  })
}
