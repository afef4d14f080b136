import type { Assets } from '../assets.ts'
import type { Runner } from '../inputs.ts'
import type { Run } from '../process.ts'

/** What a command works with besides its inputs: the world outside, passed in. */
export type Context = {
  run: Run
  runner: Runner
  assets: Assets
  /** A private folder for this run's temporary files; `post` removes it. */
  folder: string
  /** The step's environment for programs that read the repository. */
  environment: NodeJS.ProcessEnv
  /** Fires when the job is cancelled. */
  signal: AbortSignal
}
