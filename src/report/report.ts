import type { Operation } from '../deployment/operation.ts'
import type { Order, Return } from '../deployment/order.ts'
import type { Applied, MadeBackup } from '../django/document.ts'
import type { ShownMigration } from '../django/verdict/show.ts'
import { outputs } from './outputs.ts'

/** How a command ended. */
export type Outcome =
  { kind: 'deployed' | 'unchanged' | 'planned' | 'rolled-back' | 'built' } | { kind: 'failed'; cause: unknown }

/** Results of a run so far. Each step adds to them, so that a failed run has outputs and a summary as well. */
export type Findings = {
  command: 'deploy' | 'rollback' | 'build'
  version: string
  /** The version that served just before. */
  previous: string | undefined
  serving: Serving
  project: string | undefined
  /** Undefined for a `build`, which connects to no host. */
  host: string | undefined
  /** The public address, as given. */
  url: string | undefined
  /** Service to `name@digest`. */
  images: Readonly<Record<string, string>>
  plan: ShownPlan | undefined
  /** Effects of the plan on the site, in sentences. */
  course: readonly string[]
  applied: readonly Applied[]
  /** How long the site was stopped for its migrations; undefined without a stop. */
  stoppedSeconds: number | undefined
  /** The backup of the database from before its migrations. */
  backup: MadeBackup | undefined
  /** The steps on the runner and on the host, in order. */
  steps: readonly TimedStep[]
  /** The project's directory on the host. */
  directory: string | undefined
  /** Since when the version in `serving` serves, as ISO 8601. */
  since: string | undefined
  /** Unpacked sizes of the images on the runner in bytes, by `name@digest`. */
  sizes: ReadonlyMap<string, number>
  /** The app's answer to the last HTTP health check. */
  health: HealthAnswer | undefined
  /** Undefined unless a deployment started on the host and failed. */
  aftermath: Aftermath | undefined
  /** The page of the workflow that rolls back; undefined when the repository has none. */
  rollbackPage: string | undefined
  /** The command that starts manage.py; undefined while it is unknown. */
  manage: readonly string[] | undefined
  /** All warnings of the step, also those beyond GitHub's limit of annotations. */
  warnings: readonly string[]
}

/** One line of the timeline: `Build` on the runner, `swap` on the host. */
export type TimedStep = {
  name: string
  place: 'runner' | 'host'
  /** Milliseconds since 1970, by the runner's clock. */
  begun: number
  seconds: number
  hasFailed: boolean
}

/** An HTTP answer and its assessment. */
type HealthAnswer = { url?: string | undefined; status?: number | undefined; text: string }

/** What a failed deployment left: the failed container's lines, and how the host reacted. */
export type Aftermath = {
  /** The failed container and its relevant lines. */
  container: string | undefined
  lines: readonly string[]
  done: readonly string[]
}

/**
 * What serves now. `again`: the seconds until a reverted release served again. `broken`: it runs again but cannot
 * serve. `forward`: it failed and stays, because no revert was possible; it serves unless `trouble` is set.
 */
export type Serving =
  | { kind: 'release'; version: string; again: number | undefined }
  | { kind: 'broken'; version: string; trouble: string }
  | { kind: 'forward'; version: string; trouble: string | undefined }
  | { kind: 'nothing' }
  | { kind: 'unknown' }

/** The version that serves now, if any. */
export function versionThatServes(serving: Serving): string | undefined {
  const isGood = serving.kind === 'release' || (serving.kind === 'forward' && serving.trouble === undefined)
  return isGood ? serving.version : undefined
}

/** The state in which this version serves; without a version, nothing serves. */
export function servingOf(version: string | undefined, again?: number): Serving {
  return version === undefined ? { kind: 'nothing' } : { kind: 'release', version, again }
}

/** The plan as people and later steps see it. */
export type ShownPlan = {
  digest: string
  /** When the pending migrations run, and how a failure is reverted. */
  order: Order
  return: Return
  /** The expected length of the stop, from the last deployment that stopped the app; undefined when unknown. */
  expectedStopSeconds?: number | undefined
  /** The operations of the plan, with their reasons. */
  operations: readonly Operation[]
  /** Pending migrations with the verdict of each operation. */
  pending: readonly ShownMigration[]
  /** Rows of django_migrations that the image does not know. */
  unknown: readonly string[]
  /** Model changes without a migration. */
  drift: readonly string[]
}

/** The initial findings, before anything is known. */
export function noFindings(command: Findings['command'], host: Findings['host'], version: string): Findings {
  return {
    command,
    version,
    previous: undefined,
    serving: { kind: 'unknown' },
    project: undefined,
    host,
    url: undefined,
    images: {},
    plan: undefined,
    course: [],
    stoppedSeconds: undefined,
    applied: [],
    backup: undefined,
    steps: [],
    directory: undefined,
    since: undefined,
    sizes: new Map(),
    health: undefined,
    aftermath: undefined,
    rollbackPage: undefined,
    manage: undefined,
    warnings: [],
  }
}

/** The outputs of the step, also after a failure. */
export function outputsOf(findings: Findings, outcome: Outcome): Readonly<Record<string, string>> {
  const all = {
    outcome: outcome.kind,
    version: findings.version,
    'previous-version': findings.previous ?? '',
    serving: versionThatServes(findings.serving) ?? '',
    images: JSON.stringify(findings.images),
    migrations: JSON.stringify(findings.applied.map((applied) => ({ ...applied, state: 'applied' }))),
    plan: findings.plan === undefined ? '' : JSON.stringify(findings.plan),
    url: findings.url ?? '',
    'plan-digest': findings.plan?.digest ?? '',
  }
  return Object.fromEntries(Object.entries(all).filter(([name]) => name in outputs[findings.command]))
}
