import { createHash } from 'node:crypto'
import { canonical } from '../canonical.ts'
import type { LivePlan, Migration, OfflinePlan } from '../django/document.ts'
import { wordOf } from '../django/label.ts'
import { DeployError } from '../errors.ts'
import { backingUp } from './backup.ts'
import type { Course, Migrate, Order, Return } from './order.ts'

/** A step of a deployment: a function `step_<name>` in src/host/transaction/. */
export type Step =
  | 'recover'
  | 'fence'
  | 'adopt'
  | 'data'
  | 'stop'
  | 'replan'
  | 'backup'
  | 'migrate'
  | 'unapply'
  | 'fit'
  | 'jobs'
  | 'static'
  | 'try'
  | 'swap'
  | 'proxy'
  | 'health'
  | 'verify'
  | 'commit'
  | 'prune'

/** A deployment's plan, decided on the runner. The host only executes it. */
export type Plan = {
  kind: 'deploy' | 'unchanged' | 'rollback'
  steps: readonly Step[]
  /** The migrations that the database lacks. */
  pending: readonly Migration[]
  /** When they are applied. */
  order: Order
  /** How a failure before the commit is reverted. */
  return: Return
  /** Identifies the probe's findings. */
  digest: string
}

const SWAP: readonly Step[] = ['swap', 'proxy', 'health', 'verify', 'commit', 'prune']
const LOOK_ONLY: readonly Step[] = ['recover', 'fence', 'health', 'verify']

/**
 * The work before the containers start: jobs run to their end, static files are collected, a trial container is
 * checked.
 */
export type Preparation = { jobs: readonly string[]; static: boolean; try: boolean }

/** Whether a deploy has something to apply or to record. If not, `verify` notices changes made since then. */
export function hasMigrations(found: LivePlan | OfflinePlan): boolean {
  return pendingOf(found).length > 0 || (found.kind === 'live' && found.unrecorded.length > 0)
}

const pendingOf = (found: LivePlan | OfflinePlan): readonly Migration[] =>
  found.kind === 'live' ? found.pending : found.migrations

/** The plan for a release that serves already. */
export function planLook(digest: string, pending: readonly Migration[] = []): Plan {
  return { kind: 'unchanged', steps: LOOK_ONLY, pending, order: 'none', return: 'containers', digest }
}

/** The plan of a deploy. `same`: the current release has the same images, files and settings. */
export function planDeploy(
  found: LivePlan | OfflinePlan,
  migrate: Migrate,
  course: Course,
  same: boolean,
  preparation: Preparation,
): Plan {
  const pending = pendingOf(found)
  const { digest } = found
  if (same && (pending.length === 0 || migrate === 'none')) return planLook(digest, pending)
  return {
    kind: 'deploy',
    steps: ['recover', 'fence', 'data', ...MIGRATING[course.order], ...preparing(preparation), ...SWAP],
    pending,
    order: course.order,
    return: course.return,
    digest,
  }
}

/** The parts of a deployment's digest other than the database and its migrations. */
export type Decisive = {
  /** The release's fingerprint: images, files and settings, with the contents of env files and secrets. */
  fingerprint: string
  operations: readonly { step: string; object: string }[]
  /** As `service=number`. */
  counts: { scale: readonly string[]; counts: readonly string[] }
}

/**
 * Identifies a plan as it is shown. Reasons are left out, because they contain sizes and times, which decide nothing.
 */
export function digestPlan(
  { digest, steps, order, return: way }: Pick<Plan, 'digest' | 'steps' | 'order' | 'return'>,
  { fingerprint, operations, counts }: Decisive,
): string {
  const done = operations.map(({ step, object }) => [step, object])
  return createHash('sha256')
    .update(canonical({ found: digest, steps, order, way, fingerprint, done, counts }))
    .digest('hex')
}

const MIGRATING: Readonly<Record<Order, readonly Step[]>> = {
  before: ['replan', 'migrate'],
  stopped: ['replan', 'stop', 'migrate'],
  none: [],
}

/** Inserts the adoption of the running stack, before anything changes it. */
export function adopting(steps: readonly Step[]): readonly Step[] {
  return steps.flatMap((step) => (step === 'fence' ? [step, 'adopt' as const] : [step]))
}

/**
 * The plan of a rollback; `found` identifies the probe's findings. If nothing is unapplied, the schema stays and the old
 * code must be compatible with it.
 */
export function planRollback(preparation: Preparation, isReversing: boolean, found = ''): Plan {
  const reversing: readonly Step[] = isReversing ? ['replan', 'stop', 'unapply'] : []
  return {
    kind: 'rollback',
    steps: ['recover', 'fence', 'data', ...reversing, 'fit', ...preparing(preparation), ...SWAP],
    pending: [],
    order: isReversing ? 'stopped' : 'none',
    return: 'containers',
    digest: found,
  }
}

/** The facts of a release with which the host rolls back to it without GitHub. There, a reversal has a backup first. */
export function rollbackFacts(
  preparation: Preparation,
): Readonly<Record<`${'rollback' | 'reversal'}-steps`, readonly Step[]>> {
  return {
    'rollback-steps': planRollback(preparation, false).steps,
    'reversal-steps': backingUp(planRollback(preparation, true).steps),
  }
}

/** The order matters: a job may build files to collect, and the app reads their manifest at its start. */
function preparing(preparation: Preparation): Step[] {
  return [
    ...(preparation.jobs.length > 0 ? ['jobs' as const] : []),
    ...(preparation.static ? ['static' as const] : []),
    ...(preparation.try ? ['try' as const] : []),
  ]
}

/** Each as a word, with its source: the probe compares its findings with these approved migrations. */
export function approve(pending: readonly Migration[]): string[] {
  return pending.map((migration) => `${wordOf(migration)}=${migration.source}`)
}

/** The error for a plan that differs from the approved one. */
export function otherPlan(approved: string, digest: string): DeployError {
  return new DeployError('plan-digest', {
    what: 'The plan is not the one that was approved',
    seen: `digest ${digest}, approved ${approved}`,
    why: 'the database, the image, a setting or secret, or the running containers changed since the plan was shown',
    fix: 'look at the plan in the job summary and approve its digest, or leave plan-digest out; with the reusable workflow, run all of its jobs again',
  })
}
