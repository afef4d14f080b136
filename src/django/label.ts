/** The alias of the main database in Django's settings. */
export const DEFAULT = 'default'

/** A migration by its app and name. `database` is undefined for `default`. */
export type Named = { app: string; name: string; database?: string | undefined }

/** `shop.0007_note`; in a database other than `default`, `archive: shop.0007_note`. */
export const labelOf = (named: Named): string => inDatabase(named.database, `${named.app}.${named.name}`)

/** The same as one word, for the facts of a deployment. */
export const wordOf = ({ app, name, database }: Named): string =>
  `${database === undefined ? '' : `${database}:`}${app}.${name}`

/** The text, after the name of the database if that is not `default`. */
export const inDatabase = (database: string | undefined, text: string): string =>
  database === undefined ? text : `${database}: ${text}`

/** Items of all databases. Those of a further one have its alias. */
export function join<Item extends object>(
  own: readonly Item[],
  others: readonly { alias: string; items: readonly Item[] }[],
): (Item & { database?: string | undefined })[] {
  return [...own, ...others.flatMap(({ alias, items }) => items.map((item) => ({ ...item, database: alias })))]
}

/** Texts of all databases. Those of a further one start with its alias. */
export function joinTexts(
  own: readonly string[],
  others: readonly { alias: string; items: readonly string[] }[],
): string[] {
  return [...own, ...others.flatMap(({ alias, items }) => items.map((item) => inDatabase(alias, item)))]
}
