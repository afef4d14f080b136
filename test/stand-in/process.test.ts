import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DeployError } from '../../src/errors.ts'
import { run } from '../../src/process.ts'
import { until } from '../until.ts'

/** A real child: this very Node with a program text. */
const node = (program: string, ...args: string[]): [string, string[]] => [process.execPath, ['-e', program, ...args]]

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'process-'))
})
afterEach(() => rm(folder, { recursive: true }))

describe('debug logging', () => {
  const written = async (debug: string | undefined): Promise<string[]> => {
    const lines: string[] = []
    const write = jest.spyOn(process.stdout, 'write').mockImplementation((text) => lines.push(String(text)) > 0)
    process.env['RUNNER_DEBUG'] = debug
    try {
      const [program, args] = node('process.exitCode = 3', '--', 'a  b', 'x'.repeat(300))
      await run(program, args)
      await run('/nowhere/program', []).catch(() => {})
    } finally {
      delete process.env['RUNNER_DEBUG']
      write.mockRestore()
    }
    return lines.filter((line) => line.startsWith('::debug::'))
  }

  test('names each program with its arguments, its exit code and its time', async () => {
    expect(await written('1')).toEqual([
      expect.stringMatching(/^::debug::\[1\] \S+node -e "process\.exitCode = 3" -- "a {2}b" x{200}…\n$/),
      expect.stringMatching(/^::debug::\[1\] \S+node: exit 3 after \d+ ms\n$/),
      expect.stringMatching(/^::debug::\[2\] \/nowhere\/program\n$/),
      expect.stringMatching(/^::debug::\[2\] \/nowhere\/program: was not started after \d+ ms\n$/),
    ])
  })

  test('is silent when nobody asked for it', async () => {
    expect(await written('0')).toEqual([])
  })
})

describe('what a program leaves', () => {
  test('both outputs and the exit code, which is no exception', async () => {
    const [program, args] = node('console.log("out"); console.error("err"); process.exitCode = 3')
    expect(await run(program, args)).toEqual({ code: 3, stdout: 'out\n', stderr: 'err\n' })
  })

  test('a death by signal counts as 128 + its number', async () => {
    const [program, args] = node('process.kill(process.pid, "SIGTERM"); setInterval(() => {}, 1000)')
    expect((await run(program, args)).code).toBe(143)
  })

  test('arguments arrive as they are: nothing is expanded or split', async () => {
    const words = ['$HOME', '`id`', '; rm -rf /', 'a  b', "it's", '*', '']
    const [program, args] = node('console.log(JSON.stringify(process.argv.slice(1)))', '--', ...words)
    expect(JSON.parse((await run(program, args)).stdout)).toEqual(words)
  })

  test('characters that are split over chunks stay whole', async () => {
    const [program, args] = node(
      'const b = Buffer.from("ä"); process.stdout.write(b.subarray(0, 1), () => setTimeout(() => process.stdout.write(b.subarray(1)), 20))',
    )
    expect((await run(program, args)).stdout).toBe('ä')
  })
})

describe('what a program is given', () => {
  test('text or bytes on stdin', async () => {
    const [program, args] = node('process.stdin.pipe(process.stdout)')
    expect((await run(program, args, { stdin: 'sécret\n' })).stdout).toBe('sécret\n')
    expect((await run(program, args, { stdin: Buffer.from([65, 66]) })).stdout).toBe('AB')
    expect((await run(program, args)).stdout).toBe('')
  })

  test('a program that does not read a long stdin is judged by its exit code', async () => {
    const [program, args] = node('process.exit(7)')
    expect((await run(program, args, { stdin: 'x'.repeat(1_000_000) })).code).toBe(7)
  })

  test('a folder and an environment of its own', async () => {
    const [program, args] = node('console.log(process.cwd(), process.env.COLOUR, process.env.HOME)')
    expect((await run(program, args, { cwd: folder, env: { COLOUR: 'green' } })).stdout).toBe(
      `${folder} green undefined\n`,
    )
  })
})

describe('lines', () => {
  test('come while the program runs, whole and without their ends', async () => {
    const seen: string[] = []
    const [program, args] = node(
      'process.stdout.write("one\\r\\ntw", () => setTimeout(() => { process.stdout.write("o\\nrest"); console.error("warning") }, 20))',
    )
    const finished = await run(program, args, { onLine: (line, stream) => seen.push(`${stream} ${line}`) })
    expect(seen.sort()).toEqual(['stderr warning', 'stdout one', 'stdout rest', 'stdout two'])
    expect(finished.stdout).toBe('one\r\ntwo\nrest')
  })

  test('a reader that fails ends the program and is the failure', async () => {
    const [program, args] = node('console.log("bad"); setInterval(() => {}, 1000)')
    const onLine = (): void => {
      throw new Error('cannot read this')
    }
    await expect(run(program, args, { onLine })).rejects.toThrow('cannot read this')
  })
})

describe('an end from outside', () => {
  const isAlive = (pid: number): boolean => {
    try {
      process.kill(pid, 0)
      return true
    } catch {
      return false
    }
  }
  const isGone = async (pid: number): Promise<void> => {
    // A killed orphan stays as a zombie until the machine's first process collects it.
    const isZombie = async (): Promise<boolean> =>
      (await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ' Z ')).includes(' Z ')
    await until(`process ${pid} is gone`, async () => !isAlive(pid) || (await isZombie()), 30, 10)
  }
  const family = node(
    'const c = require("child_process").spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], {stdio: "inherit"}); console.log(c.pid); setInterval(() => {}, 1000)',
  )

  test('an abort ends the program and its children, with the code aborted', async () => {
    const control = new AbortController()
    let grandchild = 0
    const running = run(...family, {
      signal: control.signal,
      onLine: (line) => {
        grandchild = Number(line)
        control.abort(new Error('the job was cancelled'))
      },
    })
    await expect(running).rejects.toMatchObject({ code: 'aborted', cause: { message: 'the job was cancelled' } })
    expect(grandchild).toBeGreaterThan(0)
    await isGone(grandchild)
  })

  test('what ignores SIGTERM is killed after three seconds', async () => {
    const control = new AbortController()
    const [program, args] = node(
      'process.on("SIGTERM", () => {}); setInterval(() => {}, 1000); console.log(process.pid)',
    )
    let pid = 0
    let since = 0
    const onLine = (line: string): void => {
      pid = Number(line)
      since = Date.now()
      control.abort()
    }
    await expect(run(program, args, { signal: control.signal, onLine })).rejects.toBeInstanceOf(DeployError)
    expect(Date.now() - since).toBeGreaterThanOrEqual(2_900)
    await isGone(pid)
  })

  test('an abort that came before starts nothing', async () => {
    const file = join(folder, 'started')
    const [program, args] = node(`require('fs').writeFileSync(${JSON.stringify(file)}, '')`)
    await expect(run(program, args, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'aborted' })
    await expect(readFile(file)).rejects.toThrow('ENOENT')
  })

  test('a time limit ends it with the code program-timeout', async () => {
    const [program, args] = node('setInterval(() => {}, 1000)')
    await expect(run(program, args, { timeoutMs: 100 })).rejects.toMatchObject({ code: 'program-timeout' })
  })

  test('a background child that keeps the pipes open does not hold back the result', async () => {
    const [program, args] = node(
      'const c = require("child_process").spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], {stdio: "inherit", detached: true}); c.unref(); console.log(c.pid)',
    )
    const finished = await run(program, args)
    expect(finished.code).toBe(0)
    process.kill(Number(finished.stdout), 'SIGKILL')
  })
})

test('a program that is not there is named', async () => {
  await expect(run('no-such-program', [])).rejects.toMatchObject({
    code: 'program-missing',
    what: 'no-such-program could not be started',
  })
})
