import { createHash } from 'node:crypto'
import { docker, tryDocker } from './docker.ts'

/** Containers and volumes that the world made, and nothing else, carry this label. */
export const label = 'deploy-django.world'

/** Docker's filter for them. */
export const mark = `label=${label}`

/** A container of the world: the docker options and the words after the image. */
export type Recipe = { name: string; image: string; options: readonly string[]; words?: readonly string[] }

/**
 * Sees to it that the container runs as its recipe says: leaves it alone, starts it again, or makes it anew when the
 * recipe or the image changed. Returns true when it was made anew.
 */
export async function keep(recipe: Recipe): Promise<boolean> {
  const image = await imageId(recipe.image)
  const hash = createHash('sha256')
    .update(JSON.stringify([image, recipe]))
    .digest('hex')
  const format = `{{.State.Running}} {{index .Config.Labels "${label}"}}`
  const found = await tryDocker(['container', 'inspect', '--format', format, recipe.name])
  const [running, made] = found.code === 0 ? found.stdout.trim().split(' ') : []
  if (made === hash) {
    if (running !== 'true') await docker(['start', recipe.name])
    return false
  }
  await tryDocker(['rm', '--force', '--volumes', recipe.name])
  const options = ['--detach', '--name', recipe.name, '--label', `${label}=${hash}`, ...recipe.options]
  await docker(['run', ...options, recipe.image, ...(recipe.words ?? [])])
  return true
}

async function imageId(name: string): Promise<string> {
  const found = await tryDocker(['image', 'inspect', '--format', '{{.Id}}', name])
  if (found.code === 0) return found.stdout.trim()
  throw new Error(`the image ${name} is not here (${found.stderr.trim()}). Fix: run script/bootstrap`)
}
