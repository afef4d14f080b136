import { expect, test } from '@jest/globals'
import { explainUnmigrated } from '../../../src/guard/migrations.ts'
import { repositoryOf } from '../compose/model.ts'

const notes = { app: 'notes', module: 'apps.notes', installed: false }
const file = 'backend/apps/notes/migrations/0001_initial.py'

test('migrations that the checkout has are hidden: the line of .dockerignore is named', () => {
  const ignore = '.git\n# no migrations\n**/migrations\n'
  expect(explainUnmigrated([notes], repositoryOf({ [file]: '', 'backend/.dockerignore': ignore }))).toMatchObject({
    code: 'migrations-missing',
    what: 'The image has no migrations for notes, so nothing creates their tables',
    seen: `notes: the checkout has ${file}, the image does not\nbackend/.dockerignore:3: **/migrations`,
    fix: expect.stringContaining('.dockerignore'),
  })
  expect(explainUnmigrated([notes], repositoryOf({ [file]: '' }))).toMatchObject({
    fix: expect.stringContaining('let the Dockerfile copy apps/notes/migrations/'),
  })
})

test.each([
  ['an empty folder', { 'apps/notes/migrations/__init__.py': '' }],
  ['that of another app', { 'apps/notes2/migrations/0001_initial.py': '', 'notes/migrations/0001_initial.py': '' }],
  ['nothing', {}],
])('without them in the checkout they have to be made: %s', (_, files: Record<string, string>) => {
  expect(explainUnmigrated([notes], repositoryOf({ ...files, '.dockerignore': '**/migrations' }))).toMatchObject({
    seen: expect.stringContaining('neither the image nor the checkout'),
    fix: expect.stringMatching(/^run `python manage.py makemigrations notes`.*MIGRATION_MODULES = \{"notes": None\}/),
  })
})

test('nobody writes into a package; several apps are named at once', () => {
  const old = { app: 'old', module: 'old_package', installed: true }
  expect(explainUnmigrated([notes, old], repositoryOf({ [file]: '' }))).toMatchObject({
    what: expect.stringContaining('notes, old'),
    fix: expect.stringContaining('MIGRATION_MODULES = {"old": "migrations_of_old"}'),
  })
})
