import { info } from '../report/log.ts'
import { explain } from '../errors.ts'
import type { Run } from '../process.ts'
import { warning } from '../github/annotation.ts'
import { reconnect, type Connection } from '../host/connection.ts'
import { explainEnding, explainForward, explainReverted } from '../host/failure.ts'
import type { Ending } from '../host/follow.ts'
import type { Route } from '../host/ssh-config.ts'
import { closeRecord, type Conclusion } from '../github/record.ts'
import { followed, savedRecord, type Followed } from '../github/state.ts'
import { watchToEnd } from './execute.ts'

/** GitHub ends a cancelled job's post steps after five minutes. */
const FOLLOW_LIMIT_MS = 4 * 60_000

/** Follows a deployment that main did not follow to its end, over the connection that main left. */
export async function followAfterCancel(
  run: Run,
  folder: string,
  readInputs: () => Route & { githubToken: string | undefined },
  page: string,
): Promise<void> {
  const transaction = followed()
  if (!transaction) return
  const inputs = readInputs()
  await concludeRecord(inputs.githubToken, () => report(reconnect(run, inputs, folder), transaction, page))
}

/** Closes GitHub's deployment record with what really happened. */
async function concludeRecord(token: string | undefined, follow: () => Promise<Conclusion>): Promise<void> {
  const open = savedRecord()
  const state = await follow().catch((cause: unknown) => {
    if (open) warning(`GitHub's deployment record of ${open.environment} stays in progress: its end was not seen`)
    throw cause
  })
  if (open && token !== undefined) await closeRecord({ ...open, token }, state)
}

async function report(connection: Connection, { tid, directory, manage }: Followed, page: string): Promise<Conclusion> {
  info(`Following ${tid}, which continues on the host without the runner`)
  const ending = await watchToEnd(connection, { directory, id: tid }, FOLLOW_LIMIT_MS)
  if (ending.journal.length === 0) {
    info('The deployment had not started; nothing was changed')
    return 'failure'
  }
  const failure = explainEnding(ending)
  const serving = describeServing(ending)
  if (failure) warning(explain(failure, { serving, page, manage }))
  info(`The deployment ended: ${ending.word}; ${serving ?? 'it is not known which release serves'}`)
  return failure ? 'failure' : 'success'
}

function describeServing(ending: Ending): string | undefined {
  const { serves, word, revert } = ending
  const unhealthy = word === 'forward' ? explainForward(ending) : undefined
  if (unhealthy !== undefined)
    return `nothing serves: ${serves ?? 'the new release'} stays, but it is not healthy: ${unhealthy}`
  const trouble = revert && explainReverted(revert)
  if (serves !== undefined && trouble !== undefined) return `${serves} runs again, but it cannot serve: ${trouble}`
  if (serves !== undefined) return `${serves} serves`
  return word === 'back' ? 'nothing serves' : undefined
}
