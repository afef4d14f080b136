import { debug, endGroup, info as write, isDebug, startGroup, summary } from '@actions/core'
import { warning } from '../github/annotation.ts'
import type { TimedStep } from './report.ts'

const HEARTBEAT_MS = 10_000

/** A running step. Its lines wait for its end, because only then its title is known. */
export type OpenStep = {
  /** Ends the step and prints its title, with its lines below. */
  close(fact: string, seconds: number, hasFailed?: boolean): void
}

type Buffer = { lines: string[] }

let open: Buffer | undefined

/**
 * Starts a step. GitHub cannot rename a group that it has shown, so the lines wait for the end of the step. Every ten
 * seconds a line shows what the step waits for. Under debug logging each line appears at once, before the title.
 */
export function beginStep(name: string, awaited = ''): OpenStep {
  const buffer: Buffer = { lines: [] }
  const outer = open
  open = buffer
  if (isDebug()) debug(`${name} begins`)
  const begun = Date.now()
  const heartbeat = setInterval(() => {
    const last = buffer.lines.at(-1)?.trim() ?? awaited
    write(`… ${name}, ${Math.round((Date.now() - begun) / 1000)} s${last === '' ? '' : `: ${last}`}`)
  }, HEARTBEAT_MS)
  return {
    close(fact, seconds, hasFailed = false) {
      clearInterval(heartbeat)
      open = outer
      const parts = [hasFailed ? `failed${fact === '' ? '' : `: ${fact}`}` : fact, `${seconds.toFixed(1)} s`]
      print(`${name}: ${parts.filter((part) => part !== '').join(', ')}`, isDebug() ? [] : buffer.lines)
    },
  }
}

/** Without lines the title needs no group. */
function print(title: string, lines: readonly string[]): void {
  if (lines.length === 0) return info(harmless(title))
  startGroup(harmless(title))
  lines.forEach((line) => write(line))
  endGroup()
}

/** Runs a step on the runner; `describe` gives the result that becomes part of its title. */
export type DoStep = <T>(name: string, work: () => Promise<T>, describe: (result: T) => string) => Promise<T>

/** A failure is printed after its step's group, where it is visible. `keep` gets the duration of each step. */
export function makeStep(keep: (timed: TimedStep) => void): DoStep {
  return async (name, work, describe) => {
    const begun = Date.now()
    const opened = beginStep(name)
    const end = (fact: string, hasFailed: boolean): void => {
      const seconds = (Date.now() - begun) / 1000
      opened.close(fact, seconds, hasFailed)
      keep({ name, place: 'runner', begun, seconds, hasFailed })
    }
    const result = await work().catch((failure: unknown) => {
      end('', true)
      throw failure
    })
    end(describe(result), false)
    return result
  }
}

/**
 * Prints one of our own lines below the title of the running step. Without a step, or under debug logging, it appears
 * at once.
 */
export function info(line: string): void {
  open?.lines.push(...line.split('\n'))
  if (open === undefined || isDebug()) write(line)
}

/** Prints a line of a program. */
export function show(line: string): void {
  info(harmless(line))
}

/** Prints a line only under debug logging, such as Docker's progress of each layer. */
export function showDetail(line: string): void {
  if (isDebug()) debug(harmless(line))
}

/** Writes the job summary. On a runner without one, only a warning follows. */
export async function writeSummary(text: string): Promise<void> {
  await summary
    .addRaw(text)
    .write()
    .catch((cause: unknown) => warning(`The job summary could not be written: ${String(cause)}`))
}

/**
 * Makes a line from outside harmless, so that the runner shows it and does not obey it. The threat: a container prints
 * `::add-mask::x`, or a visitor's address contains `##[error]` and reaches the last lines of a log. The runner looks
 * for `::` after white space and for `##[` anywhere. It starts a new line at each control character.
 */
export function harmless(line: string): string {
  return line
    .replace(/[\p{Cc}\u2028\u2029]/gu, (control) => (control === '\t' ? control : ' '))
    .replaceAll('##[', '## [')
    .replace(/^(\s*:):/, '$1 :')
}
