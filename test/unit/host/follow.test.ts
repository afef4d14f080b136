import { describe, expect, test } from '@jest/globals'
import { follow, type Clock, type Ending, type Progress } from '../../../src/host/follow.ts'
import { FakeServer, type Answer } from './fake-server.ts'

const time = '2026-01-02T03:04:05.678Z'
const id = 'v2-18-1'
const begin = `begin ${id} ${id} from v1-17-1`

/** A clock that advances only during a wait. */
class HandClock implements Clock {
  milliseconds = 0
  readonly pauses: number[] = []

  now = (): number => this.milliseconds
  pause = async (milliseconds: number): Promise<void> => {
    this.pauses.push(milliseconds)
    this.milliseconds += milliseconds
  }
}

describe('follow', () => {
  const lost = (stdout = ''): Answer => ({ code: 255, stdout, stderr: 'client_loop: send disconnect: Broken pipe\n' })
  const words = (journal: number, log: number): string =>
    `sh deploy/todo/.deploy/plans/${id}/transaction.sh follow deploy/todo ${id} ${journal} ${log}`
  const ended = `j ${time} end committed ${id}\nx ended\n`

  async function tell(...answers: (Answer | ((clock: HandClock) => Answer))[]): Promise<{
    ending: Ending
    asked: string[]
    shown: string[]
    clock: HandClock
  }> {
    const clock = new HandClock()
    const server = new FakeServer(
      ...answers.map((answer) => (typeof answer === 'function' ? () => answer(clock) : answer)),
    )
    const shown: string[] = []
    const show = (progress: Progress): void => {
      shown.push(progress.kind === 'log' ? progress.text : `* ${progress.line.step} ${progress.line.state}`)
    }
    const ending = await follow(server, 'deploy/todo', id, show, undefined, clock)
    return { ending, asked: server.asked, shown, clock }
  }

  test('shows what it hears, and concludes', async () => {
    const document = '{"deploy-django": 1, "verb": "migrate", "applied": []}'
    const { ending, shown, asked } = await tell({
      stdout: `j ${time} ${begin}\nl step ${time} ${begin}\nl transaction ${id}\nl \nl   | r in a log\nl step no mark\nj ${time} commit begin\nl step ${time} commit begin\nr \nr ${document}\n${ended}`,
    })
    expect(asked).toEqual([words(0, 0)])
    expect(shown).toEqual([
      '* begin v2-18-1',
      `transaction ${id}`,
      '',
      '  | r in a log',
      'step no mark',
      '* commit begin',
    ])
    expect(ending).toMatchObject({
      word: 'committed',
      serves: id,
      log: [`transaction ${id}`, '', '  | r in a log', 'step no mark'],
    })
    expect(ending.journal.map((line) => line.step)).toEqual(['begin', 'commit', 'end'])
    expect([...ending.documents]).toEqual([['migrate', { 'deploy-django': 1, verb: 'migrate', applied: [] }]])
  })

  test('does not mind what a shell prints, or what broke off in a document', async () => {
    const { ending, shown } = await tell({ stdout: `Welcome!\nr {"deploy-django": 1, "verb": "mig\nr [1]\n${ended}` })
    expect(ending).toMatchObject({ word: 'committed', documents: new Map() })
    expect(shown).toEqual([])
  })

  test('resumes where the connection was lost', async () => {
    const { ending, asked, shown, clock } = await tell(
      lost(`j ${time} ${begin}\nl one\nl two\n`),
      lost(),
      lost(`l three\n`),
      { stdout: ended },
    )
    expect(asked).toEqual([words(0, 0), words(1, 2), words(1, 2), words(1, 3)])
    const news = 'The connection to example.org is lost; the deployment continues there. Connecting again'
    expect(shown).toEqual(['one', 'two', news, 'three', news])
    expect(ending).toMatchObject({ word: 'committed', log: ['one', 'two', 'three'] })
    expect(clock.pauses).toEqual([1_000, 1_000, 1_000])
  })

  test.each([
    [`l one\nl tw`, words(0, 1), { log: ['one', 'two'] }],
    [`l one\nj ${time} health fai`, words(0, 1), { log: ['one', 'two'] }],
    [`l one\nx end`, words(0, 1), { log: ['one', 'two'] }],
    [`l`, words(0, 0), { log: ['two'] }],
  ])('asks again for a line that broke off: %j', async (stdout, again, found) => {
    const { ending, asked } = await tell(lost(stdout), { stdout: `l two\n${ended}` })
    expect(asked).toEqual([words(0, 0), again])
    expect(ending).toMatchObject({ word: 'committed', ...found })
    expect(ending.journal).toHaveLength(1)
  })

  test('takes what a good answer leaves open for a warning', async () => {
    const document =
      '{"deploy-django": 1, "verb": "http", "status": 200, "warning": "only a page of frontend answered"}'
    const { ending } = await tell({ stdout: `j ${time} ${begin}\nr ${document}\n${ended}` })
    expect(ending.warnings).toEqual(['only a page of frontend answered'])
  })

  test('keeps each warning once, also one that broke off', async () => {
    const said = 'warning: nginx in todo-proxy-1 did not reload'
    const { ending } = await tell(lost(`l ${said}\nl   | warning: slow\nl ${said.slice(0, 20)}`), {
      stdout: `l ${said}\n${'l more\n'.repeat(100)}${ended}`,
    })
    expect(ending.warnings).toEqual(['nginx in todo-proxy-1 did not reload'])
  })

  test('keeps the last sixty lines of the log, and counts them all', async () => {
    const lines = Array.from({ length: 100 }, (_, index) => `l line ${index}\n`).join('')
    const { ending, asked } = await tell(lost(lines), { stdout: ended })
    expect(asked[1]).toBe(words(0, 100))
    expect(ending.log).toHaveLength(60)
    expect(ending.log[0]).toBe('line 40')
    expect(ending.log[59]).toBe('line 99')
  })

  test('says that a transaction died', async () => {
    const { ending } = await tell({ stdout: `j ${time} ${begin}\nx died\n` })
    expect(ending).toMatchObject({ word: 'died', serves: 'v1-17-1' })
  })

  test('says that a transaction failed and was kept', async () => {
    const lines = ['swap begin', 'swap fail 1', 'keep begin swap 1'].map((line) => `j ${time} ${line}\n`).join('')
    const { ending } = await tell({ stdout: `j ${time} ${begin}\n${lines}x kept\n` })
    expect(ending).toMatchObject({ word: 'kept', serves: undefined, failure: { step: 'swap', code: 1 } })
  })

  /** As `lost`, after an attempt that took so long. */
  const lostAfter = (seconds: number) => (clock: HandClock) => {
    clock.milliseconds += seconds * 1_000
    return lost()
  }

  test('gives up when ten minutes of attempts failed, and says that the deployment goes on', async () => {
    const attempts = Array.from({ length: 60 }, () => lostAfter(15))
    const failed = tell(lost(`j ${time} ${begin}\n`), ...attempts)
    await expect(failed).rejects.toMatchObject({
      code: 'deployment-died',
      what: expect.stringContaining('continues on the host'),
      seen: 'client_loop: send disconnect: Broken pipe',
      why: expect.stringContaining('ten minutes'),
      fix: expect.stringContaining('run the job again'),
    })
  })

  test('does not give up before', async () => {
    const attempts = Array.from({ length: 36 }, () => lostAfter(15))
    const { ending } = await tell(lost(`j ${time} ${begin}\n`), ...attempts, { stdout: ended })
    expect(ending.word).toBe('committed')
  })

  test('starts to count anew when it heard something', async () => {
    const attempts = Array.from({ length: 36 }, () => lostAfter(15))
    const { ending } = await tell(...attempts, lost('l here\n'), ...attempts, { stdout: ended })
    expect(ending.word).toBe('committed')
  })

  test('and when it was connected for a while, although there was nothing to hear', async () => {
    const { ending } = await tell(lost(), lostAfter(660), lostAfter(660), { stdout: ended })
    expect(ending.word).toBe('committed')
  })

  test.each([
    [{ code: 127, stderr: 'sh: 0: cannot open deploy/todo\n' }, 'exit code 127', 'sh: 0: cannot open deploy/todo'],
    [{ code: 0, stdout: 'l one\n' }, 'exit code 0', undefined],
  ])('does not ask again when the server answered, but did not tell the end: %j', async (answer, why, seen) => {
    const failed = tell(answer)
    await expect(failed).rejects.toMatchObject({ code: 'deployment-died', why: expect.stringContaining(why), seen })
  })

  test('an abort ends it, also in a pause', async () => {
    const control = new AbortController()
    const server = new FakeServer(() => {
      setImmediate(() => control.abort())
      return lost()
    })
    const followed = follow(server, 'deploy/todo', id, () => {}, control.signal)
    await expect(followed).rejects.toMatchObject({ code: 'aborted' })
  })
})
