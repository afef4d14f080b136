import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals'
import { beginStep, harmless, info, makeStep, show, showDetail } from '../../../src/report/log.ts'

let written: string[]
beforeEach(() => {
  written = []
  jest.useFakeTimers({ now: 0 })
  jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
    written.push(String(text).trimEnd())
    return true
  })
})
afterEach(() => {
  jest.restoreAllMocks()
  jest.useRealTimers()
})

describe('a step', () => {
  const step = makeStep(() => {})

  test('is a group whose title is the fact that it found, with its time', async () => {
    const timed: unknown[] = []
    const result = await makeStep((each) => timed.push(each))(
      'Push',
      async () => {
        info('[command]/usr/bin/docker push x')
        show('::error::the digest')
        jest.setSystemTime(2_140)
        return 2
      },
      (images) => `${images} images`,
    )
    expect(result).toBe(2)
    expect(written).toEqual([
      '::group::Push: 2 images, 2.1 s',
      '[command]/usr/bin/docker push x',
      ': :error::the digest',
      '::endgroup::',
    ])
    expect(timed).toEqual([{ name: 'Push', place: 'runner', begun: 0, seconds: 2.14, hasFailed: false }])
  })

  test('without lines is a title alone', async () => {
    await step(
      'Stage',
      async () => {},
      () => 'v2-7-1 is on the host',
    )
    info('after it')
    expect(written).toEqual(['Stage: v2-7-1 is on the host, 0.0 s', 'after it'])
  })

  test('that fails shows its lines before the failure is reported', async () => {
    const failing = async (): Promise<never> => {
      info('said')
      throw new Error('no')
    }
    await expect(step('Bake', failing, String)).rejects.toThrow('no')
    expect(written).toEqual(['::group::Bake: failed, 0.0 s', 'said', '::endgroup::'])
  })

  test('says every ten seconds that it lives, and what it said last', () => {
    const opened = beginStep('Bake', 'a builder')
    jest.advanceTimersByTime(10_000)
    show('#8 [web 4/7] RUN pip install')
    jest.advanceTimersByTime(10_000)
    opened.close('1 image', 20)
    jest.advanceTimersByTime(60_000)
    expect(written).toEqual([
      '… Bake, 10 s: a builder',
      '… Bake, 20 s: #8 [web 4/7] RUN pip install',
      '::group::Bake: 1 image, 20.0 s',
      '#8 [web 4/7] RUN pip install',
      '::endgroup::',
    ])
  })

  test('under debug logging shows each line once, when it is said, and its title at the end', () => {
    process.env['RUNNER_DEBUG'] = '1'
    try {
      const opened = beginStep('Bake')
      show('a')
      jest.advanceTimersByTime(10_000)
      showDetail('abc: Waiting')
      opened.close('', 0)
    } finally {
      delete process.env['RUNNER_DEBUG']
    }
    showDetail('nobody asked')
    expect(written).toEqual(['::debug::Bake begins', 'a', '… Bake, 10 s: a', '::debug::abc: Waiting', 'Bake: 0.0 s'])
  })

  test('a fact that others wrote is no command', () => {
    beginStep('Inspect').close('a ##[error] b', 0)
    expect(written).toEqual([expect.not.stringMatching(commandOfRunner)])
  })
})

/** Where GitHub's runner begins to read a command: `::` behind white space, `##[` anywhere. */
const commandOfRunner = /^\s*::|##\[/m

describe('harmless', () => {
  test.each([
    '::error::x',
    '  ::add-mask::x',
    '\t\u00a0::set-output name=a::b',
    '\u2003::x::',
    ':::error::',
    'GET /?##[save-state name=tid;]x',
    '##[##[error]x',
    'a\r::error::x',
    'a\n::error::x',
    'a\r\n  ##[group]',
    'a\u0085::x::',
    'a\u2028::x::',
    '\u001b[2K::x::',
    '\0::x::',
    '\ufeff::x::',
  ])('%j is no command', (line) => {
    expect(line.replace(/[\u001b\0]/g, ' ')).toMatch(/::|##\[/)
    expect(harmless(line).split(/[\r\n\u0085\u2028\u2029]/)).toHaveLength(1)
    expect(harmless(line)).not.toMatch(commandOfRunner)
  })

  test.each(['Container web  Started', 'a::b::c', 'http://[::1]:8000/', '  | 1 # [x]', '\tindented', 'Grüße ✓', ''])(
    '%j stays as it is',
    (line) => expect(harmless(line)).toBe(line),
  )
})
