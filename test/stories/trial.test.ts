import { expect, test } from '@jest/globals'
import { listContainers } from '../world/listing.ts'
import { deployWith, makeBroken, poll, secondsOf, SERVERS, type Env } from './broken.ts'
import { codes } from './story.ts'

// A sample of what broken.test.ts tells in full, and the way back.

test('a release that cannot serve never takes the site down', async () => {
  await using shape = await makeBroken()
  const none = await deployWith(shape, 'v0', { FAULT: 'raise', SERVER: SERVERS.preload })
  expect(codes(none)).toEqual(['Deploy Django: container-exited'])
  expect(none.annotations[0]?.message).toContain('ImportError: it cannot be imported')
  expect(none.outputs).toMatchObject({ outcome: 'failed', serving: '' })
  expect(await shape.containers()).toEqual([])

  const first = await deployWith(shape, 'v1')
  expect(first.outputs).toMatchObject({ outcome: 'deployed', serving: 'v1' })
  expect(first.log).toContain('try web: one container of it')
  // What the same trial needs now, while others use the machine.
  const boot = (await secondsOf(shape, 'v1')) ?? 0

  type Act = [name: string, env: Env, seconds: number, code: string, seen: string]
  const acts: Act[] = [
    ['workers exit at import', { FAULT: 'exit' }, 15, 'health-timeout', 'no licence'],
    [
      'uvicorn exits at import',
      { FAULT: 'raise', SERVER: SERVERS.uvicorn },
      15,
      'container-exited',
      'ImportError: it cannot be imported',
    ],
    [
      'its page answers 500',
      { FAULT: 'page', CHECK: 'up' },
      15,
      'health-server-error',
      'http://127.0.0.1:8000/ answered 500',
    ],
    ['its health command fails', { CHECK: 'healthz' }, 15, 'health-timeout', 'HTTP Error 404'],
    ['workers hang at import', { FAULT: 'hang' }, 45, 'health-timeout', 'did not become healthy'],
  ]
  for (const [index, [name, env, seconds, code, seen]] of acts.entries()) {
    const version = `v${index + 2}`
    const { ran, answers } = await poll(shape, () => deployWith(shape, version, env))
    const needed = (await secondsOf(shape, version)) ?? Infinity
    process.stdout.write(`${name}: red after ${needed} s; a boot takes ${boot} s\n`)
    expect([name, codes(ran), answers]).toEqual([name, [`Deploy Django: ${code}`], ['v1']])
    expect(ran.annotations[0]?.message.split('\n')[0]).toContain('serves v1 (it was not touched)')
    expect(ran.annotations[0]?.message).toContain(seen)
    expect(ran.outputs).toMatchObject({ outcome: 'failed', serving: 'v1' })
    expect(needed).toBeLessThan(seconds + 4 * boot)
    expect(await listContainers(shape.server, shape.name)).toHaveLength(1)
  }

  const slow = await deployWith(shape, 'v8', { FAULT: 'slow' })
  expect(slow.outputs).toMatchObject({ outcome: 'deployed', serving: 'v8' })
  expect(await secondsOf(shape, 'v8')).toBeGreaterThan(19)
  expect((await shape.ask()).text).toBe('v8')
})

test('a rollback to a release that can no longer start leaves the one that serves, also by hand', async () => {
  await using shape = await makeBroken()
  for (const version of ['v1', 'v2']) {
    expect((await deployWith(shape, version)).outputs).toMatchObject({ outcome: 'deployed', serving: version })
  }
  const [web = ''] = await listContainers(shape.server, shape.name)
  await shape.server.docker('exec', web, 'sh', '-c', 'echo raise >/data/fault-v1')

  const byAction = await poll(shape, () => shape.rollback({ version: 'v1' }))
  expect(byAction.answers).toEqual(['v2'])
  const [error] = byAction.ran.annotations.filter(({ kind }) => kind === 'error')
  expect(error?.properties['title']).toBe('Deploy Django: container-exited')
  expect(error?.message).toContain('ImportError: it cannot be imported')
  expect(error?.message.split('\n')[0]).toContain('serves v2 (it was not touched)')
  expect(byAction.ran.outputs).toMatchObject({ outcome: 'failed', serving: 'v2' })
  expect(await listContainers(shape.server, shape.name)).toEqual([web])

  const hand = ['sh', `deploy/${shape.name}/.deploy/rollback`, 'v1']
  const byHand = await poll(shape, () => shape.server.exec(hand))
  expect(byHand.answers).toEqual(['v2'])
  expect(byHand.ran.code).not.toBe(0)
  expect(byHand.ran.stdout).toContain('ImportError: it cannot be imported')
  expect(byHand.ran.stdout).toMatch(/v1 was not restored; v2-\S+ serves/)
  expect(await listContainers(shape.server, shape.name)).toEqual([web])
  expect(await secondsOf(shape, 'rollback-v1')).toBeLessThan(30)
})
