import type { Release } from '../compose/release.ts'
import type { DeployInputs } from '../contract.ts'
import type { Made } from '../image/make.ts'
import { writeFacts, type FactLines, type SentFile } from '../server/stage.ts'
import type { Context } from './context.ts'

/** The release folder. */
export function releaseFiles(release: Release, facts: FactLines): SentFile[] {
  return [
    { path: 'release/compose.yaml', content: release.compose, mode: 0o600 },
    { path: 'release/mounts.yaml', content: release.mounts, mode: 0o600 },
    ...(release.run === undefined ? [] : [{ path: 'release/run.yaml', content: release.run, mode: 0o600 }]),
    ...writeFacts('release', facts),
    ...release.envFiles.map((file) => ({ ...file, path: `release/${file.path}` })),
    ...release.files,
  ]
}

/** What a later rollback, or the server alone, must know about the release. */
export function releaseFacts(
  release: Release,
  made: Made,
  inputs: DeployInputs,
  { runner }: Context,
  name: string,
): FactLines {
  const { roles } = release
  return {
    format: ['1'],
    version: [inputs.version],
    project: [name],
    run: [String(runner.runId)],
    attempt: [String(runner.runAttempt)],
    commit: [runner.sha],
    url: [runner.runUrl],
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
    fronts: roles.fronts.map(({ service, port }) => `${service} ${port}`),
    env: [release.env],
    'env-files': release.requiredEnvFiles,
    migrations: made.django.migrations.map((migration) => `${migration.app}.${migration.name}`),
    fingerprint: [release.fingerprint],
  }
}

/** What the server must know to walk the transaction. */
export function transactionFacts(
  id: string,
  counts: readonly string[],
  inputs: DeployInputs,
  { runner }: Context,
): FactLines {
  return {
    target: [id],
    run: [String(runner.runId)],
    url: [runner.runUrl],
    force: [inputs.force ? 'yes' : 'no'],
    'migrate-timeout': [seconds(inputs.migrateTimeout)],
    'lock-timeout': [String(inputs.migrateLockTimeout)],
    'health-timeout': inputs.healthTimeout === undefined ? [] : [seconds(inputs.healthTimeout)],
    'on-failure': [inputs.onFailure],
    update: inputs.updateServices,
    scale: counts,
    keep: [String(inputs.keepReleases)],
  }
}

const seconds = (milliseconds: number): string => String(Math.ceil(milliseconds / 1000))
