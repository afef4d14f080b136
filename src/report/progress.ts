import type { Step } from '../deployment/plan.ts'
import type { JournalLine, Progress } from '../host/follow.ts'
import { beginStep, show, type OpenStep } from './log.ts'

/** The texts of a host step: its result, what it waits for, and the text when its end was not seen. */
type Words = { fact: string; awaited?: string; unseen?: string }
type HostStep = Step | 'undo' | 'back_fit' | 'back_health'

const HOST_STEPS: Readonly<Record<HostStep, Words>> = {
  recover: { fact: 'no earlier deployment is unfinished', awaited: 'an earlier deployment is finished first' },
  fence: { fact: 'no newer run has deployed' },
  adopt: { fact: 'the stack that was started by hand is kept as a release' },
  data: { fact: 'the stateful services run', awaited: 'the stateful services become healthy' },
  stop: { fact: 'the app is stopped', awaited: 'the app finishes its requests' },
  replan: { fact: 'the database is as the plan expects it' },
  backup: { fact: 'the database is backed up', awaited: 'the database is backed up' },
  migrate: { fact: 'nothing was left to apply', awaited: 'the migrations run' },
  unapply: { fact: 'nothing was left to unapply', awaited: 'the migrations are unapplied' },
  fit: { fact: 'the code can use the database as it is' },
  jobs: { fact: 'every job succeeded', awaited: 'the jobs run to their end' },
  static: { fact: 'the static files are collected', awaited: 'the static files are collected' },
  try: { fact: 'a container without visitors is healthy', awaited: 'a container without visitors becomes healthy' },
  swap: { fact: 'replaced', awaited: 'Docker Compose replaces the containers' },
  proxy: { fact: 'the proxies know the new containers' },
  health: { fact: 'every container is healthy', awaited: 'the containers become healthy and answer' },
  verify: { fact: 'images and migrations are those of the plan' },
  commit: { fact: 'it is the current release' },
  prune: {
    fact: 'old releases are removed',
    awaited: 'old images are removed',
    unseen: 'old releases are removed on the host without waiting for it',
  },
  undo: { fact: 'the started steps are undone', awaited: 'the previous release is started again' },
  back_fit: { fact: 'the previous release can use the database' },
  back_health: { fact: 'the previous release is healthy', awaited: 'the previous release becomes healthy' },
}

/**
 * Shows the steps of a deployment on the host when they end. Call `stop` at the end, with the journal if it was read:
 * it may have an end that the log did not show any more.
 */
export function showProgress(): {
  show: (progress: Progress) => void
  stop: (journal?: readonly JournalLine[]) => void
} {
  let current: { step: HostStep; begin: JournalLine; lines: string[]; opened: OpenStep } | undefined
  let last: JournalLine | undefined

  const close = (line: JournalLine | undefined, fact: (words: Words) => string, hasFailed: boolean): void => {
    if (!current) return
    const { step, begin, opened } = current
    const until = line ?? last ?? begin
    opened.close(fact(HOST_STEPS[step]), (Date.parse(until.time) - Date.parse(begin.time)) / 1000, hasFailed)
    current = undefined
  }

  const take = (line: JournalLine): void => {
    last = line
    const { step, state, detail } = line
    // Recovery of an older deployment runs steps of its own, which are not shown.
    if (!isHostStep(step) || (current?.step === 'recover' && step !== 'recover')) return
    if (state === 'begin' && current?.step !== step) {
      close(undefined, () => 'its end was not seen', false)
      current = { step, begin: line, lines: [], opened: beginStep(step, HOST_STEPS[step].awaited) }
    } else if (state === 'end' && current?.step === step) {
      const { begin, lines } = current
      close(line, (words) => factOf(step, begin.detail, lines) ?? words.fact, false)
    } else if (state === 'fail' && current?.step === step) {
      close(line, () => (detail === '' ? '' : `exit ${detail}`), true)
    }
  }

  return {
    show(progress) {
      if (progress.kind === 'step') return take(progress.line)
      current?.lines.push(progress.text)
      show(progress.text)
    },
    stop(journal = []) {
      const end = journal.findLast(({ step }) => step === current?.step)
      if (end) take(end)
      close(undefined, ({ unseen = 'its end was not seen' }) => unseen, false)
    },
  }
}

function isHostStep(name: string): name is HostStep {
  return Object.hasOwn(HOST_STEPS, name)
}

/** The result that a step's lines report; undefined when they report none. */
function factOf(step: HostStep, detail: string, lines: readonly string[]): string | undefined {
  switch (step) {
    case 'migrate':
    case 'unapply':
      return nameSome(lines.flatMap((line) => /^\s*(?:Una|A)pplying (\S+)/.exec(line)?.[1] ?? []))
    case 'swap':
      return nameSome(findReplaced(detail, lines), ' replaced')
    case 'backup':
      return lines.flatMap((line) => /^backup: ([^,]+), /.exec(line)?.[1] ?? []).at(-1)
    case 'recover':
      return lines.some((line) => line.startsWith('finishing ')) ? 'an interrupted deployment is finished' : undefined
    case 'try':
      return lines.flatMap((line) => /^note: (\S+ is not tried: .+)/.exec(line)?.[1] ?? [])[0]
    default:
      return undefined
  }
}

const MOST_NAMES = 3

/** The services of the swap without those that Compose left as they were. */
function findReplaced(detail: string, lines: readonly string[]): readonly string[] {
  const services = detail.split(' ').map((word) => word.replace(/=.*/, ''))
  const kept = lines
    .flatMap((line) => /^ *Container (\S+?)(?:-\d+)? +Running$/.exec(line)?.[1] ?? [])
    // The name of a service may be the end of another one's.
    .map(
      (name) => services.filter((service) => `-${name}`.endsWith(`-${service}`)).sort((a, b) => b.length - a.length)[0],
    )
  return services.filter((service) => !kept.includes(service))
}

function nameSome(names: readonly string[], done = ''): string | undefined {
  const known = names.filter((name) => name !== '')
  if (known.length === 0) return undefined
  const more = known.length > MOST_NAMES ? ` and ${known.length - MOST_NAMES} more` : ''
  return known.slice(0, MOST_NAMES).join(', ') + more + done
}
