import * as v from 'valibot'

const column = v.object({
  name: v.string(),
  /** Django's class of the field, and the one by which Django chooses the type of the column. */
  type: v.string(),
  internal: v.string(),
  column: v.nullable(v.string()),
  dbType: v.nullable(v.string()),
  check: v.nullable(v.string()),
  null: v.boolean(),
  default: v.boolean(),
  blankText: v.boolean(),
  autoNow: v.boolean(),
  /** The default as Python, when it is a constant. */
  defaultCode: v.nullable(v.string()),
  dbDefault: v.boolean(),
  dbDefaultCode: v.nullable(v.string()),
  computedDefault: v.boolean(),
  generated: v.boolean(),
  unique: v.boolean(),
  dbIndex: v.boolean(),
  primaryKey: v.boolean(),
  auto: v.boolean(),
  collation: v.nullable(v.string()),
  comment: v.nullable(v.string()),
  relation: v.nullable(
    v.object({
      to: v.string(),
      table: v.nullable(v.string()),
      exists: v.boolean(),
      /** The table of a many-to-many field that Django makes itself. */
      links: v.nullable(v.string()),
      constraint: v.boolean(),
      onDelete: v.nullable(v.string()),
    }),
  ),
  manyToMany: v.boolean(),
  /** As a migration writes it. */
  code: v.nullable(v.string()),
})

/** A field as a state of the models has it. */
export type Field = v.InferOutput<typeof column>

const table = v.object({
  name: v.string(),
  /** The code that serves uses it. */
  known: v.boolean(),
  /** It is there before this plan. */
  exists: v.boolean(),
  rows: v.nullable(v.number()),
  bytes: v.nullable(v.number()),
})

/** A table, as the code that serves and the database know it. */
export type Table = v.InferOutput<typeof table>

/** The columns of an index or a constraint; null when not all are known. */
const columns = v.nullable(v.array(v.object({ name: v.string(), known: v.boolean(), null: v.boolean() })))
const together = v.optional(v.object({ added: v.array(columns), removed: v.number() }), { added: [], removed: 0 })

/** The columns that a constraint is about. */
export type Columns = v.InferOutput<typeof columns>

const facts = {
  /** The class of Django that it is or derives from; a full name when it is entirely the project's own. */
  kind: v.string(),
  text: v.string(),
  /** The project's class that does something else in the database than the class of Django that it derives from. */
  own: v.nullable(v.string()),
  line: v.nullish(v.number()),
  /** The error with which the probe gave up on it. */
  unreadable: v.optional(v.string()),
  reversible: v.boolean(),
  /** It does nothing to this database: a router keeps it away, or the model has no table of its own. */
  skipped: v.boolean(),
  table: v.optional(v.object({ ...table.entries, after: v.nullable(v.string()) })),
  field: v.optional(
    v.object({
      name: v.string(),
      known: v.boolean(),
      exists: v.boolean(),
      before: v.nullable(column),
      after: v.nullable(column),
    }),
  ),
  /** Tables of links that have the name of a model in their columns, of RenameModel. */
  links: v.array(table),
  /** Tables whose columns get the type of the one that is altered. */
  referrers: v.array(table),
  /** The fields that point to other models, of CreateModel and DeleteModel. */
  relations: v.array(column),
  /** Columns that stay in the database although the code lets go of them, and that an INSERT has to fill. */
  abandoned: v.optional(v.array(v.object({ table: v.string(), column: v.string(), code: v.nullable(v.string()) })), []),
  uniqueTogether: together,
  indexTogether: together,
  /** `order_with_respect_to` before and after. */
  order: v.tuple([v.nullable(v.string()), v.nullable(v.string())]),
  constraint: v.optional(
    v.object({
      type: v.string(),
      name: v.string(),
      code: v.nullable(v.string()),
      columns,
      /** An index instead of a constraint. */
      indexed: v.boolean(),
      nullsDistinct: v.boolean(),
    }),
  ),
  index: v.nullish(v.string()),
  /** Of RunPython and RunSQL: whether they do nothing, and how they go back. */
  noop: v.optional(v.boolean(), false),
  reverse: v.optional(v.picklist(['none', 'noop', 'given'])),
  sql: v.optional(
    v.object({
      /** Null when they are too long to be sent. */
      statements: v.nullable(v.array(v.string())),
      tables: v.array(
        v.object({
          ...table.entries,
          columns: v.array(v.string()),
          /** The columns that the code that serves uses; null for all. */
          uses: v.nullable(v.array(v.string())),
        }),
      ),
    }),
  ),
}

/** An operation of a pending migration, as the probe sees it. */
export type Operation = v.InferOutput<v.ObjectSchema<typeof facts, undefined>> & { nested?: Operation[] | undefined }

const operation: v.GenericSchema<unknown, Operation> = v.lazy(() =>
  v.object({ ...facts, nested: v.optional(v.array(operation)) }),
)

const migration = v.object({
  app: v.string(),
  name: v.string(),
  /** The SHA-256 of its file. */
  source: v.string(),
  /** Its file has the line that approves it. */
  accept: v.boolean(),
  atomic: v.boolean(),
  /** Pending migrations that come before it, as `app.name`. */
  needs: v.array(v.string()),
  operations: v.array(operation),
})

/** A pending migration, with all that a verdict needs. */
export type PendingMigration = v.InferOutput<typeof migration>

/** The pending migrations of a probe's document. */
export function readPending(found: unknown): PendingMigration[] {
  return v.parse(v.array(migration), camelKeys(found))
}

/** Keys as TypeScript writes them; the probe's are Python's. None of them is a name from the project. */
function camelKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(camelKeys)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()),
      camelKeys(item),
    ]),
  )
}
