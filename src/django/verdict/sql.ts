/** The effect of one action of a statement, as far as it can be parsed. */
export type Action =
  /** Neither the code nor the data notice it: SET, COMMENT, ANALYZE, a plain SELECT. */
  | { does: 'nothing' }
  /** Creates something that no code knows yet. */
  | { does: 'create'; what: string; name: string }
  | { does: 'drop table'; name: string }
  | { does: 'rename table'; table: string }
  | { does: 'add index'; table: string; unique: boolean; concurrently: boolean }
  | { does: 'drop index'; concurrently: boolean }
  | { does: 'add column'; table: string; column: string; required: boolean }
  | { does: ColumnChange; table: string; column: string }
  | { does: 'add constraint'; table: string; kind: string; validated: boolean }
  | { does: 'drop constraint' | 'validate constraint'; table: string }
  /** Writes rows. */
  | { does: 'insert' | 'update' | 'delete'; table: string }
  | { does: 'unknown'; text: string }

type ColumnChange =
  'drop column' | 'rename column' | 'set default' | 'drop default' | 'set not null' | 'drop not null' | 'alter type'

type Token = { kind: 'word' | 'name' | 'text' | 'sign'; text: string }

/** The actions of a script, in order. */
export function readSql(script: string): Action[] {
  return split(tokenize(script), ';')
    .filter((statement) => statement.length > 0)
    .flatMap(readStatement)
}

/** Splits a script into tokens and drops comments. */
function tokenize(script: string): Token[] {
  const tokens: Token[] = []
  let rest = script
  while (rest !== '') {
    const found = forms.find(([form]) => form.test(rest))
    const text = found?.[0].exec(rest)?.[0] ?? rest.charAt(0)
    const kind = found?.[1] ?? 'sign'
    if (kind !== 'space') tokens.push({ kind, text: kind === 'name' ? text.slice(1, -1) : text })
    rest = rest.slice(text.length)
  }
  return tokens
}

const forms: readonly (readonly [form: RegExp, kind: Token['kind'] | 'space'])[] = [
  [/^(\s+|--[^\n]*|\/\*[\s\S]*?\*\/)/, 'space'],
  [/^\$([A-Za-z_]\w*)?\$[\s\S]*?\$\1\$/, 'text'],
  [/^[eE]'(\\[\s\S]|''|[^'\\])*'/, 'text'],
  [/^'(''|[^'])*'/, 'text'],
  [/^"[^"]*"/, 'name'],
  [/^`[^`]*`/, 'name'],
  [/^[\p{L}_][\p{L}\p{N}_$]*/u, 'word'],
  [/^\d+(\.\d+)?/, 'text'],
]

/** Splits at the sign, except inside parentheses. */
function split(tokens: readonly Token[], sign: string): Token[][] {
  const parts: Token[][] = [[]]
  let depth = 0
  for (const token of tokens) {
    if (token.kind === 'sign') depth += token.text === '(' ? 1 : token.text === ')' ? -1 : 0
    if (token.kind === 'sign' && token.text === sign && depth === 0) parts.push([])
    else parts.at(-1)?.push(token)
  }
  return parts
}

/** Reads a list of tokens from the front. */
class Reader {
  readonly #tokens: Token[]
  constructor(tokens: readonly Token[]) {
    this.#tokens = [...tokens]
  }

  /** Takes these words if they come next, in any case. */
  take(...words: string[]): boolean {
    const next = this.#tokens.slice(0, words.length)
    const are = words.every((word, place) => next[place]?.kind === 'word' && next[place].text.toUpperCase() === word)
    if (are) this.#tokens.splice(0, words.length)
    return are
  }

  /** Takes one of these if it comes next. */
  takeAny(...words: string[]): string | undefined {
    return words.find((word) => this.take(...word.split(' ')))
  }

  /** Takes a name; from `schema.table`, the table. Unquoted names become lower case, as in PostgreSQL. */
  name(): string {
    const token = this.#tokens.shift()
    if (token === undefined || (token.kind !== 'word' && token.kind !== 'name')) return ''
    if (this.#tokens[0]?.text !== '.') return token.kind === 'word' ? token.text.toLowerCase() : token.text
    this.#tokens.shift()
    return this.name()
  }

  /** Whether these words appear anywhere in the rest. */
  has(...words: string[]): boolean {
    return this.#tokens.some((_, at) =>
      words.every((word, place) => {
        const token = this.#tokens[at + place]
        return token?.kind === 'word' && token.text.toUpperCase() === word
      }),
    )
  }

  skipTo(word: string): boolean {
    const at = this.#tokens.findIndex((token) => token.kind === 'word' && token.text.toUpperCase() === word)
    this.#tokens.splice(0, at < 0 ? this.#tokens.length : at)
    return at >= 0
  }

  get rest(): readonly Token[] {
    return this.#tokens
  }
}

/** No code knows a new object of these kinds, so creating one is safe for the old code. */
const THINGS = [
  'TABLE',
  'VIEW',
  'MATERIALIZED VIEW',
  'EXTENSION',
  'SCHEMA',
  'SEQUENCE',
  'TYPE',
  'DOMAIN',
  'FUNCTION',
  'PROCEDURE',
  'AGGREGATE',
  'COLLATION',
  'STATISTICS',
  'TEXT SEARCH CONFIGURATION',
  'TEXT SEARCH DICTIONARY',
]

function readStatement(tokens: readonly Token[]): Action[] {
  const reader = new Reader(tokens)
  const unknown: Action[] = [{ does: 'unknown', text: textOf(tokens) }]
  if (reader.takeAny('SET', 'RESET', 'ANALYZE', 'VACUUM', 'GRANT', 'BEGIN', 'COMMIT', 'LOCK'))
    return [{ does: 'nothing' }]
  if (reader.take('COMMENT', 'ON')) return [{ does: 'nothing' }]
  // A function in a SELECT may do anything.
  if (reader.take('SELECT')) return tokens.some(({ text }) => text === '(') ? unknown : [{ does: 'nothing' }]
  if (reader.take('CREATE')) return readCreate(reader) ?? unknown
  if (reader.take('DROP')) return readDrop(reader) ?? unknown
  if (reader.take('ALTER', 'TABLE')) return readAlter(reader)
  if (reader.take('INSERT', 'INTO')) {
    const table = reader.name()
    return [{ does: reader.has('DO', 'UPDATE') || reader.has('DUPLICATE', 'KEY') ? 'update' : 'insert', table }]
  }
  if (reader.take('UPDATE')) {
    reader.take('ONLY')
    return [{ does: 'update', table: reader.name() }]
  }
  if (reader.takeAny('DELETE FROM', 'TRUNCATE TABLE', 'TRUNCATE') !== undefined) {
    reader.take('ONLY')
    return [{ does: 'delete', table: reader.name() }]
  }
  return unknown
}

function readCreate(reader: Reader): Action[] | undefined {
  const unique = reader.take('UNIQUE')
  if (reader.take('INDEX')) {
    const concurrently = reader.take('CONCURRENTLY')
    if (!reader.skipTo('ON')) return undefined
    reader.take('ON')
    reader.take('ONLY')
    return [{ does: 'add index', table: reader.name(), unique, concurrently }]
  }
  reader.takeAny('TEMPORARY', 'TEMP', 'UNLOGGED')
  // `OR REPLACE` is not accepted: it may change a function or view that the old code uses.
  const what = reader.takeAny(...THINGS)
  if (what === undefined) return undefined
  reader.take('IF', 'NOT', 'EXISTS')
  return [{ does: 'create', what: what.toLowerCase(), name: reader.name() }]
}

function readDrop(reader: Reader): Action[] | undefined {
  if (reader.take('INDEX')) return [{ does: 'drop index', concurrently: reader.take('CONCURRENTLY') }]
  if (reader.takeAny('TABLE', 'VIEW', 'MATERIALIZED VIEW') === undefined) return undefined
  reader.take('IF', 'EXISTS')
  return split(reader.rest, ',').map((each) => ({ does: 'drop table', name: new Reader(each).name() }))
}

function readAlter(reader: Reader): Action[] {
  reader.take('IF', 'EXISTS')
  reader.take('ONLY')
  const table = reader.name()
  return split(reader.rest, ',').map((each) => readAction(table, new Reader(each)))
}

function readAction(table: string, reader: Reader): Action {
  const unknown: Action = { does: 'unknown', text: `ALTER TABLE ${table} ${textOf(reader.rest)}` }
  if (reader.take('VALIDATE', 'CONSTRAINT')) return { does: 'validate constraint', table }
  if (reader.take('DROP', 'CONSTRAINT')) return { does: 'drop constraint', table }
  if (reader.take('RENAME', 'TO')) return { does: 'rename table', table }
  if (reader.take('RENAME', 'CONSTRAINT')) return { does: 'nothing' }
  if (reader.take('RENAME')) return { does: 'rename column', table, column: nameOfColumn(reader) }
  if (reader.take('DROP')) return { does: 'drop column', table, column: nameOfColumn(reader) }
  if (reader.take('ALTER')) return readColumn(table, nameOfColumn(reader), reader) ?? unknown
  if (!reader.take('ADD')) return unknown
  const named = reader.take('CONSTRAINT')
  if (named) reader.name()
  const kind = reader.takeAny('UNIQUE', 'PRIMARY KEY', 'CHECK', 'EXCLUDE', 'FOREIGN KEY')
  if (kind !== undefined) {
    return { does: 'add constraint', table, kind: kind.toLowerCase(), validated: !reader.has('NOT', 'VALID') }
  }
  if (named || reader.takeAny('INDEX', 'KEY', 'PARTITION') !== undefined) return unknown
  const column = nameOfColumn(reader)
  const given = reader.has('DEFAULT') || reader.has('GENERATED') || reader.has('SERIAL') || reader.has('BIGSERIAL')
  return { does: 'add column', table, column, required: reader.has('NOT', 'NULL') && !given }
}

function nameOfColumn(reader: Reader): string {
  reader.take('COLUMN')
  reader.take('IF', 'NOT', 'EXISTS')
  reader.take('IF', 'EXISTS')
  return reader.name()
}

function readColumn(table: string, column: string, reader: Reader): Action | undefined {
  if (reader.takeAny('SET DATA TYPE', 'TYPE') !== undefined) return { does: 'alter type', table, column }
  if (reader.takeAny('SET STATISTICS', 'SET STORAGE', 'SET COMPRESSION') !== undefined) return { does: 'nothing' }
  const changes = ['set default', 'drop default', 'set not null', 'drop not null'] as const
  const change = changes.find((each) => reader.take(...each.toUpperCase().split(' ')))
  return change && { does: change, table, column }
}

function textOf(tokens: readonly Token[]): string {
  const text = tokens.map((token) => token.text).join(' ')
  return text.length <= 120 ? text : `${text.slice(0, 120)} …`
}
