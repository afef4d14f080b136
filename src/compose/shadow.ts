import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { visit } from 'yaml'
import { isValues, textOf } from './document.ts'
import type { SourceFile } from './include.ts'
import { shortForm } from './mount.ts'
import { hasVariable, splitOutside } from './variable.ts'

/**
 * Without interpolation, Compose before 5 cuts `${DATA:-./data}:/data` at its first colon or refuses the file. Compose
 * up to 5.5 reads `${DATA}:/data` as a named volume. So Compose reads copies with a plain path for each such entry, and
 * the entry is put back afterwards. Remove this file when no runner has such a version.
 */
type Shadow = { text: string; entries: ReadonlyMap<string, string> }

const MARK = '/deploy-django-volume/'

/** Replaces each short volume that has variables with a plain one. */
function shadow({ source, text, folder }: SourceFile): Shadow {
  const entries = new Map<string, string>()
  const cuts: { from: number; to: number; word: string }[] = []
  visit(source.document, {
    Scalar(key, node, path) {
      if (typeof key !== 'number' || typeof node.value !== 'string' || !node.range || path.length === 0) return
      const word = wordFor(node.value)
      if (word === undefined) return
      entries.set(word.source, rebase(node.value, folder))
      cuts.push({ from: node.range[0], to: node.range[1], word: JSON.stringify(`${word.source}:${word.target}`) })
    },
  })
  let result = text
  for (const cut of cuts.reverse()) result = result.slice(0, cut.from) + cut.word + result.slice(cut.to)
  return { text: result, entries }
}

function wordFor(text: string): { source: string; target: string } | undefined {
  const [source = '', target = ''] = splitOutside(shortForm(text).entry, ':')
  if (!hasVariable(text) || !/^[\w./~-]*\$|^[\w./~-]+$/.test(source)) return undefined
  if (!target.startsWith('/') && !/^\$\{\w+:?-\//.test(target)) return undefined
  // Compose merges mounts of two files by target, so equal targets must have equal words.
  return { source: MARK + hash(text), target: hasVariable(target) ? MARK + hash(target) : target }
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32)
}

/**
 * Moves the paths of an entry to the project's folder: `./data` of an included file is in that file's folder. Compose
 * does this only for paths that it sees. A relative path in a variable's value on the host stays relative to the
 * project.
 */
function rebase(entry: string, folder: string): string {
  return folder === '.'
    ? entry
    : entry.replace(
        /^(\$\{\w+:?-)?(\.{1,2}\/[^:}$]*)/,
        (_, start = '', path) => `${start}./${join(folder, String(path))}`,
      )
}

/** Puts the entries back into the model that Compose merged from the copies. */
export function unshadow(value: unknown, entries: ReadonlyMap<string, string>): unknown {
  if (typeof value === 'string')
    return value.startsWith(MARK) ? (entries.get(value.split(':')[0] ?? '') ?? value) : value
  if (Array.isArray(value)) return value.map((item: unknown) => unshadow(item, entries))
  if (!isValues(value)) return value
  const original = entries.get(textOf(value['source']) ?? '')
  if (original !== undefined) return original
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, unshadow(inner, entries)]))
}

/** Writes the copies below `folder`, each at its place in the repository; returns the entries to put back. */
export async function writeShadows(
  folder: string,
  sources: ReadonlyMap<string, SourceFile>,
): Promise<ReadonlyMap<string, string>> {
  const all = new Map<string, string>()
  for (const [path, file] of sources) {
    const copy = shadow(file)
    for (const [word, entry] of copy.entries) all.set(word, entry)
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), copy.text)
  }
  return all
}
