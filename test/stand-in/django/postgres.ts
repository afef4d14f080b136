import { spawn, type ChildProcess } from 'node:child_process'
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '../../../src/process.ts'

/** A PostgreSQL server of one test file, with databases of its tests. */
export type Postgres = {
  /** What libpq and the settings of the test project read. */
  env: { PGHOST: string; PGPORT: string; PGUSER: string }
  /** Makes a database, a copy of `template` when that is given. */
  createDatabase: (name: string, template?: string) => Promise<string>
  /** The rows of a statement, columns divided by `|`. */
  query: (database: string, statement: string) => Promise<string[]>
  /** Runs the statement in a transaction and keeps it open. */
  hold: (database: string, statement: string) => Promise<{ release: () => Promise<void> }>
  /** Starts a replica of the server, which only reads, and returns its port. */
  startReplica: () => Promise<string>
  stop: () => Promise<void>
}

/** Starts a server on a free port of 127.0.0.1. Everybody is trusted, but for the user `stranger`. */
export async function startPostgres(): Promise<Postgres> {
  const folder = await mkdtemp(join(tmpdir(), 'probe-postgres-'))
  await chmod(folder, 0o755)
  const programs = await findPrograms()
  const data = join(folder, 'data')
  const port = String(await freePort())
  const env = { PGHOST: '127.0.0.1', PGPORT: port, PGUSER: 'postgres' }
  // PostgreSQL refuses to run as root.
  const asUser = process.getuid?.() === 0 ? ['runuser', '-u', 'nobody', '--'] : ['env']
  const must = async (program: string, ...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await run(program, args, { env: { ...process.env, ...env }, cwd: '/' })
    if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}: ${stdout}${stderr}`)
    return stdout
  }
  const serve = (...args: string[]): Promise<string> => must(asUser[0] ?? 'env', ...asUser.slice(1), ...args)

  if (process.getuid?.() === 0) await must('chown', 'nobody', folder)
  await serve(join(programs, 'initdb'), '-D', data, '-U', 'postgres', '-A', 'trust', '--no-sync')
  await serve(
    'sh',
    '-c',
    'echo "host all stranger 127.0.0.1/32 scram-sha-256" >"$0.new"; cat "$0" >>"$0.new"; mv "$0.new" "$0"',
    join(data, 'pg_hba.conf'),
  )
  const options = `-p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=${folder} -c fsync=off`
  await serve(join(programs, 'pg_ctl'), '-w', '-D', data, '-l', join(folder, 'log'), '-o', options, 'start')

  const psql = join(programs, 'psql')
  const query = async (database: string, statement: string): Promise<string[]> =>
    (await must(psql, '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', database, '-c', statement))
      .split('\n')
      .filter((row) => row !== '')
  const holders: ChildProcess[] = []
  const running = [data]
  return {
    env,
    query,
    createDatabase: async (name, template = 'template1') => {
      await query('postgres', `CREATE DATABASE ${name} TEMPLATE ${template}`)
      return name
    },
    hold: async (database, statement) => {
      const child = spawn(psql, ['-XqAt', '-d', database], {
        env: { ...process.env, ...env },
        stdio: ['pipe', 'pipe', 'inherit'],
      })
      holders.push(child)
      const ended = new Promise<void>((resolve) => child.on('close', () => resolve()))
      const held = new Promise<void>((resolve) =>
        child.stdout.on('data', (text) => /held/.test(String(text)) && resolve()),
      )
      child.stdin.write(`BEGIN;\n${statement};\n\\echo held\n`)
      await held
      return { release: () => (child.stdin.end('COMMIT;\n'), ended) }
    },
    startReplica: async () => {
      const [copy, at] = [join(folder, 'replica'), String(await freePort())]
      await serve(
        join(programs, 'pg_basebackup'),
        '-h',
        env.PGHOST,
        '-p',
        port,
        '-U',
        env.PGUSER,
        '-D',
        copy,
        '-R',
        '-c',
        'fast',
      )
      const started = `-p ${at} -c listen_addresses=127.0.0.1 -c unix_socket_directories=${folder}`
      await serve(join(programs, 'pg_ctl'), '-w', '-D', copy, '-l', join(folder, 'log'), '-o', started, 'start')
      running.unshift(copy)
      return at
    },
    stop: async () => {
      for (const child of holders) child.kill()
      for (const each of running) await serve(join(programs, 'pg_ctl'), '-w', '-m', 'immediate', '-D', each, 'stop')
      await rm(folder, { recursive: true })
    },
  }
}

async function findPrograms(): Promise<string> {
  const versions = await readdir('/usr/lib/postgresql').catch(() => [])
  const newest = versions.sort((one, other) => Number(other) - Number(one))[0]
  if (newest !== undefined) return `/usr/lib/postgresql/${newest}/bin`
  const { code, stdout } = await run('sh', ['-c', 'dirname "$(command -v initdb)"'])
  if (code !== 0 || !stdout.startsWith('/'))
    throw new Error('PostgreSQL is not installed: run test/stand-in/django/ready')
  return stdout.trim()
}

/** A port of 127.0.0.1 that nobody listens on. */
export function freePort(): Promise<number> {
  const server = createServer()
  return new Promise((resolve) =>
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    }),
  )
}
