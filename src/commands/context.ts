import type { Assets } from '../host/assets.ts'
import type { Runner } from '../inputs/inputs.ts'
import type { Run } from '../process.ts'
import type { DoStep } from '../report/log.ts'
import type { Findings } from '../report/report.ts'

/** The outside world as parameters, so that tests can replace it. */
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

/** Everything that a command works with besides its inputs. */
export type Context = World & {
  /** Merges facts into the outputs and the summary, whether the command succeeds or fails. Steps are appended. */
  found: (more: Partial<Findings>) => void
  /** Runs a step, which the log and the timeline show. */
  step: DoStep
}
