import { DeployError } from '../errors.ts'

/** A migration as the probe names it; `source` is the SHA-256 of its file. */
export type Migration = { app: string; name: string; source: string }

/** One operation of a pending migration, in Django's own words. */
type Operation = { kind: string; text: string; reversible: boolean }

/** A migration that the database does not have yet. */
export type Pending = Migration & { atomic: boolean; operations: readonly Operation[] }

/** What the settings say about how the site wants to be asked. */
export type Settings = {
  allowedHosts: readonly string[]
  debug: boolean
  sslRedirect: boolean
  /** Header and value that mark a request as https, as in SECURE_PROXY_SSL_HEADER. */
  proxySslHeader: readonly [string, string] | undefined
  static: StaticFiles
}

/** Where `collectstatic` writes: into a folder of the container, elsewhere such as S3, or nowhere. */
export type StaticFiles = { kind: 'folder'; root: string } | { kind: 'elsewhere' } | { kind: 'none'; why: string }

/** Which database it is; `system` is its server's own identity, where an ordinary user may ask for it. */
export type Database = { vendor: string; system: string | undefined; host: string; name: string; empty: boolean }

/** The probe's view of the live database with the new image. */
export type LivePlan = {
  kind: 'live'
  settings: Settings
  database: Database
  pending: readonly Pending[]
  unknown: readonly string[]
  /** Squashed migrations without a row, all of whose parts are applied. */
  unrecorded: readonly string[]
  drift: readonly string[]
  /** What keeps code that is older than the database from living with it. */
  problems: readonly string[]
  unmigrated: readonly Unmigrated[]
  serving: Serving | undefined
  elsewhere: Elsewhere
  digest: string
}

/** An app with tables of its own, no migration in the image, and no table in the database. */
export type Unmigrated = {
  app: string
  /** Its Python module, such as `shop.orders`. */
  module: string
  /** Whether it came with a package. */
  installed: boolean
}

/** Settings that the site itself uses, and manage.py does not. */
export type Serving = {
  manage: string
  module: string
  /** Where it is set, such as `site/wsgi.py`. */
  file: string
  /** Whether both lead to the same database with the same apps. */
  same: boolean
}

/** What the routers send to other databases and is not applied there, by alias. */
type Elsewhere = ReadonlyMap<string, readonly string[]>

/** The database's service does not run yet: everything in the image will be applied. */
export type OfflinePlan = {
  kind: 'offline'
  settings: Settings
  migrations: readonly Migration[]
  drift: readonly string[]
  unmigrated: readonly Unmigrated[]
  serving: Serving | undefined
  elsewhere: Elsewhere
  digest: string
}

/** A migration that this transaction applied. */
export type Applied = { app: string; name: string; milliseconds: number }

/** What the migration container reported. */
export type MigrateReport = {
  applied: readonly Applied[]
  failed: { app: string; name: string; error: string } | undefined
}

/** How HTTP answered. */
export type HttpReport = {
  url: string | undefined
  status: number | undefined
  reason: string | undefined
  text: string
  /** What to change; undefined when nothing has to be. */
  fix: string | undefined
}

/** What does not fit between some code's models and the database. */
export type FitReport = { problems: readonly string[]; ahead: readonly string[]; database: Database | undefined }

/** The probe's own words about why it failed, and the exit code that it meant. */
export type ProbeError = { kind: string; message: string; detail: string | undefined; exit: number | undefined }

type Json = { readonly [key: string]: unknown }

/** The last probe document in a program's output; undefined when the probe did not get that far, or was cut off in it. */
export function findDocument(output: string): Json | undefined {
  const line = output.split('\n').findLast((candidate) => candidate.startsWith('{"deploy-django":'))
  if (line === undefined) return undefined
  const parsed = parse(line)
  if (!isRecord(parsed)) return undefined
  if (parsed['deploy-django'] !== 1) {
    throw new DeployError('internal', {
      what: 'The probe answered in a format of another version',
      seen: line.slice(0, 80),
    })
  }
  return parsed
}

export function readPlan(document: Json): LivePlan | OfflinePlan {
  const settings = readSettings(document['settings'])
  const elsewhere = new Map(
    Object.entries(record(document['elsewhere'])).map(([alias, names]) => [alias, texts(names)]),
  )
  const digest = text(document['digest'])
  const unmigrated = records(document['unmigrated']).map(readUnmigrated)
  const serving = readServing(document)
  if (document['verb'] === 'list') {
    const migrations = records(document['migrations']).map(readMigration)
    const drift = texts(document['models_drift'])
    return { kind: 'offline', settings, migrations, drift, unmigrated, serving, elsewhere, digest }
  }
  return {
    kind: 'live',
    settings,
    database: databaseOf(record(document['database'])),
    pending: records(document['pending']).map((pending) => ({
      ...readMigration(pending),
      atomic: pending['atomic'] !== false,
      operations: records(pending['operations']).map((operation) => ({
        kind: text(operation['kind']),
        text: text(operation['text']),
        reversible: operation['reversible'] === true,
      })),
    })),
    unknown: texts(document['unknown']),
    unrecorded: texts(document['unrecorded']),
    drift: texts(document['drift']),
    problems: problemsOf(document),
    unmigrated,
    serving,
    elsewhere,
    digest,
  }
}

/** Also of a probe whose settings do not import. */
export function readServing(document: Json): Serving | undefined {
  const found = document['serving']
  if (!isRecord(found)) return undefined
  return {
    manage: text(found['manage']),
    module: text(found['module']),
    file: text(found['file']),
    same: found['same'] === true,
  }
}

function readUnmigrated(found: Json): Unmigrated {
  return { app: text(found['app']), module: text(found['module']), installed: found['installed'] === true }
}

/** A migration as a running release sees it. */
export type Row = { name: string; state: 'applied' | 'pending' | 'unknown' }

/** Of a plan: what the database has, what it lacks, and what only it knows. */
export function readRows(document: Json): readonly Row[] {
  const unknown = texts(document['unknown'])
  return [
    ...texts(document['applied']).map((name): Row => ({ name, state: unknown.includes(name) ? 'unknown' : 'applied' })),
    ...records(document['pending'])
      .map(readMigration)
      .map(({ app, name }): Row => ({ name: `${app}.${name}`, state: 'pending' })),
  ]
}

/** The database that a document of the probe names. */
export function readDatabase(document: Json | undefined): Database | undefined {
  const database = document?.['database']
  return isRecord(database) ? databaseOf(database) : undefined
}

function databaseOf(database: Json): Database {
  return {
    vendor: text(database['vendor']),
    system: optionalText(database['system']),
    host: text(database['host']),
    name: text(database['name']),
    empty: database['empty'] === true,
  }
}

export function readMigrateReport(document: Json): MigrateReport {
  const failed = document['failed']
  return {
    applied: records(document['applied']).map((applied) => ({
      app: text(applied['app']),
      name: text(applied['name']),
      milliseconds: typeof applied['milliseconds'] === 'number' ? applied['milliseconds'] : 0,
    })),
    failed: isRecord(failed)
      ? { app: text(failed['app']), name: text(failed['name']), error: text(failed['error']) }
      : undefined,
  }
}

export function readHttpReport(document: Json): HttpReport {
  return {
    url: optionalText(document['url']),
    status: typeof document['status'] === 'number' ? document['status'] : undefined,
    reason: optionalText(document['reason']),
    text: text(document['text']),
    fix: optionalText(document['fix']),
  }
}

export function readFitReport(document: Json): FitReport {
  return {
    problems: problemsOf(document),
    ahead: texts(document['ahead']),
    database: readDatabase(document),
  }
}

const problemsOf = (document: Json): readonly string[] =>
  records(document['problems']).map((problem) => text(problem['text']))

export function readProbeError(document: Json | undefined): ProbeError | undefined {
  const error = document?.['error']
  if (!isRecord(error)) return undefined
  const exit = typeof error['exit'] === 'number' ? error['exit'] : undefined
  return { kind: text(error['kind']), message: text(error['message']), detail: optionalText(error['detail']), exit }
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

function readMigration(migration: Json): Migration {
  return { app: text(migration['app']), name: text(migration['name']), source: text(migration['source']) }
}

/** The settings in a document of the probe. */
export function readSettings(found: unknown): Settings {
  const settings = record(found)
  const header = settings['proxy_ssl_header']
  const [name, value] = Array.isArray(header) ? texts(header) : []
  return {
    allowedHosts: texts(settings['allowed_hosts']),
    debug: settings['debug'] === true,
    sslRedirect: settings['ssl_redirect'] === true,
    proxySslHeader: name !== undefined && value !== undefined ? [name, value] : undefined,
    static: readStatic(record(settings['static'])),
  }
}

function readStatic(found: Json): StaticFiles {
  switch (found['kind']) {
    case 'folder':
      return { kind: 'folder', root: text(found['root']) }
    case 'elsewhere':
      return { kind: 'elsewhere' }
    default:
      return { kind: 'none', why: text(found['why']) }
  }
}

function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

const record = (value: unknown): Json => (isRecord(value) ? value : {})
const records = (value: unknown): Json[] => (Array.isArray(value) ? value.filter(isRecord) : [])
const text = (value: unknown): string => (typeof value === 'string' ? value : '')
const optionalText = (value: unknown): string | undefined => text(value) || undefined
const texts = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : []
