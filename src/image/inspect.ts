import { posix } from 'node:path'
import { findDocument } from '../django/document.ts'
import { isValues, listOf, textOf, textsOf, valuesOf, type Values } from '../compose/document.ts'
import { interpolate } from '../compose/variable.ts'
import { DeployError } from '../errors.ts'
import type { Run } from '../process.ts'
import { REVISION_LABEL, type Target } from './bake.ts'

/** What an image says about itself. */
type ImageFacts = {
  id: string
  workdir: string
  command: readonly string[]
  entrypoint: readonly string[]
  architecture: string
  user: string
  /** The commit that its label says it was built from. */
  revision: string | undefined
}

/** A migration inside the image; `source` is the SHA-256 of its file. */
type ImageMigration = { app: string; name: string; source: string }

/** The Django image of a release. */
export type DjangoImage = {
  target: Target
  facts: ImageFacts
  /** Absolute path of manage.py in the image; undefined when the manage words name no file. */
  managePath: string | undefined
}

/** What Django says inside that image. */
export type Listed = {
  migrations: readonly ImageMigration[]
  /** `static`: the settings cannot be imported without the server's environment, the files were read instead. */
  confidence: 'imported' | 'static'
  /** Model changes without a migration, as text. */
  drift: readonly string[]
  django: string | undefined
  python: string | undefined
}

/** What is needed to look into images. `services` is the input; its first service decides between several images. */
export type InspectFacts = {
  targets: readonly Target[]
  services: readonly string[]
  manage: readonly string[]
  probe: string
  /** The environment that the Compose file gives a service, by service; only what needs no secret is used. */
  environments: ReadonlyMap<string, ReadonlyMap<string, string | undefined>>
}

type Tools = { run: Run; env: NodeJS.ProcessEnv; signal?: AbortSignal | undefined }

const PROBE_TIMEOUT_MS = 180_000

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

/** Working folder, command, architecture and user of an image. */
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
    command: textsOf(config['Cmd']),
    entrypoint: textsOf(config['Entrypoint']),
    architecture: textOf(image['Architecture']) ?? '',
    user: textOf(config['User']) ?? '',
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

/** Lists the migrations of the Django image; no network, no mounts. */
export async function listMigrations(target: Target, facts: InspectFacts, tools: Tools): Promise<Listed> {
  const [python = 'python', ...words] = facts.manage
  const program = `exec(__import__('base64').b64decode('${Buffer.from(facts.probe).toString('base64')}'))`
  const inDjango = [...words, 'shell', '-v', '0', '-c', program]
  const [given, filled] = [environmentOf(target, facts, false), environmentOf(target, facts, true)]
  let listed = await runProbe('list', target, python, inDjango, filled, tools)
  if (listed.kind === 'failed' && filled.size > given.size) {
    // A stand-in can also be in the way, where a number is wanted.
    listed = await runProbe('list', target, python, inDjango, given, tools)
  }
  if (listed.kind === 'done') return readListed(listed.document, 'imported')
  const read = await runProbe('static', target, python, ['-c', program], given, tools)
  if (read.kind === 'done') return readListed(read.document, 'static')
  const isForeign = /exec format error/.test(`${listed.seen}${read.seen}`)
  throw new DeployError('settings-import', {
    what: `The migrations of service ${target.group.name} could not be listed`,
    seen: `${facts.manage.join(' ')}: ${listed.seen}\n${python}: ${read.seen}`,
    why: isForeign
      ? 'the image is for another processor than that of the runner, so that nothing of it can be run here'
      : `${python} in the image is not a Python that can run, or not the one that has Django`,
    fix: isForeign
      ? 'add docker/setup-qemu-action before this step, or run the job on a runner of that architecture'
      : 'say how Django commands are started in the image, for example manage: /venv/bin/python manage.py',
  })
}

type Probed = { kind: 'done'; document: Values } | { kind: 'failed'; seen: string }

async function runProbe(
  verb: 'list' | 'static',
  target: Target,
  program: string,
  args: readonly string[],
  given: ReadonlyMap<string, string>,
  { run, env, signal }: Tools,
): Promise<Probed> {
  const finished = await run(
    'docker',
    [
      ...['run', '--rm', '--init', '--network', 'none', '--env', `DEPLOY_DJANGO=${verb}`],
      // Names only: Docker takes the values from its own environment, so that none is in a list of processes.
      ...[...given.keys()].flatMap((name) => ['--env', name]),
      ...['--entrypoint', program, target.reference, ...args],
    ],
    { env: { ...env, ...Object.fromEntries(given) }, signal, timeoutMs: PROBE_TIMEOUT_MS },
  )
  const document = findDocument(finished.stdout)
  if (finished.code === 0 && document) return { kind: 'done', document }
  const error = valuesOf(document?.['error'])
  const said = [textOf(error['message']), textOf(error['detail'])].filter((text) => text).join(' ')
  return { kind: 'failed', seen: said || finished.stderr.trim().split('\n').slice(-3).join('\n') }
}

/** What the Compose file itself sets, such as DJANGO_SETTINGS_MODULE; the rest stays away or gets a stand-in. */
function environmentOf(target: Target, { environments }: InspectFacts, isFilled: boolean): ReadonlyMap<string, string> {
  const given = new Map<string, string>()
  for (const [name, text] of environments.get(target.group.name) ?? []) {
    const known = text === undefined ? undefined : interpolate(text)
    const value = known ?? (isFilled ? standInFor(name) : undefined)
    // These belong to the Docker client that is started here, not to the app.
    if (value !== undefined && !/^(PATH|HOME|DOCKER_\w+|DEPLOY_DJANGO)$/.test(name)) given.set(name, value)
  }
  return given
}

/** Settings that ask for a secret can be imported with any text: nothing is connected to. */
function standInFor(name: string): string {
  return /(URL|DSN)$/.test(name) ? 'sqlite:///:memory:' : 'deploy-django'
}

function readListed(document: Values, confidence: Listed['confidence']): Listed {
  return {
    migrations: listOf(document['migrations'])
      .filter(isValues)
      .map((migration) => ({
        app: textOf(migration['app']) ?? '',
        name: textOf(migration['name']) ?? '',
        source: textOf(migration['source']) ?? '',
      })),
    confidence,
    drift: textsOf(document['models_drift']),
    django: textOf(document['django']),
    python: textOf(document['python']),
  }
}
