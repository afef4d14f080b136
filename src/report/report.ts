import type { Operation } from '../deployment/operation.ts'
import type { Applied } from '../django/document.ts'
import type { ShownMigration } from '../django/verdict/show.ts'
import { outputs } from '../outputs.ts'

/** How a command ended. */
export type Outcome =
  { kind: 'deployed' | 'unchanged' | 'planned' | 'rolled-back' | 'built' } | { kind: 'failed'; cause: unknown }

/** What a run has found out so far: each step adds to it, so that a failure has outputs and a summary as well. */
export type Findings = {
  command: 'deploy' | 'rollback' | 'build'
  version: string
  /** The version that served just before. */
  previous: string | undefined
  serving: Serving
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

/** What answers now. A release that was brought back says after how many seconds; `broken` runs again and does not serve. */
export type Serving =
  | { kind: 'release'; version: string; again: number | undefined }
  | { kind: 'broken'; version: string; trouble: string }
  | { kind: 'nothing' }
  | { kind: 'unknown' }

/** The release of this version serves; without one, nothing does. */
export function servingOf(version: string | undefined, again?: number): Serving {
  return version === undefined ? { kind: 'nothing' } : { kind: 'release', version, again }
}

/** The plan as people and later steps see it. */
export type ShownPlan = {
  digest: string
  /** What will be done to what, and why. */
  operations: readonly Operation[]
  /** With the verdict of each operation. */
  pending: readonly ShownMigration[]
  /** Rows of django_migrations that the image does not know. */
  unknown: readonly string[]
  /** Model changes without a migration. */
  drift: readonly string[]
}

/** The findings before anything is known. */
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
    applied: [],
    steps: [],
  }
}

/** The outputs of the step, also after a failure. */
export function outputsOf(findings: Findings, outcome: Outcome): Readonly<Record<string, string>> {
  const all = {
    outcome: outcome.kind,
    version: findings.version,
    'previous-version': findings.previous ?? '',
    serving: findings.serving.kind === 'release' ? findings.serving.version : '',
    images: JSON.stringify(findings.images),
    migrations: JSON.stringify(findings.applied.map((applied) => ({ ...applied, state: 'applied' }))),
    plan: findings.plan === undefined ? '' : JSON.stringify(findings.plan),
    url: findings.url ?? '',
    'plan-digest': findings.plan?.digest ?? '',
  }
  return Object.fromEntries(Object.entries(all).filter(([name]) => name in outputs[findings.command]))
}
