import type { Finished, Run, RunOptions } from '../../../src/process.ts'

/** A call of a program, as it was asked for. */
export type Call = { program: string; args: readonly string[]; options: RunOptions }

/** Stands in for the docker client at the edge: answers by the arguments, and keeps what it was asked. */
export function fakeDocker(answer: (line: string, call: Call) => Partial<Finished> | undefined): {
  run: Run
  calls: Call[]
} {
  const calls: Call[] = []
  const run: Run = (program, args, options = {}) => {
    const call = { program, args, options }
    calls.push(call)
    return Promise.resolve({ code: 0, stdout: '', stderr: '', ...answer(args.join(' '), call) })
  }
  return { run, calls }
}
