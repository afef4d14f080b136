import { afterAll, describe, expect, jest, test } from '@jest/globals'
import { readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run, type Finished } from '../../../src/process.ts'
import { parseStatus } from '../../../src/host/status.ts'
import { arm, disarm, placesOf } from './death.ts'
import { endOf, findFaults } from './journal.ts'
import { adopt, removeAll, serving, v1, v2 } from './serving.ts'
import { engine, stage } from './staged.ts'
import { call, copyWorld, SHELLS, type World } from './world.ts'
import { until } from '../../until.ts'

jest.setTimeout(60_000)
afterAll(removeAll)

const OWN = '# mine\n5 4 * * * sh /usr/local/bin/backup 50\\%\n'
const GONE = '@reboot sh /home/deploy/deploy/gone/.deploy/boot # deploy-django\n'
const entryOf = (directory: string): string => `@reboot sh ${directory}/.deploy/boot # deploy-django\n`

const write = (world: World, name: string, text: string): Promise<void> => writeFile(join(world.root, name), text)
const read = (world: World, name: string): Promise<string> =>
  readFile(join(world.root, name), 'utf8').catch(() => 'nothing')

/** A server whose transaction of v2 lost its power after some calls; cron knows what to do then. */
async function interrupted(shell: (typeof SHELLS)[number]): Promise<World> {
  const world = await serving(shell)
  // It ended before: nothing but what `begin` does beside it.
  expect(await call(world, 'begin', [v1.id])).toMatchObject({ code: 0 })
  expect(await stage(world, v2)).toMatchObject({ code: 0 })
  const camera = adopt(await copyWorld(world, shell))
  await arm(camera, { mode: 'away', at: 9999, calls: 0 })
  await engine(camera, v2.id)
  const at = (await placesOf(camera)).findIndex((place) => /^amid.*: compose todo up/.test(place)) + 1
  await arm(world, { mode: 'kill', at, spare: 'nothing' })
  expect((await engine(world, v2.id)).code).not.toBe(0)
  await disarm(world)
  // BusyBox's timeout leaves a watcher behind, for a second; a power loss would not.
  expect(await run('flock', ['-w', '3', join(world.directory, '.deploy/lock'), 'true'])).toMatchObject({ code: 0 })
  expect(await endOf(world, v2.id)).toMatch(/^open: swap begin/)
  return world
}

/** What cron does when the server boots. */
async function bootUp(world: World): Promise<Finished> {
  const line = (await read(world, 'crontab')).match(/^@reboot (.*)$/m)?.[1] ?? 'false'
  return await run('sh', ['-c', line], { env: { PATH: world.env['PATH'], HOME: world.root }, cwd: '/' })
}

describe.each(SHELLS)('under %s', (shell) => {
  test('a project has one entry in the crontab of the user, who keeps the others', async () => {
    const world = await serving(shell)
    await write(world, 'crontab', OWN + GONE + entryOf(world.directory))
    await call(world, 'begin', [v1.id])
    expect(await read(world, 'crontab')).toBe(OWN + entryOf(world.directory))
    const asked = await read(world, 'crontab.calls')
    await call(world, 'begin', [v1.id])
    expect(await read(world, 'crontab.calls')).toBe(asked)

    // The project is moved.
    const moved = { ...world, directory: join(world.root, 'site/moved') }
    await rename(world.directory, moved.directory)
    await call(moved, 'begin', [v1.id])
    expect(await read(world, 'crontab')).toBe(OWN + entryOf(moved.directory))
    const status = await call(moved, 'status')
    expect(parseStatus(status.stdout)?.boot).toBe('cron')
    await write(world, 'crontab', OWN)
    expect(parseStatus((await call(moved, 'status')).stdout)?.boot).toBeUndefined()
  })

  test.each([
    ['there is none', 'exit 127'],
    ['this user may not have entries', 'echo "You (deploy) are not allowed to use this program" >&2; exit 1'],
    ['it knows no @reboot', '[ "$1" = -l ] || exit 1; echo "no crontab for deploy" >&2; exit 1'],
  ])('a crontab is no must: %s', async (_, does) => {
    const world = await serving(shell)
    await write(world, 'bin/crontab', `#!/bin/sh\n${does}\n`)
    expect(await call(world, 'begin', [v1.id])).toMatchObject({ code: 0, stderr: '' })
    const log = await read(world, `site/todo/.deploy/journal/${v1.id}.log`)
    expect(log).toMatch(/^note: cron on this host runs nothing .* the next deploy finishes what was interrupted$/m)
    expect(parseStatus((await call(world, 'status')).stdout)?.boot).toBeUndefined()
    expect(await read(world, 'crontab')).toBe('nothing')
  })

  test('a path that cron or a shell would read in another way is left out', async () => {
    const world = await serving(shell)
    const odd = { ...world, directory: join(world.root, 'site/50% $(id)') }
    await rename(world.directory, odd.directory)
    expect(await call(odd, 'begin', [v1.id])).toMatchObject({ code: 0, stderr: '' })
    expect(await read(world, 'crontab')).toBe('nothing')
  })

  test('after a power loss it goes back by itself, when Docker is up and nobody else has begun', async () => {
    const world = await interrupted(shell)
    const lock = join(world.directory, '.deploy/lock')
    const hold = 'touch "$1"; until [ -e "$2" ]; do sleep 0.05; done'
    const files = [join(world.root, 'held'), join(world.root, 'go')]
    const holder = run('flock', [lock, 'sh', '-c', hold, 'sh', ...files])
    await until('the lock is held', async () => (await readdir(world.root)).includes('held'), 60, 20)
    const late = await bootUp(world)
    const end = await endOf(world, v2.id)
    await write(world, 'go', '')
    await holder
    expect(late).toMatchObject({ code: 0, stdout: '', stderr: '' })
    expect(end).toMatch(/^open: swap begin/)

    await arm(world, { mode: 'away', at: 1, calls: 2 })
    expect(await bootUp(world)).toMatchObject({ code: 0, stdout: '', stderr: '' })
    expect(await endOf(world, v2.id)).toBe(`back ${v1.id}`)
    expect(await findFaults(world, v1.id)).toEqual([])
    expect(await read(world, `site/todo/.deploy/journal/${v2.id}.log`)).toContain('which was interrupted')

    // All is whole: Docker is not even asked.
    await arm(world, { mode: 'away', at: 1, calls: 99 })
    expect(await bootUp(world)).toMatchObject({ code: 0, stdout: '', stderr: '' })
    expect(await read(world, 'docker/passed')).toBe('')
  })
})
