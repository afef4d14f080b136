import * as v from 'valibot'
import { DeployError } from '../errors.ts'
import { readJson } from '../schema.ts'
import { inDatabase, join, joinTexts, labelOf, type Named } from './label.ts'

/** An optional text; an empty one counts as missing. */
const optionalText = v.pipe(
  v.nullish(v.string()),
  v.transform((text) => text || undefined),
)
const texts = v.array(v.string())
/** Python's None is undefined. */
const maybe = <Schema extends v.GenericSchema>(schema: Schema) =>
  v.pipe(
    v.nullish(schema),
    v.transform((found) => found ?? undefined),
  )

/** `source` is the SHA-256 of the migration's file. */
const migration = v.object({ app: v.string(), name: v.string(), source: v.string() })

/** A migration as the probe reports it. */
export type Migration = v.InferOutput<typeof migration> & Named

const pending = v.object({
  ...migration.entries,
  atomic: v.boolean(),
  /** Django's own descriptions. */
  operations: v.array(v.object({ kind: v.string(), text: v.string(), reversible: v.boolean() })),
})

/** A migration that the database lacks. */
export type Pending = v.InferOutput<typeof pending>

const database = v.object({
  /** Its name in DATABASES. */
  alias: v.optional(v.string()),
  vendor: v.string(),
  /** The database server's own identity, if an ordinary user may read it. */
  system: optionalText,
  host: v.string(),
  name: v.string(),
  empty: v.boolean(),
})

/** The identity of a database. */
export type Database = v.InferOutput<typeof database>

const dump = v.pipe(
  v.object({
    bytes: maybe(v.number()),
    user: optionalText,
    server: maybe(v.number()),
    client: maybe(v.number()),
    pooled: maybe(v.boolean()),
  }),
  v.transform(({ bytes: sizeBytes, user, server: serverMajor, client, pooled: isPooled }) => {
    return { sizeBytes, user, serverMajor, client, isPooled }
  }),
)

/**
 * Facts for a dump of the database: its size, the app's user, the major versions of the server and of the app's client,
 * and whether a connection pooler answers.
 */
export type DumpFacts = v.InferOutput<typeof dump>

const unmigrated = v.object({
  app: v.string(),
  /** Its Python module, such as `shop.orders`. */
  module: v.string(),
  /** Whether the app came with a package. */
  installed: v.boolean(),
})

/** An app with its own models, but no migration in the image and no table in the database. */
export type Unmigrated = v.InferOutput<typeof unmigrated>

const serving = v.object({
  manage: v.string(),
  module: v.string(),
  /** The file that sets it, such as `site/wsgi.py`. */
  file: v.string(),
  /** Whether both settings lead to the same database and the same apps. */
  same: v.boolean(),
})

/** The settings of the site, if manage.py uses others. */
export type Serving = v.InferOutput<typeof serving>

const staticFiles = v.variant('kind', [
  v.object({ kind: v.literal('folder'), root: v.string() }),
  v.object({ kind: v.literal('elsewhere') }),
  v.object({ kind: v.literal('none'), why: v.string() }),
])

/** The target of `collectstatic`: a folder in the container, elsewhere such as S3, or none. */
export type StaticFiles = v.InferOutput<typeof staticFiles>

/** The settings that decide how the health check must address the site. */
export type Settings = {
  allowedHosts: readonly string[]
  debug: boolean
  sslRedirect: boolean
  /** Header and value that mark a request as https, as in SECURE_PROXY_SSL_HEADER. */
  proxySslHeader: readonly [string, string] | undefined
  static: StaticFiles
}

const settings = v.pipe(
  v.object({
    allowed_hosts: texts,
    debug: v.boolean(),
    ssl_redirect: v.boolean(),
    proxy_ssl_header: v.nullable(texts),
    static: staticFiles,
  }),
  v.transform(({ allowed_hosts, debug, ssl_redirect, proxy_ssl_header, static: files }): Settings => {
    const [name, value] = proxy_ssl_header ?? []
    return {
      allowedHosts: allowed_hosts,
      debug,
      sslRedirect: ssl_redirect,
      proxySslHeader: name !== undefined && value !== undefined ? [name, value] : undefined,
      static: files,
    }
  }),
)

/** The common part of both plans. */
const common = {
  settings,
  unmigrated: v.array(unmigrated),
  serving: maybe(serving),
  /** Migrations that routers send to other databases and that are not applied there, by alias. */
  elsewhere: v.pipe(
    v.record(v.string(), texts),
    v.transform((found): ReadonlyMap<string, readonly string[]> => new Map(Object.entries(found))),
  ),
  digest: v.string(),
}

const problems = v.array(
  v.pipe(
    v.object({ text: v.string() }),
    v.transform(({ text }) => text),
  ),
)

const tenants = v.object({
  package: v.string(),
  /** The number of schemas besides the public one; undefined when the probe cannot list this package's schemas. */
  schemas: maybe(v.number()),
  /** The missing migrations, by schema. */
  behind: v.record(v.string(), texts),
})

/** The package that gives each tenant its own schema, and the migrations that these schemas lack. */
export type Tenants = v.InferOutput<typeof tenants>

const invalidIndex = v.object({
  name: v.string(),
  table: v.string(),
  /** The statement that removes the index. */
  fix: v.string(),
})

/** An invalid index that a failed CREATE INDEX CONCURRENTLY left behind. `database` is undefined for `default`. */
export type InvalidIndex = v.InferOutput<typeof invalidIndex> & { database?: string | undefined }

/** What the probe reports of the further databases of the input `databases`, each with its alias. */
const othersOf = <Entries extends v.ObjectEntries>(entries: Entries) =>
  v.optional(v.array(v.object({ ...entries, alias: v.string() })), [])

/** The findings in one database. */
const survey = {
  database,
  dump,
  pending: v.array(pending),
  unknown: texts,
  /** Squashed migrations without a row whose replaced migrations are all applied. */
  unrecorded: texts,
  invalid: v.array(invalidIndex),
  /** Reasons why code that is older than the database is not compatible with it. */
  problems,
}

const livePlan = v.pipe(
  v.object({ ...common, ...survey, tenants: maybe(tenants), drift: texts, others: othersOf(survey) }),
  v.transform((plan) => {
    const { others } = plan
    const each = <Key extends keyof typeof survey>(key: Key) =>
      others.map((other) => ({ alias: other.alias, items: other[key] }))
    return {
      ...plan,
      pending: join(plan.pending, each('pending')),
      unknown: joinTexts(plan.unknown, each('unknown')),
      unrecorded: joinTexts(plan.unrecorded, each('unrecorded')),
      invalid: join(plan.invalid, each('invalid')),
      problems: [...plan.problems, ...others.flatMap((other) => other.problems)],
      /** The further databases of the input `databases`, and the facts for their dumps. */
      others: others.map(({ database: found, dump: facts }) => ({ database: found, dump: facts })),
    }
  }),
)

/** The probe's view of the live database with the new image. */
export type LivePlan = { kind: 'live' } & v.InferOutput<typeof livePlan>

const offlinePlan = v.pipe(
  v.object({
    ...common,
    migrations: v.array(migration),
    models_drift: texts,
    others: othersOf({ migrations: v.array(migration) }),
  }),
  v.transform(({ models_drift: drift, migrations, others, ...plan }) => {
    const found = others.map((other) => ({ alias: other.alias, items: other.migrations }))
    return { ...plan, drift, migrations: join(migrations, found) }
  }),
)

/** The plan while the database's service does not run: every migration of the image will be applied. */
export type OfflinePlan = { kind: 'offline' } & v.InferOutput<typeof offlinePlan>

const judgement = v.object({ vendor: v.string(), unmigrated: v.array(unmigrated), drift: texts, digest: v.string() })

/** The probe's findings in an image without a database, from which the new migrations are judged. */
export type Judgement = v.InferOutput<typeof judgement>

const named = { app: v.string(), name: v.string() }

/** A container that ended before it read the database has applied nothing. */
const migrated = {
  applied: v.optional(v.array(v.object({ ...named, milliseconds: v.number() })), []),
  failed: maybe(
    v.object({ ...named, operation: maybe(v.number()), kept: v.optional(v.number(), 0), error: v.string() }),
  ),
  invalid: v.optional(v.array(invalidIndex), []),
  /** The schemas of tenants that lack migrations after a failure. */
  behind: optionalText,
}

const migrateReport = v.pipe(
  v.object({ ...migrated, others: othersOf(migrated) }),
  v.transform(({ applied, failed, invalid, behind, others }) => {
    const [failedThere] = others.flatMap((other) => (other.failed ? [{ ...other.failed, database: other.alias }] : []))
    const failure: (Named & { operation?: number | undefined; error: string }) | undefined = failed ?? failedThere
    return {
      applied: join(
        applied,
        others.map((other) => ({ alias: other.alias, items: other.applied })),
      ),
      failed: failure,
      behind,
      invalid: join(
        invalid,
        others.map((other) => ({ alias: other.alias, items: other.invalid })),
      ),
    }
  }),
)

/** The report of the migration container. */
export type MigrateReport = v.InferOutput<typeof migrateReport>

/** A migration that this deployment applied. */
export type Applied = MigrateReport['applied'][number]

const madeBackup = v.object({ file: v.string(), bytes: v.number(), restore: v.string() })

/** A backup that was made. */
export type MadeBackup = v.InferOutput<typeof madeBackup>

const unapplyReport = v.object({ unapplied: v.optional(v.array(v.object(named)), []) })

const httpReport = v.object({
  url: optionalText,
  status: maybe(v.number()),
  reason: optionalText,
  text: v.optional(v.string(), ''),
  /** The fix; undefined when nothing must change. */
  fix: optionalText,
  /** A problem that a healthy answer does not rule out. */
  warning: optionalText,
  /** A page that the release before had, or a style sheet that a page links to. */
  lost: optionalText,
})

/** The result of an HTTP health check. */
export type HttpReport = v.InferOutput<typeof httpReport>

const compared = { problems: v.optional(problems, []), ahead: v.optional(texts, []) }

const compatibility = v.pipe(
  v.object({ ...compared, database: v.optional(database), dump: v.optional(dump, {}), others: othersOf(compared) }),
  v.transform(({ problems: own, ahead, others, ...report }) => ({
    ...report,
    problems: [...own, ...others.flatMap((other) => other.problems)],
    ahead: joinTexts(
      ahead,
      others.map((other) => ({ alias: other.alias, items: other.ahead })),
    ),
  })),
)

/** The result of a compatibility check between code and the database. */
export type Compatibility = v.InferOutput<typeof compatibility>

const reverseReport = v.object({
  unapply: v.optional(v.array(migration), []),
  /** Why they cannot be unapplied, one line per operation. */
  rewritten: v.optional(texts, []),
  irreversible: v.optional(texts, []),
  blocked: v.optional(texts, []),
  losses: v.optional(texts, []),
  /** Applied migrations that neither release knows. */
  stays: v.optional(texts, []),
  database,
  dump: v.optional(dump, {}),
})

/** The migrations that the current release would unapply for an older one, and the loss. */
export type ReverseReport = v.InferOutput<typeof reverseReport>

const probeError = v.object({
  kind: v.string(),
  message: v.string(),
  detail: optionalText,
  exit: v.optional(v.number()),
})

/** The probe's own message about its failure, and its exit code. */
export type ProbeError = v.InferOutput<typeof probeError>

/** A line of JSON from the probe. Each reader validates the part that it needs. */
export type Document = Readonly<Record<string, unknown>>

/** The last probe document in a program's output; undefined when the probe printed none or was cut off. */
export function findDocument(output: string): Document | undefined {
  const line = output.split('\n').findLast((candidate) => candidate.startsWith('{"deploy-django":'))
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), v.record(v.string(), v.unknown())), line)
  if (!parsed.success) return undefined
  if (parsed.output['deploy-django'] !== 1) {
    throw new DeployError('internal', {
      what: 'The probe answered in a format of another version',
      seen: line?.slice(0, 80),
    })
  }
  return parsed.output
}

const read = <Schema extends v.GenericSchema>(schema: Schema, document: Document): v.InferOutput<Schema> =>
  readJson(schema, document, { what: 'The report of the probe about the app' })

export function readPlan(document: Document): LivePlan | OfflinePlan {
  return document['verb'] === 'list'
    ? { kind: 'offline', ...read(offlinePlan, document) }
    : { kind: 'live', ...read(livePlan, document) }
}

export function readJudgement(document: Document): Judgement {
  return read(judgement, document)
}

/** Also works for a probe whose settings cannot be imported. */
export function readServing(document: Document): Serving | undefined {
  return read(v.object({ serving: maybe(serving) }), document).serving
}

/** A migration as a running release sees it. */
export type Row = { name: string; state: 'applied' | 'pending' | 'unknown' }

/** A plan that failed has none of these fields. */
const rows = {
  applied: v.optional(texts, []),
  unknown: v.optional(texts, []),
  pending: v.optional(v.array(v.object(named)), []),
}

/** The migrations of a plan: applied, pending, and known only to the database. */
export function readRows(document: Document): readonly Row[] {
  const { others, ...own } = read(v.object({ ...rows, others: othersOf(rows) }), document)
  const databases = [{ ...own, alias: undefined }, ...others]
  return databases.flatMap(({ alias, applied, unknown, pending }) => [
    ...applied.map((name): Row => ({
      name: inDatabase(alias, name),
      state: unknown.includes(name) ? 'unknown' : 'applied',
    })),
    ...pending.map((each): Row => ({ name: labelOf({ ...each, database: alias }), state: 'pending' })),
  ])
}

/** The databases that a probe document names, `default` first. */
export function readDatabases(document: Document | undefined): readonly Database[] {
  if (!document) return []
  const named = { database: v.optional(database) }
  const { others, ...own } = read(v.object({ ...named, others: othersOf(named) }), document)
  return [own, ...others].flatMap((each) => each.database ?? [])
}

/** A further database of the input `databases`, with its pending migrations, which `readPending` reads. */
export type OtherPending = { alias: string; vendor: string; pending: unknown }

/** The further databases of a plan, or of a judgement without a database. */
export function readOtherPending(document: Document): readonly OtherPending[] {
  const entries = {
    vendor: v.optional(v.string()),
    database: v.optional(v.object({ vendor: v.string() })),
    pending: v.unknown(),
  }
  return read(v.object({ others: othersOf(entries) }), document).others.map(
    ({ alias, vendor, database: found, pending }) => ({ alias, vendor: vendor ?? found?.vendor ?? '', pending }),
  )
}

export function readMigrateReport(document: Document): MigrateReport {
  return read(migrateReport, document)
}

export function readBackup(document: Document | undefined): MadeBackup | undefined {
  return document && read(madeBackup, document)
}

/** The migrations that a run has unapplied, as `app.name`. */
export function readUnapplied(document: Document): readonly string[] {
  return read(unapplyReport, document).unapplied.map(({ app, name }) => `${app}.${name}`)
}

export function readHttpReport(document: Document): HttpReport {
  return read(httpReport, document)
}

export function readCompatibility(document: Document): Compatibility {
  return read(compatibility, document)
}

export function readReverseReport(document: Document): ReverseReport {
  return read(reverseReport, document)
}

export function readProbeError(document: Document | undefined): ProbeError | undefined {
  return document && read(v.object({ error: v.optional(probeError) }), document).error
}

/** The settings in a probe document. */
export function readSettings(document: Document): Settings {
  return read(v.object({ settings }), document).settings
}
