import { spawn } from 'node:child_process'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort, type Postgres } from './postgres.ts'

/** PgBouncer in transaction mode. */
export type Pooler = { port: string; stop: () => Promise<void> }

/** Starts one in front of a server, with so many connections to it for each database. */
export async function startPooler(postgres: Postgres, size: number): Promise<Pooler> {
  const folder = await mkdtemp(join(tmpdir(), 'probe-pooler-'))
  const port = String(await freePort())
  const file = join(folder, 'pgbouncer.ini')
  await writeFile(
    file,
    [
      '[databases]',
      `* = host=127.0.0.1 port=${postgres.env.PGPORT} user=postgres`,
      '[pgbouncer]',
      'listen_addr = 127.0.0.1',
      `listen_port = ${port}`,
      'unix_socket_dir =',
      'auth_type = any',
      'pool_mode = transaction',
      `default_pool_size = ${size}`,
      'query_wait_timeout = 20',
      '',
    ].join('\n'),
  )
  await chmod(folder, 0o755)
  // It refuses to run as root.
  const words = process.getuid?.() === 0 ? ['runuser', '-u', 'nobody', '--', 'pgbouncer'] : ['pgbouncer']
  const child = spawn(words[0] ?? '', [...words.slice(1), '-q', file], {
    stdio: 'ignore',
    env: { PATH: `${process.env['PATH']}:/usr/sbin` },
  })
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()))
  for (let tries = 0; !(await answers(Number(port))); tries += 1) {
    if (tries > 100 || child.exitCode !== null)
      throw new Error('PgBouncer does not start: run test/stand-in/django/ready')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return {
    port,
    stop: async () => {
      child.kill()
      await ended
      await rm(folder, { recursive: true })
    },
  }
}

/** What somebody has set in the sessions that a pooler with so many connections hands to the app. */
export async function leftIn(postgres: Postgres, port: string, database: string, size: number): Promise<string[]> {
  const { PGPORT } = postgres.env
  postgres.env.PGPORT = port
  const holders: Awaited<ReturnType<Postgres['hold']>>[] = []
  const found: string[] = []
  try {
    for (let asked = 1; asked <= size; asked += 1) {
      found.push(...(await postgres.query(database, LEFT)))
      // Held in a transaction, so that another one answers next.
      if (asked < size) holders.push(await postgres.hold(database, 'SELECT 1'))
    }
    return found
  } finally {
    for (const holder of holders) await holder.release()
    postgres.env.PGPORT = PGPORT
  }
}

/** Apart from what a pooler keeps apart for each client, and Django sets for the app as well. */
const LEFT = `SELECT name || '=' || setting FROM pg_settings WHERE source = 'session'
  AND name NOT IN ('TimeZone', 'application_name', 'client_encoding', 'DateStyle', 'standard_conforming_strings')
  UNION ALL SELECT 'lock ' || pid FROM pg_locks WHERE locktype = 'advisory'`

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1', () => (socket.destroy(), resolve(true)))
    socket.on('error', () => resolve(false))
  })
}
