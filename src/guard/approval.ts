import type { Repository } from '../compose/repository.ts'
import { breaksOldCode } from '../deployment/order.ts'
import { labelOf } from '../django/label.ts'
import type { Judged } from '../django/verdict/judge.ts'
import { describeRecipe, findRecipe } from '../django/verdict/recipe.ts'
import type { Verdict } from '../django/verdict/verdict.ts'
import { DeployError, type Place } from '../errors.ts'

/** The parameters of `explainUnapproved`. */
export type ApprovalFacts = {
  unapproved: readonly Judged[]
  /** All pending migrations. */
  judged: readonly Judged[]
  version: string
  /** The version of the current release. */
  serving: string
  repository: Repository
}

/**
 * The refusal of a plan that could not be reverted. It has the effects, the safe way, and the line that approves it.
 */
export function explainUnapproved(facts: ApprovalFacts): DeployError {
  const { unapproved, judged, version, serving, repository } = facts
  const [first] = unapproved
  const names = unapproved.map(labelOf)
  const breaking = judged.filter(breaksOldCode).map(labelOf)
  return new DeployError('migration-unsafe', {
    what: `${version} needs an approval: after ${names.join(', ')}, a failed deployment cannot revert to ${serving}`,
    seen: unapproved.map((each) => describeUnsafe(each, serving, breaking)).join('\n'),
    why: `${serving} does not work with the new schema, and unapplying the migrations loses data or is impossible`,
    fix: [...recipesOf(facts), ...approvalOf(facts)].join('\n'),
    annotation:
      first && placeOfMigration(repository, first, first.operations.find((_, at) => isUnsafe(first, at))?.line),
  })
}

/** Names in the input `accept-migrations` that are not pending: `done` are applied, `unknown` are in no app. */
export function findSurplus(
  accepted: readonly string[],
  pending: readonly string[],
  applied: readonly string[],
): { done: readonly string[]; unknown: readonly string[] } {
  const surplus = accepted.filter((name) => name !== 'all' && !pending.includes(name))
  return {
    done: surplus.filter((name) => applied.includes(name)),
    unknown: surplus.filter((name) => !applied.includes(name)),
  }
}

/** The file of a migration in the checkout. Undefined when it comes with a package, or when several files match. */
export function placeOfMigration(
  { files }: Pick<Repository, 'files'>,
  { app, name }: { app: string; name: string },
  line: number | null | undefined,
): Place | undefined {
  const ending = `/migrations/${name}.py`
  const found = [...files.keys()].filter((path) => `/${path}`.endsWith(ending))
  const own = found.filter((path) => `/${path}`.endsWith(`/${app}${ending}`))
  const [file, ...others] = own.length > 0 ? own : found
  return file === undefined || others.length > 0 ? undefined : { file, line: line ?? undefined }
}

function isUnsafe({ verdicts }: Judged, at: number): boolean {
  const verdict = verdicts[at]
  return verdict !== undefined && (verdict.breaks.length > 0 || verdict.reverses !== 'fully')
}

function describeUnsafe(migration: Judged, serving: string, breaking: readonly string[]): string {
  const lines = migration.operations.flatMap(({ text }, at) => {
    const verdict = migration.verdicts[at]
    return verdict && isUnsafe(migration, at) ? [`  ${text}: ${describeEffect(verdict, serving)}`] : []
  })
  const others = breaking.filter((name) => name !== labelOf(migration))
  const held = breaksOldCode(migration)
    ? []
    : [`  ${serving} cannot come back after ${others.join(', ')} unless this one is unapplied too`]
  return [labelOf(migration), ...lines, ...held].join('\n')
}

const REVERSES: Readonly<Record<Verdict['reverses'], string | undefined>> = {
  fully: undefined,
  loses: 'unapplying it does not bring the data back',
  fails: 'unapplying it fails while the table has rows',
  no: 'it cannot be unapplied',
}

function describeEffect({ breaks, why, loses, reverses, unknown }: Verdict, serving: string): string {
  return [
    ...(breaks.length > 0 ? [`${serving} can no longer ${breaks.join(', ')}: ${why.join(', ')}`] : []),
    ...(loses.length > 0 ? [`lost: ${loses.join(', ')}`] : []),
    REVERSES[reverses],
    ...(unknown.length > 0 ? [`not known: ${unknown.join(', ')}`] : []),
  ]
    .filter((text) => text !== undefined)
    .join('; ')
}

/** One recipe per kind of operation: ten removed fields need only one. */
function recipesOf({ unapproved }: ApprovalFacts): string[] {
  const lessons = new Map<string, string>()
  for (const { operations, verdicts, vendor } of unapproved) {
    operations.forEach((operation, at) => {
      const verdict = verdicts[at]
      const recipe = verdict && findRecipe(operation, verdict, vendor)
      if (!recipe || lessons.has(operation.kind)) return
      lessons.set(operation.kind, `the safe way for "${operation.text}":\n${indent(describeRecipe(recipe))}`)
    })
  }
  return [...lessons.values()]
}

function approvalOf({ unapproved, version, serving, repository }: ApprovalFacts): string[] {
  const [first] = unapproved
  const names = new Set(unapproved.map(({ app, name }) => `${app}.${name}`)) // an approval counts for every database
  const file = first && placeOfMigration(repository, first, undefined)?.file
  const [only, ...others] = [...names]
  return [
    `or approve it: ${serving} is then stopped while it runs, unless \`migrate: before\` is set, and ${version} stays even if it fails. In the step:`,
    indent(
      others.length === 0
        ? `accept-migrations: ${only}`
        : ['accept-migrations: |', ...[...names].map((name) => `  ${name}`)].join('\n'),
    ),
    `or in review: the line \`# deploy-django: accept\` in ${others.length === 0 ? (file ?? 'the file of the migration') : 'the file of each'}`,
  ]
}

function indent(text: string): string {
  return text.replace(/^/gm, '  ')
}
