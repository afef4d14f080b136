import type { InvalidIndex } from '../django/document.ts'
import type { Named } from '../django/label.ts'
import type { Problem } from '../errors.ts'

/** Why a migration failed, and the fix. */
type MigrationAdvice = Pick<Problem, 'why' | 'fix'>

/** The advice for invalid indexes that an earlier attempt left behind. */
export function adviseIndexes(invalid: readonly InvalidIndex[]): MigrationAdvice {
  const names = invalid.map(({ name, table }) => `${name} of ${table}`).join(', ')
  return {
    why: `a CREATE INDEX CONCURRENTLY that failed has left an invalid index behind, which no query uses: ${names}`,
    fix: `as the owner of the table, run \`${invalid.map(({ fix }) => fix).join(' ')}\`; correct what the error names; then deploy again`,
  }
}

/** Whether no schema of PostgreSQL's `search_path` exists: the settings name one that is not created yet. */
export function lacksSchema(error: string): boolean {
  return error.includes('no schema has been selected to create in')
}

/** The advice if the schema is missing. */
export const SCHEMA_ADVICE: MigrationAdvice = {
  why: 'the schema that the settings name (`search_path`) does not exist in the database, or its user may not use it',
  fix: 'create the schema first: with a script in `/docker-entrypoint-initdb.d` of the database, which runs while its volume is empty, or by hand with `CREATE SCHEMA`; then deploy again. If a job of the Compose file creates it, set `migrate: external`, and migrate in a job that waits for that one (`condition: service_completed_successfully`)',
}

/**
 * If the objects exist already, the migration itself is right: an earlier attempt or a person made them, or its row was
 * lost.
 */
export function adviseMigration(
  { app, name, database, kept = 0, error }: Named & { kept?: number; error: string },
  isUnapplied: boolean,
  serves: string | undefined,
): MigrationAdvice {
  if (lacksSchema(error)) return SCHEMA_ADVICE
  if (!/already exists|duplicate column name/i.test(error)) {
    const before = isUnapplied ? 'were unapplied' : 'stay applied and are not applied twice'
    if (kept === 0) return { fix: `fix the migration and deploy again; the migrations before it ${before}` }
    const first = kept === 1 ? 'the first of its operations was' : `the first ${kept} of its operations were`
    return {
      why: `${first} applied; there is no rollback on MySQL and MariaDB, nor with \`atomic = False\``,
      fix: `undo that on the database by hand, or take it out of the corrected migration with \`SeparateDatabaseAndState(state_operations=[…])\`; then deploy again; the migrations before it ${before}`,
    }
  }
  const how =
    serves === undefined
      ? `in the client of the database, such as \`psql\`, because no container of the app runs: ${insertApplied(app, name)}`
      : `with the \`exec\` action: python manage.py shell -c "${recordApplied(app, name, database)}"`
  return {
    why: 'the database has this already: an attempt that failed half-way left it behind (on MySQL, or with `atomic = False`), it was made by hand, or rows of django_migrations are gone',
    fix: `remove what the failed attempt left behind. If everything that the migration creates exists, mark it applied, ${how}\nthen deploy again`,
  }
}

/** The current release does not have the migration yet, so `migrate --fake` cannot name it. */
export function recordApplied(app: string, name: string, database?: string): string {
  const recorder = 'from django.db.migrations.recorder import MigrationRecorder as R'
  const connection = database === undefined ? 'connection as c' : `connections; c = connections['${database}']`
  return `from django.db import ${connection}; ${recorder}; R(c).record_applied('${app}', '${name}')`
}

/** Records the migration as applied without any code of the app. */
export function insertApplied(app: string, name: string): string {
  return `INSERT INTO django_migrations (app, name, applied) VALUES ('${app}', '${name}', CURRENT_TIMESTAMP);`
}
