import { describe, expect, test } from '@jest/globals'
import { tmpdir } from 'node:os'
import { DeployError } from '../../../src/errors.ts'
import { run, type Run } from '../../../src/process.ts'
import { reconnect } from '../../../src/host/connection.ts'
import { requestRevert, followToEnd, newId, transact } from '../../../src/host/transaction.ts'
import { FakeServer } from './fake-server.ts'

const transaction = { directory: 'deploy/todo', id: 'v2-2-1' }
const script = 'sh deploy/todo/.deploy/plans/v2-2-1/transaction.sh'
const time = '2026-01-02T03:04:05Z'
const begun = `j ${time} begin v2-2-1 v2-2-1 from v1-1-1\nl step ${time} begin v2-2-1 v2-2-1 from v1-1-1\n`
const never = new AbortController().signal

describe('transact', () => {
  test('begins, then follows to the end', async () => {
    const server = new FakeServer({}, { stdout: `${begun}j ${time} end committed v2-2-1\nx ended\n` })
    const shown: string[] = []
    const ending = await transact(server, transaction, (progress) => shown.push(progress.kind), never)
    expect(ending).toMatchObject({ word: 'committed', serves: 'v2-2-1' })
    expect(server.asked).toEqual([`${script} begin deploy/todo v2-2-1`, `${script} follow deploy/todo v2-2-1 0 0`])
    expect(shown).toEqual(['step'])
  })

  test('follows nothing that did not begin', async () => {
    const server = new FakeServer({ code: 49 })
    await expect(transact(server, transaction, () => {}, never)).rejects.toMatchObject({ code: 'deployment-died' })
    expect(server.calls).toHaveLength(1)
  })
})

describe('followToEnd', () => {
  test('asks for recovery when the transaction died, and reads the ending again', async () => {
    const server = new FakeServer(
      { stdout: `${begun}j ${time} swap begin\nl said\nx died\n` },
      { code: 0 },
      { stdout: `${begun}j ${time} back begin interrupted\nj ${time} end back v1-1-1\nx ended\n` },
    )
    const shown: string[] = []
    const ending = await followToEnd(server, transaction, (progress) => shown.push(progress.kind), never)
    expect(ending).toMatchObject({ word: 'back', serves: 'v1-1-1' })
    expect(server.asked[1]).toBe(`${script} recover deploy/todo`)
    expect(server.asked[2]).toBe(`${script} follow deploy/todo v2-2-1 0 0`)
    // What was shown before is not shown again.
    expect(shown).toEqual(['step', 'log'])
  })

  test('does not ask twice', async () => {
    const died = { stdout: `${begun}x died\n` }
    const server = new FakeServer(died, { code: 40 }, died)
    expect(await followToEnd(server, transaction, () => {}, never)).toMatchObject({ word: 'died' })
    expect(server.calls).toHaveLength(3)
  })
})

test('the wish to turn back is sent although the job, and with it the connection, was cancelled', async () => {
  const argv: (readonly string[])[] = []
  // As `run`, which starts nothing for a signal that has fired.
  const stood: Run = async (_, args, options) => {
    argv.push(args)
    return await run(process.execPath, ['-e', ''], options)
  }
  const route = { host: { user: 'u', address: 'h', port: 22 }, jumpHost: undefined }
  const connection = reconnect(stood, route, tmpdir(), AbortSignal.abort())
  await expect(connection.call(['true'])).rejects.toMatchObject({ code: 'aborted' })
  expect(await requestRevert(connection, transaction)).toBe(true)
  expect(argv.at(-1)?.slice(argv.at(-1)?.indexOf('sh')).join(' ')).toBe(`${script} abort deploy/todo v2-2-1`)
})

test('a wish that does not arrive is no failure of its own', async () => {
  const late = (): never => {
    throw new DeployError('program-timeout', { what: 'ssh did not end within 5 s and was stopped' })
  }
  expect(await requestRevert(new FakeServer({ code: 255 }), transaction)).toBe(false)
  expect(await requestRevert(new FakeServer(late), transaction)).toBe(false)
})

describe('newId', () => {
  const of = { runId: 17, runAttempt: 2 }
  const all = ['v1-17-2', 'v1-17-2.2', 'v1-17-2.3']

  test.each([
    [[], 'v1-17-2'],
    [['v1-17-1', 'v1-16-2', 'v2-17-2', 'rollback-v1-17-2'], 'v1-17-2'],
    [all.slice(0, 1), 'v1-17-2.2'],
    [all, 'v1-17-2.4'],
    [all.slice(1), 'v1-17-2'],
    [['v1-17-2', 'v1-17-2.3'], 'v1-17-2.2'],
  ])('beside %j it is %s', (taken, id) => expect(newId('v1', of, taken)).toBe(id))

  test('is never one that is taken', () => {
    const taken: string[] = []
    for (let count = 0; count < 50; count += 1) taken.push(newId('v1', of, taken))
    expect(new Set(taken).size).toBe(50)
  })
})
