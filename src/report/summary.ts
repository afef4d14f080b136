import { explain } from '../errors.ts'
import { describeVerdict, type ShownOperation } from '../django/verdict/show.ts'
import { escape } from './markdown.ts'
import { describeOperation } from '../deployment/operation.ts'
import type { Findings, Outcome, ShownPlan } from './report.ts'

/** GitHub drops a summary above 1 MiB whole; far below that, what is long is cut. */
const LONGEST_ERROR = 8_000
const MOST_MIGRATIONS = 100
const MOST_OPERATIONS = 30
const MOST_NAMES = 200

/** The job summary: the first line for everybody, the rest for who has to act on it. Pure. */
export function renderSummary(findings: Findings, outcome: Outcome, page?: string): string {
  return [
    `## ${escape(headline(findings, outcome))}`,
    '',
    ...(outcome.kind === 'failed'
      ? ['```text', cut(explain(outcome.cause, { page })).replaceAll('```', "'''"), '```', '']
      : []),
    ...facts(findings, outcome),
    ...(findings.plan ? renderPlan(findings.plan, findings) : []),
    ...renderSteps(findings),
  ].join('\n')
}

/** One sentence that says what is true now. */
export function headline(findings: Findings, outcome: Outcome): string {
  const project = findings.project ?? 'the project'
  switch (outcome.kind) {
    case 'deployed':
      return `✅ ${project} serves ${findings.version}`
    case 'rolled-back':
      return `✅ ${project} is back at ${findings.version}`
    case 'unchanged':
      return `✅ ${project} already served ${findings.version}; nothing was changed`
    case 'planned':
      return `📋 The plan for ${findings.version}; nothing was changed`
    case 'built':
      return `✅ ${findings.version} is built`
    case 'failed':
      return `❌ ${failed(findings)}`
  }
}

function failed(findings: Findings): string {
  const { serving, version, command } = findings
  const isServed = serving.kind === 'release' && serving.version === version
  const missed = isServed ? `the ${command} failed` : `${version} was not ${DONE[command]}`
  return [missed, describeServing(findings)].filter((part) => part !== undefined).join('; ')
}

/** What serves now, as a clause; undefined when that is not known. */
export function describeServing({ project, serving }: Findings): string | undefined {
  switch (serving.kind) {
    case 'release':
      return `${project ?? 'the project'} serves ${serving.version}${
        serving.again === undefined ? ' (it was not touched)' : ` again after ${serving.again.toFixed(1)} s`
      }`
    case 'broken':
      return `${serving.version} runs again, but it cannot serve: ${serving.trouble}`
    case 'nothing':
      return 'nothing serves'
    case 'unknown':
      return undefined
  }
}

function servingNow(serving: Findings['serving']): string {
  switch (serving.kind) {
    case 'release':
      return serving.version
    case 'broken':
      return `nothing: ${serving.version} runs, but it cannot serve`
    default:
      return serving.kind
  }
}

const DONE = { deploy: 'deployed', rollback: 'restored', build: 'built' } as const

function facts(findings: Findings, outcome: Outcome): string[] {
  const rows: [string, string][] = [
    ...(findings.host === undefined ? [] : hostFacts(findings, outcome, findings.host)),
    ...Object.entries(findings.images).map(([service, image]): [string, string] => [
      `image of ${escape(service)}`,
      `\`${image}\``,
    ]),
  ]
  return ['| | |', '|---|---|', ...rows.map(([name, value]) => `| ${name} | ${value} |`), '']
}

function hostFacts(findings: Findings, outcome: Outcome, host: string): [string, string][] {
  return [
    ['host', escape(host)],
    ['served before', escape(findings.previous ?? (outcome.kind === 'failed' ? 'unknown or nothing' : 'nothing'))],
    ['serves now', escape(servingNow(findings.serving))],
  ]
}

function renderPlan(plan: ShownPlan, findings: Findings): string[] {
  const times = new Map(findings.applied.map((applied) => [`${applied.app}.${applied.name}`, applied.milliseconds]))
  const rows = plan.pending.slice(0, MOST_MIGRATIONS).map(({ app, name, operations }) => {
    const time = times.get(`${app}.${name}`)
    const done = time === undefined ? '' : `${(time / 1000).toFixed(2)} s`
    const texts = operations.slice(0, MOST_OPERATIONS).map(renderOperation)
    if (operations.length > texts.length) texts.push(`and ${operations.length - texts.length} more`)
    return `| ${escape(`${app}.${name}`)} | ${texts.join('<br>')} | ${done} |`
  })
  const more = plan.pending.length - rows.length
  return [
    ...renderOperations(plan.operations),
    rows.length === 0 ? 'No migrations are pending.' : '### Migrations',
    '',
    ...(rows.length === 0 ? [] : ['| migration | operations | applied in |', '|---|---|---|', ...rows, '']),
    ...(more > 0 ? [`and ${more} more.`, ''] : []),
    ...warn('The models changed without a migration (run makemigrations):', plan.drift),
    ...warn('The database has migrations that this image does not know:', plan.unknown),
  ]
}

function renderOperation(operation: ShownOperation): string {
  const verdict = describeVerdict(operation) || (operation.reversible ? '' : 'not reversible')
  return escape(operation.text) + (verdict === '' ? '' : ` **(${escape(verdict)})**`)
}

function renderOperations(operations: ShownPlan['operations']): string[] {
  const shown = operations.slice(0, MOST_NAMES)
  const more = operations.length - shown.length
  return [
    '<details open><summary>Plan</summary>',
    '',
    ...shown.map((operation) => `- ${escape(describeOperation(operation))}`),
    ...(more > 0 ? [`- and ${more} more`] : []),
    '',
    '</details>',
    '',
  ]
}

function warn(text: string, items: readonly string[]): string[] {
  if (items.length === 0) return []
  const names = items.slice(0, MOST_NAMES).map(escape)
  if (items.length > names.length) names.push(`and ${items.length - names.length} more`)
  return [`> ⚠️ ${text} ${names.join(', ')}`, '']
}

function renderSteps(findings: Findings): string[] {
  if (findings.steps.length === 0) return []
  const steps = findings.steps.map((step) => `${step.name} ${step.seconds.toFixed(1)} s`)
  return ['<details><summary>Steps on the host</summary>', '', steps.join(' · '), '', '</details>', '']
}

function cut(text: string): string {
  return text.length <= LONGEST_ERROR ? text : `${text.slice(0, LONGEST_ERROR)}\n…`
}
