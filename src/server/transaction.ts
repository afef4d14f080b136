import type { Connection } from './connection.ts'
import { command, follow, type Ending, type Progress } from './follow.ts'
import { begin } from './stage.ts'

/** A transaction on the server, by the folder of the project and its id. */
export type Transaction = { directory: string; id: string }

/**
 * Starts a staged transaction and follows it to its end. When its process dies on the server, recovery is asked for at
 * once and the ending is read again. When `signal` fires, nobody follows on; the transaction does, see `askToTurnBack`.
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

/** Follows a transaction that was begun, also from `post`. */
export async function followToEnd(
  connection: Connection,
  { directory, id }: Transaction,
  show: (progress: Progress) => void,
  signal: AbortSignal,
): Promise<Ending> {
  const ending = await follow(connection, directory, id, show, signal)
  if (ending.word !== 'died') return ending
  await connection.reach(['sh', script(directory, id), 'recover', directory], { signal })
  return await follow(connection, directory, id, () => {}, signal)
}

/**
 * Leaves the mark that makes a transaction turn back at its next safe point; it never stops a running migration. It is sent
 * after the job was cancelled, so the signal of the connection must not stop it. False when the mark could not be left.
 */
export async function askToTurnBack(connection: Connection, { directory, id }: Transaction): Promise<boolean> {
  return await connection.call(command(directory, id, 'abort'), { signal: undefined, timeoutMs: 5_000 }).then(
    (finished) => finished.code === 0,
    () => false,
  )
}

function script(directory: string, id: string): string {
  return `${directory}/.deploy/plans/${id}/transaction.sh`
}

/** `<what>-<run>-<attempt>`, with a number behind it when one run deploys the same version twice. */
export function newId(name: string, run: { runId: number; runAttempt: number }, taken: readonly string[]): string {
  const id = `${name}-${run.runId}-${run.runAttempt}`
  for (let number = 1; ; number += 1) {
    const candidate = number === 1 ? id : `${id}.${number}`
    if (!taken.includes(candidate)) return candidate
  }
}
