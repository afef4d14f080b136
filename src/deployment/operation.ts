import { findDrifts, type Drift } from '../compose/drift.ts'
import { textOf, valuesOf, type Values } from '../compose/document.ts'
import type { Roles } from '../compose/role.ts'
import type { Step } from './plan.ts'

/** One thing that a deployment does: `replace web: new image`. A plan is a list of these, printed before anything happens. */
export type Operation = {
  step: 'adopt' | 'start' | 'migrate' | 'run' | 'collect' | 'replace' | 'keep' | 'stop' | 'check'
  object: string
  reason: string
}

/** What decides the operations of a deploy or a rollback. */
export type OperationFacts = {
  steps: readonly Step[]
  /** Pinned model of the release that serves; empty on a first deploy. */
  before: Values
  /** Pinned model of the release that comes. */
  model: Values
  roles: Pick<Roles, 'data' | 'backing' | 'jobs' | 'others'> & { replaced: readonly string[] }
  /** Stateful services that take a changed definition, because the input `update-services` names them. */
  update: readonly string[]
  /** Services that have a running container now. */
  running: readonly string[]
  /** Services that will have no container. */
  unstarted: readonly string[]
  /** Migrations to apply, as `app.name`. */
  pending: readonly string[]
  /** The release that a hand-made stack is kept as. */
  adopted: string | undefined
}

/** Pure: what will be done to what, and why, in the order in which it happens. */
export function planOperations(facts: OperationFacts): readonly Operation[] {
  const { steps, roles, running } = facts
  const check = operation('check', 'the site', 'its containers, its answers and its migrations')
  if (!steps.includes('swap')) {
    return [...running.toSorted().map((name) => operation('keep', name, 'it is of this release already')), check]
  }
  const changing = [...roles.backing, ...facts.update]
  const absent = roles.data.filter((name) => !running.includes(name) && !facts.unstarted.includes(name))
  return [
    ...(facts.adopted === undefined
      ? []
      : [operation('adopt', 'what runs', `it was started by hand; a rollback can go back to ${facts.adopted}`)]),
    ...absent.map((name) => operation('start', name, 'it does not run')),
    ...(steps.includes('migrate') ? byApp(facts.pending) : []),
    ...(steps.includes('jobs') ? roles.jobs : []).map((name) =>
      operation('run', name, 'it runs to its end for each release'),
    ),
    ...(steps.includes('static')
      ? [operation('collect', 'static files', 'a volume lies over those of the image')]
      : []),
    ...findGone(facts).map((name) => operation('stop', name, 'it is no longer in the Compose file')),
    ...roles.replaced.flatMap((name) =>
      facts.unstarted.includes(name) ? stopApp(facts, name) : [replaceApp(facts, name)],
    ),
    ...[...changing, ...roles.others]
      .filter((name) => !absent.includes(name))
      .flatMap((name) => (facts.unstarted.includes(name) ? stopApp(facts, name) : [updateWhenChanged(facts, name)])),
    ...roles.data
      .filter((name) => running.includes(name) && !changing.includes(name))
      .map((name) => operation('keep', name, 'stateful')),
    check,
  ]
}

/** `replace web: new image` */
export function describeOperation({ step, object, reason }: Operation): string {
  return `${step} ${object}: ${reason}`
}

function operation(step: Operation['step'], object: string, reason: string): Operation {
  return { step, object, reason }
}

/** One operation for each app: a first deploy has dozens of migrations. */
function byApp(pending: readonly string[]): readonly Operation[] {
  const apps = Map.groupBy(pending, (name) => name.split('.')[0] ?? '')
  return [...apps].map(([app, names]) =>
    operation('migrate', names.length === 1 ? (names[0] ?? app) : app, describeCount(names)),
  )
}

const describeCount = (names: readonly string[]): string =>
  names.length === 1 ? 'pending' : `${names.length} migrations are pending`

function stopApp({ running }: OperationFacts, name: string): readonly Operation[] {
  return running.includes(name) ? [operation('stop', name, 'no container of it is wanted')] : []
}

function replaceApp({ before, model }: OperationFacts, name: string): Operation {
  const [old, now] = [imageOf(before, name), imageOf(model, name)]
  if (old === undefined) return operation('start', name, 'it is new')
  const others = changesOf(before, model, name).filter((key) => key !== 'image')
  const parts = [...(old === now ? [] : ['new image']), ...(others.length > 0 ? [changed(others)] : [])]
  return operation('replace', name, parts.join(', ') || 'same image, new settings')
}

/** A service that is not built here is replaced only when its definition changed. */
function updateWhenChanged({ before, model, running }: OperationFacts, name: string): Operation {
  if (imageOf(before, name) === undefined) return operation('start', name, 'it is new')
  const changes = changesOf(before, model, name)
  if (changes.length > 0) return operation('replace', name, changed(changes))
  return running.includes(name) ? operation('keep', name, 'unchanged') : operation('start', name, 'it does not run')
}

/** App services and what stands in front of them that only the release before had. */
function findGone({ before, model, roles, running }: OperationFacts): readonly string[] {
  const named = Object.keys(valuesOf(model['services']))
  const stateful = [...roles.data, ...roles.jobs]
  return Object.keys(valuesOf(before['services'])).filter(
    (name) => !named.includes(name) && !stateful.includes(name) && running.includes(name),
  )
}

const changesOf = (before: Values, model: Values, name: string): Drift['keys'] =>
  findDrifts(before, model, [name])[0]?.keys ?? []

const changed = (keys: Drift['keys']): string => `${keys.join(', ')} changed`

function imageOf(model: Values, name: string): string | undefined {
  return textOf(valuesOf(valuesOf(model['services'])[name])['image'])
}
