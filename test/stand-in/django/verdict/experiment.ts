import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readProbe } from '../../../../src/host/assets.ts'
import { run } from '../../../../src/process.ts'
import { python } from '../probe.ts'
import type { Row } from './rows.ts'

/** What the driver saw of a row. */
export type Seen = {
  error?: string
  trace?: string
  /** The parts that failed for the old models, with the errors. */
  breaks: string[]
  errors: string[]
  reverses: string
  reversing: string
  /** The strongest lock of each table that was there, in PostgreSQL's internal names; the tables that were written again. */
  locks: Record<string, string>
  rewritten: string[]
  /** Of code that is written out: where it differs from its migrations, and what it cannot do after them. */
  drift?: string[]
  newCode?: string[]
}

/** What the probe says of the pending migrations, and what was seen, by app. */
export type Experiment = { pending: unknown; seen: Record<string, Seen> }

const driver = fileURLToPath(new URL('driver.py', import.meta.url))

/** Runs every row in one Python process: on the database that the environment names. */
export async function experiment(
  rows: readonly Row[],
  django: string,
  folder: string,
  env: Record<string, string>,
): Promise<Experiment> {
  const files: Record<string, string> = {
    'probe.py': (await readProbe()).toString(),
    'settings.py': settings(rows.map((_, place) => appOf(place))),
  }
  const names = rows.map((row, place) => {
    const app = appOf(place)
    const atomic = row.atomic ?? true
    const old = row.written?.old ?? [migration(row.old, app, django, atomic)]
    const all = [...old, ...(row.written?.new ?? [migration(row.new, app, django, atomic)])]
    const found = all.map((_, at) => `${String(at + 1).padStart(4, '0')}_${at < old.length ? 'old' : 'new'}`)
    all.forEach((content, at) => {
      const depends = at === 0 ? '' : `("${app}", "${found[at - 1]}")`
      files[`${app}/migrations/${found[at]}.py`] = `${content}\nMigration.dependencies = [${depends}]\n`
    })
    files[`${app}/__init__.py`] = files[`${app}/migrations/__init__.py`] = ''
    if (row.written) files[`${app}/models.py`] = row.written.serving
    return { old: found.slice(0, old.length), new: found.slice(old.length) }
  })
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), content)
  }
  const asked = rows.map((row, place) => ({
    app: appOf(place),
    values: row.values ?? {},
    leaves: row.leaves ?? [],
    nulls: row.nulls ?? true,
    set_up: (row.setUp ?? '').replaceAll('APP', appOf(place)),
    models: row.written?.models ?? null,
    careful: row.written?.isCareful ?? false,
    ...names[place],
  }))
  const { code, stdout, stderr } = await run(python(django), [driver], {
    cwd: folder,
    env: {
      ...process.env,
      ...env,
      DJANGO_SETTINGS_MODULE: 'settings',
      PYTHONPATH: folder,
      PROBE: join(folder, 'probe.py'),
      ROWS: JSON.stringify(asked),
    },
  })
  if (code !== 0) throw new Error(`The driver ended with ${code}: ${stderr}`)
  return JSON.parse(stdout) as Experiment
}

/** The label of a row's app. */
export function appOf(place: number): string {
  return `r${String(place).padStart(3, '0')}`
}

function migration(operations: readonly string[], app: string, django: string, atomic: boolean): string {
  return [
    ...(operations.join().includes('ExclusionConstraint')
      ? ['from django.contrib.postgres.constraints import ExclusionConstraint']
      : []),
    'from django.contrib.postgres.fields import *',
    'from django.contrib.postgres.indexes import GinIndex',
    'from django.contrib.postgres.operations import *',
    'from django.contrib.postgres.search import SearchVectorField',
    'from django.db import migrations, models',
    'class Migration(migrations.Migration):',
    `    atomic = ${atomic ? 'True' : 'False'}`,
    '    operations = [',
    ...operations.map(
      (operation) =>
        `        ${operation.replaceAll('APP', app).replaceAll('CHECK=', django < '5.1' ? 'check=' : 'condition=')},`,
    ),
    '    ]',
    '',
  ].join('\n')
}

function settings(apps: readonly string[]): string {
  return `import os
SECRET_KEY = "x"
INSTALLED_APPS = ["django.contrib.postgres", *${JSON.stringify(apps)}]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
if os.environ["DATABASE"].endswith(".sqlite3"):
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE"]}}
elif "MYSQL_PORT" in os.environ:
    import pymysql
    pymysql.version_info = (2, 2, 8, "final", 0)  # Django looks for mysqlclient
    pymysql.install_as_MySQLdb()
    DATABASES = {"default": {"ENGINE": "django.db.backends.mysql", "NAME": os.environ["DATABASE"], "USER": "test",
                 "HOST": os.environ["MYSQL_HOST"], "PORT": os.environ["MYSQL_PORT"]}}
else:
    DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": os.environ["DATABASE"],
                 "USER": os.environ["PGUSER"], "HOST": os.environ["PGHOST"], "PORT": os.environ["PGPORT"]}}
`
}
