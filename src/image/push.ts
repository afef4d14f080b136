import * as v from 'valibot'
import { DeployError } from '../errors.ts'
import type { Run, RunOptions } from '../process.ts'
import { parseJson } from '../schema.ts'
import type { Target } from './bake.ts'
import { BAKE_LABEL, REVISION_LABEL } from './bake.ts'
import { registryOf } from './name.ts'
import { retry, troubleOf, type Pause, type Registry } from './registry.ts'

/** An image in the local Docker, the name to push it under, and what the registry already has of it. */
export type Pushed = { reference: string; name: string; found?: Found | undefined }

/** An image of an earlier run: the registry's `name@digest`; undefined when Docker knows several for the name. */
export type Found = { pushed: string | undefined }

type Options = { run: Run; registry: Registry; pause: Pause } & Pick<RunOptions, 'onLine' | 'signal'>

const LABELS = v.nullable(v.record(v.string(), v.string()))
const DIGESTS = v.nullable(v.array(v.string()))
/** Labels and digests, each on one line. */
const SEEN = '{{json .Config.Labels}}\n{{json .RepoDigests}}'

/**
 * Looks for an image of this commit and definition under the names that an earlier run may have used. Pulls it and
 * gives it the target's working tag, so that the next steps treat it like a fresh build.
 */
export async function reuse(
  target: Target,
  names: readonly string[],
  version: string,
  { run, registry: { env }, signal }: Options,
): Promise<Found | undefined> {
  for (const name of names) {
    const tagged = `${name}:${version}`
    const pulled = await run('docker', ['pull', '--quiet', tagged], { env, signal })
    if (pulled.code !== 0) continue
    const seen = await run('docker', ['image', 'inspect', '--format', SEEN, tagged], { env })
    if (seen.code !== 0) continue
    const [first = '', second = ''] = seen.stdout.split('\n')
    const labels = parseJson(LABELS, first, { what: `The labels of ${tagged}` })
    const same = [REVISION_LABEL, BAKE_LABEL].every((label) => labels?.[label] === target.labels[label])
    if (!same) continue
    const marked = await run('docker', ['tag', tagged, target.reference], { env })
    if (marked.code !== 0) continue
    const digests = parseJson(DIGESTS, second, { what: `The digests of ${tagged}` }) ?? []
    return { pushed: onlyOne(name, digests) }
  }
  return undefined
}

function onlyOne(name: string, digests: readonly string[]): string | undefined {
  const own = digests.filter((digest) => digest.startsWith(`${name}@`))
  return own.length === 1 ? own[0] : undefined
}

/** Pushes every image that the registry lacks as `name:version`, in parallel; returns `name@digest` by name. */
export async function push(
  images: readonly Pushed[],
  version: string,
  options: Options,
): Promise<ReadonlyMap<string, string>> {
  const results = await Promise.all(images.map((image) => pushOne(image, version, options)))
  return new Map(results)
}

async function pushOne(
  { reference, name, found }: Pushed,
  version: string,
  { run, registry: { env }, pause, onLine, signal }: Options,
): Promise<readonly [string, string]> {
  if (found?.pushed?.startsWith(`${name}@`)) return [name, found.pushed]
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
  return onlyOne(name, seen.stdout.split('\n'))?.slice(name.length + 1)
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
        ? 'give the job `permissions: packages: write`, and give this repository write access in the settings of the package'
        : 'set registry-username and registry-password to the login of a user who may push there, or set another image name in the input `image`'
      : missing
        ? `create the repository ${name}, or use another name with the input image`
        : 'run the job again; if it fails again, check the status page of the registry',
  })
}
