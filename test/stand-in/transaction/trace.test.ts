import { afterAll, describe, expect, test } from '@jest/globals'
import type { Finished } from '../../../src/process.ts'
import { isTrace, withoutTrace } from '../../../src/host/trace.ts'
import { until } from '../../until.ts'
import { endOf, storyOf } from './journal.ts'
import { bare, removeAll, serving, v1, v2 } from './serving.ts'
import { stage, transact, type Staged } from './staged.ts'
import { call, changeState, SHELLS, type World } from './world.ts'

// Debug logging: each call of Docker is a line, beside all that is read of what Docker says.

afterAll(removeAll)

const traced = (world: World): World => ({ ...world, env: { ...world.env, DEPLOY_DJANGO_TRACE: 'yes' } })
const traceOf = (finished: Finished): string[] => finished.stderr.split('\n').filter(isTrace)

describe.each(SHELLS)('under %s', (shell) => {
  const secret: Staged = {
    ...v1,
    releaseFacts: { ...v1.releaseFacts, images: ['web private/app@sha256:v1'] },
  }

  test('the call of Docker with its end, and never a password', async () => {
    const world = traced(await bare(shell))
    const password = '{"private_key": "in-no-trace"}'
    await changeState(world, (state) => Object.assign(state, { password }))
    await changeState(world, ({ registry }) => (registry['private/app@sha256:v1'] = 'sha256:v1'))
    const staged = await stage(world, secret, `private\nme\n${password}\n`)
    expect(staged.code).toBe(0)
    expect(traceOf(staged)).toEqual(
      expect.arrayContaining([
        `trace: stage ${world.directory} ${v1.id}`,
        expect.stringMatching(
          /^trace: timeout -k 5 60 docker --config \S+ login -u me --password-stdin private -> exit 0 after \d+ s$/,
        ),
      ]),
    )
    expect(`${staged.stdout}${staged.stderr}`).not.toContain('in-no-trace')
  })

  test('what is read of an answer stays the same', async () => {
    const [plain, debugged] = [await bare(shell), traced(await bare(shell))]
    const wrong = { ...secret, releaseFacts: { ...secret.releaseFacts, 'images-beside': ['postgres:nope'] } }
    const [quiet, told] = await Promise.all([stage(plain, wrong), stage(debugged, wrong)])
    expect(traceOf(quiet)).toEqual([])
    expect(traceOf(told).length).toBeGreaterThan(0)
    const names = (world: World, { stdout, stderr }: Finished): string[] =>
      // Images are pulled side by side.
      [...stdout.split('\n'), ...withoutTrace(stderr).replaceAll(world.root, '').split('\n')].sort()
    expect({ code: told.code, said: names(debugged, told) }).toEqual({ code: quiet.code, said: names(plain, quiet) })
  })

  test('a deployment with a trace goes as one without, and its log has the trace', async () => {
    const plain = await serving(shell)
    expect(await transact(plain, v2)).toBe('committed v2-2-1')
    const world = traced(await serving(shell))
    expect(await stage(world, v2)).toMatchObject({ code: 0 })
    expect(await call(world, 'begin', [v2.id])).toMatchObject({ code: 0 })
    await until('it has ended', async () => (await endOf(world, v2.id)) === 'committed v2-2-1')
    const followed = await call(world, 'follow', [v2.id, '0', '0'])
    expect(await storyOf(world, v2.id)).toEqual(await storyOf(plain, v2.id))
    const log = followed.stdout.split('\n').filter((line) => line.startsWith('l '))
    expect(log.filter((line) => isTrace(line.slice(2))).length).toBeGreaterThan(10)
    const quiet = log.filter((line) => !isTrace(line.slice(2)))
    const { stdout } = await call(plain, 'follow', [v2.id, '0', '0'])
    const untimed = (line: string): string => line.replace(/^l step \S+/, 'l step')
    expect(quiet.map(untimed)).toEqual(stdout.split('\n').flatMap((line) => (/^l /.test(line) ? untimed(line) : [])))
  })
})
