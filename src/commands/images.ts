import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BuildGroup } from '../compose/group.ts'
import { warning } from '../github/annotation.ts'
import { describeStrangers } from '../guard/stranger.ts'
import type { BuildInputs, DeployInputs } from '../inputs/contract.ts'
import { overriddenBy } from '../image/bake.ts'
import type { DjangoImage } from '../image/inspect.ts'
import { chooseLogins, makeImages, type Made } from '../image/make.ts'
import { sayAndWait, type Login } from '../image/registry.ts'
import { takeImages } from '../image/take.ts'
import type { BuildCheck } from '../image/variable.ts'
import { show, showDetail } from '../report/log.ts'
import type { Checkout } from './checkout.ts'
import type { Context } from './context.ts'

/** Images by digest, and the logins for their registry. */
export type Images = { logins: readonly Login[]; made: Made }

/** Facts that decide whether these groups can be built. `onHost` lists the names that the host's `.env` sets. */
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

/**
 * Builds the images of a checkout, or uses those of an earlier `build`. Returns them with the logins for their
 * registry. `check` throws for an image that must not be deployed, before it is pushed.
 */
export async function obtainImages(
  {
    project,
    groups,
    commit,
    naming,
    variables,
    active = [...project.services.keys()],
  }: Pick<Checkout, 'project' | 'groups' | 'commit' | 'naming' | 'variables'> & { active?: readonly string[] },
  inputs: BuildInputs & Partial<Pick<DeployInputs, 'images'>>,
  { run, runner, folder, environment: env, signal, found, step }: Context,
  check: (django: DjangoImage) => void,
): Promise<Images> {
  const logins = chooseLogins(groups, naming, {
    username: inputs.registryUsername,
    password: inputs.registryPassword,
    actor: runner.actor,
    token: inputs.githubToken,
  })
  const facts = {
    project,
    active,
    groups,
    workspace: runner.workspace,
    naming,
    variables,
    logins,
    version: inputs.version,
    set: inputs.set,
    services: inputs.services,
    manage: inputs.manage,
    commit,
    check,
  }
  const tools = { run, env, temp: folder, signal, lines: { show, showDetail }, step, pause: sayAndWait(show) }
  const made = inputs.images ? await takeImages(facts, inputs.images, tools) : await makeImages(facts, tools)
  // Images of another commit may be intended. The Compose file and the shipped files still come from this commit.
  const { revision = runner.sha } = made.django.facts
  if (revision !== runner.sha)
    warning(
      `The images were built from commit ${revision}, but the Compose file and the shipped files are from commit ${runner.sha}`,
    )
  if (made.django.strangers.length > 0) warning(describeStrangers(project, made.django))
  found({
    images: Object.fromEntries(made.images),
    sizes: new Map(made.sizes.map(({ image, bytes }) => [image, bytes])),
  })
  return { logins, made }
}
