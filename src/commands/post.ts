import { info, warning } from '@actions/core'
import { explain } from '../errors.ts'
import type { Host } from '../login.ts'
import type { Run } from '../process.ts'
import { reconnect } from '../server/connection.ts'
import { explainEnding } from '../server/failure.ts'
import { followed } from '../state.ts'
import { watchToEnd } from './walk.ts'

/** GitHub ends a cancelled job's post steps after five minutes. */
const FOLLOW_LIMIT_MS = 4 * 60_000

/** After main: closes the connection, and follows a transaction that main could not follow to its end. */
export async function followAfterCancel(run: Run, folder: string, readInputs: () => { host: Host }): Promise<void> {
  const transaction = followed()
  const connection = reconnect(run, readInputs().host, folder)
  if (transaction) {
    info(`Following ${transaction.tid}, which goes on by itself on the server`)
    const ending = await watchToEnd(
      connection,
      { directory: transaction.directory, id: transaction.tid },
      FOLLOW_LIMIT_MS,
    )
    const failure = explainEnding(ending)
    if (failure) warning(explain(failure))
    info(`The transaction ended: ${ending.word}; ${ending.serves ?? 'nothing'} serves`)
  }
  await connection.close()
}
