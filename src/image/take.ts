import type { BuildGroup } from '../compose/group.ts'
import { DeployError } from '../errors.ts'
import { planBake, type Target } from './bake.ts'
import { findDjango } from './inspect.ts'
import type { Made, MakeFacts, Tools } from './make.ts'
import { candidateNames, type NamingFacts } from './name.ts'
import { openRegistry, retry } from './registry.ts'

/** Images that a `build` has pushed: pulled by digest, and looked into like those that are built here. */
export async function takeImages(
  facts: MakeFacts,
  images: ReadonlyMap<string, string>,
  { run, env, temp, signal, group, pause }: Tools,
): Promise<Made> {
  const { targets } = planBake(facts)
  const registry = await openRegistry(facts.logins, { run, env, temp, pause })
  const pull = async ({ group: { name }, reference }: Target): Promise<void> => {
    const image = images.get(name) ?? ''
    const pulled = await retry(() => run('docker', ['pull', '--quiet', image], { env: registry.env, signal }), pause)
    if (pulled.code !== 0) throw notPulled(image, pulled.stderr)
    await run('docker', ['tag', image, reference], { env: registry.env, signal })
  }
  try {
    await group('Pull the images', () => Promise.all(targets.map(pull)))
    return { images, django: await findDjango({ ...facts, targets }, { run, env }) }
  } finally {
    await registry.close()
  }
}

/**
 * Stops when the images are not those that this checkout would build. The threat is a text that somebody else made: the
 * login of the registry is sent to where it points, and what it names becomes the site.
 */
export function matchImages(
  groups: readonly BuildGroup[],
  images: ReadonlyMap<string, string>,
  naming: NamingFacts,
): void {
  const built = groups.flatMap(({ services }) => services)
  const missing = built.filter((service) => !images.has(service))
  const surplus = [...images.keys()].filter((service) => !built.includes(service))
  if (missing.length + surplus.length > 0) {
    throw mismatch(`images for ${[...images.keys()].join(', ') || 'no service'}; built here: ${built.join(', ')}`)
  }
  for (const group of groups) {
    const [image = '', other] = new Set(group.services.map((service) => images.get(service)))
    if (other !== undefined) throw mismatch(`two images for one build: ${image}, ${other}`)
    const names = candidateNames(group, groups, naming)
    if (!names.includes(image.replace(/@.*$/, ''))) {
      throw mismatch(`${group.name}: ${image}; the image of this checkout would be ${names.join(' or ')}`)
    }
  }
}

function mismatch(seen: string): DeployError {
  return new DeployError('images-mismatch', {
    what: 'The input images is not for this checkout',
    seen,
    why: 'the build job had another commit or other inputs, or the text is not its output',
    fix: 'check out the same commit in both jobs, and give `compose-files`, `env-file` and `image` the same values',
  })
}

function notPulled(image: string, stderr: string): DeployError {
  return new DeployError('pull-failed', {
    what: `The runner could not pull ${image}`,
    seen: stderr.trim().split('\n').slice(-5).join('\n'),
    why: 'the image is gone from the registry, or the login may not read it',
    fix: 'run the build job again; check `registry-username` and `registry-password`, for ghcr.io `permissions: packages: read`',
  })
}
