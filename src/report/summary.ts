import { codeOf, explain, TROUBLESHOOTING } from '../errors.ts'
import type { MadeBackup } from '../django/document.ts'
import { labelOf } from '../django/label.ts'
import { describeVerdict, type ShownMigration, type ShownOperation } from '../django/verdict/show.ts'
import { block, code, details, escape, link, table } from './markdown.ts'
import { versionThatServes, type Findings, type Outcome, type ShownPlan, type TimedStep } from './report.ts'

/** GitHub drops a summary above 1 MiB. Long texts are cut, and sections beyond the limit are left out. */
const MOST_BYTES = 900_000
/** GitHub refuses a comment above 65 536 characters. */
const MOST_BYTES_OF_COMMENT = 60_000
const LONGEST_ERROR = 8_000
const MOST_MIGRATIONS = 100
const MOST_OPERATIONS = 30
const MOST_NAMES = 200
/** The most lines of one table or list. A first deploy has dozens of steps. */
const MOST_ROWS = 100

/** The addresses of the pages that the summary links to. */
export type Pages = {
  /** docs/troubleshooting.md. */
  troubleshooting?: string | undefined
  /** README.md, which has a workflow for rollbacks. */
  readme?: string | undefined
}

/** The job summary. Its first line is for everybody, the rest for people who must act. Pure. */
export function renderSummary(findings: Findings, outcome: Outcome, pages: Pages = {}): string {
  const { plan } = findings
  return join([
    [`## ${escape(headline(findings, outcome))}`, ''],
    outcome.kind === 'failed' ? renderFailure(findings, outcome.cause, pages) : [],
    factTable(facts(findings, outcome)),
    plan ? renderOperations(plan, findings.course, outcome) : [],
    plan ? renderMigrations(plan, findings, outcome) : [],
    renderWarnings(findings.warnings),
    renderImages(findings),
    renderSteps(findings.steps),
    renderWayBack(findings, outcome, pages),
  ])
}

/**
 * The comment on a pull request or in the notes of a release. Pure. It never has program output: the runner hides
 * secrets in the log and in the summary, but not in requests to GitHub's API.
 */
export function renderComment(findings: Findings, outcome: Outcome, pages: Pages & { run: string }): string {
  const { plan, host, serving } = findings
  const told = serving.kind === 'broken' ? { ...findings, serving: { ...serving, trouble: 'see the run' } } : findings
  const now = host === undefined ? [] : [`When the job ended, this served: ${escape(servingNow(findings))}.`]
  const page = pages.troubleshooting ?? TROUBLESHOOTING
  const reason = outcome.kind === 'failed' ? codeOf(outcome.cause) : undefined
  return join(
    [
      [`### ${escape(headline(told, outcome))}`, ''],
      [[...now, `${link('The run', pages.run)} has the details.`].join(' '), ''],
      reason === undefined ? [] : [`The reason: ${link(reason, `${page}#${reason}`)}`, ''],
      plan ? renderOperations(plan, findings.course, outcome) : [],
      plan ? renderMigrations(plan, findings, outcome) : [],
      renderImages(findings),
    ],
    MOST_BYTES_OF_COMMENT,
  )
}

/** Joins the parts up to the limit. The most important parts come first. */
function join(parts: readonly (readonly string[])[], most = MOST_BYTES): string {
  const taken: string[] = []
  let bytes = 0
  for (const part of parts) {
    const text = part.map((line) => `${line}\n`).join('')
    bytes += Buffer.byteLength(text)
    if (bytes <= most) taken.push(text)
  }
  return taken.join('') + (bytes <= most ? '' : 'The rest is too long: see the log.\n')
}

/** One sentence about the current state. */
export function headline(findings: Findings, outcome: Outcome): string {
  const project = findings.project ?? 'the project'
  switch (outcome.kind) {
    case 'deployed':
      return `✅ ${project} serves ${findings.version}`
    case 'rolled-back':
      return `✅ ${project} is back at ${findings.version}`
    case 'unchanged':
      return `✅ ${project} already served ${describeEqual(findings)}; nothing was changed`
    case 'planned':
      return `📋 The plan for ${findings.version}; nothing was changed`
    case 'built':
      return `✅ ${findings.version} is built`
    case 'failed':
      return `❌ ${failed(findings)}`
  }
}

/** An equal release may serve under another version. */
function describeEqual({ serving, version }: Findings): string {
  const current = versionThatServes(serving)
  return current === undefined || current === version ? `${version}` : `${current}, which equals ${version}`
}

function failed(findings: Findings): string {
  const { serving, version, command } = findings
  const isServed = versionThatServes(serving) === version
  const missed = isServed ? `the ${command} failed` : `${version} was not ${DONE[command]}`
  return [missed, describeServing(findings)].filter((part) => part !== undefined).join('; ')
}

/** A clause that says what serves now; undefined when that is unknown. */
export function describeServing({ project, serving }: Findings): string | undefined {
  switch (serving.kind) {
    case 'release':
      return `${project ?? 'the project'} serves ${serving.version}${
        serving.again === undefined ? ' (it was not touched)' : ` again after ${serving.again.toFixed(1)} s`
      }`
    case 'broken':
      return `${serving.version} runs again, but it cannot serve: ${serving.trouble}`
    case 'forward':
      return serving.trouble === undefined
        ? `${project ?? 'the project'} serves ${serving.version}, although not all of its deployment succeeded`
        : `nothing serves: ${serving.version} stays, but it is not healthy; its migrations rule out a revert`
    case 'nothing':
      return 'nothing serves'
    case 'unknown':
      return undefined
  }
}

function servingNow({ serving, since }: Findings): string {
  switch (serving.kind) {
    case 'release':
      return `${serving.version}${since === undefined ? '' : `, since ${describeTime(since)}`}`
    case 'broken':
      return `nothing: ${serving.version} runs, but it cannot serve`
    case 'forward':
      return serving.trouble === undefined ? serving.version : `nothing: ${serving.version} runs, but it is not healthy`
    default:
      return serving.kind
  }
}

/** `2026-11-29 04:02:31 UTC` */
function describeTime(iso: string): string {
  const [, date, time] = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)/.exec(iso) ?? []
  return date === undefined ? iso : `${date} ${time} UTC`
}

const DONE = { deploy: 'deployed', rollback: 'restored', build: 'built' } as const

/** The reason, the failed container's lines, and how the host reacted. */
function renderFailure(
  { aftermath, host, serving, manage }: Findings,
  cause: unknown,
  pages: Pages,
): readonly string[] {
  const page = pages.troubleshooting ?? TROUBLESHOOTING
  const text = explain(cause, { page, manage })
  const unseen = aftermath?.lines.filter((line) => !text.includes(line.trim())) ?? []
  const untouched =
    host === undefined || serving.kind === 'unknown' ? [] : ['The containers that serve were not touched.']
  const done = aftermath?.done ?? untouched
  return [
    ...block(cut(text)),
    `What this means and what to do: ${link(codeOf(cause), `${page}#${codeOf(cause)}`)}`,
    '',
    ...(unseen.length > 0 ? [`The last lines of ${code(aftermath?.container ?? 'the container')}:`, ''] : []),
    ...(unseen.length > 0 ? block(cut(aftermath?.lines.join('\n') ?? '')) : []),
    ...(done.length > 0 ? ['### What was done about it', '', ...done.map((each) => `- ${escape(each)}`), ''] : []),
  ]
}

/** The first fact is the head of the table, because GitHub shows an empty head as an empty line. */
function factTable([first, ...rest]: readonly [string, string][]): readonly string[] {
  return first === undefined ? [] : table(first, rest)
}

function facts(findings: Findings, outcome: Outcome): [string, string][] {
  const { host, directory, previous, serving, health, stoppedSeconds, backup, url } = findings
  if (host === undefined) return []
  const before: [string, string] = [
    'served before',
    escape(previous ?? (outcome.kind === 'failed' ? 'unknown or nothing' : 'nothing')),
  ]
  return [
    ['serves now', escape(servingNow(findings))],
    ...(previous !== undefined && previous === versionThatServes(serving) ? [] : [before]),
    ['host', escape(host) + (directory === undefined ? '' : `, ${code(directory)}`)],
    ...(url === undefined ? [] : [['address', escape(url)] as [string, string]]),
    ...(health ? [['health check', describeHealth(health)] as [string, string]] : []),
    ...(stoppedSeconds === undefined
      ? []
      : [['the site was stopped for', `${stoppedSeconds.toFixed(1)} s`] as [string, string]]),
    ...(backup ? [describeBackup(backup)] : []),
  ]
}

function describeHealth({ url, status, text }: NonNullable<Findings['health']>): string {
  if (url === undefined || status === undefined) return escape(text)
  return `${code(url)} answers ${status}`
}

function describeBackup({ file, bytes, restore }: MadeBackup): [string, string] {
  return ['backup', `${megabytes(bytes)}, ${code(file)}<br>to restore it, on the host: ${code(restore)}`]
}

const megabytes = (bytes: number): string =>
  bytes < 1_000_000 ? `${Math.ceil(bytes / 1000)} kB` : `${(Math.floor(bytes / 100_000) / 10).toFixed(1)} MB`

/** The operations with their reasons. A plan that was not executed also shows its course. */
function renderOperations({ operations }: ShownPlan, course: readonly string[], outcome: Outcome): readonly string[] {
  const isDone = outcome.kind === 'deployed' || outcome.kind === 'rolled-back'
  const shown = operations.slice(0, MOST_NAMES)
  const rows = shown.map(({ step, object, reason }) => [escape(step), escape(object), escape(reason)])
  const more = operations.length - shown.length
  return [
    `### ${isDone ? 'What was done' : 'Plan'}`,
    '',
    ...(isDone ? [] : course.flatMap((sentence) => [escape(sentence), ''])),
    ...table(['step', 'object', 'why'], rows),
    ...(more > 0 ? [`and ${more} more.`, ''] : []),
  ]
}

function renderMigrations(plan: ShownPlan, findings: Findings, outcome: Outcome): readonly string[] {
  const times = new Map(findings.applied.map((applied) => [labelOf(applied), applied.milliseconds]))
  const pending = outcome.kind === 'planned' ? 'pending' : 'not applied'
  const rows = plan.pending.slice(0, MOST_MIGRATIONS).map((migration) => {
    const name = labelOf(migration)
    const time = times.get(name)
    const applied = time === undefined ? pending : `in ${(time / 1000).toFixed(2)} s`
    return [escape(name), describeOperations(migration), describeMigration(migration), applied]
  })
  const more = plan.pending.length - rows.length
  return [
    ...(rows.length === 0 ? ['No migrations are pending.', ''] : ['### Migrations', '']),
    ...table(['migration', 'operations', 'verdict', 'applied'], rows),
    ...(more > 0 ? [`and ${more} more.`, ''] : []),
    ...warn('The models changed without a migration (run makemigrations):', plan.drift),
    ...warn('The database has migrations that this image does not know:', plan.unknown),
  ]
}

function describeOperations({ operations }: ShownMigration): string {
  const texts = operations.slice(0, MOST_OPERATIONS).map(renderOperation)
  if (operations.length > texts.length) texts.push(`and ${operations.length - texts.length} more`)
  return texts.join('<br>')
}

function renderOperation(operation: ShownOperation): string {
  const verdict = describeVerdict(operation) || (operation.reversible ? '' : 'not reversible')
  return escape(operation.text) + (verdict === '' ? '' : ` **(${escape(verdict)})**`)
}

/** The effect of all operations on the old code and on the data; empty without verdicts. */
function describeMigration({ operations }: ShownMigration): string {
  if (!operations.some(({ oldCode }) => oldCode !== undefined)) return ''
  const breaks = operations.some(({ oldCode }) => oldCode === 'breaks')
  const loses = operations.some(({ loses: lost = [] }) => lost.length > 0)
  const stays = operations.some(({ reverses = 'fully' }) => reverses === 'no')
  const parts = [
    ...(breaks ? ['the old code breaks'] : []),
    ...(loses ? ['data is lost'] : []),
    ...(stays ? ['cannot be undone'] : []),
  ]
  return parts.length === 0 ? 'safe' : `⚠️ ${parts.join(', ')}`
}

function warn(text: string, items: readonly string[]): string[] {
  if (items.length === 0) return []
  const names = items.slice(0, MOST_NAMES).map(escape)
  if (items.length > names.length) names.push(`and ${items.length - names.length} more`)
  return [`> ⚠️ ${text} ${names.join(', ')}`, '']
}

function renderWarnings(warnings: readonly string[]): readonly string[] {
  if (warnings.length === 0) return []
  const shown = warnings.slice(0, MOST_ROWS).map((text) => `- ${escape(text)}`)
  const more = warnings.length - shown.length
  return ['### Warnings', '', ...shown, ...(more > 0 ? [`- and ${more} more: see the log`] : []), '']
}

/** Services with the same image share a line. */
function renderImages({ images, sizes }: Findings): readonly string[] {
  const services = Map.groupBy(Object.keys(images), (service) => images[service] ?? '')
  const rows = [...services].slice(0, MOST_ROWS).map(([image, names]) => {
    const bytes = sizes.get(image)
    return [escape(names.join(', ')), code(image), bytes === undefined ? '' : megabytes(bytes)]
  })
  return rows.length === 0 ? [] : ['### Images', '', ...table(['service', 'image', 'size'], rows)]
}

const BAR_WIDTH = 24

/** The timeline: one bar per step, which starts where the step started. */
function renderSteps(steps: readonly TimedStep[]): readonly string[] {
  const shown = steps.slice(0, MOST_ROWS)
  const start = Math.min(...shown.map(({ begun }) => begun))
  const end = Math.max(...shown.map(({ begun, seconds }) => begun + seconds * 1000))
  const scale = BAR_WIDTH / Math.max(end - start, 1)
  const rows = shown.map(({ name, place, begun, seconds, hasFailed }) => {
    const from = Math.min(Math.floor((begun - start) * scale), BAR_WIDTH - 1)
    const length = Math.min(Math.max(Math.round(seconds * 1000 * scale), 1), BAR_WIDTH - from)
    const bar = '·'.repeat(from) + '█'.repeat(length) + '·'.repeat(BAR_WIDTH - from - length)
    return [escape(name) + (hasFailed ? ' ❌' : ''), place, `${seconds.toFixed(1)} s`, code(bar)]
  })
  const whole = ((end - start) / 1000).toFixed(1)
  return rows.length === 0 ? [] : details(`Time: ${whole} s`, table(['step', 'on the', 'took', ''], rows))
}

/** How to roll back to the release that served before. */
function renderWayBack(findings: Findings, outcome: Outcome, { readme }: Pages): readonly string[] {
  const { previous, version, plan, rollbackPage, directory, command } = findings
  const isDone = outcome.kind === 'deployed' || outcome.kind === 'rolled-back'
  if (!isDone || previous === undefined || previous === version) return []
  const title = command === 'rollback' ? `### Forward again to ${escape(previous)}` : '### Roll back'
  const to = escape(previous)
  if (plan?.return === 'none' && command === 'deploy') {
    return [title, '', `${to} cannot come back: a migration loses data, or cannot be undone.`, '']
  }
  const reversing = plan?.return === 'reverse' && command === 'deploy'
  const inputs = `version ${code(previous)}${reversing ? ` and ${code('reverse-migrations: true')}` : ''}`
  const missing = readme === undefined ? 'a workflow' : link('a workflow', `${readme}#use-it`)
  const way =
    rollbackPage === undefined
      ? `Add ${missing} that uses the action \`rollback\`, and run it with ${inputs}.`
      : `Run ${link('the workflow that rolls back', rollbackPage)} with ${inputs}.`
  const loss = reversing
    ? ' This loses all data written since the deployment to tables and columns that its migrations added.'
    : ''
  const words = `sh ${directory}/.deploy/rollback ${reversing ? '--reverse-migrations ' : ''}${previous}`
  const alone = directory === undefined ? [] : [`Without GitHub, on the host: ${code(words)}`, '']
  return [title, '', way + loss, '', ...alone]
}

function cut(text: string): string {
  return text.length <= LONGEST_ERROR ? text : `${text.slice(0, LONGEST_ERROR)}\n…`
}
