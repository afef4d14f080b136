import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '../../../src/process.ts'
import { until } from '../../until.ts'
import { freePort } from './postgres.ts'

/** A MariaDB server of one test file. */
export type Mariadb = {
  /** What the settings of a test read. */
  env: { MYSQL_HOST: string; MYSQL_PORT: string }
  /** Makes a database, a copy of `template` when that is given. */
  createDatabase: (name: string, template?: string) => Promise<string>
  /** The rows of a statement, columns divided by tabs. The user may do everything. */
  query: (database: string, statement: string) => Promise<string[]>
  stop: () => Promise<void>
}

/** Starts a server on a free port of 127.0.0.1. The user `test` needs no password. */
export async function startMariadb(): Promise<Mariadb> {
  const folder = await mkdtemp(join(tmpdir(), 'probe-mariadb-'))
  const [data, socket, port] = [join(folder, 'data'), join(folder, 'socket'), String(await freePort())]
  const must = async (program: string, ...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await run(program, args, { cwd: '/' })
    if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}: ${stdout}${stderr}`)
    return stdout
  }
  const isRoot = process.getuid?.() === 0
  const user = isRoot ? ['--user=nobody'] : []
  if (isRoot) await must('chown', 'nobody', folder)
  await must(
    'mariadb-install-db',
    ...['--no-defaults', `--datadir=${data}`, '--auth-root-authentication-method=normal', '--skip-test-db', ...user],
  )
  const child = spawn(
    'mariadbd',
    [
      ...[
        '--no-defaults',
        `--datadir=${data}`,
        `--socket=${socket}`,
        `--port=${port}`,
        '--bind-address=127.0.0.1',
        ...user,
      ],
      ...['--innodb-flush-log-at-trx-commit=0', '--innodb-file-per-table=OFF', '--character-set-server=utf8mb4'],
    ],
    { stdio: 'ignore', env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin` } },
  )
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()))
  const query: Mariadb['query'] = async (database, statement) =>
    (
      await must(
        'mariadb',
        '--no-defaults',
        `--socket=${socket}`,
        '--user=root',
        '-NB',
        '-D',
        database,
        '-e',
        statement,
      )
    )
      .split('\n')
      .filter((row) => row !== '')
  await until('MariaDB answers', () =>
    query('mysql', 'SELECT 1').then(
      () => true,
      () => false,
    ),
  )
  await query(
    'mysql',
    "CREATE USER test@localhost; CREATE USER test@'127.0.0.1'; GRANT ALL ON *.* TO test@localhost; GRANT ALL ON *.* TO test@'127.0.0.1'",
  )
  /** The statements that make a copy of this database in another one. */
  const copyOf = async (template: string): Promise<string> => {
    const tables = await query(template, 'SHOW TABLES')
    const made = await query(template, tables.map((table) => `SHOW CREATE TABLE ${table}`).join('; '))
    const creating = made.map((row) => (row.split('\t')[1] ?? '').replaceAll('\\n', '\n'))
    const filling = tables.map((table) => `INSERT INTO ${table} SELECT * FROM ${template}.${table}`)
    return ['SET foreign_key_checks = 0', ...creating, ...filling].join(';\n')
  }
  return {
    env: { MYSQL_HOST: '127.0.0.1', MYSQL_PORT: port },
    query,
    createDatabase: async (name, template) => {
      await query('mysql', `CREATE DATABASE ${name}`)
      if (template !== undefined) await query(name, await copyOf(template))
      return name
    },
    stop: async () => {
      child.kill()
      await ended
      await rm(folder, { recursive: true })
    },
  }
}
