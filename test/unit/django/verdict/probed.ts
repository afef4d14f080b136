/** An operation as the probe writes it. What real databases do is in test/stand-in/django/verdict; here is what they do not show. */
export const operation = (facts: object): object => ({
  kind: 'AddField',
  text: 'an operation',
  own: null,
  line: null,
  reversible: true,
  skipped: false,
  links: [],
  referrers: [],
  relations: [],
  order: [null, null],
  table: { name: 'shop_order', after: 'shop_order', known: true, exists: true, rows: 3, bytes: 8192 },
  ...facts,
})

/** A field of it. */
export const column = (facts: object): object => ({
  name: 'it',
  type: 'IntegerField',
  internal: 'IntegerField',
  column: 'it',
  db_type: 'integer',
  check: null,
  null: false,
  default: false,
  blank_text: false,
  auto_now: false,
  default_code: null,
  db_default: false,
  db_default_code: null,
  computed_default: false,
  generated: false,
  unique: false,
  db_index: false,
  primary_key: false,
  auto: false,
  collation: null,
  comment: null,
  relation: null,
  many_to_many: false,
  code: 'models.IntegerField()',
  ...facts,
})

/** Its field before and after. */
export const field = (before: object | null, after: object | null, more: object = {}): object => ({
  field: {
    name: 'it',
    known: before !== null,
    exists: before !== null,
    before: before && column(before),
    after: after && column(after),
    ...more,
  },
})
