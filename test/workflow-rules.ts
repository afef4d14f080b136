/** What every workflow must hold, be it one of this repository or one that the documentation shows. */
import { parse } from 'yaml'

type Step = { uses?: string; run?: string; with?: Record<string, unknown> }
type Concurrency = { 'cancel-in-progress'?: unknown }
type Job = {
  uses?: string
  secrets?: unknown
  permissions?: unknown
  concurrency?: Concurrency
  'timeout-minutes'?: number
  steps?: Step[]
}
type Workflow = {
  on?: unknown
  'run-name'?: string
  permissions?: unknown
  concurrency?: Concurrency
  jobs: Record<string, Job>
}

/** A workflow, or a block that shows steps alone. */
export type Read = Workflow & { text: string; steps: readonly Step[] }

/** A rule finds what breaks it; `sees` are texts that do. */
export type WorkflowRule = { rule: string; breaches: (read: Read) => readonly string[]; sees: readonly string[] }

/** A text is a workflow, or a part of one, such as a step. */
export const isWorkflow = (text: string): boolean => /^jobs:/m.test(text)

/** Reads a text of YAML once for all rules. */
export function readWorkflow(text: string): Read {
  if (isWorkflow(text)) {
    const workflow = parse(text) as Workflow
    return { ...workflow, text, steps: Object.values(workflow.jobs).flatMap(({ steps = [] }) => steps) }
  }
  const part: unknown = parse(text)
  return { jobs: {}, text, steps: Array.isArray(part) ? (part as Step[]) : [] }
}

const OURS = /^owner\/deploy-django(\/(build|rollback|exec|status)|\/\.github\/workflows\/(deploy|rollback)\.yml)?@v1$/

/** The shell lines of a step: its own, and those for the container that `exec` runs them in. */
function shellOf({ run, with: given = {} }: Step): readonly string[] {
  return [run, given['run'], given['script']].filter((lines) => typeof lines === 'string')
}

/** Whether a step deploys or rolls back, and is not a dry run. */
function changesSite({ uses = '', with: given = {} }: Step): boolean {
  if (!/^owner\/deploy-django(\/rollback)?@/.test(uses)) return false
  return given['dry-run'] !== true
}

const job = (lines: string): string => `on: push\npermissions: {}\njobs:\n  a:\n    runs-on: x\n${lines}`

/** The rules for workflows and for steps. */
export const workflowRules: readonly WorkflowRule[] = [
  {
    rule: 'says which permissions it has, and never all',
    breaches: ({ permissions, jobs }) => {
      const silent = Object.entries(jobs).filter(([, each]) => (each.permissions ?? permissions) === undefined)
      const all = [permissions, ...Object.values(jobs).map((each) => each.permissions)]
      return [...silent.map(([name]) => name), ...all.filter((each) => typeof each === 'string')]
    },
    sees: [
      'on: push\njobs: { a: { runs-on: x, steps: [] } }',
      'on: push\njobs: { a: { uses: "owner/deploy-django/.github/workflows/deploy.yml@v1" } }',
      'on: push\npermissions: write-all\njobs: { a: { runs-on: x, steps: [] } }',
      job('    permissions: read-all\n'),
    ],
  },
  {
    rule: 'limits the time of every job',
    breaches: ({ jobs }) =>
      Object.entries(jobs)
        .filter(([, each]) => each['timeout-minutes'] === undefined && each.uses === undefined)
        .map(([name]) => name),
    sees: [job('    steps: []\n')],
  },
  {
    rule: 'pins the actions of others to a commit and says which version that is, and ours to v1',
    breaches: ({ text }) =>
      usesIn(text).filter((use) => !OURS.test(use) && !/^(\$?\.?\/|\S+@[0-9a-f]{40} # v\d+\.\d+\.\d+$)/.test(use)),
    sees: [
      '- uses: actions/checkout@v7',
      '- uses: actions/checkout@main # v7.0.1',
      '- uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1',
      '- uses: owner/deploy-django@main',
      '- uses: owner/deploy-django/deploy@v1',
    ],
  },
  {
    rule: 'puts no expression into a shell line',
    breaches: ({ steps }) => steps.flatMap(shellOf).filter((lines) => lines.includes('${{')),
    sees: [
      job('    steps: [{ run: "echo ${{ github.event.pull_request.title }}" }]\n'),
      '- run: echo ${{ inputs.version }}',
      '- uses: owner/deploy-django/exec@v1\n  with: { run: "python manage.py ${{ inputs.command }}" }',
    ],
  },
  {
    rule: 'names the secrets that it passes',
    breaches: ({ jobs }) =>
      Object.entries(jobs).flatMap(([name, { secrets }]) => (secrets === 'inherit' ? [name] : [])),
    sees: [job('    secrets: inherit\n')],
  },
  {
    rule: 'lets one deployment wait for another, and cancels none',
    breaches: ({ concurrency, jobs }) => {
      return Object.entries(jobs).flatMap(([name, each]) => {
        const limits = [concurrency, each.concurrency].filter((limit) => limit !== undefined)
        const isSafe = limits.length > 0 && limits.every((limit) => limit['cancel-in-progress'] === false)
        return (each.steps ?? []).some(changesSite) && !isSafe ? [name] : []
      })
    },
    sees: [
      job('    steps: [{ uses: owner/deploy-django@v1, with: { host: x } }]\n'),
      job('    concurrency: { group: x }\n    steps: [{ uses: owner/deploy-django/rollback@v1 }]\n'),
      `concurrency: { group: x, cancel-in-progress: true }\n${job('    steps: [{ uses: owner/deploy-django@v1 }]\n')}`,
    ],
  },
  {
    rule: 'says in the list of runs to what it rolls back, if somebody starts it',
    breaches: ({ on, jobs, steps, 'run-name': name = '' }) => {
      const used = [...Object.values(jobs), ...steps].filter(({ uses = '' }) =>
        /^owner\/deploy-django\/(\.github\/workflows\/)?rollback\b/.test(uses),
      )
      const isStarted = JSON.stringify(on ?? '').includes('workflow_dispatch')
      return isStarted && !name.includes('${{ inputs.version') ? used.map(({ uses = '' }) => uses) : []
    },
    sees: [
      'on: workflow_dispatch\npermissions: {}\njobs: { a: { uses: owner/deploy-django/.github/workflows/rollback.yml@v1 } }\n',
      `run-name: Roll back\n${job('    steps: [{ uses: owner/deploy-django/rollback@v1 }]\n').replace('push', '{ workflow_dispatch: }')}`,
    ],
  },
]

/** What a text uses, with the comment behind it. */
export function usesIn(text: string): readonly string[] {
  return [...text.matchAll(/\buses: *['"]?([^'"\s,}]+)['"]?([^\n]*)/g)].map(([, use = '', rest = '']) => {
    const [comment] = /#.*/.exec(rest) ?? []
    return comment === undefined ? use : `${use} ${comment.trim()}`
  })
}
