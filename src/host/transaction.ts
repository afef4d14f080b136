import type { Connection } from './connection.ts'
import { command, follow, type Ending, type Progress } from './follow.ts'
import { begin } from './stage.ts'

/** A deployment on the host: the project's directory and the deployment's id. */
export type Transaction = { directory: string; id: string }

/**
 * Starts a staged deployment and follows it to its end. If its process dies on the host, starts recovery at once and
 * reads the ending again. When `signal` fires, only the following stops; the deployment continues, see `requestRevert`.
 */
export async function transact(
  connection: Connection,
  transaction: Transaction,
  show: (progress: Progress) => void,
  signal: AbortSignal,
): Promise<Ending> {
  await begin(connection, transaction.directory, transaction.id)
  return await followToEnd(connection, transaction, show, signal)
}

/** Follows a deployment that has started; `post` uses it as well. */
export async function followToEnd(
  connection: Connection,
  { directory, id }: Transaction,
  show: (progress: Progress) => void,
  signal: AbortSignal,
): Promise<Ending> {
  const ending = await follow(connection, directory, id, show, signal)
  if (ending.word !== 'died') return ending
  await connection.callOrThrow(['sh', script(directory, id), 'recover', directory], { signal })
  return await follow(connection, directory, id, () => {}, signal)
}

/**
 * Leaves the mark that makes a deployment revert at its next safe point, never during a migration. The job is cancelled
 * already, so the call ignores the connection's signal. False when the mark could not be left.
 */
export async function requestRevert(connection: Connection, { directory, id }: Transaction): Promise<boolean> {
  return await connection.call(command(directory, id, 'abort'), { signal: undefined, timeoutMs: 5_000 }).then(
    (finished) => finished.code === 0,
    () => false,
  )
}

function script(directory: string, id: string): string {
  return `${directory}/.deploy/plans/${id}/transaction.sh`
}

/** `<what>-<run>-<attempt>`, with a number appended when one run deploys the same version twice. */
export function newId(name: string, run: { runId: number; runAttempt: number }, taken: readonly string[]): string {
  const id = `${name}-${run.runId}-${run.runAttempt}`
  for (let number = 1; ; number += 1) {
    const candidate = number === 1 ? id : `${id}.${number}`
    if (!taken.includes(candidate)) return candidate
  }
}
