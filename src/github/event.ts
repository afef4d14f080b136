import { readFile } from 'node:fs/promises'
import * as v from 'valibot'
import { parseJson } from '../schema.ts'

/** Reads what GitHub's event says about this run's pull request, in the form that `fields` describes. */
export async function readPullRequestEvent<T>(path: string, fields: v.GenericSchema<unknown, T>): Promise<T> {
  const what = 'The pull request in GitHub’s event'
  return parseJson(v.object({ pull_request: fields }), await readFile(path, 'utf8'), { what }).pull_request
}
