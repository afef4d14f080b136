import type { BuildGroup } from '../compose/group.ts'
import { DeployError } from '../errors.ts'
import { planBake, type Target } from './bake.ts'
import { findDjango } from './inspect.ts'
import { describeLogins, type Made, type MakeFacts, type Tools } from './make.ts'
import { measureImages } from './measure.ts'
import { candidateNames, type NamingFacts } from './name.ts'
import { count } from './progress.ts'
import { openRegistry, retry } from './registry.ts'

/** Pulls the images that a `build` job pushed, by digest, and inspects them like images that are built here. */
export async function takeImages(
  facts: MakeFacts,
  images: ReadonlyMap<string, string>,
  { run, env, temp, signal, step, pause }: Tools,
): Promise<Made> {
  const { targets } = planBake(facts)
  const registry = await step(
    'Log in',
    () => openRegistry(facts.logins, { run, env, temp, pause }),
    () => describeLogins(facts.logins),
  )
  const pull = async ({ group: { name }, reference }: Target): Promise<void> => {
    const image = images.get(name) ?? ''
    const pulled = await retry(() => run('docker', ['pull', '--quiet', image], { env: registry.env, signal }), pause)
    if (pulled.code !== 0) throw notPulled(image, pulled.stderr)
    await run('docker', ['tag', image, reference], { env: registry.env, signal })
  }
  const pullAll = async (): Promise<Made> => {
    await Promise.all(targets.map(pull))
    const django = await findDjango({ ...facts, targets }, { run, env })
    facts.check(django)
    return { images, django, sizes: await measureImages(images.values(), run) }
  }
  try {
    return await step('Pull', pullAll, () => count(targets.length, 'image'))
  } finally {
    await registry.close()
  }
}

/**
 * Stops when the images are not those of this checkout. The threat is a forged text: it chooses the registry that gets
 * the login, and the image that becomes the site.
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
