import { explain } from '../errors.ts'
import { escape } from './markdown.ts'
import type { Report, ShownPlan } from './report.ts'

/** GitHub drops a summary above 1 MiB whole; far below that, what is long is cut. */
const LONGEST_ERROR = 8_000
const MOST_MIGRATIONS = 100
const MOST_OPERATIONS = 30
const MOST_NAMES = 200

/** The job summary: the first line for everybody, the rest for who has to act on it. Pure. */
export function renderSummary(report: Report, failure: unknown): string {
  return [
    `## ${escape(headline(report))}`,
    '',
    ...(failure === undefined ? [] : ['```text', cut(explain(failure)).replaceAll('```', "'''"), '```', '']),
    ...facts(report),
    ...(report.plan ? renderPlan(report.plan, report) : []),
    ...renderSteps(report),
  ].join('\n')
}

/** One sentence that says what is true now. */
export function headline(report: Report): string {
  const project = report.project ?? 'the project'
  switch (report.outcome) {
    case 'deployed':
      return `✅ ${project} serves ${report.version}`
    case 'rolled-back':
      return `✅ ${project} is back at ${report.version}`
    case 'unchanged':
      return `✅ ${project} already served ${report.version}; nothing was changed`
    case 'planned':
      return `📋 The plan for ${report.version}; nothing was changed`
    case 'built':
      return `✅ ${report.version} is built`
    case 'failed':
      return `❌ ${failed(report)}`
  }
}

function failed(report: Report): string {
  const { serving, version } = report
  const project = report.project ?? 'the project'
  if (serving === version) return `the ${report.command} failed; ${project} serves ${version}`
  const missed = `${version} was not ${DONE[report.command]}`
  return serving === undefined ? missed : `${missed}; ${project} serves ${serving}`
}

const DONE = { deploy: 'deployed', rollback: 'restored', build: 'built' } as const

function facts(report: Report): string[] {
  const rows: [string, string][] = [
    ...(report.host === undefined ? [] : serverFacts(report, report.host)),
    ...Object.entries(report.images).map(([service, image]): [string, string] => [
      `image of ${escape(service)}`,
      `\`${image}\``,
    ]),
  ]
  return ['| | |', '|---|---|', ...rows.map(([name, value]) => `| ${name} | ${value} |`), '']
}

function serverFacts(report: Report, host: string): [string, string][] {
  return [
    ['server', escape(host)],
    ['served before', escape(report.previous ?? (report.outcome === 'failed' ? 'unknown or nothing' : 'nothing'))],
    ['serves now', escape(report.serving ?? 'unknown or nothing')],
  ]
}

function renderPlan(plan: ShownPlan, report: Report): string[] {
  const times = new Map(report.applied.map((applied) => [`${applied.app}.${applied.name}`, applied.milliseconds]))
  const rows = plan.pending.slice(0, MOST_MIGRATIONS).map(({ app, name, operations }) => {
    const time = times.get(`${app}.${name}`)
    const done = time === undefined ? '' : `${(time / 1000).toFixed(2)} s`
    const texts = operations
      .slice(0, MOST_OPERATIONS)
      .map((operation) => escape(operation.text) + (operation.reversible ? '' : ' **(not reversible)**'))
    if (operations.length > texts.length) texts.push(`and ${operations.length - texts.length} more`)
    return `| ${escape(`${app}.${name}`)} | ${texts.join('<br>')} | ${done} |`
  })
  const more = plan.pending.length - rows.length
  return [
    rows.length === 0 ? 'No migrations are pending.' : '### Migrations',
    '',
    ...(rows.length === 0 ? [] : ['| migration | operations | applied in |', '|---|---|---|', ...rows, '']),
    ...(more > 0 ? [`and ${more} more.`, ''] : []),
    ...warn('The models changed without a migration (run makemigrations):', plan.drift),
    ...warn('The database has migrations that this image does not know:', plan.unknown),
  ]
}

function warn(text: string, items: readonly string[]): string[] {
  if (items.length === 0) return []
  const names = items.slice(0, MOST_NAMES).map(escape)
  if (items.length > names.length) names.push(`and ${items.length - names.length} more`)
  return [`> ⚠️ ${text} ${names.join(', ')}`, '']
}

function renderSteps(report: Report): string[] {
  if (report.steps.length === 0) return []
  const steps = report.steps.map((step) => `${step.name} ${step.seconds.toFixed(1)} s`)
  return ['<details><summary>Steps on the server</summary>', '', steps.join(' · '), '', '</details>', '']
}

function cut(text: string): string {
  return text.length <= LONGEST_ERROR ? text : `${text.slice(0, LONGEST_ERROR)}\n…`
}
