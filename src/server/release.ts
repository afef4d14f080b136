import { parse } from 'yaml'
import { valuesOf, type Values } from '../compose/document.ts'
import { DeployError } from '../errors.ts'
import type { Connection } from './connection.ts'
import { fact, type Facts } from './fact.ts'
import type { Server } from './look.ts'

/** A release that is on the server. */
export type KeptRelease = { id: string; version: string; facts: Facts }

/** The release that serves; undefined before the first deploy. */
export function currentRelease(server: Server): KeptRelease | undefined {
  return server.current === undefined ? undefined : findRelease(server, server.current)
}

/** The version of a release id, as people know it; another run may have made the release after we looked. */
export function versionOf(server: Server, id: string | undefined): string | undefined {
  return id === undefined ? undefined : (findRelease(server, id)?.version ?? id.replace(/-\d+-\d+(\.\d+)?$/, ''))
}

/**
 * The release to go back to: the newest of the asked version that has ever served, or, without a version, what served
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
    why: `${versionOf(server, server.current) ?? 'the current release'} is the first one here, or the release before it is gone`,
    fix: known.some((release) => release.id !== server.current)
      ? 'set `version` to one of these'
      : 'deploy the tag that you want to go back to',
  })
}

/** The Compose model of a release, as it was pinned; empty when there is none. */
export async function readModel(connection: Connection, directory: string, id: string | undefined): Promise<Values> {
  if (id === undefined) return {}
  // The numbers tell the file from what the login shell's start file prints.
  const read = await connection.reach(['cat', '-n', `${directory}/.deploy/releases/${id}/compose.yaml`])
  const lines = [...read.stdout.matchAll(/^ *\d+\t(.*)$/gm)].map(([, line = '']) => line)
  return read.code === 0 ? valuesOf(parse(lines.join('\n'))) : {}
}

/** All services that a release deals with. */
export function servicesOf(facts: Facts): string[] {
  const app = (facts.get('services') ?? []).map((line) => line.split(' ')[1] ?? '')
  return [...app, ...(['data', 'others', 'jobs'] as const).flatMap((name) => facts.get(name) ?? [])]
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
