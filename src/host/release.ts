import { parseApp, type App } from '../compose/app.ts'
import { readRoles, type Assigned } from '../compose/role.ts'
import { DeployError } from '../errors.ts'
import type { Connection } from './connection.ts'
import { fact, type Facts } from './fact.ts'
import type { Server } from './look.ts'

/** A release that is kept on the host. */
export type KeptRelease = { id: string; version: string; facts: Facts }

/** The current release; undefined before the first deploy. */
export function currentRelease(server: Server): KeptRelease | undefined {
  return server.current === undefined ? undefined : findRelease(server, server.current)
}

/** The version of a release id. If another run made the release after we looked, the version is cut from the id. */
export function versionOf(server: Server, id: string | undefined): string | undefined {
  return id === undefined ? undefined : (findRelease(server, id)?.version ?? id.replace(/-\d+-\d+(\.\d+)?$/, ''))
}

/**
 * The release to roll back to. With a version: its newest release that has served. Without one: the release that served
 * before the current release was first deployed.
 */
export function chooseTarget(server: Server, version: string | undefined): KeptRelease {
  const known = server.served.flatMap((id) => findRelease(server, id) ?? [])
  const versions = [...new Set(known.map((release) => release.version))].join(', ') || 'none'
  if (version !== undefined) {
    const found = known.findLast((release) => release.version === version)
    if (found) return found
    throw new DeployError('rollback-unknown-version', {
      what: `No release ${version} that has served is on the host`,
      seen: `releases that can be restored: ${versions}`,
      why: 'it was never deployed here, or `keep-releases` removed it',
      fix: 'choose one of these versions, or deploy the old tag again',
    })
  }
  const before = server.previous === undefined ? undefined : findRelease(server, server.previous)
  if (before) return before
  throw new DeployError('rollback-none', {
    what: 'There is no earlier release to go back to',
    seen: `releases that can be restored: ${versions}`,
    why: `${versionOf(server, server.current) ?? 'the current release'} is the first one here, or the previous release is gone`,
    fix: known.some((release) => release.id !== server.current)
      ? 'set `version` to one of these'
      : 'deploy the tag that you want to go back to',
  })
}

/** The pinned Compose model of a release; empty without one. */
export async function readAppOf(connection: Connection, directory: string, id: string | undefined): Promise<App> {
  const text =
    id === undefined ? undefined : await readText(connection, `${directory}/.deploy/releases/${id}/compose.yaml`)
  return parseApp(text)
}

/** The text of the `.env` that a release shipped; undefined when the host has its own. */
export async function readDotEnv(
  connection: Connection,
  directory: string,
  release: Pick<KeptRelease, 'id' | 'facts'> | undefined,
): Promise<string | undefined> {
  if (release === undefined || fact(release.facts, 'env') !== 'shipped') return undefined
  return await readText(connection, `${directory}/.deploy/releases/${release.id}/env/.env`)
}

/** The health checks of a deployment and of its trial, as the probe reads them; undefined when the host has none. */
export type KeptHealth = { http: string | undefined; trial: string | undefined }

/** Reads the health checks with which a release was deployed. */
export async function readHealth(connection: Connection, directory: string, id: string): Promise<KeptHealth> {
  const read = (name: string): Promise<string | undefined> =>
    readText(connection, `${directory}/.deploy/plans/${id}/${name}.json`)
  const [http, trial] = await Promise.all([read('http'), read('try')])
  return { http, trial }
}

async function readText(connection: Connection, path: string): Promise<string | undefined> {
  // Line numbers tell the file from the output of the login shell's start files.
  const read = await connection.callOrThrow(['cat', '-n', path])
  const lines = [...read.stdout.matchAll(/^ *\d+\t(.*)$/gm)].map(([, line = '']) => line)
  return read.code === 0 ? lines.join('\n') : undefined
}

/** Whether the current release runs as it was deployed: whole, without a failed step, and with the same env files. */
export const isAsDeployed = ({ whole, isForward, isOutdated }: Server): boolean => whole && !isForward && !isOutdated

/** All services of a release that the deployment handles; none of a release that is not there. */
export function servicesOf(facts: Facts | undefined): readonly Assigned[] {
  return readRoles(facts?.get('services'))
}

/** `service port` lines as pairs. */
export function frontsOf(facts: Facts): [string, number][] {
  return pairsOf(facts.get('fronts')).map(([service, port]) => [service, Number(port)])
}

/** `service name@digest` lines as a record. */
export function imagesOf(facts: Facts): Record<string, string> {
  return Object.fromEntries(pairsOf(facts.get('images')))
}

/** `service hash` lines as a map; empty before the first deploy. */
export function contentsOf(facts: Facts | undefined): ReadonlyMap<string, string> {
  return new Map(pairsOf(facts?.get('contents')))
}

function pairsOf(lines: readonly string[] = []): [string, string][] {
  return lines.map((line) => {
    const [first = '', second = ''] = line.split(' ')
    return [first, second]
  })
}

function findRelease(server: Server, id: string): KeptRelease | undefined {
  const facts = server.releases.get(id)
  return facts && { id, version: fact(facts, 'version') ?? id, facts }
}
