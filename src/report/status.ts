import type { Row } from '../django/document.ts'
import { describeChanges } from '../guard/database.ts'
import { explainServing, judgeServing } from '../guard/serving.ts'
import type { Server } from '../host/look.ts'
import { leftOverPort } from '../host/docker-error.ts'
import { currentRelease, imagesOf, versionOf } from '../host/release.ts'
import type { Deployment, MigrationReport, RunningContainer, Status } from '../host/status.ts'
import { code, escape, table } from './markdown.ts'

/** Everything that `status` reports, in the form of its output. */
export type StatusReport = {
  host: string
  directory: string | undefined
  project: string | undefined
  serving: string | undefined
  healthy: boolean
  images: Readonly<Record<string, string>>
  containers: readonly RunningContainer[]
  /** Undefined when the current release could not report it: nothing runs, or Django did not answer. */
  migrations: readonly Row[] | undefined
  /** Reasons why the site is not `healthy`. */
  troubles: readonly string[]
  lock: string | undefined
  /**
   * The mechanism that finishes an interrupted deployment when the host boots; undefined when only the next deployment
   * does.
   */
  boot: string | undefined
  deployments: readonly Deployment[]
  /** Sizes in bytes. That of the images assumes that they share no layers. */
  disk: { files: number; images: number; free: number | undefined }
}

/** Pure: builds the report. Without a status, nothing was ever deployed. */
export function reportStatus(
  host: string,
  { directory, server }: { directory: string | undefined; server: Server },
  status: Status | undefined,
): StatusReport {
  const release = currentRelease(server)
  const troubles = release ? findTroubles(server, status) : []
  return {
    host,
    directory,
    project: release?.facts.get('project')?.[0],
    serving: versionOf(server, server.current),
    healthy: release !== undefined && troubles.length === 0,
    images: release ? imagesOf(release.facts) : {},
    containers: status?.containers ?? [],
    migrations: status?.migrations?.rows,
    troubles,
    lock: status?.lock,
    boot: status?.boot,
    deployments: status?.deployments ?? [],
    disk: {
      ...(status?.disk ?? { files: 0, images: 0 }),
      free: server.freeDisk === undefined ? undefined : server.freeDisk * 1024,
    },
  }
}

function findTroubles(server: Server, status: Status | undefined): string[] {
  if (server.docker === undefined) return [`Docker does not answer: ${server.dockerError ?? 'it is not installed'}`]
  const { containers = [], migrations, http, deployments = [], leftOverPorts = [] } = status ?? {}
  const pending = migrations?.rows.filter(({ state }) => state === 'pending').map(({ name }) => name) ?? []
  const interrupted = deployments.filter(({ outcome }) => outcome === 'interrupted').map(({ id }) => id)
  return [
    ...(server.whole ? [] : ['not every container of the release runs']),
    ...leftOverPorts.map((port) => `${leftOverPort(port).what}; ${leftOverPort(port).fix}`),
    ...containers.filter(({ health }) => health === 'unhealthy').map(({ service }) => `${service} is unhealthy`),
    ...(http?.reason !== undefined && http.reason !== 'nothing-speaks-http' ? [http.text] : []),
    ...(migrations?.trouble === undefined ? [] : [migrations.trouble]),
    ...describeChanges(server.databases, migrations?.databases ?? []),
    ...describeServing(migrations?.serving),
    ...(server.whole && migrations === undefined ? ['its migrations are not known: Django did not answer'] : []),
    ...(pending.length === 0 ? [] : [`not migrated: ${pending.join(', ')}`]),
    ...(interrupted.length === 0
      ? []
      : [`interrupted: ${interrupted.join(', ')}; the next deploy or rollback finishes it first`]),
  ]
}

/** Other settings of the site than those of manage.py, which lead to another database. */
function describeServing(serving: MigrationReport['serving']): string[] {
  if (!serving || serving.same || judgeServing(serving, serving.command) === 'nothing') return []
  return [explainServing(serving).what]
}

/** The outputs of the step. */
export function statusOutputs(report: StatusReport): Readonly<Record<string, string>> {
  return {
    serving: report.serving ?? '',
    healthy: String(report.healthy),
    images: JSON.stringify(report.images),
    migrations: JSON.stringify(report.migrations ?? []),
    status: JSON.stringify(report),
  }
}

/** One sentence about the current state. */
export function statusHeadline({ project, directory, host, serving, healthy, troubles }: StatusReport): string {
  if (serving === undefined) return `📋 Nothing was deployed to ${directory ?? 'deploy/'} on ${host}`
  return `${healthy ? '✅' : '❌'} ${project} serves ${serving}${healthy ? '' : `: ${troubles.join('; ')}`}`
}

/** The job summary. */
export function renderStatus(report: StatusReport): string {
  const { migrations, disk } = report
  const count = (state: Row['state']): number => migrations?.filter((row) => row.state === state).length ?? 0
  const unapplied = migrations?.filter(({ state }) => state !== 'applied') ?? []
  const facts: [string, string][] = [
    ['host', escape(`${report.host}, ${report.directory ?? 'nothing in deploy/'}`)],
    ['lock', escape(report.lock === undefined ? 'free' : `held by ${report.lock}`)],
    ['after a power loss', `${report.boot ?? 'only the next deploy or rollback'} finishes what was interrupted`],
    [
      'migrations',
      migrations === undefined
        ? 'unknown'
        : escape(
            [
              `${count('applied')} applied, ${count('pending')} pending`,
              ...unapplied.map(({ name, state }) => `${name} (${state})`),
            ].join(', '),
          ),
    ],
    ['disk', `releases ${size(disk.files)}, their images at most ${size(disk.images)}, free ${size(disk.free)}`],
  ]
  return [
    `## ${escape(statusHeadline(report))}`,
    '',
    ...table(['what', 'now'], facts),
    ...table(['service', 'state', 'health', 'restarts', 'image'], report.containers.map(containerRow)),
    ...table(['deployment', 'release', 'begun', 'ended', 'outcome'], report.deployments.map(deploymentRow)),
  ].join('\n')
}

function containerRow({ service, state, health, restarts, image }: RunningContainer): string[] {
  return [escape(service), escape(state), escape(health ?? '-'), String(restarts), code(image)]
}

function deploymentRow({ id, release, begun, ended, outcome, step }: Deployment): string[] {
  const at = step === undefined ? '' : ` (${step})`
  return [escape(id), escape(release), escape(begun), escape(ended ?? '-'), escape(outcome + at)]
}

function size(bytes: number | undefined): string {
  return bytes === undefined ? 'unknown' : `${(bytes / 1024 ** 2).toFixed(0)} MiB`
}
