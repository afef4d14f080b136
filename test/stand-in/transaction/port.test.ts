import { afterAll, afterEach, describe, expect, test } from '@jest/globals'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { run } from '../../../src/process.ts'
import { parseLook } from '../../../src/host/look.ts'
import { parseStatus } from '../../../src/host/status.ts'
import { endOf, findFaults } from './journal.ts'
import { logOf, removeAll, serving, v1, v2, v2With } from './serving.ts'
import { call, changeState, script, SHELLS, type World } from './world.ts'

// Ports that somebody else holds, and one that Docker holds for no container.

const children: ChildProcess[] = []
afterEach(() => children.splice(0).forEach((child) => child.kill('SIGKILL')))
afterAll(removeAll)

/** A process that looks like the one which Docker starts for a published port. */
async function proxyFor(world: World, port: number): Promise<void> {
  const file = join(world.root, 'docker-proxy')
  await writeFile(file, '#!/bin/sh\necho ready\nread -r end\n', { mode: 0o755 })
  const words = ['-proto', 'tcp', '-host-ip', '0.0.0.0', '-host-port', String(port), '-container-ip', '172.18.0.2']
  const child = spawn(file, [...words, '-container-port', '8000'], { stdio: ['pipe', 'pipe', 'ignore'] })
  children.push(child)
  if (child.stdout) await once(child.stdout, 'data')
}

async function portsOf(world: World, ...ports: number[]): Promise<unknown> {
  const words = ['-s', 'look', world.directory, ...ports.map((port) => `port:${port}`)]
  return parseLook((await run('sh', words, { env: world.env, stdin: script })).stdout)?.ports
}

describe.each(SHELLS)('under %s', (shell) => {
  test('a look says who holds a port', async () => {
    const world = await serving(shell)
    await changeState(world, ({ containers }) =>
      containers.forEach((each) => Object.assign(each.spec, each.service === 'web' ? { 'x-port': 61001 } : {})),
    )
    await proxyFor(world, 61002)
    const listener = createServer().listen(0, '0.0.0.0')
    await once(listener, 'listening')
    const { port } = listener.address() as AddressInfo
    try {
      expect(await portsOf(world, 61001, 61002, 61003, port)).toEqual([
        { port: 61001, kind: 'container', name: 'todo-web-1', project: 'todo' },
        { port: 61002, kind: 'docker' },
        { port, kind: 'program' },
      ])
    } finally {
      listener.close()
    }
  })

  test('a port that Docker holds for no container fails a deploy with its name, and status says it', async () => {
    const world = await serving(shell)
    const log = await logOf(world, v2With({ 'x-port-taken': true, 'x-port': 61004 }))
    expect(log).toContain('Docker holds port 61004 for no container')
    expect(await endOf(world, v2.id)).toBe('back v1-1-1')
    expect(await findFaults(world, v1.id)).toEqual([])

    await changeState(world, ({ containers }) => {
      const web = containers.find(({ service }) => service === 'web')
      Object.assign(web?.spec ?? {}, { 'x-port': 61004 })
      if (web) web.state = 'exited'
    })
    await proxyFor(world, 61004)
    const status = parseStatus((await call(world, 'status')).stdout)
    expect(status?.leftOverPorts).toEqual(['61004'])
  })

  test('a port of another container is named with it', async () => {
    const world = await serving(shell)
    await changeState(world, ({ containers }) => {
      const [first] = containers
      if (first)
        containers.push({
          ...first,
          id: 'f'.repeat(64),
          name: 'blog-web-1',
          service: 'web',
          spec: { ...first.spec, 'x-port': 61005 },
          project: 'blog',
        })
    })
    expect(await logOf(world, v2With({ 'x-port': 61005 }))).toContain(
      'port 61005 is published by the container blog-web-1',
    )
  })
})
