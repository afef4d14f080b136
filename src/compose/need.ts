import { posix } from 'node:path'
import { checkAll, DeployError } from '../errors.ts'
import type { EnvFile } from '../inputs/values.ts'
import { mountsBeside, type Beside } from './beside.ts'
import { textOf, textsIn, valuesOf, type Values } from './document.ts'
import { readEnvFile } from './env-file.ts'
import { checkExternals, findExternals, type External } from './external.ts'
import type { BuildGroup } from './group.ts'
import { containerModel } from './pin.ts'
import { placeFiles } from './placement.ts'
import type { Project } from './project.ts'
import type { Repository } from './repository.ts'
import { missingIn } from './variable.ts'

/** What the host must have because the release does not contain it. */
export type Needs = {
  /** By service: env files, files of secrets and configs, and mounted files. Paths are relative to the directory. */
  files: ReadonlyMap<string, readonly string[]>
  /** Variables without a default. */
  variables: readonly string[]
  /** Variables that must not be empty either: `${NAME:?}`. */
  filled: readonly string[]
  externals: readonly External[]
  /** Mounts from above the directory. */
  beside: readonly Beside[]
  /** Shipped env files that no service names. */
  unread: readonly string[]
  /** The paths that the Compose file names, also those of files that are shipped. */
  named: readonly string[]
}

/** The parameters of `findNeeds`. */
export type NeedFacts = {
  project: Project
  groups: readonly BuildGroup[]
  repository: Repository
  /** The env files that are shipped. */
  shipped: readonly EnvFile[]
}

/** Variables that Compose or the shell on the host provides. */
const GIVEN = ['PATH', 'HOME', 'PWD', 'COMPOSE_PROJECT_NAME', 'DOCKER_HOST', 'DOCKER_CONTEXT', 'XDG_RUNTIME_DIR']

/** Finds what the host must have, before anything is built. */
export function findNeeds({ project, groups, repository, shipped }: NeedFacts): Needs {
  const built = groups.flatMap(({ services }) => services)
  const model = containerModel(project, built)
  const placement = placeFiles({ project, repository, envFiles: shipped })
  const { required, bound, used } = placement
  const settings = shipped.find(({ path }) => path === '.env')
  const values = settings && readEnvFile(settings.content).values
  const own = [...(values?.keys() ?? [])]
  const texts = textsIn(model)
  const missing = [...texts, ...secretVariables(model)].flatMap((text) =>
    missingIn(
      text,
      (name, needsText) => GIVEN.includes(name) || (needsText ? Boolean(values?.get(name)) : own.includes(name)),
    ),
  )
  const filled = texts.flatMap((text) => missingIn(text, (name, needsText) => GIVEN.includes(name) || !needsText))
  const files = new Map([...required].map(([service, found]) => [service, [...found, ...(bound.get(service) ?? [])]]))
  const named = [
    ...[...project.services.values()].flatMap(({ envFiles }) => envFiles),
    ...['secrets', 'configs'].flatMap((kind) => Object.values(valuesOf(model[kind])).flatMap(fileOf)),
    ...[...files.values()].flat(),
  ]
  return {
    files,
    variables: [...new Set(missing)].sort(),
    filled: [...new Set(filled)],
    externals: findExternals(project, values),
    beside: mountsBeside(project, placement),
    unread: shipped.map(({ path }) => path).filter((path) => path !== '.env' && !used.has(path)),
    named: [...new Set(named.map((path) => posix.normalize(path)))].filter((path) => path !== '.env'),
  }
}

/** The file of a secret or config. */
function fileOf(definition: unknown): readonly string[] {
  const file = textOf(valuesOf(definition)['file'])
  return file === undefined ? [] : [file]
}

/** What to look up on the host: files with plain names, and `externals:` when the project has external resources. */
export function askable(needs: Needs): readonly string[] {
  return [...askableFiles(needs), ...(needs.externals.length > 0 ? ['externals:'] : [])]
}

function askableFiles({ files }: Needs): readonly string[] {
  const all = [...new Set([...files.values()].flat())]
  return all.filter((path) => /^[A-Za-z0-9_.\/][A-Za-z0-9_.@+\/-]*$/.test(path))
}

/** Turns `environment: TOKEN` of a secret or config into a text that uses the variable. */
function secretVariables(model: Values): readonly string[] {
  return ['secrets', 'configs'].flatMap((kind) =>
    Object.values(valuesOf(model[kind])).flatMap((definition) => {
      const name = textOf(valuesOf(definition)['environment'])
      return name === undefined ? [] : [`\${${name}}`]
    }),
  )
}

/** What the host has of the needs. `folder` is the directory's absolute path. */
export type Has = {
  files: readonly string[]
  foldersAt: readonly string[]
  settings: readonly string[]
  /** The settings that are empty. */
  emptySettings: readonly string[]
  externals: readonly string[]
  isShipped: boolean
  folder: string
}

/** Stops when the host lacks what the services need, or when no service names a shipped env file. */
export function checkNeeds(needs: Needs, active: readonly string[], has: Has, project: Project): void {
  const annotation = { file: project.files[0] ?? '' }
  const wanted = active.flatMap((service) => needs.files.get(service) ?? [])
  const absent = askableFiles(needs).filter(
    (path) => wanted.includes(path) && !has.files.includes(path) && !has.foldersAt.includes(path),
  )
  const folders = has.foldersAt.filter((path) => ['.env', 'compose.yaml', ...wanted].includes(path))
  const unset = needs.variables.filter(
    (name) => !has.settings.includes(name) || (needs.filled.includes(name) && has.emptySettings.includes(name)),
  )
  checkAll(
    () => {
      if (absent.length === 0) return
      throw new DeployError('env-file-missing', {
        what: 'The Compose file names files that are neither shipped nor on the host',
        seen: absent.join('\n'),
        ...(absent.some((path) => posix.basename(path) === '.env') && {
          why: 'a .env in the repository is for development, so it is not sent',
        }),
        fix: 'put them there on the host (the paths are relative to the directory); env files can be shipped as well, with `env-file` (.env) and `env-files`',
        annotation,
      })
    },
    () => {
      if (folders.length === 0) return
      const paths = folders.map((path) => posix.resolve(has.folder, path))
      throw new DeployError('file-is-folder', {
        what: 'A folder is on the host where a file should be',
        seen: paths.join('\n'),
        why: 'Docker created it, owned by root, when a container mounted a file that did not exist',
        fix: `on the host: rmdir ${paths.join(' ')}`,
        annotation,
      })
    },
    () => {
      if (unset.length === 0) return
      throw new DeployError('variable-missing', {
        what: 'The Compose file uses variables that are set nowhere, or are empty and must not be',
        seen: unset.join(' '),
        why: 'Compose would leave them empty: this is how empty passwords happen',
        fix: `set them in ${has.isShipped ? 'env-file' : 'the .env on the host, or in the input env-file, which replaces it'}: ${unset.map((name) => `${name}=…`).join(' ')}\nor give them a default in the Compose file: ${unset.map((name) => `\${${name}:-…}`).join(' ')}`,
        annotation,
      })
    },
    () => {
      if (needs.unread.length === 0) return
      throw new DeployError('input-invalid', {
        what: `Input env-files has ${needs.unread.join(', ')}, which no service names: neither as env_file, nor as a mount, secret or config`,
        fix: `use the path as the Compose file has it: ${needs.named.join(', ') || 'it has none'}; or add the path as \`env_file:\` to the service that reads it, or leave it out`,
        annotation,
      })
    },
    () => checkExternals(needs.externals, active, has.externals, project),
  )
}
