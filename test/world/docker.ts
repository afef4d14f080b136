import { run, type Finished, type RunOptions } from '../../src/process.ts'

/** The environment of the world's programs: an older, bare docker client may sit in /usr/local/bin, so /usr/bin is first. */
export const environment: NodeJS.ProcessEnv = { ...process.env, PATH: `/usr/bin:${process.env['PATH'] ?? ''}` }

/** Runs docker on this machine and returns what it did, whatever the exit code is. */
export function tryDocker(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  return run('docker', args, { env: environment, ...options })
}

/** Runs docker on this machine and returns its output, without the last line end; throws when it fails. */
export async function docker(args: readonly string[], options: RunOptions = {}): Promise<string> {
  return output(`docker ${args.join(' ')}`, await tryDocker(args, options))
}

/** The output of a program that must have succeeded. */
export function output(what: string, finished: Finished): string {
  if (finished.code !== 0) throw new Error(`${what} ended with ${finished.code}: ${finished.stderr || finished.stdout}`)
  return finished.stdout.trimEnd()
}
