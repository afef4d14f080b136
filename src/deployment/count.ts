import type { App } from '../compose/app.ts'
import { checkUpdates } from '../compose/drift.ts'
import type { BuildGroup } from '../compose/group.ts'
import type { Project } from '../compose/project.ts'
import { assignRoles, behindApp, broughtUp, type Roles } from '../compose/role.ts'
import {
  checkDjangoRuns,
  chooseCounts,
  explicitCounts,
  plainCounts,
  type CountPlan,
  type Counts,
  type Scale,
} from '../compose/scale.ts'
import { checkAll } from '../errors.ts'

/** Facts that decide how many containers of each service a deployment starts. */
export type CountChoice = {
  project: Project
  /** The inputs `scale` and `update-services`. */
  scale: readonly Scale[]
  update: readonly string[]
  /** Pinned model of the current release; empty on a first deploy. */
  before: App
  /** The numbers that the host recorded at the last deployment, and how many containers of each service run. */
  counts: Counts
  unstarted: readonly string[]
  running: Counts
}

/** Decides the numbers. `now` has those of the Compose file, if they are known. */
export function planCounts(choice: CountChoice, roles: Roles, now: Counts): CountPlan {
  const { project, scale, update, before, counts, unstarted, running } = choice
  const plan = chooseCounts({
    asked: scale,
    before: new Map([...plainCounts(before), ...counts]),
    now,
    unstarted,
    running,
    services: [...new Set([...broughtUp(roles.services), ...update])],
    data: behindApp(roles.services),
    explicit: explicitCounts(project),
  })
  // A number from a variable is known only after the host has filled it in.
  if (now.has(roles.django)) checkDjangoRuns(roles.django, plan, project)
  return plan
}

/** Facts that decide the roles before an image shows where Django is. */
export type Candidates = {
  /** Groups with an active service; one of them is Django's. */
  groups: readonly BuildGroup[]
  allGroups: readonly BuildGroup[]
  services: readonly string[]
  profiles: readonly string[]
}

/** Stops for numbers and updates that are invalid whichever image has Django. A build cannot change that. */
export function checkCounts(choice: CountChoice, { groups, allGroups, services, profiles }: Candidates): void {
  const now = plainCounts(choice.project)
  const refusals = groups.map((django) => {
    try {
      const roles = assignRoles({ project: choice.project, groups: allGroups, django, services, profiles })
      checkAll(
        () => checkUpdates(choice.update, roles),
        () => planCounts(choice, roles, now),
      )
      return undefined
    } catch (refusal) {
      return { refusal }
    }
  })
  const [first] = refusals
  if (first && refusals.every((each) => each !== undefined)) throw first.refusal
}
