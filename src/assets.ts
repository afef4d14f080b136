import { readFile } from 'node:fs/promises'

/** What is sent to the server and run in the container, exactly as in the repository. */
export type Assets = { transaction: Buffer; probe: Buffer }

/** Reads transaction.sh and probe.py; the bundler copies both beside the bundle and mends the two addresses. */
export async function readAssets(): Promise<Assets> {
  const [transaction, probe] = await Promise.all([
    readFile(new URL('./server/transaction.sh', import.meta.url)),
    readFile(new URL('./django/probe.py', import.meta.url)),
  ])
  return { transaction, probe }
}
