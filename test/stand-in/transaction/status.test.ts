import { afterAll, describe, expect, jest, test } from '@jest/globals'
import { appendFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../../../src/process.ts'
import { parseStatus, type Status } from '../../../src/host/status.ts'
import { arm } from './death.ts'
import { bare, removeAll, serving, v2 } from './serving.ts'
import { deployOf, stage, transact } from './staged.ts'
import { runsOf, script, SHELLS, type World } from './world.ts'
import { until } from '../../until.ts'

jest.setTimeout(60_000)
afterAll(removeAll)

/** As the runner does it: the script comes on standard input. */
async function statusOf(world: World): Promise<Status | undefined> {
  const cwd = join(world.root, 'site')
  const said = await run('sh', ['-s', 'status', 'todo'], { env: world.env, cwd, stdin: script.toString() })
  expect(said).toMatchObject({ code: 0, stderr: '' })
  return parseStatus(said.stdout)
}

/** Every file on the server with what is in it. */
async function filesOf({ directory }: World): Promise<string[]> {
  const names = (await readdir(directory, { recursive: true })).sort()
  return Promise.all(
    names.map(async (name) => `${name} ${await readFile(join(directory, name), 'utf8').catch(() => '')}`),
  )
}

describe.each(SHELLS)('status under %s', (shell) => {
  test('where nothing is, with and without a directory', async () => {
    const world = await bare(shell)
    expect(await statusOf(world)).toMatchObject({ lock: undefined, containers: [], deployments: [] })
    await rm(world.directory, { recursive: true })
    expect(await statusOf(world)).toMatchObject({ lock: undefined, containers: [], deployments: [] })
    expect(await readdir(join(world.root, 'site'))).toEqual([])
  })

  test('of a release that serves; no file is changed', async () => {
    const world = await serving(shell)
    expect(await stage(world, v2)).toMatchObject({ code: 0 })
    const before = await filesOf(world)
    const status = await statusOf(world)
    expect(status).toMatchObject({
      lock: undefined,
      migrations: {
        serving: { module: 'site.live', command: '"gunicorn" ["site.wsgi"]' },
        databases: [{ name: 'todo' }],
        rows: [{ name: 'core.0001', state: 'applied' }],
        trouble: undefined,
      },
      http: { status: 200 },
      deployments: [{ id: 'v1-1-1', release: 'v1-1-1', outcome: 'committed', step: undefined }],
      disk: { images: 2_000_000 },
    })
    expect(status?.containers).toEqual([
      { service: 'db', state: 'running', health: 'healthy', restarts: 0, image: 'postgres:17' },
      { service: 'proxy', state: 'running', health: undefined, restarts: 0, image: 'nginx:1' },
      { service: 'web', state: 'running', health: 'healthy', restarts: 0, image: 'registry/app@sha256:v1' },
      { service: 'worker', state: 'running', health: undefined, restarts: 0, image: 'registry/app@sha256:v1' },
    ])
    expect(await filesOf(world)).toEqual(before)
  })

  test('of a release whose settings its entrypoint makes: its migrations are asked through it', async () => {
    const world = await bare(shell)
    expect(await transact(world, deployOf('v1', 1, ['core.0001'], { 'x-entrypoint': true }))).toBe('committed v1-1-1')
    const before = await filesOf(world)
    expect((await statusOf(world))?.migrations).toMatchObject({ rows: [], trouble: undefined })
    expect((await runsOf(world)).at(-1)).toMatchObject({ verb: 'plan' })
    expect(await filesOf(world)).toEqual(before)
  })

  test('who holds the lock, what failed, what was interrupted; the last ten, the newest first', async () => {
    const world = await serving(shell)
    const journal = join(world.directory, '.deploy/journal')
    for (let number = 2; number <= 12; number += 1) {
      const time = `2099-01-01T00:00:${String(number).padStart(2, '0')}Z`
      const lines = [
        'begin vX-X-1 vX-X-1 from v1-1-1',
        'swap begin',
        'swap fail 45',
        'back begin swap 45',
        'undo begin',
        'undo end',
        'back end',
        'end back v1-1-1',
      ]
      await writeFile(
        join(journal, `vX-${number}-1`),
        lines
          .map((line) => `${time} ${line}\n`)
          .join('')
          .replaceAll('vX-X-1', `vX-${number}-1`),
      )
    }
    await mkdir(join(world.directory, '.deploy/plans/v9-99-1'))
    await appendFile(
      join(journal, 'v9-99-1'),
      '2099-01-01T00:01:00Z begin v9-99-1 v9-99-1 from v1-1-1\nT replan begin\n',
    )
    const lock = join(world.directory, '.deploy/lock')
    await writeFile(lock, 'v9-99-1 https://ci/99\n')
    const holder = run('flock', [
      lock,
      'sh',
      '-c',
      'touch "$1"; until [ -e "$2" ]; do sleep 0.05; done',
      'sh',
      join(world.root, 'held'),
      join(world.root, 'go'),
    ])
    await until('the lock is held', async () => (await readdir(world.root)).includes('held'), 60, 20)
    const status = await statusOf(world)
    await writeFile(join(world.root, 'go'), '')
    await holder
    expect(status?.lock).toBe('v9-99-1 https://ci/99')
    expect(status?.deployments).toHaveLength(10)
    expect(status?.deployments.slice(0, 2)).toEqual([
      {
        id: 'v9-99-1',
        release: 'v9-99-1',
        begun: '2099-01-01T00:01:00Z',
        ended: undefined,
        outcome: 'interrupted',
        step: 'replan',
      },
      {
        id: 'vX-12-1',
        release: 'vX-12-1',
        begun: '2099-01-01T00:00:12Z',
        ended: '2099-01-01T00:00:12Z',
        outcome: 'back',
        step: 'swap',
      },
    ])
    expect(await statusOf(world)).toMatchObject({ lock: undefined })
  })

  test('what Docker cannot be asked for is left out', async () => {
    const world = await serving(shell)
    expect(await transact(world, v2)).toBe('committed v2-2-1')
    await arm(world, { mode: 'away', at: 1, calls: 99 })
    expect(await statusOf(world)).toMatchObject({
      containers: [],
      migrations: undefined,
      http: undefined,
      deployments: [{ outcome: 'committed' }, { outcome: 'committed' }],
    })
  })
})
