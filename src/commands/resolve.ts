import type { Counts } from '../compose/scale.ts'
import { findDocument } from '../django/document.ts'
import { warning } from '../github/annotation.ts'
import { bindSources, readMadeFolder, warnOfOwners, type BindSource, type MadeFolder } from '../guard/bind.ts'
import type { DenialFacts } from '../guard/denied.ts'
import { checkMounts, describeCodeMounts, isRenewable, readCounts, readMounts, type Mounts } from '../guard/mount.ts'
import type { Connection } from '../host/connection.ts'
import { explainStage } from '../host/failure.ts'
import { command } from '../host/follow.ts'
import type { Transaction } from '../host/transaction.ts'
import { readUsers } from '../image/user.ts'
import type { Run } from '../process.ts'
import { show } from '../report/log.ts'
import type { Candidate } from './release.ts'

/** The parts of a release's model that only the host can resolve. */
export type Resolved = { mounts: Mounts; counts: Counts }

/**
 * Resolves the model on the host and creates missing folders for mounts. Stops when a changed mount would leave data
 * behind.
 */
export async function resolveModel({ site, staged, inputs }: Candidate, run: Run): Promise<Resolved> {
  const { connection, server, name } = site
  const { transaction, release, made } = staged
  const resolved = await askResolved(connection, transaction)
  const { mounts } = resolved
  const { roles, app } = release
  const sources = bindSources(
    mounts,
    roles.services.map(({ service }) => service),
    app,
  )
  await prepareMounts(connection, transaction, sources, { mounts, app }, run)
  const facts = {
    containers: server.containers.filter(
      (each) => each.project === name && !inputs.updateServices.includes(each.service) && !isRenewable(each, server),
    ),
    mounts,
    managePath: made.django.managePath,
    django: made.django.target.group.services,
  }
  describeCodeMounts(facts).forEach((text) => warning(text))
  if (!inputs.force) checkMounts(facts)
  return resolved
}

/** Returns the release's mounts and the container counts in its Compose file. Stops when a setting is missing. */
export async function askResolved(connection: Connection, { directory, id }: Transaction): Promise<Resolved> {
  const asked = await connection.callOrThrow(command(directory, id, 'check'))
  if (asked.code !== 0) throw explainStage(asked)
  const document = findDocument(asked.stdout)
  return { mounts: readMounts(document), counts: readCounts(document) }
}

/** Creates missing folders in the project's directory for mounts. Stops when a mounted file is missing. */
export async function prepareMounts(
  connection: Connection,
  { directory, id }: Transaction,
  sources: readonly BindSource[],
  { mounts, app }: DenialFacts,
  run: Run,
): Promise<void> {
  if (sources.length === 0) return
  const made: MadeFolder[] = []
  const prepared = await connection.callOrThrow(command(directory, id, 'prepare'), {
    stdin: sources.map(({ kind, path }) => `${kind} ${path}\n`).join(''),
    onLine: (line, stream) => {
      if (stream !== 'stdout') return
      show(line)
      const folder = readMadeFolder(line)
      if (folder) made.push(folder)
    },
  })
  if (prepared.code !== 0) throw explainStage(prepared)
  if (made.length === 0) return
  const users = await readUsers([...mounts.keys()], app, run)
  warnOfOwners(made, mounts, users).forEach((text) => warning(text))
}
