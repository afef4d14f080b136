import type { LivePlan, Migration, OfflinePlan } from '../django/document.ts'

/** A step of a transaction: a function `step_<name>` of src/server/transaction/. */
export type Step =
  | 'recover'
  | 'fence'
  | 'adopt'
  | 'data'
  | 'replan'
  | 'migrate'
  | 'fit'
  | 'jobs'
  | 'static'
  | 'swap'
  | 'proxy'
  | 'health'
  | 'verify'
  | 'commit'
  | 'prune'

/** What a transaction shall do, decided on the runner; the server only walks it. */
export type Plan = {
  kind: 'deploy' | 'unchanged' | 'rollback'
  steps: readonly Step[]
  /** What the database lacks. */
  pending: readonly Migration[]
  /** Identifies what was decided; empty for a rollback, where nothing is. */
  digest: string
}

const SWAP: readonly Step[] = ['swap', 'proxy', 'health', 'verify', 'commit', 'prune']
const LOOK_ONLY: readonly Step[] = ['recover', 'fence', 'health', 'verify']

/** What a release wants before its containers start: services that run to their end, and whether static files are collected. */
export type Preparation = { jobs: readonly string[]; static: boolean }

/** The plan of a deploy. `same` says that the release that serves has the same images, files and settings. */
export function planDeploy(
  found: LivePlan | OfflinePlan,
  migrate: 'auto' | 'before' | 'external' | 'none',
  same: boolean,
  preparation: Preparation,
): Plan {
  const pending = found.kind === 'live' ? found.pending : found.migrations
  const { digest } = found
  if (same && (pending.length === 0 || migrate === 'none'))
    return { kind: 'unchanged', steps: LOOK_ONLY, pending, digest }
  // Without a migration to apply or to record `verify` sees whether anybody changed that meanwhile, with one start of Django less.
  const needed = pending.length > 0 || (found.kind === 'live' && found.unrecorded.length > 0)
  const ours = needed && (migrate === 'auto' || migrate === 'before')
  const migrating: Step[] = ours ? ['replan', 'migrate'] : []
  return {
    kind: 'deploy',
    steps: ['recover', 'fence', 'data', ...migrating, ...preparing(preparation), ...SWAP],
    pending,
    digest,
  }
}

/** The same steps with the adoption of what runs, before anything is done to it. */
export function adopting(steps: readonly Step[]): readonly Step[] {
  return steps.flatMap((step) => (step === 'fence' ? [step, 'adopt' as const] : [step]))
}

/** The plan of a code-only rollback: the schema stays, so the old code must fit it. */
export function planRollback(preparation: Preparation): Plan {
  const steps: Step[] = ['recover', 'fence', 'data', 'fit', ...preparing(preparation), ...SWAP]
  return { kind: 'rollback', steps, pending: [], digest: '' }
}

/** A job may build what is collected. */
function preparing(preparation: Preparation): Step[] {
  return [...(preparation.jobs.length > 0 ? ['jobs' as const] : []), ...(preparation.static ? ['static' as const] : [])]
}

/** `app.name=source`, as the probe compares what it finds with what was approved. */
export function approve(pending: readonly Migration[]): string[] {
  return pending.map((migration) => `${migration.app}.${migration.name}=${migration.source}`)
}
