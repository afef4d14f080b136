import { getState, saveState } from '@actions/core'
import { parse } from 'node:path'

/** The transaction on the server that main has started and post may have to follow to its end. */
export type Followed = { tid: string; directory: string }

/**
 * The name of the entry file that the runner started: a command, or `post`. A mark that main leaves for post would not do:
 * a job that is cancelled before main can leave it would start its deployment in the post step.
 */
export const entry = parse(process.argv[1] ?? '').name

/** The folder of temporary files (keys, control socket) that post removes; empty when main made none. */
export function temporaryFolder(): string {
  return getState('folder')
}

/** Leaves the folder of temporary files to post. */
export function saveTemporaryFolder(path: string): void {
  saveState('folder', path)
}

/** The transaction that main was following when it ended, if any. */
export function followed(): Followed | undefined {
  const [tid, directory] = [getState('tid'), getState('directory')]
  return tid === '' ? undefined : { tid, directory }
}

/** Called before a transaction is started on the server. */
export function saveFollowed(transaction: Followed): void {
  saveState('tid', transaction.tid)
  saveState('directory', transaction.directory)
}

/** Called when the transaction has ended and was reported: nothing is left for post to follow. */
export function forgetFollowed(): void {
  saveState('tid', '')
}
