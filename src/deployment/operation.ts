import { findDrifts, type Drift } from '../compose/drift.ts'
import type { App } from '../compose/app.ts'
import { behindApp, withRole, type Assigned } from '../compose/role.ts'
import type { Step } from './plan.ts'
import type { Trial } from './trial.ts'

/** One thing that a deployment does: `replace web: new image`. A plan is a list of these, printed before it runs. */
export type Operation = {
  step:
    | 'adopt'
    | 'start'
    | 'back up'
    | 'migrate'
    | 'unapply'
    | 'run'
    | 'collect'
    | 'try'
    | 'skip'
    | 'replace'
    | 'keep'
    | 'stop'
    | 'check'
  object: string
  reason: string
}

/** The parameters of `planOperations`. */
export type OperationFacts = {
  steps: readonly Step[]
  /** Pinned model of the current release; empty on a first deploy. */
  before: App
  /** Pinned model of the new release. */
  app: App
  /** The new release's services with their roles, and those of the current release. */
  services: readonly Assigned[]
  servicesBefore: readonly Assigned[]
  /** App services that are a proxy in front of the app. */
  proxies: readonly string[]
  /** Stateful services that may be recreated when their definition changes: the input `update-services` names them. */
  update: readonly string[]
  /** Services that have a running container now. */
  running: readonly string[]
  /** Services that will have no container. */
  unstarted: readonly string[]
  /** Migrations to apply, as `app.name`. */
  pending: readonly string[]
  /** Migrations to unapply, in this order. */
  unapply: readonly string[]
  /** Why the app stops before it is replaced: `its code cannot work with app.0002`; undefined without a stop. */
  stopReason: string | undefined
  /** The database to back up and the reason. */
  backup: { database: string; reason: string } | undefined
  /** The id of the release that a stack started by hand becomes. */
  adopted: string | undefined
  /** The service that gets a trial container, or the obstacle. */
  trial: Trial
}

/** Pure: the operations with their objects and reasons, in the order in which they run. */
export function planOperations(facts: OperationFacts): readonly Operation[] {
  const { steps, services, running } = facts
  const check = operation('check', 'the site', 'its containers, its answers and its migrations')
  if (!steps.includes('swap')) {
    return [...running.toSorted().map((name) => operation('keep', name, 'it already runs this release')), check]
  }
  const behind = behindApp(services)
  const changing = [...withRole(services, 'cache'), ...facts.update]
  const absent = behind.filter((name) => !running.includes(name) && !facts.unstarted.includes(name))
  return [
    ...(facts.adopted === undefined
      ? []
      : [operation('adopt', 'what runs', `it was started by hand; a rollback can go back to ${facts.adopted}`)]),
    ...absent.map((name) => operation('start', name, 'it does not run')),
    ...stopForMigration(facts),
    ...(facts.backup ? [operation('back up', facts.backup.database, facts.backup.reason)] : []),
    ...(steps.includes('migrate') ? byApp(facts.pending) : []),
    ...facts.unapply.map((name) => operation('unapply', name, 'the older release does not know it')),
    ...(steps.includes('jobs') ? withRole(services, 'job') : []).map((name) =>
      operation(
        'run',
        name,
        'it runs in each deploy and rollback that replaces the app; nothing undoes what it changes',
      ),
    ),
    ...(steps.includes('static') ? [operation('collect', 'static files', 'a volume hides those of the image')] : []),
    describeTrial(facts.trial),
    ...stopGone(facts),
    ...withRole(services, 'app').flatMap((name) =>
      facts.unstarted.includes(name) ? stopApp(facts, name) : [replaceApp(facts, name)],
    ),
    ...[...changing, ...withRole(services, 'front')]
      .filter((name) => !absent.includes(name))
      .flatMap((name) => (facts.unstarted.includes(name) ? stopApp(facts, name) : [updateWhenChanged(facts, name)])),
    ...behind
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

/** One operation per app, because a first deploy has dozens of migrations. */
function byApp(pending: readonly string[]): readonly Operation[] {
  const apps = Map.groupBy(pending, (name) => name.split('.')[0] ?? '')
  return [...apps].map(([app, names]) =>
    operation('migrate', names.length === 1 ? (names[0] ?? app) : app, describeCount(names)),
  )
}

const describeCount = (names: readonly string[]): string =>
  names.length === 1 ? 'pending' : `${names.length} migrations are pending`

/**
 * The operations of the step `stop`: it stops the current release's app services except proxies. Nothing shows whether
 * the code of another image uses the database, so it stops as well.
 */
function stopForMigration(facts: OperationFacts): readonly Operation[] {
  const { stopReason, before, app, services, proxies, running, trial } = facts
  if (stopReason === undefined) return []
  const names = withRole(services, 'app').filter(
    (name) => running.includes(name) && imageOf(before, name) !== undefined && !proxies.includes(name),
  )
  const django = imageOf(app, trial.service)
  return names.map((name) => operation('stop', name, imageOf(app, name) === django ? stopReason : MAY_USE_DATABASE))
}

const MAY_USE_DATABASE = 'it may use the database that changes'

function describeTrial({ service, obstacle }: Trial): Operation {
  return obstacle === undefined
    ? operation('try', service, 'one container of it, without visitors, before anything is replaced')
    : operation('skip', `the trial of ${service}`, obstacle)
}

function stopApp({ running }: OperationFacts, name: string): readonly Operation[] {
  return running.includes(name) ? [operation('stop', name, 'it is scaled to 0 containers')] : []
}

function replaceApp({ before, app, servicesBefore, running }: OperationFacts, name: string): Operation {
  const [old, now] = [imageOf(before, name), imageOf(app, name)]
  if (old === undefined) return operation('start', name, 'it is new')
  const wasActive = servicesBefore.some(({ service }) => service === name)
  if (!wasActive && !running.includes(name)) return operation('start', name, 'it does not run')
  const others = changesOf(before, app, name).filter((key) => key !== 'image')
  const parts = [...(old === now ? [] : ['new image']), ...(others.length > 0 ? [changed(others)] : [])]
  if (parts.length === 0 && !running.includes(name)) return operation('start', name, 'it does not run')
  return operation('replace', name, parts.join(', ') || 'same image, new settings')
}

/** A service that is not built here is replaced only if its definition changed. */
function updateWhenChanged({ before, app, services, running }: OperationFacts, name: string): Operation {
  if (imageOf(before, name) === undefined) return operation('start', name, 'it is new')
  const changes = changesOf(before, app, name)
  if (changes.length > 0) return operation('replace', name, changed(changes))
  const host = app.services.get(name)?.networkOf
  if (host !== undefined && withRole(services, 'app').includes(host))
    return operation('replace', name, `it uses the network of ${host}`)
  return running.includes(name) ? operation('keep', name, 'unchanged') : operation('start', name, 'it does not run')
}

/** App and front services that only the current release has. */
function stopGone({ app, services, servicesBefore, running }: OperationFacts): readonly Operation[] {
  const kept = services.map(({ service }) => service)
  const gone = withRole(servicesBefore, 'app', 'front').filter((name) => !kept.includes(name) && running.includes(name))
  return gone.map((name) =>
    operation(
      'stop',
      name,
      app.services.has(name) ? 'none of its profiles is active' : 'it is no longer in the Compose file',
    ),
  )
}

const changesOf = (before: App, app: App, name: string): Drift['keys'] => findDrifts(before, app, [name])[0]?.keys ?? []

const changed = (keys: Drift['keys']): string => `${keys.join(', ')} changed`

const imageOf = ({ services }: App, name: string): string | undefined => services.get(name)?.image
