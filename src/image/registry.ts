import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import * as v from 'valibot'
import { DeployError } from '../errors.ts'
import type { Run } from '../process.ts'
import { parseJson } from '../schema.ts'

/** A login for one registry. */
export type Login = { registry: string; username: string; password: string }

/** An environment in which Docker has this run's logins; `close` deletes them. */
export type Registry = { env: NodeJS.ProcessEnv; close: () => Promise<void> }

/** Logs the reason, and waits. Tests pass one that does not wait. */
export type Pause = (milliseconds: number, reason: string) => Promise<void>

const PAUSES = [1_000, 4_000, 10_000]
const HUB = 'docker.io'

/** Logs in with a temporary configuration folder. The runner's own logins are copied, and never changed. */
export async function openRegistry(
  logins: readonly Login[],
  { run, env, temp, pause }: { run: Run; env: NodeJS.ProcessEnv; temp: string; pause: Pause },
): Promise<Registry> {
  const folder = await mkdtemp(join(temp, 'docker-config-'))
  const close = (): Promise<void> => rm(folder, { recursive: true, force: true })
  try {
    const own = join(env['DOCKER_CONFIG'] ?? join(env['HOME'] ?? '/', '.docker'), 'config.json')
    await writeFile(join(folder, 'config.json'), copyOf(await readOwn(own), logins), { mode: 0o600 })
    const inside = { ...env, ...(await daemonOf(run, env)), DOCKER_CONFIG: folder }
    for (const login of logins) await logIn(login, run, inside, pause)
    return { env: inside, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** Logs that something is tried again, and waits. */
export function sayAndWait(show: (line: string) => void): Pause {
  return (milliseconds, reason) => {
    show(`${reason}: trying again in ${milliseconds / 1000} s`)
    return setTimeout(milliseconds)
  }
}

/** Retries transient failures with growing pauses. */
export async function retry<T extends { code: number; stdout: string; stderr: string }>(
  attempt: () => Promise<T>,
  pause: Pause,
): Promise<T> {
  for (const wait of PAUSES) {
    const finished = await attempt()
    const said = `${finished.stdout}\n${finished.stderr}`.trim()
    if (finished.code === 0 || !isTransient(said)) return finished
    await pause(wait, said.split('\n').at(-1) ?? '')
  }
  return attempt()
}

/** Whether the failure is transient (network or registry): another attempt may succeed. */
export function isTransient(output: string): boolean {
  return /\b(HTTP status|status code|status):? 5\d\d\b|\b50[0-4] [A-Z]|connection (was )?reset|broken pipe|unexpected EOF|: EOF|TLS handshake timeout|i\/o timeout|timeout exceeded|context deadline exceeded|connection refused|toomanyrequests|too many requests/i.test(
    output,
  )
}

/** Docker contexts live in the configuration folder too, so the current daemon is kept by its address. */
async function daemonOf(run: Run, env: NodeJS.ProcessEnv): Promise<NodeJS.ProcessEnv> {
  if (env['DOCKER_HOST']) return {}
  const finished = await run('docker', ['context', 'inspect', '--format', '{{.Endpoints.docker.Host}}'], { env })
  const host = finished.stdout.trim()
  return finished.code === 0 && host !== '' ? { DOCKER_HOST: host } : {}
}

async function readOwn(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch {
    return '{}'
  }
}

const DOCKER_CONFIG = v.looseObject({
  credsStore: v.optional(v.string()),
  credHelpers: v.optional(v.record(v.string(), v.string())),
})

function copyOf(text: string, logins: readonly Login[]): string {
  const {
    currentContext: _,
    credsStore,
    credHelpers,
    ...rest
  } = parseJson(DOCKER_CONFIG, text || '{}', {
    what: "The runner's Docker configuration (config.json)",
    fix: 'correct it, or remove it if nothing needs it',
  })
  if (logins.length === 0) return JSON.stringify({ ...rest, credsStore, credHelpers })
  // A login must be stored in this folder, not in the credential store of the runner's user.
  const others = Object.entries(credHelpers ?? {}).filter(
    ([registry]) => !logins.some((login) => login.registry === registry),
  )
  return JSON.stringify({ ...rest, credHelpers: Object.fromEntries(others) })
}

async function logIn({ registry, username, password }: Login, run: Run, env: NodeJS.ProcessEnv, pause: Pause) {
  const server = registry === HUB ? [] : [registry]
  const attempt = () =>
    run('docker', ['login', '--username', username, '--password-stdin', ...server], { env, stdin: password })
  const finished = await retry(attempt, pause)
  if (finished.code === 0) return
  const seen = finished.stderr
    .split('\n')
    .filter((line) => line !== '' && !/^WARNING!|^Configure a credential|^https:\/\/docs/.test(line))
    .join('\n')
    .trim()
  const refused = /unauthorized|denied|incorrect|401|403/i.test(seen)
  throw new DeployError('registry-login-failed', {
    what: refused ? `${registry} refused the login of ${username}` : `The login to ${registry} failed`,
    seen,
    why: refused
      ? 'the password or token is wrong or expired, or belongs to another user'
      : (troubleOf(seen) ?? 'the address is not that of a registry, or its certificate is not trusted'),
    fix: refused
      ? registry === 'ghcr.io'
        ? 'give the job `permissions: packages: write`, or set registry-username and registry-password'
        : 'correct the secrets behind registry-username and registry-password'
      : `on a machine with Docker, \`docker login ${registry}\` shows the same; correct the start of the image's name, or run the job again later`,
  })
}

/** Why a registry failed in every attempt, when the failure is transient. */
export function troubleOf(output: string): string | undefined {
  return isTransient(output)
    ? `the registry fails or cannot be reached: ${PAUSES.length + 1} attempts with growing pauses`
    : undefined
}
