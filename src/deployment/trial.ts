import { findDrifts, type Settings } from '../compose/drift.ts'
import type { App } from '../compose/app.ts'
import type { LivePlan, OfflinePlan } from '../django/document.ts'
import type { Migrate } from './order.ts'

/**
 * Whether the new release runs in one container without visitors before anything is replaced. `obstacle` is the reason
 * if not.
 */
export type Trial = { service: string; obstacle: string | undefined }

/** The parameters of `planTrial`. */
export type TrialFacts = {
  /** The input `try`; undefined when the release does not record it. */
  choice: string | undefined
  /** The service in which Django answers HTTP. */
  service: string
  /** Pinned models of the current and of the new release. */
  before: App
  app: App
  /** Values of both `.env` files; undefined unless both releases have one. */
  env: Settings | undefined
  /** Services behind the app whose changed definition the swap applies. */
  changing: readonly string[]
  /** Services that have a running container now, and services that will have none. */
  running: readonly string[]
  unstarted: readonly string[]
  /** Services that the swap starts or replaces. */
  replaced: readonly string[]
  /** Whether an entrypoint of the image may apply pending migrations. */
  migratesItself: boolean
}

/** Decides whether a trial container runs. It must neither change the current release nor fail a good one. */
export function planTrial(facts: TrialFacts): Trial {
  return { service: facts.service, obstacle: findObstacle(facts) }
}

/** Whether the new image's entrypoint may apply migrations that no step before the trial applies. */
export function mayMigrateItself(asked: LivePlan | OfflinePlan, migrate: Migrate, jobs: readonly string[]): boolean {
  const pending = asked.kind === 'live' ? asked.pending : asked.migrations
  const elsewhere = [...asked.elsewhere.values()].some((names) => names.length > 0)
  return (migrate === 'external' && pending.length > 0) || (elsewhere && jobs.length === 0)
}

function findObstacle(facts: TrialFacts): string | undefined {
  const { choice, service, before, app, env, changing, running, unstarted, replaced, migratesItself } = facts
  if (choice === undefined) return 'this version of the action did not deploy it'
  if (choice === 'never') return '`try: never`'
  if (unstarted.includes(service)) return 'it is scaled to 0 containers'
  const shared = app.services.get(service)?.sharedNetwork
  if (shared !== undefined) return `it uses the network of ${shared}`
  const guest = [...app.services.values()].find(({ networkOf }) => networkOf === service)
  if (guest !== undefined) return `${guest.name} uses its network, and may answer for it`
  if (migratesItself) return 'its image would apply migrations while the previous release serves'
  const [changed] = findDrifts(before, app, changing, env)
  if (changed !== undefined) return `${changed.service} changes with it`
  const absent = findNeeds(app, service).find((name) => replaced.includes(name) && !running.includes(name))
  return absent === undefined ? undefined : `${absent}, which it needs, does not run yet`
}

/** Direct and indirect dependencies of a service. */
function findNeeds(app: App, service: string, found: Set<string> = new Set()): readonly string[] {
  for (const { service: name } of app.services.get(service)?.dependsOn ?? []) {
    if (found.has(name)) continue
    found.add(name)
    findNeeds(app, name, found)
  }
  return [...found]
}
