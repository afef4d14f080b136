import type { Field } from './facts.ts'

/** How the values of a column fare when it gets another type. */
export type TypeChange =
  /** Every old value and every value that the old code writes fits. `rewrites`: PostgreSQL writes the table again. */
  | { kind: 'wider'; rewrites: boolean }
  /** The old code may write what no longer fits; `cuts`: values that are there are cut or rounded, instead of refused. */
  | { kind: 'narrower'; cuts: boolean; rewrites: boolean }
  /** The old code reads values of another type than it expects; `inserts`: and can still write its own. */
  | { kind: 'other'; lossless: boolean; inserts: boolean }
  | { kind: 'unknown' }

const INTEGERS: Readonly<Record<string, number>> = { smallint: 2, integer: 4, bigint: 8 }
/** How many characters the largest number needs. */
const DIGITS: Readonly<Record<string, number>> = { smallint: 6, integer: 11, bigint: 20 }

/** Whether the column keeps its type. */
export function isSameType(before: Field, after: Field): boolean {
  const [one, other] = [parse(before.dbType ?? ''), parse(after.dbType ?? '')]
  return (
    one.name === other.name &&
    one.unsigned === other.unsigned &&
    one.array === other.array &&
    one.numbers.join() === other.numbers.join()
  )
}

/** What becomes of the column's values; on SQLite, which keeps values as they are, most of it is nothing. */
export function compareTypes(before: Field, after: Field, vendor: string): TypeChange {
  const [one, other] = [parse(before.dbType ?? ''), parse(after.dbType ?? '')]
  if (one.array !== other.array || one.name === '' || other.name === '') return { kind: 'unknown' }
  const [oldText, newText] = [textLimit(one), textLimit(other)]
  if (oldText !== undefined && newText !== undefined) {
    if (newText >= oldText || vendor === 'sqlite') return { kind: 'wider', rewrites: false }
    return { kind: 'narrower', cuts: vendor === 'postgresql' && casts(before, after), rewrites: true }
  }
  const [oldSize, newSize] = [INTEGERS[one.name], INTEGERS[other.name]]
  if (oldSize !== undefined && newSize !== undefined) {
    const fits = one.unsigned === other.unsigned ? newSize >= oldSize : one.unsigned && newSize > oldSize
    if (fits || vendor === 'sqlite') return { kind: 'wider', rewrites: true }
    return { kind: 'narrower', cuts: false, rewrites: true }
  }
  if (one.name === 'numeric' && other.name === 'numeric') return compareNumbers(one, other)
  // SQLite keeps values as they are, unless a text looks like a number.
  if (vendor === 'sqlite')
    return { kind: 'other', lossless: oldText === undefined || newText !== undefined, inserts: true }
  if (vendor !== 'postgresql' || one.array) return { kind: 'unknown' }
  return otherTypes(one, other)
}

/** Django adds `USING column::type` then, by which PostgreSQL cuts what does not fit. */
function casts(before: Field, after: Field): boolean {
  return before.internal !== after.internal
}

function compareNumbers(one: Parsed, other: Parsed): TypeChange {
  // Without numbers any number fits.
  const [digits, places] = [one.numbers[0] ?? Infinity, one.numbers[1] ?? Infinity]
  const [newDigits, newPlaces] = [other.numbers[0] ?? Infinity, other.numbers[1] ?? Infinity]
  const integers = digits === Infinity ? Infinity : digits - places
  const newIntegers = newDigits === Infinity ? Infinity : newDigits - newPlaces
  if (newPlaces >= places && newIntegers >= integers) {
    return { kind: 'wider', rewrites: newPlaces !== places && newPlaces !== Infinity }
  }
  return { kind: 'narrower', cuts: newPlaces < places, rewrites: true }
}

/** Measured on PostgreSQL; what is not here is not known. */
function otherTypes(one: Parsed, other: Parsed): TypeChange {
  const limit = textLimit(other)
  const digits = DIGITS[one.name]
  if (digits !== undefined) {
    if (limit !== undefined) return { kind: 'other', lossless: true, inserts: limit >= digits }
    if (other.name === 'numeric') {
      const [all = Infinity, places = 0] = other.numbers
      return { kind: 'other', lossless: true, inserts: all - places >= digits - 1 }
    }
    if (other.name === 'double precision') return { kind: 'other', lossless: one.name !== 'bigint', inserts: true }
  }
  if (one.name === 'boolean' && INTEGERS[other.name] !== undefined)
    return { kind: 'other', lossless: true, inserts: false }
  if (one.name === 'uuid' && limit !== undefined) return { kind: 'other', lossless: true, inserts: limit >= 36 }
  if (one.name === 'date' && other.name === 'timestamp with time zone')
    return { kind: 'other', lossless: true, inserts: true }
  if (one.name === 'timestamp with time zone' && other.name === 'date')
    return { kind: 'other', lossless: false, inserts: true }
  if (one.name === 'numeric' && other.name === 'double precision')
    return { kind: 'other', lossless: (one.numbers[0] ?? Infinity) <= 15, inserts: true }
  return { kind: 'unknown' }
}

type Parsed = { name: string; unsigned: boolean; numbers: readonly number[]; array: boolean }

/** `numeric(10, 2)`, `varchar(20)[]`, `integer unsigned` */
function parse(text: string): Parsed {
  const [, words = '', numbers = '', array = ''] = /^([^([]*)(?:\(([\d, ]*)\))?((?:\[\d*\])*)/.exec(text) ?? []
  const [name = '', unsigned] = words
    .trim()
    .toLowerCase()
    .split(/ (?=unsigned)/)
  return {
    // Until Django 4.1 a number that PostgreSQL makes had types of its own.
    name: name.replace('bigserial', 'bigint').replace('serial', 'integer'),
    unsigned: unsigned !== undefined,
    numbers: numbers === '' ? [] : numbers.split(',').map(Number),
    array: array !== '',
  }
}

function textLimit({ name, numbers }: Parsed): number | undefined {
  if (name === 'varchar' || name === 'char') return numbers[0] ?? Infinity
  return name === 'text' || name === 'longtext' ? Infinity : undefined
}
