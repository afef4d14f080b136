import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { stringify } from 'yaml'
import { canonical, isValues, pairsOf, textsOf, listOf, textOf, valuesOf, type Values } from '../compose/document.ts'
import type { BuildGroup } from '../compose/group.ts'
import type { Project } from '../compose/project.ts'
import { interpolate } from '../compose/variable.ts'
import { checkAll, DeployError } from '../errors.ts'
import type { Run, RunOptions } from '../process.ts'
import { explainBuild } from './failure.ts'
import { fillBuild, secretVariables, valuesFor, withoutGitHub, type BuildVariables } from './variable.ts'

/** The commit that an image is made of. */
export type Commit = { sha: string; time: Date; source: string }

/** One image to build: its bake target, the local tag it gets, and the labels by which it is known again. */
export type Target = { name: string; group: BuildGroup; reference: string; labels: Readonly<Record<string, string>> }

/** A reduced Compose file and the overrides that go with it. */
export type BakePlan = {
  file: string
  overrides: readonly string[]
  targets: readonly Target[]
  commit: Commit
  /** Variables that secrets of the build are made of. */
  secrets: Readonly<Record<string, string>>
}

/** What the plan of a bake is made of. */
export type BakeFacts = {
  project: Project
  groups: readonly BuildGroup[]
  workspace: string
  set: readonly string[]
  variables: BuildVariables
  commit: Commit
}

/** The label that says which definition an image was built from. */
export const BAKE_LABEL = 'deploy-django.bake'
export const REVISION_LABEL = 'org.opencontainers.image.revision'

/**
 * Only the build sections, under working tags, with every variable filled in: an unset variable elsewhere must not stop a
 * build, and buildx must not look for values where Compose would not, such as a `.env` of the repository.
 */
export function planBake({ project, groups, workspace, set, variables, commit }: BakeFacts): BakePlan {
  const values = valuesFor(variables)
  const folder = join(workspace, project.folder)
  const overrides = set.flatMap((line) => assignOverride(line, groups))
  const filled = groups.map((group) => ({
    ...group,
    build: fillBuild(group.build, values, (key) => isOverridden(overrides, group, key)),
  }))
  const targets = groups.map((group, index) => toTarget(group, filled[index]?.build ?? {}, overrides, commit))
  const services = targets.map((target, index) => [
    target.name,
    toService(target, filled[index]?.build ?? {}, groups, folder),
  ])
  const secrets = Object.entries(valuesOf(project.model['secrets'])).map(([name, secret]) => {
    const file = textOf(valuesOf(secret)['file'])
    const path = file === undefined ? undefined : local(interpolate(file, values) ?? file, folder)
    return [name, path === undefined ? secret : { ...valuesOf(secret), file: path }]
  })
  const used = new Set(groups.flatMap(({ build }) => secretNames(build)))
  const file = stringify(
    literal({
      name: 'deploy-django',
      services: Object.fromEntries(services),
      secrets: Object.fromEntries(secrets.filter(([name]) => used.has(String(name)))),
    }),
    { lineWidth: 0, aliasDuplicateObjects: false, version: '1.1' },
  )
  return {
    file,
    overrides: overrides.map((line) => withLocalPaths(line, folder)),
    targets,
    commit,
    secrets: Object.fromEntries(
      groups
        .flatMap(({ build }) => secretVariables(build, project))
        .flatMap((name) => (values[name] === undefined ? [] : [[name, values[name]]])),
    ),
  }
}

/** The same value for a program that reads `$` as a variable. */
function literal(value: unknown): unknown {
  if (typeof value === 'string') return value.replaceAll('$', '$$$$')
  if (Array.isArray(value)) return value.map(literal)
  if (!isValues(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, literal(inner)]))
}

/** Builds the wanted targets into the local Docker; what buildx prints goes to `onLine`. */
export async function bake(
  plan: BakePlan,
  wanted: readonly Target[],
  options: { run: Run; env: NodeJS.ProcessEnv; project: Project; temp: string } & Pick<RunOptions, 'onLine' | 'signal'>,
): Promise<void> {
  if (wanted.length === 0) return
  const { run, project, temp, onLine, signal } = options
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
        // Beside the Compose file buildx would read a `.env` of the repository.
        cwd: folder,
        env: {
          ...withoutGitHub(options.env, plan.overrides),
          ...plan.secrets,
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

function targetName(group: BuildGroup): string {
  return group.name.replace(/[^A-Za-z0-9_-]/g, '_')
}

function toTarget(group: BuildGroup, build: Values, overrides: readonly string[], commit: Commit): Target {
  const name = targetName(group)
  const mine = overrides.filter((line) => line.startsWith(`${name}.`))
  const definition = sha256(canonical([name, build, mine]))
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

function toService(target: Target, filled: Values, groups: readonly BuildGroup[], folder: string): Values {
  // Tags of the file would be pushed by nobody.
  const { tags: _, ...build } = filled
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

/** An absolute path for a local one; addresses (https:, docker-image:, git@…) stay. */
function local(path: string, folder: string): string {
  return /^[a-z][a-z0-9+.-]*:|^git@|^github\.com\//i.test(path) ? path : resolve(folder, path)
}

/** The override with absolute paths: in `set` they start from the folder of the Compose file. */
function withLocalPaths(line: string, folder: string): string {
  const [, start = '', key = '', value = ''] = /^([^.]*\.([^=]*)=)([^]*)$/.exec(line) ?? []
  if (key === 'context' || key.startsWith('contexts.')) return start + local(value, folder)
  if (!/^(cache-(from|to)|secrets?|ssh|output)$/.test(key)) return line
  const parts = value.split(',').map((part) => {
    const [, name = '', path] = /^((?:src|source|dest)=|[\w-]+=(?=\.{1,2}\/)|(?=\.{1,2}\/))(.+)$/.exec(part) ?? []
    return path === undefined ? part : name + resolve(folder, path)
  })
  return start + parts.join(',')
}

/** Whether `set` gives this field of the group; `overrides` name targets. */
function isOverridden(overrides: readonly string[], group: BuildGroup, key: string): boolean {
  return overrides.some((line) => line.startsWith(`${targetName(group)}.${key}=`))
}

/** Which fields the lines of `set` give. */
export function overriddenBy(
  set: readonly string[],
  groups: readonly BuildGroup[],
): (group: BuildGroup, key: string) => boolean {
  const overrides = set.flatMap((line) => assignOverride(line, groups))
  return (group, key) => isOverridden(overrides, group, key)
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
