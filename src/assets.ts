import { readFile } from 'node:fs/promises'
import { deflateSync } from 'node:zlib'
import { exitVariables } from './server/exit.ts'

/** What is sent to the host, and the one word that runs in the container: see `asWord`. */
export type Assets = { transaction: Buffer; probe: Buffer }

const head = new URL('./server/transaction/head.sh', import.meta.url)

/** The parts of the script that walks a transaction on the server: one file when it is sent, one noun a file here. */
const transactionParts = [
  new URL('./server/transaction/word.sh', import.meta.url),
  new URL('./server/transaction/docker.sh', import.meta.url),
  new URL('./server/transaction/lines.sh', import.meta.url),
  new URL('./server/transaction/port.sh', import.meta.url),
  new URL('./server/transaction/one-off.sh', import.meta.url),
  new URL('./server/transaction/probe.sh', import.meta.url),
  new URL('./server/transaction/look.sh', import.meta.url),
  new URL('./server/transaction/stage.sh', import.meta.url),
  new URL('./server/transaction/journal.sh', import.meta.url),
  new URL('./server/transaction/session.sh', import.meta.url),
  new URL('./server/transaction/engine.sh', import.meta.url),
  new URL('./server/transaction/boot.sh', import.meta.url),
  new URL('./server/transaction/ready.sh', import.meta.url),
  new URL('./server/transaction/adopt.sh', import.meta.url),
  new URL('./server/transaction/migrate.sh', import.meta.url),
  new URL('./server/transaction/static.sh', import.meta.url),
  new URL('./server/transaction/swap.sh', import.meta.url),
  new URL('./server/transaction/health.sh', import.meta.url),
  new URL('./server/transaction/verify.sh', import.meta.url),
  new URL('./server/transaction/revert.sh', import.meta.url),
  new URL('./server/transaction/commit.sh', import.meta.url),
  new URL('./server/transaction/follow.sh', import.meta.url),
  new URL('./server/transaction/run.sh', import.meta.url),
  new URL('./server/transaction/status.sh', import.meta.url),
  new URL('./server/transaction/redaction.sh', import.meta.url),
  new URL('./server/transaction/settings.sh', import.meta.url),
  new URL('./server/transaction/rollback.sh', import.meta.url),
  new URL('./server/transaction/main.sh', import.meta.url),
]

/** The parts of what runs in the app's container. */
const probeParts = [
  new URL('./django/probe/head.py', import.meta.url),
  new URL('./django/probe/database.py', import.meta.url),
  new URL('./django/probe/migrations.py', import.meta.url),
  new URL('./django/probe/operations.py', import.meta.url),
  new URL('./django/probe/tables.py', import.meta.url),
  new URL('./django/probe/fields.py', import.meta.url),
  new URL('./django/probe/serving.py', import.meta.url),
  new URL('./django/probe/plan.py', import.meta.url),
  new URL('./django/probe/fit.py', import.meta.url),
  new URL('./django/probe/collect.py', import.meta.url),
  new URL('./django/probe/migrate.py', import.meta.url),
  new URL('./django/probe/http.py', import.meta.url),
  new URL('./django/probe/main.py', import.meta.url),
]

/** Reads the script and the probe; the bundler copies the files beside the bundle and corrects their addresses. */
export async function readAssets(): Promise<Assets> {
  const [start, rest, probe] = await Promise.all([readFile(head), join(transactionParts), readProbe()])
  return { transaction: Buffer.concat([start, Buffer.from(exitVariables()), rest]), probe: asWord(probe) }
}

/** The probe as a program of Python. */
export function readProbe(): Promise<Buffer> {
  return join(probeParts)
}

/**
 * A program of Python as one word without spaces: it passes through any entrypoint, needs no mount and no standard input.
 * Linux allows a word 128 KiB, so it is compressed.
 */
function asWord(program: Buffer): Buffer {
  const packed = deflateSync(program, { level: 9 }).toString('base64')
  const text = `__import__('zlib').decompress(__import__('base64').b64decode('${packed}'))`
  return Buffer.from(`exec(${text},{'__name__':'deploy_django'})`)
}

async function join(parts: readonly URL[]): Promise<Buffer> {
  return Buffer.concat(await Promise.all(parts.map((part) => readFile(part))))
}
