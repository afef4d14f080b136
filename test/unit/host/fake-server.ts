import { DeployError } from '../../../src/errors.ts'
import type { Finished, RunOptions } from '../../../src/process.ts'
import type { Connection } from '../../../src/host/connection.ts'

type Options = Omit<RunOptions, 'cwd' | 'env'>
type Call = { words: readonly string[]; options: Options }

/** What a call meets: the parts of its result that matter; the rest is success and silence. */
export type Answer = Partial<Finished>

/** Stands for the server behind a connection: gives prepared answers, one a call, and keeps what it was asked. */
export class FakeServer implements Connection {
  readonly host = { user: 'deploy', address: 'example.org', port: 22 }
  readonly calls: Call[] = []
  private readonly answers: (Answer | (() => Answer))[]

  constructor(...answers: (Answer | (() => Answer))[]) {
    this.answers = answers
  }

  /** The words of each call, as one text. */
  get asked(): string[] {
    return this.calls.map((call) => call.words.join(' '))
  }

  async call(words: readonly string[], options: Options = {}): Promise<Finished> {
    this.calls.push({ words, options })
    if (options.signal?.aborted) throw new DeployError('aborted', { what: 'ssh was stopped' })
    const next = this.answers.shift()
    if (next === undefined) throw new Error(`nobody expected the call: ${words.join(' ')}`)
    const finished = { code: 0, stdout: '', stderr: '', ...(typeof next === 'function' ? next() : next) }
    // As `run` gives lines: what is left without a line end comes as a line as well.
    for (const stream of ['stdout', 'stderr'] as const) {
      const lines = finished[stream].split('\n')
      if (lines.at(-1) === '') lines.pop()
      for (const line of lines) options.onLine?.(line, stream)
    }
    return finished
  }

  async callOrThrow(words: readonly string[], options?: Options): Promise<Finished> {
    const finished = await this.call(words, options)
    if (finished.code === 255) throw new DeployError('ssh-unreachable', { what: 'No SSH connection' })
    return finished
  }

  async close(): Promise<void> {}
}
