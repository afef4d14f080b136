import { createHash } from 'node:crypto'
import { statSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { stringify } from 'yaml'
import { canonical, isValues, pairsOf, textsOf, listOf, textOf, valuesOf, type Values } from '../compose/document.ts'
import type { BuildGroup } from '../compose/group.ts'
import type { Project } from '../compose/project.ts'
import { hasVariable, interpolate } from '../compose/variable.ts'
import { checkAll, DeployError } from '../errors.ts'
import type { Run, RunOptions } from '../process.ts'
import { explainBuild } from './failure.ts'

/** The commit that an image is made of. */
export type Commit = { sha: string; time: Date; source: string }

/** One image to build: its bake target, the local tag it gets, and the labels by which it is known again. */
export type Target = { name: string; group: BuildGroup; reference: string; labels: Readonly<Record<string, string>> }

/** A reduced Compose file and the overrides that go with it. */
export type BakePlan = { file: string; overrides: readonly string[]; targets: readonly Target[]; commit: Commit }

/** What the plan of a bake is made of. `env` is the step's environment: build sections may use it. */
export type BakeFacts = {
  project: Project
  groups: readonly BuildGroup[]
  workspace: string
  set: readonly string[]
  env: NodeJS.ProcessEnv
  commit: Commit
}

/** The label that says which definition an image was built from. */
export const BAKE_LABEL = 'deploy-django.bake'
export const REVISION_LABEL = 'org.opencontainers.image.revision'

/** Only the build sections, under working tags: an unset variable elsewhere must not stop a build. */
export function planBake({ project, groups, workspace, set, env, commit }: BakeFacts): BakePlan {
  const variables = buildEnvironment(env, set)
  const overrides = set.flatMap((line) => assignOverride(line, groups))
  const folder = join(workspace, project.folder)
  const targets = groups.map((group) => toTarget(group, overrides, variables, commit))
  const services = targets.map((target) => [target.name, toService(target, groups, folder)])
  const secrets = Object.entries(valuesOf(project.model['secrets'])).map(([name, secret]) => {
    const file = textOf(valuesOf(secret)['file'])
    return [name, file === undefined ? secret : { ...valuesOf(secret), file: local(file, folder) }]
  })
  const used = new Set(groups.flatMap(({ build }) => secretNames(build)))
  const file = stringify(
    {
      name: 'deploy-django',
      services: Object.fromEntries(services),
      secrets: Object.fromEntries(secrets.filter(([name]) => used.has(String(name)))),
    },
    { lineWidth: 0, aliasDuplicateObjects: false, version: '1.1' },
  )
  return { file, overrides, targets, commit }
}

/** Builds the wanted targets into the local Docker; what buildx prints goes to `onLine`. */
export async function bake(
  plan: BakePlan,
  wanted: readonly Target[],
  options: { run: Run; env: NodeJS.ProcessEnv; workspace: string; project: Project; temp: string } & Pick<
    RunOptions,
    'onLine' | 'signal'
  >,
): Promise<void> {
  if (wanted.length === 0) return
  const { run, project, workspace, temp, onLine, signal } = options
  const folder = await mkdtemp(join(temp, 'bake-'))
  try {
    const file = join(folder, 'compose.yaml')
    await writeFile(file, plan.file)
    const finished = await run(
      'docker',
      [
        ...['buildx', 'bake', '-f', file, '--load', '--provenance=false', '--progress', 'plain'],
        ...plan.overrides.flatMap((override) => ['--set', override]),
        ...wanted.map(({ name }) => name),
      ],
      {
        cwd: placeFor(join(workspace, project.folder), folder),
        env: {
          ...buildEnvironment(options.env, plan.overrides),
          SOURCE_DATE_EPOCH: String(Math.floor(plan.commit.time.getTime() / 1000)),
          // The contexts are those of the repository's own Compose file; newer versions of buildx would ask about `..`.
          BUILDX_BAKE_ENTITLEMENTS_FS: '0',
        },
        onLine,
        signal,
      },
    )
    if (finished.code !== 0) throw explainBuild(`${finished.stdout}\n${finished.stderr}`, wanted, project)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Beside the Compose file, for its `.env` gives variables; buildx fails where that is a folder, which Compose passes over. */
function placeFor(beside: string, elsewhere: string): string {
  return statSync(join(beside, '.env'), { throwIfNoEntry: false })?.isDirectory() ? elsewhere : beside
}

/** GitHub's own variables must not leak into tags and arguments; only its build cache needs its address and token. */
function buildEnvironment(env: NodeJS.ProcessEnv, set: readonly string[]): NodeJS.ProcessEnv {
  const cache = set.some((line) => line.includes('type=gha'))
  const hidden = cache ? /^(GITHUB|RUNNER|INPUT|STATE)_/i : /^(GITHUB|RUNNER|INPUT|STATE|ACTIONS)_/i
  return Object.fromEntries(Object.entries(env).filter(([name]) => !hidden.test(name)))
}

function targetName(group: BuildGroup): string {
  return group.name.replace(/[^A-Za-z0-9_-]/g, '_')
}

function toTarget(group: BuildGroup, overrides: readonly string[], env: NodeJS.ProcessEnv, commit: Commit): Target {
  const name = targetName(group)
  const mine = overrides.filter((line) => line.startsWith(`${name}.`))
  const definition = sha256(canonical([name, filled(group.build, env), mine]))
  const labels = {
    [REVISION_LABEL]: commit.sha,
    'org.opencontainers.image.created': commit.time.toISOString(),
    'org.opencontainers.image.source': commit.source,
    [BAKE_LABEL]: definition,
  }
  return {
    name,
    group,
    reference: `deploy-django/${name.toLowerCase()}:${definition.slice(0, 12)}-${commit.sha}`,
    labels,
  }
}

/** The definition with the values that it gets: another argument is another image. */
function filled(value: unknown, env: NodeJS.ProcessEnv): unknown {
  if (typeof value === 'string') return interpolate(value, env) ?? value
  if (Array.isArray(value)) return value.map((item: unknown) => filled(item, env))
  if (!isValues(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name, inner === null ? (env[name] ?? null) : filled(inner, env)]),
  )
}

function toService(target: Target, groups: readonly BuildGroup[], folder: string): Values {
  // Tags of the file would be pushed by nobody and may hold variables.
  const { tags: _, ...build } = target.group.build
  const contexts = [...pairsOf(build['additional_contexts'])].map(([name, context = '']) => [
    name,
    toContext(context, groups, folder),
  ])
  return {
    image: target.reference,
    build: {
      ...build,
      context: local(textOf(build['context']) ?? '.', folder),
      ...(contexts.length > 0 ? { additional_contexts: Object.fromEntries(contexts) } : {}),
      labels: { ...Object.fromEntries(pairsOf(build['labels'])), ...target.labels },
    },
  }
}

function toContext(context: string, groups: readonly BuildGroup[], folder: string): string {
  const [, service] = /^service:(.+)$/.exec(context) ?? []
  if (service === undefined) return local(context, folder)
  const group = groups.find(({ services }) => services.includes(service))
  if (group) return `target:${targetName(group)}`
  throw new DeployError('compose-invalid', {
    what: `additional_contexts names service:${service}, which is not built`,
    fix: 'name a service with a build: section',
  })
}

/** An absolute path for a local one; addresses (https:, docker-image:, git@…) and what a variable decides stay. */
function local(path: string, folder: string): string {
  if (hasVariable(path) || /^[a-z][a-z0-9+.-]*:|^git@|^github\.com\//i.test(path)) return path
  return resolve(folder, path.replaceAll('$$', '$')).replaceAll('$', '$$$$')
}

function secretNames(build: Values): readonly string[] {
  return listOf(build['secrets']).flatMap((entry) => (isValues(entry) ? textsOf(entry['source']) : textsOf(entry)))
}

/** Stops for overrides of what is not built. */
export function checkOverrides(set: readonly string[], groups: readonly BuildGroup[]): void {
  checkAll(...set.map((line) => () => void assignOverride(line, groups)))
}

/** Overrides name services; they go to the target of the service's group. */
function assignOverride(line: string, groups: readonly BuildGroup[]): readonly string[] {
  const dot = line.indexOf('.')
  const glob = line.slice(0, dot)
  const pattern = new RegExp(`^${glob.replace(/[^\w*]/g, '\\$&').replaceAll('*', '.*')}$`)
  const meant = groups.filter((group) => [...group.services, targetName(group)].some((name) => pattern.test(name)))
  if (meant.length > 0) return meant.map((group) => targetName(group) + line.slice(dot))
  throw new DeployError('input-invalid', {
    what: `Input set names ${glob}, which is not built`,
    seen: line,
    fix: `use one of: ${groups.flatMap(({ services }) => services).join(', ')}, or *`,
  })
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
