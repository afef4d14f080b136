import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { canonical } from '../canonical.ts'
import { fillBuild, localPath, secretVariables, tagsOf, writeBakeFile, type Build } from '../compose/build.ts'
import type { BuildGroup } from '../compose/group.ts'
import type { Project } from '../compose/project.ts'
import { checkAll, DeployError } from '../errors.ts'
import type { Run, RunOptions } from '../process.ts'
import { explainBuild } from './failure.ts'
import { valuesFor, withoutGitHub, type BuildVariables } from './variable.ts'

/** The commit that an image is built from. */
export type Commit = { sha: string; time: Date; source: string }

/** One image to build: its bake target, its local tag, and the labels that identify it later. */
export type Target = { name: string; group: BuildGroup; reference: string; labels: Readonly<Record<string, string>> }

/** A reduced Compose file and the overrides that go with it. */
export type BakePlan = {
  file: string
  overrides: readonly string[]
  targets: readonly Target[]
  commit: Commit
  /** Variables that the build's secrets read. */
  secrets: Readonly<Record<string, string>>
}

/** The parameters of `planBake`. */
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
 * Plans a bake with only the build sections, under working tags, with every variable filled in. An unset variable
 * elsewhere must not stop a build. buildx must not read values where Compose would not, such as a `.env` of the
 * repository.
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
  const file = writeBakeFile({
    app: project,
    services: targets.map(({ name, reference: image, labels }, index) => ({
      name,
      image,
      labels,
      build: filled[index]?.build ?? {},
    })),
    builds: groups.map(({ build }) => build),
    values,
    folder,
    targetOf: (service) => targetOf(service, groups),
  })
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
        // In the folder of the Compose file, buildx would read the repository's `.env`.
        cwd: folder,
        env: {
          ...withoutGitHub(options.env, plan.overrides),
          ...plan.secrets,
          SOURCE_DATE_EPOCH: String(Math.floor(plan.commit.time.getTime() / 1000)),
          // The repository's own Compose file chooses the contexts. Newer versions of buildx would require access to
          // `..`.
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

function toTarget(group: BuildGroup, build: Build, overrides: readonly string[], commit: Commit): Target {
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

/** Warnings for services with `build.tags`: tags that are not pushed. */
export function describeTags({ services }: Project): readonly string[] {
  const tagged = [...services.values()].filter((service) => tagsOf(service).length > 0)
  return tagged.map(
    ({ name }) =>
      `The tags in \`build.tags\` of ${name} are not pushed: an image is pushed only under the version. If something else needs them, tag the image in a step after this one: docker buildx imagetools create --tag TAG IMAGE, with the image of the output \`images\``,
  )
}

/** The target that builds the image of a service. */
function targetOf(service: string, groups: readonly BuildGroup[]): string {
  const group = groups.find(({ services }) => services.includes(service))
  if (group) return targetName(group)
  throw new DeployError('compose-invalid', {
    what: `additional_contexts names service:${service}, which is not built`,
    fix: 'name a service with a build: section',
  })
}

/** The override with absolute paths: paths in `set` start from the folder of the Compose file. */
function withLocalPaths(line: string, folder: string): string {
  const [, start = '', key = '', value = ''] = /^([^.]*\.([^=]*)=)([^]*)$/.exec(line) ?? []
  if (key === 'context' || key.startsWith('contexts.')) return start + localPath(value, folder)
  if (!/^(cache-(from|to)|secrets?|ssh|output)$/.test(key)) return line
  const parts = value.split(',').map((part) => {
    const [, name = '', path] = /^((?:src|source|dest)=|[\w-]+=(?=\.{1,2}\/)|(?=\.{1,2}\/))(.+)$/.exec(part) ?? []
    return path === undefined ? part : name + resolve(folder, path)
  })
  return start + parts.join(',')
}

/** Whether `set` overrides this field of the group; `overrides` name targets. */
function isOverridden(overrides: readonly string[], group: BuildGroup, key: string): boolean {
  return overrides.some((line) => line.startsWith(`${targetName(group)}.${key}=`))
}

/** Returns a test for the fields that the lines of `set` override. */
export function overriddenBy(
  set: readonly string[],
  groups: readonly BuildGroup[],
): (group: BuildGroup, key: string) => boolean {
  const overrides = set.flatMap((line) => assignOverride(line, groups))
  return (group, key) => isOverridden(overrides, group, key)
}

/** Stops for overrides of services that are not built. */
export function checkOverrides(set: readonly string[], groups: readonly BuildGroup[]): void {
  checkAll(...set.map((line) => () => void assignOverride(line, groups)))
}

/** The input `set` names services. Each override goes to the target of the service's group. */
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
