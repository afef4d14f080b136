import type { Field } from './facts.ts'

/** The effect of another column type on the values. */
export type TypeChange =
  /** All old values, and all values that the old code writes, fit. `rewrites`: PostgreSQL rewrites the table. */
  | { kind: 'wider'; rewrites: boolean }
  /** The old code may write values that no longer fit. `cuts`: existing values are cut or rounded, not refused. */
  | { kind: 'narrower'; cuts: boolean; rewrites: boolean }
  /** The old code reads values of an unexpected type. `inserts`: it can still write its own. */
  | { kind: 'other'; lossless: boolean; inserts: boolean }
  | { kind: 'unknown' }

const INTEGERS: Readonly<Record<string, number>> = { smallint: 2, integer: 4, bigint: 8 }
/** The number of characters of the largest number. */
const DIGITS: Readonly<Record<string, number>> = { smallint: 6, integer: 11, bigint: 20 }

/** Whether the column keeps its type. */
export function isSameType(before: Field, after: Field): boolean {
  const [one, other] = [parse(before.dbType ?? ''), parse(after.dbType ?? '')]
  return one.array === other.array && isSameElement(one, other)
}

function isSameElement(one: Parsed, other: Parsed): boolean {
  return one.name === other.name && one.unsigned === other.unsigned && one.numbers.join() === other.numbers.join()
}

/** The effect on the column's values. On SQLite mostly none, because it keeps them as they are. */
export function compareTypes(before: Field, after: Field, vendor: string): TypeChange {
  const [one, other] = [parse(before.dbType ?? ''), parse(after.dbType ?? '')]
  const isArray = one.array !== ''
  if (depth(one) !== depth(other) || one.name === '' || other.name === '') return { kind: 'unknown' }
  // PostgreSQL ignores the size of an array.
  if (isArray && isSameElement(one, other)) return { kind: 'wider', rewrites: false }
  const [oldText, newText] = [textLimit(one), textLimit(other)]
  if (oldText !== undefined && newText !== undefined) {
    if (newText >= oldText || vendor === 'sqlite') return { kind: 'wider', rewrites: isArray }
    return { kind: 'narrower', cuts: vendor === 'postgresql' && casts(before, after), rewrites: true }
  }
  const [oldSize, newSize] = [INTEGERS[one.name], INTEGERS[other.name]]
  if (oldSize !== undefined && newSize !== undefined) {
    const fits = one.unsigned === other.unsigned ? newSize >= oldSize : one.unsigned && newSize > oldSize
    if (fits || vendor === 'sqlite') return { kind: 'wider', rewrites: true }
    return { kind: 'narrower', cuts: false, rewrites: true }
  }
  if (one.name === 'numeric' && other.name === 'numeric') {
    const change = compareNumbers(one, other)
    return change.kind === 'wider' && isArray ? { ...change, rewrites: true } : change
  }
  // SQLite keeps values as they are, unless a text looks like a number.
  if (vendor === 'sqlite')
    return { kind: 'other', lossless: oldText === undefined || newText !== undefined, inserts: true }
  if (vendor !== 'postgresql' || isArray) return { kind: 'unknown' }
  return otherTypes(one, other)
}

/**
 * When Django's internal type changes, Django adds `USING column::type`, which makes PostgreSQL cut values that do not
 * fit.
 */
function casts(before: Field, after: Field): boolean {
  return before.internal !== after.internal
}

function compareNumbers(one: Parsed, other: Parsed): TypeChange {
  // A numeric type without limits holds any number.
  const [digits, places] = [one.numbers[0] ?? Infinity, one.numbers[1] ?? Infinity]
  const [newDigits, newPlaces] = [other.numbers[0] ?? Infinity, other.numbers[1] ?? Infinity]
  const integers = digits === Infinity ? Infinity : digits - places
  const newIntegers = newDigits === Infinity ? Infinity : newDigits - newPlaces
  if (newPlaces >= places && newIntegers >= integers) {
    return { kind: 'wider', rewrites: newPlaces !== places && newPlaces !== Infinity }
  }
  return { kind: 'narrower', cuts: newPlaces < places, rewrites: true }
}

/** Measured on PostgreSQL. Other changes are unknown. */
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

/** `array` is empty, or the size of each dimension: `[3][]`. */
type Parsed = { name: string; unsigned: boolean; numbers: readonly number[]; array: string }

/** `numeric(10, 2)`, `varchar(20)[]`, `integer unsigned` */
function parse(text: string): Parsed {
  const [, words = '', numbers = '', array = ''] = /^([^([]*)(?:\(([\d, ]*)\))?((?:\[\d*\])*)/.exec(text) ?? []
  const [name = '', unsigned] = words
    .trim()
    .toLowerCase()
    .split(/ (?=unsigned)/)
  return {
    // Until Django 4.1, automatic numbers on PostgreSQL had their own types. MariaDB appends `auto_increment`.
    name: name.replace('bigserial', 'bigint').replace('serial', 'integer').replace(' auto_increment', ''),
    unsigned: unsigned !== undefined,
    numbers: numbers === '' ? [] : numbers.split(',').map(Number),
    array,
  }
}

function depth({ array }: Parsed): number {
  return array.split('[').length
}

function textLimit({ name, numbers }: Parsed): number | undefined {
  if (name === 'varchar' || name === 'char') return numbers[0] ?? Infinity
  return name === 'text' || name === 'longtext' ? Infinity : undefined
}
