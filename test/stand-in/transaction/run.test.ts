import { afterAll, describe, expect, jest, test } from '@jest/globals'
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { withoutInput } from '../../../src/commands/exec.ts'
import { run, type Finished } from '../../../src/process.ts'
import { removeAll, serving } from './serving.ts'
import { call, changeState, SHELLS, type World } from './world.ts'
import { until } from '../../until.ts'

jest.setTimeout(60_000)
afterAll(removeAll)

describe.each(SHELLS)('run under %s', (shell) => {
  /** As `exec` sends it. */
  async function execute(
    world: World,
    lines: string,
    env = '',
    service: readonly string[] = [],
    id = 'exec-1',
  ): Promise<Finished> {
    const place = join(world.directory, '.deploy/incoming', id)
    await mkdir(join(place, 'env'), { recursive: true })
    await writeFile(join(place, 'script'), withoutInput(lines))
    await writeFile(join(place, 'env/given'), env)
    return await call(world, 'run', [id, ...service])
  }

  test('in the container of Django, with its own variables, redacted; nothing of it stays', async () => {
    const world = await serving(shell)
    await writeFile(join(world.directory, '.env'), 'DB_PASS=kept-on-server\n')
    const lines = 'echo "in $SERVICE: $SHOP_TOKEN"\necho kept-on-server and open >&2\nexit 5'
    expect(await execute(world, lines, 'SHOP_TOKEN=only-now-1\n')).toEqual({
      code: 0,
      stdout: 'in web: ***\n*** and open\n',
      stderr: 'exit 5\n',
    })
    expect(await readdir(join(world.directory, '.deploy/incoming'))).toEqual([])
  })

  test('in another one, also while another process holds the lock', async () => {
    const world = await serving(shell)
    const locked = run('flock', [
      join(world.directory, '.deploy/lock'),
      'sh',
      '-c',
      'until [ -e "$1" ]; do sleep 0.05; done',
      'sh',
      join(world.root, 'go'),
    ])
    expect(await execute(world, 'echo $SERVICE', '', ['worker'])).toEqual({
      code: 0,
      stdout: 'worker\n',
      stderr: 'exit 0\n',
    })
    await writeFile(join(world.root, 'go'), '')
    expect((await locked).code).toBe(0)
  })

  test('a service without a running container ends with 70, and what runs is named', async () => {
    const world = await serving(shell)
    await changeState(world, ({ containers }) => {
      for (const container of containers) if (container.service === 'worker') container.state = 'exited'
    })
    expect(await execute(world, 'true', '', ['worker'])).toEqual({
      code: 70,
      stdout: '',
      stderr: 'deploy-django: worker; running: db proxy web \n',
    })
    expect(await readdir(join(world.directory, '.deploy/incoming'))).toEqual([])
  })

  test('what is cancelled is asked to end with all that it has started, and nothing else is', async () => {
    const world = await serving(shell)
    const [mine, other] = [`exec-${randomUUID()}`, `exec-${randomUUID()}`]
    const lines = (name: string): string =>
      `sh -c 'touch "$1"; until [ -e "$2" ]; do sleep 0.05; done' sh '${join(world.root, name)}' '${join(world.root, 'go')}'`
    const [ended, left] = [
      execute(world, lines('mine'), '', ['worker'], mine),
      execute(world, lines('other'), '', ['worker'], other),
    ]
    await until('both run', () => ['mine', 'other'].every((name) => existsSync(join(world.root, name))), 60, 20)
    expect(await call(world, 'quit', [mine, 'worker'])).toMatchObject({ code: 0, stderr: '' })
    expect(await ended).toMatchObject({ code: 0, stderr: 'exit 143\n' })
    await writeFile(join(world.root, 'go'), '')
    expect(await left).toMatchObject({ code: 0, stderr: 'exit 0\n' })
    // It is over by now.
    expect(await call(world, 'quit', [mine, 'worker'])).toMatchObject({ code: 0 })
  })
})
