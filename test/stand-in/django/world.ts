import { startPooler, type Pooler } from './pooler.ts'
import { startPostgres, type Postgres } from './postgres.ts'
import {
  approve,
  approveNew,
  makeProject,
  probe,
  removeProjects,
  start,
  usual,
  type Outcome,
  type Running,
} from './probe.ts'

type Words = Readonly<Record<string, string>>

/** A database server and the project as it is in the repository, already migrated in the database `base`. */
export type Site = {
  plain: string
  /** How `base` was planned while it was empty, and migrated. */
  first: { planned: Outcome; migrated: Outcome }
  /** The environment of a probe of this database. */
  env: (database: string, more?: Words) => Record<string, string>
  /** Makes a database, as a copy of `base` or empty. */
  database: (name: string, content?: 'base' | 'empty') => Promise<string>
  ask: (verb: string, database: string, project?: string) => Promise<Outcome>
  /** Starts `migrate`; what this project has more than the one in the repository is approved. */
  begin: (project: string, database: string, more?: Words, django?: string) => Promise<Running>
  /** Runs `migrate` and sends the start signal when the probe waits for it. */
  migrate: (project: string, database: string, more?: Words, django?: string) => Promise<Outcome>
  stop: () => Promise<void>
}

/** A site on PostgreSQL. */
export type World = Site & {
  postgres: Postgres
  /** Starts a PgBouncer in front of the server, with so many connections to it for each database. */
  pooler: (size: number) => Promise<Pooler>
}

/** A database server of a test file. */
export type Server = {
  /** The environment of a probe of this database. */
  env: (database: string) => Record<string, string>
  createDatabase: (name: string, template?: string) => Promise<string>
  stop: () => Promise<void>
}

/** Makes a world; `stop` removes it. */
export async function makeWorld(): Promise<World> {
  const postgres = await startPostgres()
  const poolers: Pooler[] = []
  const site = await makeSite({
    env: (database) => ({ ...postgres.env, DATABASE: database }),
    createDatabase: postgres.createDatabase,
    stop: async () => {
      for (const pooler of poolers) await pooler.stop()
      await postgres.stop()
    },
  })
  return {
    ...site,
    postgres,
    pooler: async (size) => {
      const pooler = await startPooler(postgres, size)
      poolers.push(pooler)
      return pooler
    },
  }
}

/** Makes a site on a server, migrated by this Django. Its `stop` stops the server, too. */
export async function makeSite(server: Server, version: string = usual): Promise<Site> {
  const plain = await makeProject()
  const env: Site['env'] = (database, more = {}) => ({ ...server.env(database), ...more })
  const begin: Site['begin'] = async (project, database, more = {}, django = version) =>
    start('migrate', project, {
      django,
      env: env(database, { DEPLOY_DJANGO_APPROVED: await approveNew(project), ...more }),
    })
  const migrate: Site['migrate'] = async (...what) => go(await begin(...what))

  const base = await server.createDatabase('base')
  const planned = await probe('plan', plain, { django: version, env: env(base) })
  const migrated = await migrate(plain, base, { DEPLOY_DJANGO_APPROVED: approve(planned) })
  if (migrated.code !== 0) {
    await server.stop()
    throw new Error(`The first migration ended with ${migrated.code}: ${migrated.stderr}`)
  }
  return {
    plain,
    first: { planned, migrated },
    env,
    begin,
    migrate,
    database: (name, content = 'base') => server.createDatabase(name, content === 'base' ? base : undefined),
    ask: (verb, database, project = plain) => probe(verb, project, { django: version, env: env(database) }),
    stop: async () => {
      await server.stop()
      await removeProjects()
    },
  }
}

/** Sends the start signal (SIGUSR1) when the probe waits for it, and waits until the probe ends. */
export async function go(running: Running): Promise<Outcome> {
  await running.printed('deploy-django: replanned')
  running.signal('SIGUSR1')
  return running.ended
}

/** The names of what a run of `migrate` applied, in order. */
export const appliedBy = (outcome: Outcome): string[] =>
  (outcome.result['applied'] as { name: string }[]).map((each) => each.name)

/** An operation that adds a column to the orders. */
export const addField = (name: string): string =>
  `migrations.AddField("order", "${name}", models.IntegerField(null=True))`

/** An operation that evaluates expressions of Python. */
export const runPython = (...expressions: string[]): string =>
  `migrations.RunPython(lambda apps, editor: (${expressions.join(', ')},), migrations.RunPython.noop)`
