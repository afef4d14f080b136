import { warning } from '@actions/core'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BuildGroup } from '../compose/group.ts'
import type { BuildInputs, DeployInputs } from '../contract.ts'
import { overriddenBy } from '../image/bake.ts'
import { readCommit } from '../image/commit.ts'
import { chooseLogins, makeImages, type Made } from '../image/make.ts'
import { sayAndWait, type Login } from '../image/registry.ts'
import { takeImages } from '../image/take.ts'
import type { BuildCheck } from '../image/variable.ts'
import { group, show } from '../report/log.ts'
import type { Checkout } from './checkout.ts'
import type { Context } from './context.ts'

/** Images by digest, and the logins for their registry. */
export type Images = { logins: readonly Login[]; made: Made }
/** What decides whether the builds of these groups have all that they need; `onHost` are the names that its `.env` sets. */
export function buildCheckOf(
  { project, groups: all, variables }: Pick<Checkout, 'project' | 'groups' | 'variables'>,
  groups: readonly BuildGroup[],
  onHost: readonly string[],
  { set }: Pick<BuildInputs, 'set'>,
  { runner }: Context,
): BuildCheck {
  return {
    project,
    groups,
    variables,
    onHost,
    isOverridden: overriddenBy(set, all),
    read: (path) => {
      try {
        return readFileSync(join(runner.workspace, path), 'utf8')
      } catch {
        return undefined
      }
    },
  }
}

/** Makes the images of a checkout, or takes those that a `build` has made; with the logins for their registry. */
export async function obtainImages(
  { project, groups, naming, variables }: Pick<Checkout, 'project' | 'groups' | 'naming' | 'variables'>,
  inputs: BuildInputs & Partial<Pick<DeployInputs, 'images'>>,
  { run, runner, folder, environment: env, signal, found }: Context,
): Promise<Images> {
  const logins = chooseLogins(groups, naming, {
    username: inputs.registryUsername,
    password: inputs.registryPassword,
    actor: runner.actor,
    token: inputs.githubToken,
  })
  const facts = {
    project,
    groups,
    workspace: runner.workspace,
    naming,
    variables,
    logins,
    version: inputs.version,
    set: inputs.set,
    services: inputs.services,
    manage: inputs.manage,
    commit: await readCommit(run, runner),
  }
  const tools = { run, env, temp: folder, signal, show, group, pause: sayAndWait(show) }
  const made = inputs.images ? await takeImages(facts, inputs.images, tools) : await makeImages(facts, tools)
  // Images of another run may be meant so; the Compose file and the files that are shipped are not theirs.
  const { revision = runner.sha } = made.django.facts
  if (revision !== runner.sha)
    warning(`The images were built from commit ${revision}, the Compose file and what is shipped are of ${runner.sha}`)
  found({ images: Object.fromEntries(made.images) })
  return { logins, made }
}
