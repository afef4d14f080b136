import { posix } from 'node:path'
import { listOf, textOf, textsOf, valuesOf } from '../compose/document.ts'
import { DeployError } from '../errors.ts'
import type { Run } from '../process.ts'
import { REVISION_LABEL, type Target } from './bake.ts'

/** What an image says about itself. */
type ImageFacts = {
  id: string
  workdir: string
  /** What starts in it, unless the Compose file says otherwise. */
  entrypoint: readonly string[]
  command: readonly string[]
  architecture: string
  /** The commit that its label says it was built from. */
  revision: string | undefined
}

/** The Django image of a release. */
export type DjangoImage = {
  target: Target
  facts: ImageFacts
  /** Absolute path of manage.py in the image; undefined when the manage words name no file. */
  managePath: string | undefined
}

/** What is needed to look into images. `services` is the input; its first service decides between several images. */
export type InspectFacts = {
  targets: readonly Target[]
  services: readonly string[]
  manage: readonly string[]
}

type Tools = { run: Run; env: NodeJS.ProcessEnv }

/** Finds the Django image among the finished ones; nothing of an image is started for it. */
export async function findDjango(facts: InspectFacts, tools: Tools): Promise<DjangoImage> {
  const script = facts.manage.find((word) => word.endsWith('.py'))
  const looked = await Promise.all(
    facts.targets.map(async (target) => {
      const image = await inspectImage(target.reference, tools)
      const path = script === undefined ? undefined : posix.resolve(image.workdir, script)
      const holds = path === undefined || (await hasFile(target.reference, path, tools))
      return { target, image, path, holds }
    }),
  )
  const { target, image, path } = await choose(looked, facts, tools)
  return { target, facts: image, managePath: path }
}

async function inspectImage(reference: string, { run, env }: Tools): Promise<ImageFacts> {
  const finished = await run('docker', ['image', 'inspect', reference], { env })
  if (finished.code !== 0) {
    throw new DeployError('build-failed', { what: `The image ${reference} is not there`, seen: finished.stderr.trim() })
  }
  const [first]: readonly unknown[] = listOf(JSON.parse(finished.stdout))
  const image = valuesOf(first)
  const config = valuesOf(image['Config'])
  return {
    id: textOf(image['Id']) ?? '',
    workdir: textOf(config['WorkingDir']) || '/',
    entrypoint: textsOf(config['Entrypoint']),
    command: textsOf(config['Cmd']),
    architecture: textOf(image['Architecture']) ?? '',
    revision: textOf(valuesOf(config['Labels'])[REVISION_LABEL]),
  }
}

type Looked = { target: Target; image: ImageFacts; path: string | undefined; holds: boolean }

async function choose(looked: readonly Looked[], facts: InspectFacts, tools: Tools): Promise<Looked> {
  const holders = looked.filter(({ holds }) => holds)
  const [first] = holders
  if (!first) throw await notFound(looked, facts, tools)
  if (new Set(holders.map(({ image }) => image.id)).size === 1) return first
  for (const service of facts.services) {
    const named = holders.find(({ target }) => target.group.services.includes(service))
    if (named) return named
  }
  const names = holders.map(({ target }) => target.group.services.join(', '))
  const services = new Set([...holders, ...looked].flatMap(({ target }) => target.group.services))
  throw new DeployError('several-manage-py', {
    what: 'Several images hold manage.py',
    seen: holders.map(({ path }, index) => `${names[index]}: ${path ?? facts.manage.join(' ')}`).join('\n'),
    why: 'only one image can be asked for the migrations',
    // What is not named stays on its old image: a worker, a proxy with the style sheets.
    fix: `name every service that a release replaces, without databases, the one that migrates first: services: ${[...services].join(' ')}`,
  })
}

/** Usual places: only to say in the error where the file is. */
const PLACES = ['/app', '/code', '/src', '/project', '/django', '/srv/app', '/app/src', '/usr/src/app', '/home/app/web']

async function notFound(looked: readonly Looked[], { manage }: InspectFacts, tools: Tools): Promise<DeployError> {
  const script = manage.find((word) => word.endsWith('.py')) ?? 'manage.py'
  const found: string[] = []
  for (const { target, image } of looked) {
    const below = ['src', 'app', 'code', 'backend', 'project', target.name].map((name) =>
      posix.join(image.workdir, name),
    )
    for (const folder of new Set([image.workdir, ...below, ...PLACES])) {
      const path = posix.join(folder, posix.basename(script))
      if (await hasFile(target.reference, path, tools)) found.push(path)
    }
  }
  const [where] = found
  const words = manage.map((word) => (word === script && where !== undefined ? where : word))
  return new DeployError('no-manage-py', {
    what: 'No image that was built holds manage.py',
    seen: looked
      .map(
        ({ target, image, path }) => `${target.group.name}: ${path ?? script} is not there (WORKDIR ${image.workdir})`,
      )
      .join('\n'),
    why:
      where === undefined
        ? 'the Dockerfile copies the code to another folder than its WORKDIR, or a .dockerignore leaves it out'
        : `it is at ${where}`,
    fix:
      where === undefined
        ? 'say how Django commands are started: manage: python path/to/manage.py'
        : `set manage: ${words.join(' ')}, or WORKDIR ${posix.dirname(where)} in the Dockerfile`,
  })
}

/** Whether the image has this file; nothing of the image is started for it. */
async function hasFile(reference: string, path: string, { run, env }: Tools): Promise<boolean> {
  // The command is never run: an image without one cannot become a container otherwise.
  const created = await run('docker', ['create', '--network', 'none', reference, '/'], { env })
  const id = created.stdout.trim()
  if (created.code !== 0) {
    throw new DeployError('build-failed', { what: `${reference} cannot be looked into`, seen: created.stderr.trim() })
  }
  try {
    const copied = await run('docker', ['cp', `${id}:${path}`, '-'], { env })
    if (copied.code === 0) return true
    if (/could not find the file|no such file|not found|not a directory/i.test(copied.stderr)) return false
    throw new DeployError('internal', {
      what: `${path} cannot be looked up in ${reference}`,
      seen: copied.stderr.trim(),
    })
  } finally {
    await run('docker', ['rm', '--force', '--volumes', id], { env })
  }
}
