import { info, warning } from '@actions/core'
import { explain } from '../errors.ts'
import type { Run } from '../process.ts'
import { disconnect, reconnect, type Connection } from '../server/connection.ts'
import { explainEnding, explainReverted } from '../server/failure.ts'
import type { Ending } from '../server/follow.ts'
import type { Route } from '../server/ssh-config.ts'
import { followed, type Followed } from '../state.ts'
import { watchToEnd } from './execute.ts'

/** GitHub ends a cancelled job's post steps after five minutes. */
const FOLLOW_LIMIT_MS = 4 * 60_000

/** Follows a transaction that main could not follow to its end, and closes the connection that main left. */
export async function followAfterCancel(
  run: Run,
  folder: string,
  readInputs: () => Route,
  page: string,
): Promise<void> {
  const transaction = followed()
  try {
    if (transaction) await report(reconnect(run, readInputs(), folder), transaction, page)
  } finally {
    await disconnect(run, folder)
  }
}

async function report(connection: Connection, { tid, directory }: Followed, page: string): Promise<void> {
  info(`Following ${tid}, which goes on by itself on the server`)
  const ending = await watchToEnd(connection, { directory, id: tid }, FOLLOW_LIMIT_MS)
  if (ending.journal.length === 0) {
    info('The transaction had not begun; nothing was changed')
    return
  }
  const failure = explainEnding(ending)
  const serving = describeServing(ending)
  if (failure) warning(explain(failure, { serving, page }))
  info(`The transaction ended: ${ending.word}; ${serving ?? 'what serves is not known'}`)
}

function describeServing({ serves, word, revert }: Ending): string | undefined {
  const trouble = revert && explainReverted(revert)
  if (serves !== undefined && trouble !== undefined) return `${serves} runs again, but it cannot serve: ${trouble}`
  if (serves !== undefined) return `${serves} serves`
  return word === 'back' ? 'nothing serves' : undefined
}
