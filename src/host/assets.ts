import { readFile } from 'node:fs/promises'
import { deflateSync } from 'node:zlib'
import { exitVariables } from './exit.ts'

/** The script for the host, and the probe as the one word that runs in the container: see `asWord`. */
export type Assets = { transaction: Buffer; probe: Buffer }

const head = new URL('./transaction/head.sh', import.meta.url)

/** The parts of the script that runs a deployment on the host. Here each noun has a file; the host gets one file. */
const transactionParts = [
  new URL('./transaction/word.sh', import.meta.url),
  new URL('./transaction/docker.sh', import.meta.url),
  new URL('./transaction/lines.sh', import.meta.url),
  new URL('./transaction/port.sh', import.meta.url),
  new URL('./transaction/compose.sh', import.meta.url),
  new URL('./transaction/proxy.sh', import.meta.url),
  new URL('./transaction/probe.sh', import.meta.url),
  new URL('./transaction/look.sh', import.meta.url),
  new URL('./transaction/stage.sh', import.meta.url),
  new URL('./transaction/journal.sh', import.meta.url),
  new URL('./transaction/session.sh', import.meta.url),
  new URL('./transaction/engine.sh', import.meta.url),
  new URL('./transaction/boot.sh', import.meta.url),
  new URL('./transaction/ready.sh', import.meta.url),
  new URL('./transaction/adopt.sh', import.meta.url),
  new URL('./transaction/backup.sh', import.meta.url),
  new URL('./transaction/restore.sh', import.meta.url),
  new URL('./transaction/migrate.sh', import.meta.url),
  new URL('./transaction/static.sh', import.meta.url),
  new URL('./transaction/stop.sh', import.meta.url),
  new URL('./transaction/swap.sh', import.meta.url),
  new URL('./transaction/health.sh', import.meta.url),
  new URL('./transaction/try.sh', import.meta.url),
  new URL('./transaction/verify.sh', import.meta.url),
  new URL('./transaction/revert.sh', import.meta.url),
  new URL('./transaction/commit.sh', import.meta.url),
  new URL('./transaction/follow.sh', import.meta.url),
  new URL('./transaction/run.sh', import.meta.url),
  new URL('./transaction/status.sh', import.meta.url),
  new URL('./transaction/redaction.sh', import.meta.url),
  new URL('./transaction/settings.sh', import.meta.url),
  new URL('./transaction/rollback.sh', import.meta.url),
  new URL('./transaction/main.sh', import.meta.url),
]

const redaction = new URL('./transaction/redaction.awk', import.meta.url)

/** The parts of the probe, which runs in the app's container. */
const probeParts = [
  new URL('../django/probe/head.py', import.meta.url),
  new URL('../django/probe/database.py', import.meta.url),
  new URL('../django/probe/aliases.py', import.meta.url),
  new URL('../django/probe/migrations.py', import.meta.url),
  new URL('../django/probe/operations.py', import.meta.url),
  new URL('../django/probe/tables.py', import.meta.url),
  new URL('../django/probe/fields.py', import.meta.url),
  new URL('../django/probe/serving.py', import.meta.url),
  new URL('../django/probe/plan.py', import.meta.url),
  new URL('../django/probe/fit.py', import.meta.url),
  new URL('../django/probe/collect.py', import.meta.url),
  new URL('../django/probe/judge.py', import.meta.url),
  new URL('../django/probe/tenants.py', import.meta.url),
  new URL('../django/probe/backup.py', import.meta.url),
  new URL('../django/probe/indexes.py', import.meta.url),
  new URL('../django/probe/watch.py', import.meta.url),
  new URL('../django/probe/turn.py', import.meta.url),
  new URL('../django/probe/migrate.py', import.meta.url),
  new URL('../django/probe/losses.py', import.meta.url),
  new URL('../django/probe/reverse.py', import.meta.url),
  new URL('../django/probe/http.py', import.meta.url),
  new URL('../django/probe/front.py', import.meta.url),
  new URL('../django/probe/main.py', import.meta.url),
]

/** Reads the script and the probe; the bundler copies the files beside the bundle and corrects their addresses. */
export async function readAssets(): Promise<Assets> {
  const [start, program, rest, probe] = await Promise.all([
    readFile(head),
    readRedaction(),
    join(transactionParts),
    readProbe(),
  ])
  return { transaction: Buffer.concat([start, Buffer.from(exitVariables()), program, rest]), probe: asWord(probe) }
}

/** The awk program as a shell variable. */
export async function readRedaction(): Promise<Buffer> {
  const program = await readFile(redaction, 'utf8')
  const disabled = "# shellcheck disable=SC2016 # the program is awk's"
  return Buffer.from(`${disabled}\nredaction_program='${program.replaceAll("'", "'\\''")}'\n\n`)
}

/** The probe as a Python program. */
export function readProbe(): Promise<Buffer> {
  return join(probeParts)
}

/**
 * A Python program as one word without spaces: it passes any entrypoint and needs no mount and no standard input. It is
 * compressed, because Linux limits a word to 128 KiB.
 */
function asWord(program: Buffer): Buffer {
  const packed = deflateSync(withoutComments(program.toString()), { level: 9 }).toString('base64')
  const text = `__import__('zlib').decompress(__import__('base64').b64decode('${packed}'))`
  return Buffer.from(`exec(${text},{'__name__':'deploy_django'})`)
}

/** Empties lines that are only a comment or a docstring. The others keep their numbers, for tracebacks. */
function withoutComments(program: string): string {
  return program.replaceAll(/^ *#.*$/gm, '').replaceAll(/^( +)""".*"""$/gm, '$1""')
}

async function join(parts: readonly URL[]): Promise<Buffer> {
  return Buffer.concat(await Promise.all(parts.map((part) => readFile(part))))
}
