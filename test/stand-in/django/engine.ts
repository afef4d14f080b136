import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { startMariadb } from './mariadb.ts'
import { startPostgres } from './postgres.ts'
import { makeSite, type Server, type Site } from './world.ts'

/** A site on any database. */
export type Engine = Site & {
  /** The rows of a statement. */
  query: (database: string, statement: string) => Promise<string[]>
}

type Queried = Server & Pick<Engine, 'query'>

/** As Django names them. */
export const vendors = { PostgreSQL: 'postgresql', MariaDB: 'mysql', SQLite: 'sqlite' } as const

const servers = {
  PostgreSQL: async (): Promise<Queried> => {
    const postgres = await startPostgres()
    return { ...postgres, env: (database) => ({ ...postgres.env, DATABASE: database }) }
  },
  MariaDB: async (): Promise<Queried> => {
    const mariadb = await startMariadb()
    return { ...mariadb, env: (database) => ({ ...mariadb.env, DATABASE: database }) }
  },
  SQLite: async (): Promise<Queried> => {
    const folder = await mkdtemp(join(tmpdir(), 'probe-sqlite-'))
    return {
      env: (database) => ({ DATABASE: database }),
      createDatabase: async (name, template) => {
        const file = join(folder, `${name}.sqlite3`)
        if (template !== undefined) await copyFile(template, file)
        return file
      },
      query: async (database, statement) => {
        const file = new DatabaseSync(database)
        try {
          return file
            .prepare(statement)
            .all()
            .map((row) => Object.values(row).join('\t'))
        } finally {
          file.close()
        }
      },
      stop: () => rm(folder, { recursive: true }),
    }
  },
}

/** Makes a site on such a database, migrated by this Django; `stop` removes it. */
export async function makeEngine(name: keyof typeof vendors, django?: string): Promise<Engine> {
  const server = await servers[name]()
  return { ...(await makeSite(server, django)), query: server.query }
}
