import { expect, test } from '@jest/globals'
import { fileURLToPath } from 'node:url'
import { run } from '../../src/process.ts'
import { openWorld } from '../world/world.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const site = 'http://127.0.0.1:8129/'

test('script/demo shows two deploys, a failed one and a rollback, and leaves the site open', async () => {
  const world = await openWorld()
  const server = await world.server('alpha')
  try {
    const { code, stdout, stderr } = await run('script/demo', [], { cwd: root })
    expect(stdout.match(/^--- .* from release v\d/gm)).toEqual([
      `--- outcome deployed, ${site} answers 200 from release v1`,
      `--- outcome deployed, ${site} answers 200 from release v2`,
      `--- outcome failed, ${site} answers 200 from release v2`,
      `--- outcome rolled-back, ${site} answers 200 from release v1`,
    ])
    expect({ code, stderr }).toMatchObject({ code: 0 })
    expect((await fetch(site)).headers.get('x-release')).toBe('v1')
  } finally {
    await server.remove('todo')
  }
})
