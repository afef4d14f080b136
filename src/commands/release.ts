import { warning } from '@actions/core'
import { checkCodeMounts } from '../compose/code.ts'
import type { Values } from '../compose/document.ts'
import { checkUpdates, describeAbandoned, describeDrift, findAbandoned } from '../compose/drift.ts'
import { makeRelease, type Release } from '../compose/release.ts'
import { describeResourceDrift } from '../compose/resource.ts'
import { assignRoles } from '../compose/role.ts'
import type { DeployInputs } from '../contract.ts'
import { readContents } from '../image/content.ts'
import type { Made } from '../image/make.ts'
import { measureImages } from '../image/measure.ts'
import { group, show } from '../report/log.ts'
import { planAdoption, type Adoption } from '../server/adoption.ts'
import { checkArchitecture } from '../server/look.ts'
import { contentsOf, readModel } from '../server/release.ts'
import { checkRoom } from '../server/room.ts'
import type { FactLines, PlanFact, ReleaseFact } from '../server/fact.ts'
import { incoming, planFiles, send, stage, writeFacts, type SentFile } from '../server/stage.ts'
import { newId, type Transaction } from '../server/transaction.ts'
import type { Context } from './context.ts'
import type { Images } from './images.ts'
import type { Site } from './site.ts'

/** A release whose folder is on the host and whose images are pulled; the site is untouched. */
export type StagedRelease = {
  transaction: Transaction
  release: Release
  made: Made
  /** Pinned model of the release that serves; empty on a first deploy. */
  before: Values
  /** What was started by hand and is kept as a release of its own. */
  adoption: Adoption | undefined
}

/** Makes the release, immutable from then on, sends it to the host and pulls its images there. */
export async function stageRelease(
  site: Site,
  { logins, made }: Images,
  inputs: DeployInputs,
  context: Context,
): Promise<StagedRelease> {
  const { connection, project, groups, repository, directory, server, current, name, profiles } = site
  const { run, runner, folder, assets } = context
  checkArchitecture(server, made.django.facts.architecture)
  await checkRoom(connection, assets.transaction.toString(), server, await measureImages(made.images.values(), run))
  checkCodeMounts(project, made.django.target.group, made.django.managePath, repository)
  const transaction = { directory, id: newId(inputs.version, runner, [...server.plans, ...server.releases.keys()]) }
  const roles = assignRoles({ project, groups, django: made.django.target.group, services: inputs.services, profiles })
  checkUpdates(inputs.updateServices, roles)
  const before = await readModel(connection, directory, current?.id)
  const release = makeRelease({
    project,
    name,
    id: transaction.id,
    roles,
    images: made.images,
    repository,
    envFile: inputs.envFile,
    envFiles: inputs.envFiles,
    profiles: inputs.profiles,
    before,
    there: server.externals,
    update: inputs.updateServices,
    contents: await readContents(made.images, run),
    contentsBefore: contentsOf(current?.facts),
  })
  const named = [...project.services.keys()]
  release.warnings.forEach((text) => warning(text))
  release.drifts.forEach((drift) => warning(describeDrift(drift)))
  release.resourceDrifts.forEach((drift) => warning(describeResourceDrift(drift, directory)))
  findAbandoned(current?.facts, named).forEach((service) => warning(describeAbandoned(service, name)))
  const adoption = planAdoption({ server, name, roles, named, manage: inputs.manage, time: new Date() })
  await group(`Stage ${transaction.id}`, async () => {
    const facts = releaseFacts(release, made, inputs, name, runner.sha)
    const sent = [
      ...releaseFiles(release, facts),
      ...planFiles('plan', assets, {
        ...deploymentFacts({
          target: transaction.id,
          runner,
          healthTimeout: inputs.healthTimeout,
          force: inputs.force,
          migrateTimeout: inputs.migrateTimeout,
          lockTimeout: inputs.migrateLockTimeout,
          onFailure: inputs.onFailure,
          update: inputs.updateServices,
          keep: inputs.keepReleases,
        }),
        ...adoption?.facts,
      }),
      ...(adoption?.files ?? []),
    ]
    await send(run, connection, incoming(directory, transaction.id), sent, folder)
    await stage(connection, directory, transaction.id, logins, show)
  })
  return { transaction, release, made, before, adoption }
}

/** The release folder. */
function releaseFiles(release: Release, facts: FactLines<ReleaseFact>): SentFile[] {
  return [
    { path: 'release/compose.yaml', content: release.compose, mode: 0o600 },
    { path: 'release/mounts.yaml', content: release.mounts, mode: 0o600 },
    ...release.oneOff.files.map((file) => ({ ...file, path: `release/${file.path}`, mode: 0o600 })),
    ...writeFacts('release', facts),
    ...release.envFiles.map((file) => ({ ...file, path: `release/${file.path}` })),
    ...release.files,
  ]
}

/** What a later rollback, or the server alone, must know about the release. */
function releaseFacts(
  release: Release,
  made: Made,
  inputs: DeployInputs,
  name: string,
  commit: string,
): FactLines<ReleaseFact> {
  const { roles } = release
  return {
    version: [inputs.version],
    project: [name],
    commit: [commit],
    services: roles.replaced.map(({ level, service }) => `${level} ${service}`),
    images: [...made.images].map(([service, image]) => `${service} ${image}`),
    'images-beside': release.imagesBeside,
    django: [roles.django],
    manage: inputs.manage,
    migrate: [inputs.migrate],
    collectstatic: [inputs.collectstatic],
    data: roles.data,
    once: roles.once,
    jobs: roles.jobs,
    backing: roles.backing,
    alone: roles.alone,
    others: roles.others,
    networks: release.oneOff.networks,
    volumes: release.oneOff.volumes,
    fronts: roles.fronts.map(({ service, port }) => `${service} ${port}`),
    env: [release.env],
    'env-files': release.requiredEnvFiles,
    'bound-files': release.boundFiles,
    contents: [...release.contents].map(([service, hash]) => `${service} ${hash}`),
    fingerprint: [release.fingerprint],
  }
}

/** What the host must know to execute a plan, of a deploy or a rollback. Times are in milliseconds. */
export function deploymentFacts(given: {
  target: string
  runner: Context['runner']
  healthTimeout: number | undefined
  force?: boolean
  migrateTimeout?: number
  lockTimeout?: number
  onFailure?: string
  update?: readonly string[]
  keep?: number
}): FactLines<PlanFact> {
  return {
    target: [given.target],
    run: [String(given.runner.runId)],
    url: [given.runner.runUrl],
    force: [given.force ? 'yes' : 'no'],
    'migrate-timeout': [seconds(given.migrateTimeout ?? 3_600_000)],
    'lock-timeout': [String(given.lockTimeout ?? 5_000)],
    'health-timeout': given.healthTimeout === undefined ? [] : [seconds(given.healthTimeout)],
    'on-failure': [given.onFailure ?? 'rollback'],
    update: given.update ?? [],
    // A rollback must not remove the releases that it could go forward to.
    keep: [String(given.keep ?? 100)],
  }
}

const seconds = (milliseconds: number): string => String(Math.ceil(milliseconds / 1000))
