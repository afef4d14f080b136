import type { App } from '../compose/app.ts'
import type { Service } from '../compose/service.ts'
import type { Database, DumpFacts } from '../django/document.ts'
import { DEFAULT, labelOf } from '../django/label.ts'
import type { Judged } from '../django/verdict/judge.ts'
import { DeployError } from '../errors.ts'
import type { Step } from './plan.ts'

/** Whether and how the database is dumped before migrations are applied or unapplied. */
export type Backup =
  | { kind: 'none' }
  /** Data is lost, but `backup: never` forbids a backup. */
  | { kind: 'unwanted'; reason: string }
  | { kind: 'dump'; way: Way; reason: string }
  | { kind: 'impossible'; problem: DeployError }

/** The container that makes the dump: the database's own, one of a client image, or a one-off container of the app. */
export type Way = {
  vendor: 'postgresql' | 'mysql' | 'sqlite'
  /** The database's service. */
  service?: string
  /** The client image. With neither, a one-off container of the app makes the dump. */
  image?: string
  database: Database
  facts: DumpFacts
}

/** What decides how the database can be dumped. */
export type WayFacts = {
  database: Database
  facts: DumpFacts
  /** Pinned model of the new release. */
  app: App
  /** Services of the project that have a running container. */
  running: readonly string[]
}

/** The parameters of `planBackup`. */
export type BackupFacts = WayFacts & {
  policy: 'auto' | 'always' | 'never'
  /** Whether the schema changes, even if the image does it. */
  isMigrating: boolean
  /** What the change loses or may lose; undefined when it loses nothing. */
  loss: string | undefined
}

/** Pure: decides whether and how a backup is made. */
export function planBackup(given: BackupFacts): Backup {
  const { policy, isMigrating, loss, database } = given
  if (!isMigrating || database.empty || (policy !== 'always' && !loss)) return { kind: 'none' }
  const reason = loss ?? '`backup: always`'
  if (policy === 'never') return { kind: 'unwanted', reason }
  const way = chooseWay(given)
  if (typeof way !== 'string') return { kind: 'dump', way, reason }
  const problem = new DeployError('backup-impossible', {
    what: `The database ${database.name} cannot be backed up before its schema changes`,
    seen: `${reason}\n${way}`,
    why: '`default` is dumped in the container of its own service; a PostgreSQL elsewhere by `pg_dump` of its version, without a pooler in between',
    fix: 'make a backup yourself, then run the job once with `backup: never`',
  })
  return { kind: 'impossible', problem }
}

/** The loss by migrations that are applied, or that can never be unapplied without it. */
export function lossOf(judged: readonly Judged[]): string | undefined {
  const losing = judged.filter(
    ({ verdict: { reverses, loses } }) => loses.length > 0 || reverses === 'loses' || reverses === 'no',
  )
  return losing.length === 0 ? undefined : describeLosing(losing)
}

/** Inserts the backup before the first step that may change the schema. */
export function backingUp(steps: readonly Step[]): readonly Step[] {
  const migrating: readonly Step[] = ['unapply', 'migrate', 'jobs', 'static', 'swap']
  const first = migrating.find((step) => steps.includes(step))
  return steps.flatMap((step) => (step === first ? ['backup' as const, step] : [step]))
}

/** The lines of the facts `backup` and `dump`, as `read_backup` on the host reads them. */
export function backupLines({ vendor, service, image, database, facts }: Way): readonly string[] {
  const size = facts.sizeBytes === undefined ? '-' : String(facts.sizeBytes)
  return [vendor, service ?? '-', database.name, database.system ?? '-', facts.user ?? '-', size, image ?? '-']
}

/** `shop.0003_drop loses shop_order.note; shop.0004_fill cannot be reversed` */
function describeLosing(losing: readonly Judged[]): string {
  return losing
    .map((each) => {
      const { loses } = each.verdict
      const lost = loses.length === 0 ? 'cannot be reversed' : `loses ${loses.join(', ')}`
      return `${labelOf(each)} ${lost}`
    })
    .join('; ')
}

/** The lines of the fact `dump`, with which a person's rollback makes a backup; undefined if it cannot. */
export function dumpLines(given: WayFacts): readonly string[] | undefined {
  const way = chooseWay(given)
  return typeof way === 'string' ? undefined : backupLines(way)
}

/** The way to dump the database, or the reason why there is none. */
function chooseWay({ database, facts, app, running }: WayFacts): Way | string {
  const { alias = DEFAULT, vendor, host } = database
  if (alias !== DEFAULT) return `only the database \`${DEFAULT}\` is backed up here, not ${alias}`
  switch (vendor) {
    case 'sqlite':
      return { vendor, database, facts }
    case 'postgresql':
    case 'mysql': {
      const service = findService(vendor, hostName(host), app, running)
      if (service !== undefined) return { vendor, service, database, facts }
      const where = `no service of the Compose file is the database server at ${hostName(host) || 'a socket'}`
      if (vendor === 'mysql') return where
      const { client, serverMajor, isPooled } = facts
      if (isPooled) return `${where}, but a connection pooler is, and \`pg_dump\` would change the sessions of the app`
      if (client !== undefined && client >= (serverMajor ?? 0)) return { vendor, database, facts }
      if (serverMajor === undefined) return `${where}, and its version is unknown`
      return { vendor, image: `postgres:${serverMajor}-alpine`, database, facts }
    }
    default:
      return `a database of ${vendor || 'this kind'} cannot be dumped here`
  }
}

const IMAGES = {
  postgresql: /postgres|postgis|timescale|pgvector|supabase/,
  mysql: /mysql|mariadb|percona/,
}
/** Poolers and tools beside a database. Their names may contain the database's. */
const POOLERS = /bouncer|pooler|pgcat|odyssey|proxysql|maxscale|exporter|pgadmin|backup/

/**
 * The service that is the database server: the one with that host name. If the host name is a pooler's or a socket, the
 * only running service that looks like a server. Before the dump, the host compares the server's identity.
 */
function findService(
  vendor: 'postgresql' | 'mysql',
  host: string,
  app: App,
  running: readonly string[],
): string | undefined {
  const services = [...app.services.values()]
  const looks = ({ name, image: reference }: Service): boolean => {
    const image = reference?.split('/').at(-1) ?? ''
    return IMAGES[vendor].test(image) && !POOLERS.test(image) && !POOLERS.test(name)
  }
  const named = services.find(({ hostNames }) => hostNames.includes(host))
  if (named && looks(named)) return named.name
  const isElsewhere = named === undefined && host !== '' && !host.startsWith('/')
  if (isElsewhere) return undefined
  const similar = services.filter((service) => looks(service) && running.includes(service.name))
  if (similar.length === 1) return similar[0]?.name
  // An image that is built here has no telling name.
  return similar.length === 0 && named && !POOLERS.test(named.name) ? named.name : undefined
}

const hostName = (host: string): string => host.replace(/:\d*$/, '')
