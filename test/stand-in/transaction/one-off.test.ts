import { afterAll, describe, expect, test } from '@jest/globals'
import { storyOf } from './journal.ts'
import { bare, logOf, removeAll, ROWS, serving, untriedV2, v2 } from './serving.ts'
import { deployOf, engine, stage } from './staged.ts'
import { call, changeState, runsOf, SHELLS, stateOf } from './world.ts'

// Containers that are no part of the site: which model they come from, and what they leave behind.

afterAll(removeAll)

describe.each(SHELLS)('under %s', (shell) => {
  test('a look before the first deploy makes no network and no volume, the migration finds those of the database', async () => {
    const world = await bare(shell)
    const staged = deployOf('v1', 1, ROWS.slice(0, 1), { volumes: ['media:/media'] })
    expect(await stage(world, staged)).toMatchObject({ code: 0 })
    expect(await call(world, 'plan', [staged.id, 'plan'])).toMatchObject({ code: 0 })
    expect((await stateOf(world)).networks).toEqual([])
    expect((await engine(world, staged.id)).code).toBe(0)
    expect((await runsOf(world)).map(({ verb, files }) => [verb, ...files])).toEqual([
      ['list', 'run.yaml', 'run/no-volume-media.yaml', 'run/no-network.yaml'],
      ['migrate', 'run.yaml', 'run/network-default.yaml'],
      ['try', 'run.yaml', 'run/try.yaml', 'run/no-volume-media.yaml', 'run/network-default.yaml'],
    ])
  })

  test('a look at what serves joins its networks and mounts its volumes; a new network waits for the deed', async () => {
    const world = await serving(shell)
    await changeState(world, (state) => state.volumes.push('todo_media'))
    const more = { volumes: ['media:/media', 'new:/new'], networks: { default: {}, back: {} } }
    const staged = deployOf('v2', 2, ROWS, more)
    expect(await stage(world, staged)).toMatchObject({ code: 0 })
    expect(await call(world, 'plan', [staged.id, 'plan'])).toMatchObject({ code: 0 })
    expect((await runsOf(world)).at(-1)?.files).toEqual([
      'run.yaml',
      'run/no-volume-new.yaml',
      'run/network-default.yaml',
    ])
    await engine(world, staged.id)
    expect((await runsOf(world)).find(({ verb, files }) => verb === 'migrate' && files.length > 2)?.files).toEqual([
      'run.yaml',
      'run/new-network-back.yaml',
      'run/network-default.yaml',
    ])
  })

  test('what an image says to a proxy is emptied, and no other label of it', async () => {
    const world = await serving(shell)
    const labels = [
      'caddy',
      'caddy_1',
      'caddy.reverse_proxy',
      'autoheal',
      'traefik.enable',
      'com.docker.compose.project',
    ]
    const variables = ['VIRTUAL_HOST=shop.example.com', 'VIRTUAL_PORT=8000', 'PATH=/usr/bin']
    await changeState(world, (state) => {
      state.marks = [
        ...labels.map((name) => `label ${name}`),
        'label org.opencontainers.image.revision',
        ...variables.map((variable) => `variable ${variable}`),
      ]
    })
    expect(await stage(world, v2)).toMatchObject({ code: 0 })
    expect(await call(world, 'plan', [v2.id, 'plan'])).toMatchObject({ code: 0 })
    const run = (await runsOf(world)).at(-1)
    expect(run?.labels).toEqual({
      caddy: 'http://deploy-django.invalid',
      caddy_1: 'http://deploy-django.invalid',
      'caddy.reverse_proxy': '',
      autoheal: '',
      SERVICE_IGNORE: 'true',
    })
    expect(run?.environment).toMatchObject({ VIRTUAL_HOST: '' })
    expect(run?.environment).not.toHaveProperty('VIRTUAL_PORT')
  })

  test('a service whose log cannot be read migrates all the same; when it fails, that says how to see why', async () => {
    const world = await serving(shell)
    const log = await logOf(world, untriedV2({ logging: { driver: 'none' }, 'x-exits': 3 }))
    expect(await storyOf(world, v2.id)).toEqual(expect.arrayContaining(['migrate end', 'health fail 47']))
    expect(log).toContain('because its log driver is none')
    expect(log).toContain('set\n  | `logging: {driver: json-file}` for this service')
  })

  test('a network that somebody has removed is no reason to fail: the look goes out through that of Docker', async () => {
    const world = await serving(shell)
    await changeState(world, (state) => (state.networks = []))
    expect(await stage(world, v2)).toMatchObject({ code: 0 })
    expect(await call(world, 'plan', [v2.id, 'plan'])).toMatchObject({ code: 0 })
    expect((await runsOf(world)).at(-1)?.files).toEqual(['run.yaml', 'run/no-network.yaml'])
  })
})
