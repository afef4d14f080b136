import type { Repository } from '../compose/repository.ts'
import type { Unmigrated } from '../django/document.ts'
import { DeployError } from '../errors.ts'

/**
 * The error for apps without migrations in the image: their tables are never created, so pages that use one would fail.
 */
export function explainUnmigrated(unmigrated: readonly Unmigrated[], repository: Repository): DeployError {
  const causes = unmigrated.map((each) => explain(each, repository))
  return new DeployError('migrations-missing', {
    what: `The image has no migrations for ${unmigrated.map(({ app }) => app).join(', ')}, so nothing creates their tables`,
    seen: causes.map(({ seen }) => seen).join('\n'),
    why: [...new Set(causes.map(({ why }) => why))].join('; '),
    fix: [...new Set(causes.map(({ fix }) => fix))].join('\n'),
  })
}

type Cause = { seen: string; why: string; fix: string }

function explain({ app, module, installed }: Unmigrated, repository: Repository): Cause {
  const accept = `if the app has no tables here on purpose: MIGRATION_MODULES = {"${app}": None} in the settings`
  if (installed) {
    return {
      seen: `${app}: the package has models (${module}), but no migrations`,
      why: 'the package leaves its migrations to the project',
      fix: `set MIGRATION_MODULES = {"${app}": "migrations_of_${app}"} in the settings, make that folder with an empty __init__.py, run \`python manage.py makemigrations ${app}\`, and commit it; ${accept}`,
    }
  }
  const folder = `${module.replaceAll('.', '/')}/migrations/`
  const file = [...repository.files.keys()].find((path) => isMigration(path, folder))
  if (file === undefined) {
    return {
      seen: `${app}: neither the image nor the checkout has a migration in ${folder}`,
      why: 'they were never made, or never committed: .gitignore may hide them',
      fix: `run \`python manage.py makemigrations ${app}\`, and commit ${folder} with its __init__.py; ${accept}`,
    }
  }
  const ignored = ignoringLines(repository)
  return {
    seen: [`${app}: the checkout has ${file}, the image does not`, ...ignored].join('\n'),
    why:
      ignored.length > 0
        ? 'a .dockerignore keeps the folder out of the image'
        : 'a .dockerignore or the Dockerfile keeps the folder out of the image, or its __init__.py is missing',
    fix:
      ignored.length > 0
        ? 'remove the line that hides the folder from the .dockerignore'
        : `let the Dockerfile copy ${folder}, and commit its __init__.py; check .dockerignore`,
  }
}

/** Whether the path is a migration in that folder, wherever the Python root is in the checkout. */
function isMigration(path: string, folder: string): boolean {
  if (!`/${path}`.includes(`/${folder}`)) return false
  return /^[^/_][^/]*\.py$/.test(path.slice(`/${path}`.indexOf(`/${folder}`) + folder.length))
}

/** The lines of .dockerignore files that mention migrations, as `file:line: text`. */
function ignoringLines({ files, read }: Repository): string[] {
  return [...files.keys()]
    .filter((path) => /(^|\/)[^/]*\.dockerignore$/.test(path))
    .flatMap((path) =>
      read(path)
        .toString()
        .split('\n')
        .flatMap((line, index) => (/^[^#!]*migrations/.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : [])),
    )
}
