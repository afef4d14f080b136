import type { Assets } from '../assets.ts'
import type { Runner } from '../inputs.ts'
import type { Run } from '../process.ts'
import type { Findings } from '../report/report.ts'

/** The world outside, passed in. */
export type World = {
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

/** What a command works with besides its inputs. */
export type Context = World & {
  /** Adds to what the outputs and the summary say, whether the command succeeds or fails. */
  found: (more: Partial<Findings>) => void
}
