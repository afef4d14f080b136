import { getState, saveState } from '@actions/core'
import { parse } from 'node:path'
import * as v from 'valibot'
import { parseJson } from '../schema.ts'

/** The deployment that main started and that post may have to follow to its end. */
export type Followed = {
  tid: string
  directory: string
  /** The command that starts manage.py; undefined when the release does not record it. */
  manage: readonly string[] | undefined
}

/**
 * The name of the entry file that the runner started: a command, or `post`. A state saved by main could not tell: if a
 * job is cancelled before main saves it, the post step would start a deployment.
 */
export const entry = parse(process.argv[1] ?? '').name

/** The folder of main's temporary files (keys, control socket); empty when main created none. */
export function temporaryFolder(): string {
  return getState('folder')
}

/** Hands the folder of temporary files over to post, which removes it if main could not. */
export function saveTemporaryFolder(path: string): void {
  saveState('folder', path)
}

/** The deployment that main was following when it ended, if any. */
export function followed(): Followed | undefined {
  const [tid, directory, manage] = [getState('tid'), getState('directory'), getState('manage')]
  return tid === '' ? undefined : { tid, directory, manage: manage === '' ? undefined : manage.split(' ') }
}

let unfinished = false

/** Whether a deployment started on the host whose end main does not know. Post will follow it. */
export function isUnfinished(): boolean {
  return unfinished
}

/** Called before a deployment starts on the host. */
export function saveFollowed(transaction: Followed): void {
  unfinished = true
  saveState('tid', transaction.tid)
  saveState('directory', transaction.directory)
  saveState('manage', transaction.manage?.join(' ') ?? '')
}

/** Called after the deployment ended and was reported, so that post follows nothing. */
export function forgetFollowed(): void {
  unfinished = false
  saveState('tid', '')
}

/** GitHub's deployment record that main opened, without the token. */
export type OpenRecord = v.InferOutput<typeof openRecord>

const openRecord = v.object({
  id: v.number(),
  apiUrl: v.string(),
  repository: v.string(),
  commit: v.string(),
  environment: v.string(),
  description: v.string(),
  runUrl: v.string(),
  runId: v.number(),
  siteUrl: v.optional(v.string()),
})

/** Hands the deployment record over to post. */
export function saveRecord(open: OpenRecord): void {
  saveState('record', JSON.stringify(open))
}

/** The deployment record that main opened, if any. */
export function savedRecord(): OpenRecord | undefined {
  const text = getState('record')
  return text === '' ? undefined : parseJson(openRecord, text, { what: 'The state of the job' })
}
