import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { codes, tell, type Story } from './story.ts'

// The tests below are one story, in order.
describe('a site from its first deploy to its rollback and forward again', () => {
  let story: Story
  beforeAll(async () => {
    story = await tell('todo')
  })
  afterAll(async () => {
    await story[Symbol.asyncDispose]()
  })

  test('the first deploy serves v1, migrated', async () => {
    const run = await story.deploy('v1')
    expect(run.annotations).toEqual([])
    expect(run.outputs).toMatchObject({ outcome: 'deployed', version: 'v1', serving: 'v1', 'previous-version': '' })
    expect(await story.ask()).toMatchObject({ status: 200, release: 'v1' })
    expect(await story.migrations()).toEqual(['0001_initial'])
    expect(run.summary).toContain(`${story.name} serves v1`)
    expect(run.leftovers).toEqual([])
  })

  test('the directory on the server is whole and pinned: a bare `docker compose up -d` there keeps the release', async () => {
    const before = await story.containers()
    const bare = ['docker', 'compose', '--project-directory', `deploy/${story.name}`, 'up', '-d']
    expect(await story.server.exec(bare)).toMatchObject({ code: 0 })
    // Not even a container is replaced from Compose 2.29.3 on; before, `--no-deps` is part of what Compose compares.
    expect(await story.containers()).toEqual(before)
    expect(await story.serves()).toBe('v1')
  })

  test('the upgrade migrates once and replaces the app, not the database', async () => {
    const database = (await story.containers(true)).filter((line) => line.startsWith('db '))
    const run = await story.deploy('v2')
    expect(run.outputs).toMatchObject({ outcome: 'deployed', serving: 'v2', 'previous-version': 'v1' })
    expect(JSON.parse(run.outputs['migrations'] ?? '')).toMatchObject([
      { app: 'core', name: '0002_todo_due', state: 'applied' },
    ])
    expect(await story.ask()).toMatchObject({ status: 200, release: 'v2' })
    expect(await story.migrations()).toEqual(['0001_initial', '0002_todo_due'])
    expect((await story.containers(true)).filter((line) => line.startsWith('db '))).toEqual(database)
  })

  test('the same release again is only checked, and nothing is built', async () => {
    const before = await story.containers(true)
    const run = await story.deploy('v2')
    expect(run.outputs).toMatchObject({ outcome: 'unchanged', serving: 'v2' })
    expect(run.log).toContain('the images of v2 are built already')
    expect(await story.containers(true)).toEqual(before)
  })

  test('a dry run shows the plan and changes nothing', async () => {
    const before = await story.containers(true)
    const other = await story.deploy('v5', { inputs: { 'plan-digest': 'f'.repeat(64) } })
    expect(codes(other)).toEqual(['Deploy Django: plan-digest'])
    const approved = { 'plan-digest': other.outputs['plan-digest'] ?? '' }
    const run = await story.deploy('v5', { inputs: { 'dry-run': 'true', ...approved } })
    expect(run.outputs).toMatchObject({ outcome: 'planned', serving: 'v2', ...approved })
    expect(await story.containers(true)).toEqual(before)
    expect(await story.migrations()).toEqual(['0001_initial', '0002_todo_due'])
  })

  test('a release that answers 500 is not put in place: v2 serves all the time', async () => {
    const before = await story.containers(true)
    const run = await story.deploy('v3')
    expect(run.code).toBe(1)
    expect(run.annotations).toMatchObject([
      { kind: 'error', properties: { title: 'Deploy Django: health-server-error' } },
    ])
    expect(run.outputs).toMatchObject({ outcome: 'failed', serving: 'v2' })
    expect(await story.serves()).toBe('v2')
    expect(await story.containers(true)).toEqual(before)
  })

  test('the rollback restores v1 although v2 has migrated, without checkout or registry', async () => {
    const run = await story.rollback()
    expect(run.annotations).toEqual([])
    expect(run.outputs).toMatchObject({
      outcome: 'rolled-back',
      version: 'v1',
      serving: 'v1',
      'previous-version': 'v2',
    })
    expect(run.log).toContain('These migrations stay applied, v1 can work with them: core.0002_todo_due')
    expect(await story.serves()).toBe('v1')
    expect(await story.migrations()).toEqual(['0001_initial', '0002_todo_due'])
  })

  test('an old run does not deploy over what a newer run has done', async () => {
    const run = await story.deploy('v2', { env: { GITHUB_RUN_ID: '7' } })
    expect(run.annotations).toMatchObject([{ properties: { title: 'Deploy Django: newer-run-deployed' } }])
    expect(await story.serves()).toBe('v1')
  })

  test('forward again: nothing is migrated twice', async () => {
    const run = await story.deploy('v2')
    expect(run.outputs).toMatchObject({ outcome: 'deployed', serving: 'v2', migrations: '[]' })
    expect(await story.serves()).toBe('v2')
    const named = await story.rollback('v1')
    expect(named.outputs).toMatchObject({ outcome: 'rolled-back', serving: 'v1' })
    const none = await story.rollback()
    expect(none.annotations).toMatchObject([{ properties: { title: 'Deploy Django: rollback-none' } }])
    const unknown = await story.rollback('v3')
    expect(unknown.annotations).toMatchObject([{ properties: { title: 'Deploy Django: rollback-unknown-version' } }])
  })
})
