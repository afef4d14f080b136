import type { Applied, Pending } from '../django/document.ts'
import { outputs } from '../outputs.ts'

/** What is known about a run so far; a command fills it while it works, so that a failure has a report as well. */
export type Report = {
  command: 'deploy' | 'rollback' | 'build'
  outcome: 'deployed' | 'unchanged' | 'planned' | 'rolled-back' | 'built' | 'failed'
  version: string
  /** Versions: what served just before, and what answers now. */
  previous: string | undefined
  serving: string | undefined
  project: string | undefined
  /** Undefined for a `build`, which asks no server. */
  host: string | undefined
  /** Public address, as it was given. */
  url: string | undefined
  /** Service to `name@digest`. */
  images: Readonly<Record<string, string>>
  plan: ShownPlan | undefined
  applied: readonly Applied[]
  /** Seconds of each step on the server, in order. */
  steps: readonly { name: string; seconds: number }[]
}

/** The plan as people and later steps see it. */
export type ShownPlan = {
  digest: string
  steps: readonly string[]
  pending: readonly Pick<Pending, 'app' | 'name' | 'operations'>[]
  /** Rows of django_migrations that the image does not know. */
  unknown: readonly string[]
  /** Model changes without a migration. */
  drift: readonly string[]
}

/** A report before anything is known. */
export function startReport(command: Report['command'], host: Report['host'], version: string): Report {
  return {
    command,
    outcome: 'failed',
    version,
    previous: undefined,
    serving: undefined,
    project: undefined,
    host,
    url: undefined,
    images: {},
    plan: undefined,
    applied: [],
    steps: [],
  }
}

/** The outputs of the step, also after a failure. */
export function outputsOf(report: Report): Readonly<Record<string, string>> {
  const all = {
    outcome: report.outcome,
    version: report.version,
    'previous-version': report.previous ?? '',
    serving: report.serving ?? '',
    images: JSON.stringify(report.images),
    migrations: JSON.stringify(report.applied.map((applied) => ({ ...applied, state: 'applied' }))),
    plan: report.plan === undefined ? '' : JSON.stringify(report.plan),
    url: report.url ?? '',
    'plan-digest': report.plan?.digest ?? '',
  }
  return Object.fromEntries(Object.entries(all).filter(([name]) => name in outputs[report.command]))
}
