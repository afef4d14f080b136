import { wordOf } from '../django/label.ts'
import type { Judged } from '../django/verdict/judge.ts'

/** When the pending migrations run: `before` the app is replaced, while it is `stopped`, or not in this deploy. */
export type Order = 'before' | 'stopped' | 'none'

/**
 * How a deploy that fails before its commit is reverted. `containers`: the old containers start again. `reverse`: the
 * new image first unapplies its migrations. `none`: no revert; the new release stays until a newer one repairs it.
 */
export type Return = 'containers' | 'reverse' | 'none'

/** The input `migrate`. */
export type Migrate = 'auto' | 'before' | 'stopped' | 'external' | 'none'

/** When the migrations of a deploy run, and how it is reverted. */
export type Course = { order: Order; return: Return }

/** A course, and the migrations that need approval before it starts. */
export type Choice = Course & {
  /** Migrations without approval: once they are applied, the old code no longer works as before. */
  unapproved: readonly Judged[]
}

/** The parameters of `chooseCourse`. */
export type CourseFacts = {
  /** Whether migrations must be applied or recorded, even without a verdict. */
  isMigrating: boolean
  judged: readonly Judged[]
  migrate: Migrate
  /** Whether a current release must work with the new schema; false on a first deploy. */
  isServing: boolean
  /** Migrations that the input approves, as `app.name`; `all` approves every one. */
  accepted: readonly string[]
}

/** Pure: the worst migration decides. */
export function chooseCourse({ isMigrating, judged, migrate, isServing, accepted }: CourseFacts): Choice {
  if (!isMigrating || migrate === 'external' || migrate === 'none') return choice('none', 'containers')
  // Squashed migrations that are only recorded have no verdict.
  if (!isServing || judged.length === 0) return choice('before', 'containers')
  const forced = migrate === 'auto' ? undefined : migrate
  if (!judged.some(breaksOldCode)) return choice(forced ?? 'before', 'containers')
  const kept = judged.filter(isLasting)
  const unapproved = kept.filter((each) => !isApproved(each, accepted))
  return choice(forced ?? 'stopped', kept.length === 0 ? 'reverse' : 'none', unapproved)
}

/** Migrations, as words, that decide on the host which revert is possible when only part of them was applied. */
export function listObstacles(judged: readonly Judged[]): { breaking: readonly string[]; lasting: readonly string[] } {
  const names = (some: readonly Judged[]): string[] => some.map(wordOf)
  return { breaking: names(judged.filter(breaksOldCode)), lasting: names(judged.filter(isLasting)) }
}

/** Whether it stands in the way of the old code. Outside of `default` only one does that breaks it: none is unapplied. */
const isLasting = (judged: Judged): boolean =>
  judged.database === undefined ? judged.verdict.reverses !== 'fully' : breaksOldCode(judged)

/** Approved by the mark in the migration's file, or by the input. */
export function isApproved({ app, name, accept }: Judged, accepted: readonly string[]): boolean {
  return accept || accepted.includes('all') || accepted.includes(`${app}.${name}`)
}

export function breaksOldCode({ verdict }: Judged): boolean {
  return verdict.breaks.length > 0
}

function choice(order: Order, way: Return, unapproved: readonly Judged[] = []): Choice {
  return { order, return: way, unapproved }
}

/**
 * The course in sentences. `serving` is the version that serves now, if any. `lastStopSeconds` is the length of the
 * last stop.
 */
export function describeCourse(
  course: Course,
  version: string,
  serving: string | undefined,
  lastStopSeconds?: number,
): readonly string[] {
  // Equal when a tag was moved, or its settings changed.
  const before = serving === version ? `the current ${serving}` : serving
  const after = serving === version ? `the new ${version}` : version
  return [...describeOrder(course.order, before, lastStopSeconds), describeReturn(course.return, after, before)]
}

function describeOrder(order: Order, serving: string | undefined, lastStopSeconds?: number): readonly string[] {
  switch (order) {
    case 'before':
      return serving === undefined ? [] : [`The migrations run while ${serving} serves: the site stays up.`]
    case 'stopped':
      return [`The site is stopped while the migrations run${describeLast(lastStopSeconds)}.`]
    case 'none':
      return []
  }
}

const describeLast = (seconds: number | undefined): string =>
  seconds === undefined ? '' : `; the last stop took ${seconds.toFixed(1)} s`

function describeReturn(way: Return, version: string, serving: string | undefined): string {
  if (serving === undefined) return `If ${version} fails, nothing serves.`
  switch (way) {
    case 'containers':
      return `If ${version} fails, ${serving} serves again. Migrations that were applied stay applied.`
    case 'reverse':
      return `If ${version} fails, its migrations are unapplied without loss, and ${serving} serves again.`
    case 'none':
      return `If ${version} fails after its migrations, there is no revert, because ${serving} cannot work with them: ${version} stays until a newer release fixes it.`
  }
}
