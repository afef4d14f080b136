import { expect, test } from '@jest/globals'
import type { ActionRun } from '../run-action.ts'
import { COMPOSE, DOCKERFILE, makeShape, migration, project, type Files } from './shape.ts'
import { codes } from './story.ts'

const ID = '("id", models.BigAutoField(primary_key=True, serialize=False))'
const AMOUNT = 'models.IntegerField(null=True)'

/** A release whose page reads every field of its model. */
const release = (version: string, field: string, migrations: Files = {}): Files => ({
  ...project('v1'),
  Dockerfile: DOCKERFILE,
  'compose.yaml': COMPOSE,
  'site_/urls.py': `from django.http import HttpResponse
from django.urls import path
from notes.models import Note
urlpatterns = [path("", lambda request: HttpResponse("${version} %s" % list(Note.objects.values())))]
`,
  'notes/models.py': `from django.db import models
class Note(models.Model):
    id = models.BigAutoField(primary_key=True)
${field}`,
  'notes/migrations/0001_initial.py': migration('', `migrations.CreateModel("Note", [${ID}, ("amount", ${AMOUNT})])`),
  ...migrations,
})

const removeFromState: Files = {
  'notes/migrations/0002_remove_from_state.py': migration(
    '0001_initial',
    'migrations.SeparateDatabaseAndState(state_operations=[migrations.RemoveField("note", "amount")])',
  ),
}
const remove: Files = {
  'notes/migrations/0003_remove.py': migration(
    '0002_remove_from_state',
    `migrations.SeparateDatabaseAndState(state_operations=[migrations.AddField("note", "amount", ${AMOUNT})]), migrations.RemoveField("note", "amount")`,
  ),
}

test('after a rollback, a plan is judged for the code that serves, which still uses the column', async () => {
  await using shape = await makeShape(release('v1', `    amount = ${AMOUNT}\n`))
  const deploy = (version: string): Promise<ActionRun> =>
    shape.deploy(version, { 'env-file': 'SECRET_KEY=only-for-this-test-1\n' })
  expect((await deploy('v1')).outputs).toMatchObject({ outcome: 'deployed' })
  await shape.write(release('v2', '', removeFromState))
  expect((await deploy('v2')).outputs).toMatchObject({ outcome: 'deployed' })
  expect((await shape.rollback()).outputs).toMatchObject({ outcome: 'rolled-back', serving: 'v1' })

  await shape.write(release('v3', '', { ...removeFromState, ...remove }))
  const refused = await deploy('v3')
  expect(codes(refused)).toEqual(['Deploy Django: migration-unsafe'])
  expect(refused.annotations[0]?.message).toContain(
    'v1 can no longer read, insert, update: the code that serves uses amount',
  )
  expect((await shape.ask()).text).toBe('v1 []')
})
