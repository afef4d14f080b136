import { posix } from 'node:path'
import * as v from 'valibot'
import { dockerfileOf } from '../compose/build.ts'
import { contextOf } from '../compose/group.ts'
import type { Project } from '../compose/project.ts'
import { visitedFirst } from '../compose/role.ts'
import { DeployError } from '../errors.ts'
import type { Run } from '../process.ts'
import { parseJson } from '../schema.ts'
import { REVISION_LABEL, type Target } from './bake.ts'
import { lookInside } from './container.ts'

/** The metadata of an image. */
type ImageFacts = {
  id: string
  workdir: string
  /** What the image starts, unless the Compose file says otherwise. */
  entrypoint: readonly string[]
  command: readonly string[]
  architecture: string
  /** Folders that its Dockerfile declares with VOLUME. */
  volumes: readonly string[]
  /** The commit that it was built from, by its label. */
  revision: string | undefined
}

/** The Django image of a release. */
export type DjangoImage = {
  target: Target
  facts: ImageFacts
  /** Absolute path of manage.py in the image; undefined when the manage words name no file. */
  managePath: string | undefined
  /** All services whose image holds manage.py. */
  services: readonly string[]
  /** Those of them with another manage.py or other settings: it seems to be another project. */
  strangers: readonly string[]
}

/**
 * The parameters of `findDjango`. `services` is the input; its first service with manage.py decides between
 * several images. `active` are the services that the release runs.
 */
export type InspectFacts = {
  project: Project
  active: readonly string[]
  targets: readonly Target[]
  services: readonly string[]
  manage: readonly string[]
}

type Tools = { run: Run; env: NodeJS.ProcessEnv }

const TAR_HEADER_BYTES = 512

/** Finds the Django image among the finished ones. No code of an image runs. */
export async function findDjango(facts: InspectFacts, tools: Tools): Promise<DjangoImage> {
  const script = facts.manage.find((word) => word.endsWith('.py'))
  const found = await Promise.all(
    facts.targets.map(async (target) => {
      const image = await inspectImage(target.reference, tools)
      const path = script === undefined ? undefined : posix.resolve(image.workdir, script)
      const content = path === undefined ? undefined : await readFile(target.reference, path, tools)
      return { target, image, path, content, holds: path === undefined || content !== undefined }
    }),
  )
  const looked = await withSettings(found, tools)
  const chosen = await choose(looked, facts, tools)
  const { target, image, path } = chosen
  // Manage words without a file say nothing about the other images.
  const holders = script === undefined ? [target] : looked.flatMap((each) => (each.holds ? each.target : []))
  const others = looked.filter((each) => script !== undefined && each.holds && !isSameProject(each, chosen))
  return {
    target,
    facts: image,
    managePath: path,
    services: holders.flatMap(({ group }) => group.services),
    strangers: others.flatMap((each) => each.target.group.services),
  }
}

/**
 * Whether two images hold the same project. Two projects may have the same manage.py, also in one build context; two
 * images of one project may have different Dockerfiles.
 */
function isSameProject(one: Looked, other: Looked): boolean {
  return (
    one.content === other.content &&
    one.settings === other.settings &&
    contextOf(one.target.group) === contextOf(other.target.group) &&
    (one.path === other.path || dockerfileFolder(one.target) === dockerfileFolder(other.target))
  )
}

const dockerfileFolder = ({ group }: Target): string =>
  posix.dirname(posix.normalize(dockerfileOf(group.build).dockerfile))

/** Adds the text of the settings that manage.py names, if it must choose between several images. */
async function withSettings(looked: readonly Looked[], tools: Tools): Promise<readonly Looked[]> {
  const holders = looked.filter(({ content }) => content !== undefined)
  if (new Set(holders.map(({ image }) => image.id)).size < 2) return looked
  return Promise.all(looked.map(async (each) => ({ ...each, settings: await readSettings(each, tools) })))
}

const SETTINGS_MODULE = /DJANGO_SETTINGS_MODULE['"]\]?\s*[,=]\s*['"]([\w.]+)['"]/

async function readSettings({ target, path, content }: Looked, tools: Tools): Promise<string | undefined> {
  const [, module] = SETTINGS_MODULE.exec(content ?? '') ?? []
  if (path === undefined || module === undefined) return undefined
  const place = posix.join(posix.dirname(path), module.replaceAll('.', '/'))
  return (
    (await readFile(target.reference, `${place}.py`, tools)) ??
    (await readFile(target.reference, `${place}/__init__.py`, tools))
  )
}

async function inspectImage(reference: string, { run, env }: Tools): Promise<ImageFacts> {
  const finished = await run('docker', ['image', 'inspect', reference], { env })
  if (finished.code !== 0) {
    throw new DeployError('build-failed', { what: `The image ${reference} is not there`, seen: finished.stderr.trim() })
  }
  const [{ Id: id, Architecture: architecture, Config: config }] = parseJson(inspected, finished.stdout, {
    what: `Docker's description of the image ${reference}`,
  })
  return {
    id,
    workdir: config.WorkingDir || '/',
    entrypoint: config.Entrypoint ?? [],
    command: config.Cmd ?? [],
    architecture,
    volumes: Object.keys(config.Volumes ?? {}).sort(),
    revision: config.Labels?.[REVISION_LABEL],
  }
}

const words = v.nullish(v.array(v.string()))
const inspected = v.tuple([
  v.object({
    Id: v.string(),
    Architecture: v.string(),
    Config: v.object({
      WorkingDir: v.optional(v.string(), ''),
      Entrypoint: words,
      Cmd: words,
      Volumes: v.nullish(v.record(v.string(), v.unknown())),
      Labels: v.nullish(v.record(v.string(), v.string())),
    }),
  }),
])

type Looked = {
  target: Target
  image: ImageFacts
  path: string | undefined
  /** Of manage.py. */
  content: string | undefined
  /** The text of its settings; undefined when only one image has it, or when they are not found beside it. */
  settings?: string | undefined
  holds: boolean
}

async function choose(looked: readonly Looked[], facts: InspectFacts, tools: Tools): Promise<Looked> {
  const holders = looked.filter(({ holds }) => holds)
  const [first] = holders
  if (!first) throw await notFound(looked, facts, tools)
  if (new Set(holders.map(({ image }) => image.id)).size === 1) return first
  const isAlike = (each: Looked): boolean => each.content !== undefined && isSameProject(each, first)
  if (facts.services.length === 0 && holders.every(isAlike)) return firstVisited(holders, facts)
  for (const service of facts.services) {
    const named = holders.find(({ target }) => target.group.services.includes(service))
    if (named) return named
  }
  const ofRelease = ({ target }: Looked): readonly string[] =>
    target.group.services.filter((service) => facts.active.includes(service))
  const names = holders.map((each) => ofRelease(each).join(', '))
  const services = new Set([...holders, ...looked].flatMap(ofRelease))
  throw new DeployError('several-manage-py', {
    what: 'Several images contain manage.py',
    seen: holders.map(({ path }, index) => `${names[index]}: ${path ?? facts.manage.join(' ')}`).join('\n'),
    why: 'migrations are planned from one image only',
    // The fix names all services: an unnamed one, such as a worker, would stay on its old image.
    fix: `list every service that a release replaces, but no databases, and put the one that migrates first: services: ${visitedFirst(facts.project, [...services]).join(' ')}. If they are different projects, the others need a service that migrates each of them before it starts`,
  })
}

/** Of several images of one project, such as two targets of a Dockerfile, the one closest to visitors. */
function firstVisited(holders: readonly Looked[], { project }: InspectFacts): Looked {
  const [name = ''] = visitedFirst(
    project,
    holders.flatMap(({ target }) => target.group.services),
  )
  const found = holders.find(({ target }) => target.group.services.includes(name))
  if (!found) throw new DeployError('internal', { what: `No image is that of ${name}` })
  return found
}

/** Usual places of manage.py; they are searched only for the error message. */
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
      if ((await readFile(target.reference, path, tools)) !== undefined) found.push(path)
    }
  }
  const [where] = found
  const words = manage.map((word) => (word === script && where !== undefined ? where : word))
  return new DeployError('no-manage-py', {
    what: 'No image that was built contains manage.py',
    seen: looked
      .map(
        ({ target, image, path }) => `${target.group.name}: ${path ?? script} is not there (WORKDIR ${image.workdir})`,
      )
      .join('\n'),
    why:
      where === undefined
        ? 'the Dockerfile copies the code to a folder other than its WORKDIR, or a .dockerignore leaves it out'
        : `it is at ${where}`,
    fix:
      where === undefined
        ? 'say how Django commands are started: manage: python path/to/manage.py'
        : `set manage: ${words.join(' ')}, or WORKDIR ${posix.dirname(where)} in the Dockerfile`,
  })
}

/** The content of a file in the image; undefined when there is none. */
async function readFile(reference: string, path: string, { run, env }: Tools): Promise<string | undefined> {
  const docker = (...args: string[]) => run('docker', args, { env })
  const looked = await lookInside(reference, docker, (id) => docker('cp', `${id}:${path}`, '-'))
  if (looked.kind === 'missing') {
    throw new DeployError('build-failed', { what: `${reference} cannot be inspected`, seen: looked.stderr.trim() })
  }
  const { code, stdout, stderr } = looked.seen
  // An archive with one file: its header has the time of the build.
  if (code === 0) return stdout.slice(TAR_HEADER_BYTES)
  if (/could not find the file|no such file|not found|not a directory/i.test(stderr)) return undefined
  throw new DeployError('internal', { what: `${path} cannot be looked up in ${reference}`, seen: stderr.trim() })
}
