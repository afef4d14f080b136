import { afterAll, describe, expect, jest, test } from '@jest/globals'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { journalOf } from './journal.ts'
import { SERVICES, deployOf, transact } from './staged.ts'
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
    const releaseFacts = { ...v1.releaseFacts, services: [...SERVICES, 'front 0 certbot'], optional: ['certbot'] }
    const staged = { ...v1, services: { ...v1.services, certbot }, releaseFacts }
    expect(await transact(world, staged)).toBe('committed v1-1-1')
  })

  test.each([
    ['restarts in a loop', { restart: 'always', 'x-exits': 1 }, 'proxy exit=1 restarts=5'],
    ['has ended', { 'x-exits': 1 }, 'proxy exit=1 restarts=0'],
  ])('a proxy that %s fails in the step health, and its lines say why', async (_, proxy, said) => {
    const world = await makeWorld(shell)
    worlds.push(world)
    const v1 = deployOf('v1', 1, ['core.0001'])
    expect(await transact(world, v1)).toBe('committed v1-1-1')
    const v2 = deployOf('v2', 2, ['core.0001'])
    const services = { ...v2.services, proxy: { image: 'nginx:1', ...proxy } }
    expect(await transact(world, { ...v2, services })).toBe('back v1-1-1')
    expect((await journalOf(world, v2.id)).join('\n')).toMatch(/ health fail 47\n/)
    const log = await readFile(join(world.directory, '.deploy/journal', `${v2.id}.log`), 'utf8')
    expect(log).toMatch(/last lines of \S*proxy\S*:\n {2}\| Traceback: it [^\n]*\n/)
    expect(log).toContain(said)
  })

  test.each([
    ['a proxy that crashed a moment ago', 'proxy', [4, 6], 'health', 2_000],
    ['an app that crashed a moment ago', 'web', [2, 6], 'health', 2_000],
    ['a worker that nobody asks', 'worker', [0, 6], 'health', 2_000],
    ['an app that crashed often, long ago,', 'web', [4, 3600], 'health', -1],
  ])('%s has to stay up', async (_, service, crashed, step, least) => {
    const world = await makeWorld(shell)
    worlds.push(world)
    const v1 = deployOf('v1', 1, ['core.0001'])
    const flaky = { ...v1.services?.[service], image: v1.services?.[service]?.image ?? '', restart: 'always' }
    const services = { ...v1.services, [service]: { ...flaky, 'x-crashed': crashed } }
    const planFacts = { ...v1.planFacts, 'health-timeout': '20' }
    expect(await transact(world, { ...v1, services, planFacts })).toBe('committed v1-1-1')
    const journal = await journalOf(world, v1.id)
    const at = (line: string): number =>
      Date.parse(journal.find((one) => one.endsWith(` ${line}`))?.split(' ')[0] ?? '')
    expect(at(`${step} end`) - at('proxy begin')).toBeGreaterThan(least)
  })
})
