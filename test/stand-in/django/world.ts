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

/** A PostgreSQL server and the project as it is in the repository, already migrated in the database `base`. */
export type World = {
  postgres: Postgres
  plain: string
  /** The environment of a probe of this database. */
  env: (database: string, more?: Words) => Record<string, string>
  /** Makes a database, as a copy of `base` or empty. */
  database: (name: string, content?: 'base' | 'empty') => Promise<string>
  ask: (verb: string, database: string, project?: string) => Promise<Outcome>
  /** Starts `migrate`; what this project has more than the one in the repository is approved. */
  begin: (project: string, database: string, more?: Words, django?: string) => Promise<Running>
  /** The same, with the go as soon as it waits for it. */
  migrate: (project: string, database: string, more?: Words, django?: string) => Promise<Outcome>
  stop: () => Promise<void>
}

/** Makes a world; `stop` removes it. */
export async function makeWorld(): Promise<World> {
  const postgres = await startPostgres()
  const plain = await makeProject()
  const env: World['env'] = (database, more = {}) => ({ ...postgres.env, DATABASE: database, ...more })
  const begin: World['begin'] = async (project, database, more = {}, django = usual) =>
    start('migrate', project, {
      django,
      env: env(database, { DEPLOY_DJANGO_APPROVED: await approveNew(project), ...more }),
    })
  const migrate: World['migrate'] = async (...what) => go(await begin(...what))

  await postgres.createDatabase('base')
  const approved = approve(await probe('plan', plain, { env: env('base') }))
  const { code, stderr } = await migrate(plain, 'base', { DEPLOY_DJANGO_APPROVED: approved })
  if (code !== 0) {
    await postgres.stop()
    throw new Error(`The first migration ended with ${code}: ${stderr}`)
  }
  return {
    postgres,
    plain,
    env,
    begin,
    migrate,
    database: (name, content = 'base') => postgres.createDatabase(name, content === 'base' ? 'base' : undefined),
    ask: (verb, database, project = plain) => probe(verb, project, { env: env(database) }),
    stop: async () => {
      await postgres.stop()
      await removeProjects()
    },
  }
}

/** Sends the go when the probe waits for it, and waits for its end. */
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
