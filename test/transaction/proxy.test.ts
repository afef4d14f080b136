import { afterAll, describe, expect, jest, test } from '@jest/globals'
import { deployOf, transact } from './staged.ts'
import { makeWorld, removeWorld, SHELLS, stateOf, stopDocker, type World } from './world.ts'

jest.setTimeout(60_000)
const worlds: World[] = []
afterAll(async () => {
  await Promise.all(worlds.map(removeWorld))
  stopDocker()
})

describe.each(SHELLS)('under %s', (shell) => {
  test.each([
    ['looks up its upstream again', true, 1],
    ['does so too where Docker lists no processes', 'hidden', 1],
    ['that is no nginx is left alone', false, 0],
  ])('a proxy %s', async (_, nginx, reloads) => {
    const world = await makeWorld(shell)
    worlds.push(world)
    const v1 = deployOf('v1', 1, ['core.0001'])
    const proxy = { image: 'nginx:1', 'x-nginx': nginx }
    expect(await transact(world, { ...v1, services: { ...v1.services, proxy } })).toBe('committed v1-1-1')
    expect((await stateOf(world)).reloads).toBe(reloads)
  })

  test('a tool in front of the app may end with an error when nobody needs it', async () => {
    const world = await makeWorld(shell)
    worlds.push(world)
    const v1 = deployOf('v1', 1, ['core.0001'])
    const certbot = { image: 'nginx:1', 'x-exits': 1 }
    const releaseFacts = { ...v1.releaseFacts, others: ['proxy', 'certbot'], alone: ['certbot'] }
    const staged = { ...v1, services: { ...v1.services, certbot }, releaseFacts }
    expect(await transact(world, staged)).toBe('committed v1-1-1')
  })
})
