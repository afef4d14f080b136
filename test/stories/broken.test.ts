import { describe, expect } from '@jest/globals'
import { loadavg } from 'node:os'
import { listContainers } from '../world/listing.ts'
import { deployWith, makeBroken, poll, secondsOf, SERVERS, type Env } from './broken.ts'
import type { Shape } from './shape.ts'
import { nightly } from './nightly.ts'

// Every way in which a release cannot serve, under every server, as the first deploy and as an upgrade. trial.test.ts is a sample.

type Server = keyof typeof SERVERS
/** `seconds`: until it is red on a calm machine; `seen`: what the error has to say. */
type Row = { name: string; env: Env; seconds: number; seen: string; needsCheck?: true }

const row = (name: string, server: Server, env: Env, seconds: number, seen: string): Row => ({
  name: `${name}: ${server}`,
  // Nothing speaks HTTP to such a socket.
  env: { SERVER: SERVERS[server], ...(server === 'uwsgi socket' && { CHECK: 'port' }), ...env },
  seconds,
  seen,
})
const ROWS: readonly Row[] = [
  ...(Object.keys(SERVERS) as Server[]).map((server) =>
    row('exits at import', server, { FAULT: 'exit' }, 15, 'no licence'),
  ),
  // uWSGI goes on without an app.
  row('cannot be imported', 'uwsgi http', { FAULT: 'raise' }, 15, 'ImportError: it cannot be imported'),
  row('cannot be imported', 'uwsgi socket', { FAULT: 'raise' }, 15, 'ImportError: it cannot be imported'),
  ...(['sync', 'uvicorn', 'uwsgi http'] as const).map((server) =>
    row('hangs at import', server, { FAULT: 'hang' }, 45, 'did not become healthy'),
  ),
  row('answers 500', 'sync', { FAULT: 'page', CHECK: 'up' }, 15, 'answered 500'),
  { ...row('its health command fails', 'sync', { CHECK: 'healthz' }, 15, 'HTTP Error 404'), needsCheck: true },
  row('lacks a variable', 'sync', { FAULT: 'lacks' }, 15, "KeyError: 'LICENCE_KEY'"),
  row('lacks a variable of its settings', 'sync', { SECRET_KEY: undefined }, 15, 'SECRET_KEY'),
]
/** While others use the machine, a boot takes longer. */
const BUSY_SECONDS = 5

describe.each([true, false])('with a health check: %s', (hasCheck) => {
  nightly(
    'a broken release is red in time and never takes the site down; a slow one is fine',
    async () => {
      await using shape = await makeBroken(hasCheck)
      const rows = ROWS.filter(({ needsCheck }) => hasCheck || !needsCheck)
      const failures: string[] = []
      let count = 0
      const tell = async (name: string, env: Env, serving: string): Promise<Told> => {
        const told = await deployAndPoll(shape, `v${(count += 1)}`, env, serving)
        const place = [serving === '' ? 'first deploy' : 'upgrade', hasCheck ? 'check' : 'no check', name]
        const times = [`trial ${told.trialSeconds ?? '-'} s`, `step ${(told.ran.milliseconds / 1000).toFixed(1)} s`]
        process.stdout.write(`| ${[...place, ...times, `load ${loadavg()[0]?.toFixed(1)}`].join(' | ')} |\n`)
        return told
      }
      const tellBroken = async ({ name, env, seconds, seen }: Row, serving: string): Promise<void> => {
        const { ran, answers, containers, trialSeconds = 0 } = await tell(name, env, serving)
        const message = ran.annotations[0]?.message ?? ''
        try {
          expect(ran.outputs).toMatchObject({ outcome: 'failed', serving })
          const [first] = message.split('\n')
          expect(first).toContain(serving === '' ? 'nothing serves' : `serves ${serving} (it was not touched)`)
          expect(message).toContain(seen)
          expect(message).toMatch(/^ *fix: +\S/m)
          // Colours, requests of our own, and HTTP asked of another protocol.
          expect(message).not.toMatch(/\x1b|"deploy-django"|invalid request block size/)
          expect(answers).toEqual(serving === '' ? [] : [serving])
          expect(containers).toHaveLength(serving === '' ? 0 : 1)
          expect(trialSeconds).toBeLessThan(seconds + BUSY_SECONDS)
        } catch (error) {
          failures.push(`${name}, while "${serving}" serves: ${String(error)}\n${message}`)
        }
      }
      const tellGood = async (name: string, env: Env, serving: string): Promise<string> => {
        const { ran } = await tell(name, env, serving)
        expect(ran.outputs).toMatchObject({ outcome: 'deployed', serving: `v${count}` })
        return `v${count}`
      }

      for (const broken of rows) await tellBroken(broken, '')
      const slow = await tellGood('boots for 20 s', { FAULT: 'slow' }, '')
      // What this one needs decides how long the next ones may need.
      const good = await tellGood('good', {}, slow)
      for (const broken of rows) await tellBroken(broken, good)
      await tellGood('boots for 20 s', { FAULT: 'slow' }, good)
      expect(failures.join('\n\n')).toBe('')
    },
    2_400_000,
  )
})

type Told = {
  ran: Awaited<ReturnType<typeof deployWith>>
  answers: readonly string[]
  containers: readonly string[]
  trialSeconds: number | undefined
}

async function deployAndPoll(shape: Shape, version: string, env: Env, serving: string): Promise<Told> {
  const deploy = () => deployWith(shape, version, env)
  const { ran, answers } = serving === '' ? { ran: await deploy(), answers: [] } : await poll(shape, deploy)
  const containers = await listContainers(shape.server, shape.name)
  return { ran, answers, containers, trialSeconds: await secondsOf(shape, version) }
}
