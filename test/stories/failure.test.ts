import { describe, expect, test } from '@jest/globals'
import { codes, tell } from './story.ts'

describe('a failure is red, named, and leaves the old release', () => {
  test('a release whose program ends at its start', async () => {
    await using story = await tell('todo')
    await story.deploy('v1')
    await story.project.write('scripts/run.sh', '#!/bin/sh\necho "no such licence" >&2\nexit 3\n')
    const run = await story.deploy('v1', { env: { GITHUB_REF_NAME: 'broken', GITHUB_REF: 'refs/tags/broken' } })
    expect(codes(run)).toEqual(['Deploy Django: container-exited'])
    expect(run.log).toContain('no such licence')
    expect(run.outputs).toMatchObject({ outcome: 'failed', serving: 'v1', version: 'broken' })
    expect(await story.serves()).toBe('v1')
    await story.expectWhole()
  })

  test('a migration that fails half-way: what was applied stays, is reported, and is not applied again', async () => {
    await using story = await tell('todo')
    await story.deploy('v2')
    const before = await story.containers(true)
    const run = await story.deploy('v4')
    // What a RunPython with an empty reverse did to the rows cannot be taken back, which the plan warns of.
    expect(codes(run)).toEqual([undefined, 'Deploy Django: migration-failed'])
    expect(run.annotations[0]?.message).toMatch(/^core\.0004\S+: .* cannot be undone without loss/)
    expect(run.annotations[1]?.message).toMatch(
      /^Migration core\.0004\S+ failed; todo-\w+ serves v2 \(it was not touched\) \[migration-failed\]\n/,
    )
    expect(run.annotations[1]?.properties).toMatchObject({
      file: expect.stringContaining('src/core/migrations/0004_'),
      line: '13',
    })
    expect(JSON.parse(run.outputs['migrations'] ?? '')).toMatchObject([{ name: expect.stringMatching(/^0003/) }])
    expect(run.outputs['serving']).toBe('v2')
    // Its undo awaits the same container.
    expect(run.log.match(/^ *Applying core\.0004/gm)).toHaveLength(1)
    // The app was not touched: the failure came before the swap.
    expect(await story.containers(true)).toEqual(before)
    expect(await story.migrations()).toEqual(['0001_initial', '0002_todo_due', expect.stringMatching(/^0003/)])
    await story.expectWhole()
    const next = await story.deploy('v5')
    expect(next.outputs).toMatchObject({ outcome: 'deployed', serving: 'v5' })
  })

  test('a first deploy that fails removes what it made of the app, and leaves the stateful services', async () => {
    await using story = await tell('todo')
    const run = await story.deploy('v3', { inputs: { try: 'never' } })
    expect(codes(run)).toEqual(['Deploy Django: health-server-error'])
    expect(run.outputs).toMatchObject({ outcome: 'failed', serving: '' })
    expect(run.annotations[0]?.message).toMatch(/^The new release did not become healthy.*; nothing serves \[/)
    expect(await story.containers()).toEqual(['db postgres:17 running'])
    const next = await story.deploy('v2')
    expect(next.outputs).toMatchObject({ outcome: 'deployed', serving: 'v2' })
    expect(await story.serves()).toBe('v2')
  })

  test('two deploys at once: one waits, each migration is applied once', async () => {
    await using story = await tell('todo')
    await story.deploy('v1')
    await story.checkout('v2')
    const runs = await Promise.all([story.deploy('v2'), story.deploy('v2')])
    expect(runs.map((run) => run.outputs['serving'])).toEqual(['v2', 'v2'])
    expect(runs.filter((run) => run.log.includes('waiting for the lock')).length).toBe(1)
    expect(runs.flatMap((run) => JSON.parse(run.outputs['migrations'] ?? '[]') as unknown[])).toHaveLength(1)
    expect(await story.migrations()).toEqual(['0001_initial', '0002_todo_due'])
    await story.expectWhole()
  })

  test('a variable that is set nowhere stops the deploy before anything starts', async () => {
    await using story = await tell('todo')
    const { DB_PASS: _, ...env } = story.env
    story.env = env
    const run = await story.deploy('v1')
    expect(codes(run)).toEqual(['Deploy Django: variable-missing'])
    expect(run.annotations[0]?.message).toContain('DB_PASS')
    expect(run.log).not.toContain('Bake')
    expect(await story.containers()).toEqual([])
  })
})
