import { DeployError } from '../errors.ts'
import type { Run, RunOptions } from '../process.ts'
import type { Target } from './bake.ts'
import { BAKE_LABEL, REVISION_LABEL } from './bake.ts'
import { registryOf } from './name.ts'
import { retry, troubleOf, type Pause, type Registry } from './registry.ts'

/** An image in the local Docker and the name it is pushed under. */
export type Pushed = { reference: string; name: string }

type Options = { run: Run; registry: Registry; pause: Pause } & Pick<RunOptions, 'onLine' | 'signal'>

/**
 * Looks under the names that an earlier run may have used for an image of this commit and definition. Found, it is
 * pulled and gets the target's working tag, so that everything after goes the same way as with a fresh build.
 */
export async function reuse(
  target: Target,
  names: readonly string[],
  version: string,
  { run, registry: { env }, signal }: Options,
): Promise<boolean> {
  for (const name of names) {
    const tagged = `${name}:${version}`
    const pulled = await run('docker', ['pull', '--quiet', tagged], { env, signal })
    if (pulled.code !== 0) continue
    const seen = await run('docker', ['image', 'inspect', '--format', '{{json .Config.Labels}}', tagged], { env })
    const labels: unknown = seen.code === 0 ? JSON.parse(seen.stdout) : undefined
    const same = [REVISION_LABEL, BAKE_LABEL].every((label) => labelOf(labels, label) === target.labels[label])
    if (!same) continue
    const marked = await run('docker', ['tag', tagged, target.reference], { env })
    if (marked.code === 0) return true
  }
  return false
}

/** Pushes every image under `name:version`, all at once; returns `name@digest` by name. */
export async function push(
  images: readonly Pushed[],
  version: string,
  options: Options,
): Promise<ReadonlyMap<string, string>> {
  const results = await Promise.all(images.map((image) => pushOne(image, version, options)))
  return new Map(results)
}

async function pushOne(
  { reference, name }: Pushed,
  version: string,
  { run, registry: { env }, pause, onLine, signal }: Options,
): Promise<readonly [string, string]> {
  const tagged = `${name}:${version}`
  const marked = await run('docker', ['tag', reference, tagged], { env, signal })
  if (marked.code !== 0) throw failed(tagged, name, marked.stderr)
  const pushed = await retry(() => run('docker', ['push', tagged], { env, onLine, signal }), pause)
  if (pushed.code !== 0) throw failed(tagged, name, pushed.stderr || pushed.stdout)
  const [digest] = [...pushed.stdout.matchAll(/\bdigest: (sha256:[0-9a-f]{64})\b/g)].map(([, found]) => found)
  const known = digest ?? (await digestOf(name, tagged, run, env))
  if (known === undefined) throw failed(tagged, name, `no digest in the answer:\n${pushed.stdout}`)
  return [name, `${name}@${known}`]
}

async function digestOf(name: string, tagged: string, run: Run, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const format = '{{range .RepoDigests}}{{println .}}{{end}}'
  const seen = await run('docker', ['image', 'inspect', '--format', format, tagged], { env })
  const own = seen.stdout.split('\n').filter((line) => line.startsWith(`${name}@`))
  return own.length === 1 ? own[0]?.slice(name.length + 1) : undefined
}

function labelOf(labels: unknown, name: string): unknown {
  return typeof labels === 'object' && labels !== null ? new Map(Object.entries(labels)).get(name) : undefined
}

function failed(tagged: string, name: string, output: string): DeployError {
  const registry = registryOf(name)
  const denied = /denied|unauthorized|authentication required|no basic auth|insufficient_scope|forbidden/i.test(output)
  const missing = /name unknown|repository .* not found|does not exist/i.test(output)
  return new DeployError('push-failed', {
    what: `${tagged} could not be pushed`,
    seen: output.trim().split('\n').slice(-5).join('\n'),
    why: denied
      ? `the login may not write to ${name}, or there is none for ${registry}`
      : missing
        ? `${registry} has no repository ${name}`
        : troubleOf(output),
    fix: denied
      ? registry === 'ghcr.io'
        ? 'give the job permissions: packages: write, and the package write access for this repository'
        : 'set registry-username and registry-password of a user who may push there, or another name with the input image'
      : missing
        ? `create the repository ${name}, or use another name with the input image`
        : 'try again; when it stays, look at the status page of the registry',
  })
}
