import { randomBytes } from 'node:crypto'
import { label } from './container.ts'
import { docker, tryDocker } from './docker.ts'
import { prefix } from './folder.ts'
import { openWorld } from './world.ts'
import { until } from '../until.ts'

/** A managed PostgreSQL, on its own machine: the servers and Compose projects have only its address. */
export type Managed = AsyncDisposable & {
  host: string
  user: string
  password: string
  /** The database's name. */
  name: string
  /** All of it in one. */
  url: string
  /** The rows of a statement, columns divided by `|`. */
  query(statement: string): Promise<string[]>
}

/** Starts one beside the servers of the world; it is in memory and ends with its story. */
export async function startManaged(): Promise<Managed> {
  // A story may need this one first, and its network is the world's.
  await openWorld()
  const id = randomBytes(4).toString('hex')
  const container = `${prefix}-managed-${id}`
  const account = { user: 'app', password: `managed-${id}${id}`, name: 'app' }
  const variables = { POSTGRES_USER: account.user, POSTGRES_PASSWORD: account.password, POSTGRES_DB: account.name }
  await docker([
    ...['run', '--detach', '--name', container, '--label', `${label}=${id}`, '--network', prefix],
    ...['--tmpfs', '/var/lib/postgresql/data'],
    ...Object.entries(variables).flatMap(([name, value]) => ['--env', `${name}=${value}`]),
    ...['postgres:17', '-c', 'fsync=off'],
  ])
  // While it initialises itself it does not listen on the network.
  const question = ['exec', container, 'pg_isready', '-q', '-h', '127.0.0.1']
  await until(`${container} is up`, async () => (await tryDocker(question)).code === 0)
  const format = '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}'
  const host = await docker(['inspect', '--format', format, container])
  return {
    ...account,
    host,
    url: `postgres://${account.user}:${account.password}@${host}:5432/${account.name}`,
    async query(statement) {
      const rows = await docker([
        'exec',
        container,
        'psql',
        '-U',
        account.user,
        '-d',
        account.name,
        '-XqAtc',
        statement,
      ])
      return rows.split('\n').filter((row) => row !== '')
    },
    async [Symbol.asyncDispose]() {
      await docker(['rm', '--force', '--volumes', container])
    },
  }
}
