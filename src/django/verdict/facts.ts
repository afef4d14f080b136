import * as v from 'valibot'
import { readJson } from '../../schema.ts'

const column = v.object({
  name: v.string(),
  /** The field's class, and the class by which Django chooses the column's type. */
  type: v.string(),
  internal: v.string(),
  column: v.nullable(v.string()),
  dbType: v.nullable(v.string()),
  check: v.nullable(v.string()),
  null: v.boolean(),
  default: v.boolean(),
  blankText: v.boolean(),
  autoNow: v.boolean(),
  /** The default as Python code, if it is a constant. */
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
      /** The table that Django itself creates for a many-to-many field. */
      links: v.nullable(v.string()),
      constraint: v.boolean(),
      onDelete: v.nullable(v.string()),
    }),
  ),
  manyToMany: v.boolean(),
  /** The field as a migration writes it. */
  code: v.nullable(v.string()),
})

/** A field in one state of the models. */
export type Field = v.InferOutput<typeof column>

const table = v.object({
  name: v.string(),
  /** Whether the current release's code uses the table. */
  known: v.boolean(),
  /** Whether the table exists before this plan. */
  exists: v.boolean(),
  rows: v.nullable(v.number()),
  bytes: v.nullable(v.number()),
})

/** A table as the current release's code and the database know it. */
export type Table = v.InferOutput<typeof table>

/** The columns of an index or a constraint; null when some are unknown. */
const columns = v.nullable(v.array(v.object({ name: v.string(), known: v.boolean(), null: v.boolean() })))
const together = v.optional(v.object({ added: v.array(columns), removed: v.number() }), { added: [], removed: 0 })

/** The columns of a constraint. */
export type Columns = v.InferOutput<typeof columns>

const facts = {
  /** The Django class of the operation or of its base; a full name when the class is entirely the project's own. */
  kind: v.string(),
  text: v.string(),
  /** The project's class, if it does not change the database as its Django base class does. */
  own: v.nullable(v.string()),
  line: v.nullish(v.number()),
  /** The error that made the probe give up on the operation. */
  unreadable: v.optional(v.string()),
  reversible: v.boolean(),
  /** The operation does nothing to this database: a router excludes it, or the model has no table of its own. */
  skipped: v.boolean(),
  /** The name of the operation's model, as the migration writes it. */
  model: v.nullish(v.string()),
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
  /** RenameModel only: tables of links with the model's name in their columns. */
  links: v.array(table),
  /** Tables whose columns follow the type of the altered column. */
  referrers: v.array(table),
  /** CreateModel and DeleteModel only: the fields that point to other models. */
  relations: v.array(column),
  /** Columns that the code no longer has, that stay in the database, and that every INSERT must fill. */
  abandoned: v.optional(v.array(v.object({ table: v.string(), column: v.string(), code: v.nullable(v.string()) })), []),
  /** Foreign keys that the code no longer has and the database still enforces, as `table` that points `to` another. */
  enforced: v.optional(v.array(v.object({ table: v.string(), to: v.string() })), []),
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
  /** CreateExtension only: whether the extension exists before this plan. */
  extension: v.optional(v.object({ name: v.string(), exists: v.boolean() })),
  /** RunPython and RunSQL only: whether they do nothing, and how they are reversed. */
  noop: v.optional(v.boolean(), false),
  reverse: v.optional(v.picklist(['none', 'noop', 'given'])),
  sql: v.optional(
    v.object({
      /** Null when the statements are too long to send. */
      statements: v.nullable(v.array(v.string())),
      tables: v.array(
        v.object({
          ...table.entries,
          columns: v.array(v.string()),
          /** The columns that the current release's code uses; null means all. */
          uses: v.nullable(v.array(v.string())),
        }),
      ),
    }),
  ),
}

/** An operation of a pending migration, as the probe reports it. */
export type Operation = v.InferOutput<v.ObjectSchema<typeof facts, undefined>> & { nested?: Operation[] | undefined }

const operation: v.GenericSchema<unknown, Operation> = v.lazy(() =>
  v.object({ ...facts, nested: v.optional(v.array(operation)) }),
)

const migration = v.object({
  app: v.string(),
  name: v.string(),
  /** The SHA-256 of the migration's file. */
  source: v.string(),
  /** Whether its file has the line that approves it. */
  accept: v.boolean(),
  atomic: v.boolean(),
  /** Pending migrations that must come first, as `app.name`. */
  needs: v.array(v.string()),
  operations: v.array(operation),
})

/** A pending migration with everything that a verdict needs. */
export type PendingMigration = v.InferOutput<typeof migration>

/** Reads the pending migrations in a probe document. */
export function readPending(found: unknown): PendingMigration[] {
  return readJson(v.array(migration), camelKeys(found), { what: 'The report of the probe about pending migrations' })
}

/** Converts Python's keys to camel case. No key is a name from the project. */
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
