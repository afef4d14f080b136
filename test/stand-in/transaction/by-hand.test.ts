import { afterAll, describe, expect, test } from '@jest/globals'
import { spawn } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { planRollback } from '../../../src/deployment/plan.ts'
import { run, type Finished } from '../../../src/process.ts'
import { endOf, findFaults, journals, storyOf } from './journal.ts'
import { removeAll, ROWS, serving, v2 } from './serving.ts'
import { deployOf, rollbackTo, transact } from './staged.ts'
import { changeState, SHELLS, stateOf, type World } from './world.ts'
import { until } from '../../until.ts'

// The day GitHub is down: `sh .deploy/rollback` on the server, on a stand-in for Docker.

afterAll(removeAll)

async function byHand(world: World, ...words: string[]): Promise<Finished> {
  return await run('sh', ['.deploy/rollback', ...words], { env: world.env, cwd: world.directory, timeoutMs: 60_000 })
}

/** The last transaction that was made by hand. */
async function lastByHand(world: World): Promise<string> {
  return (await journals(world)).findLast((id) => /^rollback-.*-\d{14}-1$/.test(id)) ?? 'none'
}

describe.each(SHELLS)('under %s', (shell) => {
  test('it does what the runner does, with the same journal, and tells the way', async () => {
    const world = await serving(shell)
    expect(await transact(world, v2)).toBe('committed v2-2-1')
    const gone = await byHand(world)
    expect(gone).toMatchObject({ code: 0, stderr: '' })
    expect(gone.stdout).toMatch(/^going back to v1 \(v1-1-1\)/)
    expect(gone.stdout).toMatch(/ fit begin\n[^]* swap begin [^]* health end\n[^]*\nv1 serves\n$/)
    expect(await findFaults(world, 'v1-1-1')).toEqual([])
    const steps = await readFile(join(world.directory, '.deploy/plans', await lastByHand(world), 'steps'), 'utf8')
    const prepared = { jobs: [], static: true, try: true }
    expect(steps.split('\n').slice(0, -1)).toEqual(planRollback(prepared, false).steps)
    const mine = (await storyOf(world, await lastByHand(world))).slice(1)

    // Forward again by name, from another folder; then the runner's own way back has the same journal.
    const cwd = join(world.directory, '.deploy')
    expect(await run('sh', ['rollback', 'v2'], { env: world.env, cwd })).toMatchObject({ code: 0 })
    expect(await findFaults(world, 'v2-2-1')).toEqual([])
    expect(await transact(world, rollbackTo('v1-1-1', 3))).toBe('committed v1-1-1')
    expect((await storyOf(world, 'rollback-v1-3-1')).slice(1)).toEqual(mine)
    // The next run deploys over it.
    expect(await transact(world, deployOf('v3', 3, ROWS))).toBe('committed v3-3-1')
  })

  test('what it cannot do it says, with what to do, and touches nothing', async () => {
    const world = await serving(shell)
    const nothing = await byHand(world)
    expect(nothing).toMatchObject({ code: 63, stdout: '' })
    expect(nothing.stderr).toBe('deploy-django: there is no earlier release; versions that can be restored: v1 \n')
    const strict = deployOf('v2', 2, ROWS.slice(0, 1), { 'x-unfit': ['core.0002'] })
    expect(await transact(world, strict)).toBe('committed v2-2-1')
    expect(await transact(world, deployOf('v3', 3, ROWS))).toBe('committed v3-3-1')
    const unknown = await byHand(world, 'v9')
    expect(unknown.stderr).toBe(
      'deploy-django: v9 has not served here, or it is gone; versions that can be restored: v1 v2 v3 \n',
    )
    expect(await byHand(world, '--help')).toMatchObject({ code: 61, stderr: expect.stringContaining('[version]') })
    expect(await byHand(world, 'v1', 'v2')).toMatchObject({ code: 61 })

    const before = (await stateOf(world)).containers
    const unfit = await byHand(world)
    expect(unfit).toMatchObject({
      code: 20,
      stderr: expect.stringContaining('To fix it: fix the problem in the newer code'),
    })
    expect(unfit.stdout).toMatch(/v2 was not restored; v3-3-1 serves\n$/)
    expect((await stateOf(world)).containers).toEqual(before)

    // Its image is gone, and no registry has it.
    await changeState(world, ({ images, registry }) => {
      for (const name of ['registry/app@sha256:v1', 'registry/app:deploy-django-todo-v1']) delete images[name]
      delete registry['registry/app@sha256:v1']
    })
    const pruned = await byHand(world, 'v1')
    expect(pruned).toMatchObject({
      code: 69,
      stderr: expect.stringMatching(/could not pull registry\/app@sha256:v1: .*\n.*deploy the old tag again/),
    })
    expect(await findFaults(world, 'v3-3-1')).toEqual([])
    expect(await readdir(join(world.directory, '.deploy/incoming'))).toEqual([])
  })
})

test('a terminal that closes loses the view, not the rollback', async () => {
  const world = await serving()
  expect(await transact(world, v2)).toBe('committed v2-2-1')
  const terminal = spawn('sh', ['.deploy/rollback'], { env: world.env, cwd: world.directory, detached: true })
  const { promise: began, resolve } = Promise.withResolvers<void>()
  terminal.stdout.setEncoding('utf8').on('data', (text: string) => / recover begin/.test(text) && resolve())
  await began
  process.kill(-(terminal.pid ?? 0), 'SIGKILL')
  const id = await lastByHand(world)
  await until('the rollback has ended', async () => !(await endOf(world, id)).startsWith('open'), 60, 20)
  expect(await endOf(world, id)).toBe('committed v1-1-1')
  expect(await findFaults(world, 'v1-1-1')).toEqual([])
})
