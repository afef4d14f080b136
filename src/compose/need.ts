import { posix } from 'node:path'
import { checkAll, DeployError } from '../errors.ts'
import type { EnvFile } from '../values.ts'
import { mountsBeside, type Beside } from './beside.ts'
import { isValues, textOf, valuesOf, type Values } from './document.ts'
import { readEnvFile } from './env-file.ts'
import { checkExternals, findExternals, type External } from './external.ts'
import type { BuildGroup } from './group.ts'
import { pin } from './pin.ts'
import type { Project } from './project.ts'
import type { Repository } from './repository.ts'
import { missingIn } from './variable.ts'

/** What a release does not bring along, so that the server must have it. */
export type Needs = {
  /** Env files, those of secrets and configs, and those that are mounted, by service, relative to the directory. */
  files: ReadonlyMap<string, readonly string[]>
  /** Variables without a default. */
  variables: readonly string[]
  externals: readonly External[]
  /** What is mounted from above the directory. */
  beside: readonly Beside[]
  /** Env files that are shipped and that no service names. */
  unread: readonly string[]
}

/** What decides the needs. */
export type NeedFacts = {
  project: Project
  groups: readonly BuildGroup[]
  repository: Repository
  /** The env files that are shipped. */
  shipped: readonly EnvFile[]
}

/** Compose has a value for these by itself. */
const GIVEN = ['PATH', 'HOME', 'PWD', 'COMPOSE_PROJECT_NAME', 'DOCKER_HOST', 'DOCKER_CONTEXT', 'XDG_RUNTIME_DIR']

/** Finds what the server must have, before anything is built. */
export function findNeeds({ project, groups, repository, shipped }: NeedFacts): Needs {
  const images = new Map(groups.flatMap(({ services }) => services).map((name) => [name, 'built']))
  const pins = { project, name: 'any', release: 'any', images, repository, envFiles: shipped, profiles: [] }
  const { model, required, bound, used } = pin(pins)
  const settings = shipped.find(({ path }) => path === '.env')
  const values = settings && readEnvFile(settings.content).values
  const own = [...(values?.keys() ?? [])]
  const texts = textsIn(model)
  const missing = [...texts, ...secretVariables(model)].flatMap((text) =>
    missingIn(text, (name) => [...GIVEN, ...own].includes(name)),
  )
  return {
    files: new Map([...required].map(([service, files]) => [service, [...files, ...(bound.get(service) ?? [])]])),
    variables: [...new Set(missing)].sort(),
    externals: findExternals(project, values),
    beside: mountsBeside(model),
    unread: shipped.map(({ path }) => path).filter((path) => path !== '.env' && !used.has(path)),
  }
}

/** What the server is asked about: files, those that it can be asked about before the plan is made, and what is external. */
export function askable(needs: Needs): readonly string[] {
  return [...askableFiles(needs), ...(needs.externals.length > 0 ? ['externals:'] : [])]
}

function askableFiles({ files }: Needs): readonly string[] {
  const all = [...new Set([...files.values()].flat())]
  return all.filter((path) => /^[A-Za-z0-9_.\/][A-Za-z0-9_.@+\/-]*$/.test(path))
}

/** `environment: TOKEN` of a secret or config, as a text that uses the variable. */
function secretVariables(model: Values): readonly string[] {
  return ['secrets', 'configs'].flatMap((kind) =>
    Object.values(valuesOf(model[kind])).flatMap((definition) => {
      const name = textOf(valuesOf(definition)['environment'])
      return name === undefined ? [] : [`\${${name}}`]
    }),
  )
}

/** What the host has of it; `folder` is the directory's absolute path. */
export type Has = {
  files: readonly string[]
  foldersAt: readonly string[]
  settings: readonly string[]
  externals: readonly string[]
  isShipped: boolean
  folder: string
}

/** Stops when the server does not have what the active services need, or what is shipped is needed by none. */
export function checkNeeds(needs: Needs, active: readonly string[], has: Has, project: Project): void {
  const annotation = { file: project.files[0] ?? '' }
  const wanted = active.flatMap((service) => needs.files.get(service) ?? [])
  const absent = askableFiles(needs).filter(
    (path) => wanted.includes(path) && !has.files.includes(path) && !has.foldersAt.includes(path),
  )
  const folders = has.foldersAt.filter((path) => ['.env', 'compose.yaml', ...wanted].includes(path))
  const unset = needs.variables.filter((name) => !has.settings.includes(name))
  checkAll(
    () => {
      if (absent.length === 0) return
      throw new DeployError('env-file-missing', {
        what: 'The Compose file names files that are neither shipped nor on the server',
        seen: absent.join('\n'),
        ...(absent.some((path) => posix.basename(path) === '.env') && {
          why: 'a .env in the repository is for development, so it is not sent',
        }),
        fix: 'put them there on the server (the paths are relative to the directory); env files can be shipped as well, with `env-file` (.env) and `env-files`',
        annotation,
      })
    },
    () => {
      if (folders.length === 0) return
      const paths = folders.map((path) => posix.resolve(has.folder, path))
      throw new DeployError('file-is-folder', {
        what: 'A folder lies on the host where a file should be',
        seen: paths.join('\n'),
        why: 'Docker made it for root, when a container mounted a file that was not there',
        fix: `on the host: rmdir ${paths.join(' ')}`,
        annotation,
      })
    },
    () => {
      if (unset.length === 0) return
      throw new DeployError('variable-missing', {
        what: 'The Compose file uses variables that are set nowhere',
        seen: unset.join(' '),
        why: 'Compose would make them empty: empty passwords are made this way',
        fix: `set them in ${has.isShipped ? 'env-file' : 'the .env on the host'}: ${unset.map((name) => `${name}=…`).join(' ')}\nor give them a default in the Compose file: ${unset.map((name) => `\${${name}:-…}`).join(' ')}`,
        annotation,
      })
    },
    () => {
      if (needs.unread.length === 0) return
      throw new DeployError('input-invalid', {
        what: `Input env-files has ${needs.unread.join(', ')}, which no service names: neither as env_file, nor as a mount, secret or config`,
        fix: `use the path as the Compose file has it: ${[...new Set([...needs.files.values()].flat())].join(', ') || 'it has none'}`,
        annotation,
      })
    },
    () => checkExternals(needs.externals, active, has.externals, project),
  )
}

function textsIn(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value]
  if (Array.isArray(value)) return value.flatMap(textsIn)
  return isValues(value) ? Object.values(value).flatMap(textsIn) : []
}
