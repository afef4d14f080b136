import { posix } from 'node:path'
import type { EnvFile } from '../inputs/values.ts'
import { usesOf } from './definition.ts'
import { isValues, listOf, textOf, textsOf, valuesOf } from './document.ts'
import { envFilePath } from './env-file.ts'
import { isFileMount, type Mount } from './mount.ts'
import type { Project } from './project.ts'
import type { Repository } from './repository.ts'
import type { Service } from './service.ts'
import { withEnvFiles, type Shippable } from './shipped-env.ts'
import { checkPath, isPlaceholder, isPlainPath, membersOf, ship, type ShippedFile } from './shipment.ts'
import { canBecome, cutAtVariable, hasVariable, knownPath } from './variable.ts'

/** The parameters of `placeFiles`. */
export type PlacementFacts = {
  project: Project
  repository: Repository
  /** The shipped env files; they lie below `env/` of the release. */
  envFiles: readonly EnvFile[]
  /** Only these services are warned about; by default all. */
  active?: readonly string[]
}

/** Where the files of a model lie: shipped with the release, or required on the host. */
export type Placement = {
  files: readonly ShippedFile[]
  /** By service: env files, and files of secrets and configs, that the host must already have. */
  required: ReadonlyMap<string, readonly string[]>
  /** By service: env files that the host may have. */
  optional: ReadonlyMap<string, readonly string[]>
  /** By service: other mounted files that the host must have. Docker would create a folder for a missing one. */
  bound: ReadonlyMap<string, readonly string[]>
  /** Paths of the shipped env files that the model uses. */
  used: ReadonlySet<string>
  /** Warnings about files that are not shipped, or whose changes the next release replaces. */
  warnings: readonly string[]
  /** Rewrites a path to its shipped copy; returns the same text when nothing is shipped for it. */
  move: (text: string, mount?: Mount) => string
  /** Rewrites an entry of `env_file`. `folder` holds the release's own env files. */
  moveEnvFile: (entry: unknown, folder: string) => unknown
}

/** A rewritten text of the model, with its files and warnings. */
type Moved = { text: string; files: readonly ShippedFile[]; used: readonly string[]; warnings: readonly string[] }

/** Where an env file lies: in the release, among the shipped files, or on the host, perhaps at an unknown path. */
type EnvPlace =
  | { kind: 'release'; below: (folder: string) => string; used: readonly string[] }
  | { kind: 'files'; moved: Moved }
  | { kind: 'host'; path: string | undefined; isOptional: boolean }

/** The parameters, with the env files laid over the repository, and the paths that hold data. */
type PlacementContext = PlacementFacts & { repository: Shippable; data: ReadonlySet<string> }

/** Finds out where each file of the model lies. */
export function placeFiles(facts: PlacementFacts): Placement {
  const { project, envFiles } = facts
  const services = [...project.services.values()]
  const repository = withEnvFiles(facts.repository, project.folder, envFiles)
  const context: PlacementContext = { ...facts, repository, data: dataPaths(project, repository) }
  const required = new Map<string, readonly string[]>()
  const optional = new Map<string, readonly string[]>()
  const bound = new Map<string, readonly string[]>()
  const moved: Moved[] = []
  const used = services.flatMap((service) => {
    const isActive = facts.active?.includes(service.name) ?? true
    const keep = (found: Moved): void => void moved.push(isActive ? found : { ...found, warnings: [] })
    const move = (text: string, mount?: Mount): string => {
      const found = moveText(text, mount, context)
      keep(found)
      return found.text
    }
    const places = listOf(service.values['env_file']).map((entry) => placeEnvFile(entry, context))
    places.forEach((place) => place?.kind === 'files' && keep(place.moved))
    const onHost = (isOptional: boolean): readonly string[] =>
      places.flatMap((place) => (place?.kind === 'host' && place.isOptional === isOptional ? (place.path ?? []) : []))
    required.set(service.name, [...onHost(false), ...unshipped(service, project, move)])
    optional.set(service.name, onHost(true))
    bound.set(service.name, boundFiles(service, move))
    for (const mount of service.mounts) {
      if (mount.kind === 'bind' && mount.source !== undefined) move(mount.source, mount)
    }
    textsOf(service.values['label_file']).forEach((path) => move(path))
    return places.flatMap((place) => (place?.kind === 'release' ? place.used : []))
  })
  return {
    files: [...new Map(moved.flatMap(({ files }) => files).map((file) => [file.path, file])).values()],
    required,
    optional,
    bound,
    used: new Set([...used, ...moved.flatMap((each) => each.used)]),
    warnings: [...new Set(moved.flatMap(({ warnings }) => warnings))],
    move: (text, mount) => moveText(text, mount, context).text,
    moveEnvFile: (entry, folder) => moveEnvFile(entry, placeEnvFile(entry, context), folder),
  }
}

type Move = (text: string, mount?: Mount) => string

function moveText(text: string, mount: Mount | undefined, context: PlacementContext): Moved {
  const stays: Moved = { text, files: [], used: [], warnings: [] }
  const place = placeOf(text, context)
  if (!place) return stays
  const { path } = place
  const { repository } = context
  const leftOut = repository.leftOut(path)
  const warnings =
    leftOut.length > 0 && leftOut[0] !== path
      ? [
          `${leftOut.join(', ')} of the repository is for development, so it is not sent with ${path}; give its content for production with env-files`,
        ]
      : []
  const members = membersOf(repository, path)
  if (mount && context.data.has(path)) {
    const holdsFiles = members.some((file) => file === path || !isPlaceholder(file))
    const advice = `${path} is in the repository but looks like data of the host, so it is not shipped. To ship it, mount it read-only (:ro)`
    return { ...stays, warnings: [...warnings, ...(holdsFiles ? [advice] : [])] }
  }
  const shipped = ship(repository, path)
  if (!shipped) return { ...stays, warnings }
  return {
    text: place.rebuild(`./.deploy/${shipped.path}`),
    files: shipped.files,
    used: members.flatMap((member) => repository.envFileAt(member) ?? []),
    warnings:
      mount && isWritten(mount) && !repository.files.has(path)
        ? [
            ...warnings,
            `${path} is part of the release: the next release replaces what a container writes there. Mount it read-only (:ro)`,
          ]
        : warnings,
  }
}

/** The repository path that a text of the model leads to. `rebuild` puts another path into the text. */
function placeOf(text: string, facts: Pick<PlacementFacts, 'project' | 'repository'>): ReturnType<typeof knownPath> {
  const known = knownPath(text) ?? chosenIn(text, facts)
  const path = known && insideRepository(facts.project.folder, known.path)
  return known && path !== undefined ? { path, rebuild: known.rebuild } : undefined
}

/** The repository folder in which a variable chooses a file; never the root, which would ship the whole repository. */
function chosenIn(
  text: string,
  { project, repository }: Pick<PlacementFacts, 'project' | 'repository'>,
): ReturnType<typeof knownPath> {
  const cut = cutAtVariable(text)
  const folder = cut && insideRepository(project.folder, cut.folder)
  if (!cut || folder === undefined || folder === '.') return undefined
  const isThere = membersOf(repository, folder).some(
    (member) => canBecome(cut.rest, posix.relative(folder, member)) && !DATA_FILE.test(member),
  )
  return isThere ? { path: cut.folder, rebuild: (path) => `${path}/${cut.rest}` } : undefined
}

/** Where the env file of an entry lies; undefined when the entry names none. */
function placeEnvFile(entry: unknown, context: PlacementContext): EnvPlace | undefined {
  const text = envFilePath(entry)
  if (text === undefined) return undefined
  const known = knownPath(text)
  const path = known && posix.normalize(known.path)
  const inside = known && insideRepository(context.project.folder, known.path)
  const shipped = context.envFiles.find((file) => file.path === path || file.path === inside)?.path
  if (known && shipped !== undefined) {
    return { kind: 'release', below: (folder) => known.rebuild(`${folder}/${shipped}`), used: [shipped] }
  }
  const chosen = chosenEnvFile(text, context)
  if (chosen) return { kind: 'release', below: (folder) => `${folder}/${chosen.path}`, used: chosen.used }
  const moved = moveText(text, undefined, context)
  if (moved.text !== text) return { kind: 'files', moved }
  const isOptional = isValues(entry) && entry['required'] === false
  if (path === undefined || hasVariable(text) || path.startsWith('.deploy/')) {
    return { kind: 'host', path: undefined, isOptional }
  }
  const below = path.replace(/^~?\//, '')
  if (!isOptional) checkPath(below)
  return { kind: 'host', path: isPlainPath(below) ? path : undefined, isOptional }
}

function moveEnvFile(entry: unknown, place: EnvPlace | undefined, folder: string): unknown {
  const put = (path: string): unknown => (isValues(entry) ? { ...entry, path } : path)
  switch (place?.kind) {
    case 'release':
      return put(place.below(folder))
    case 'files':
      return put(place.moved.text)
    default:
      return entry
  }
}

/** The path below `env/` when a variable chooses among the shipped env files. */
function chosenEnvFile(
  text: string,
  { project, envFiles }: PlacementFacts,
): { path: string; used: readonly string[] } | undefined {
  const cut = cutAtVariable(text)
  const folders = cut ? [cut.folder, insideRepository(project.folder, cut.folder)] : []
  const paths = folders.flatMap((folder) => (folder === undefined ? [] : `${posix.normalize(folder)}/${cut?.rest}`))
  const possible = paths.map((path) => ({
    path,
    used: envFiles.flatMap((file) => (canBecome(path, file.path) ? file.path : [])),
  }))
  return possible.find(({ used }) => used.length > 0)
}

/** Files of secrets and configs that are not shipped. Docker would create a folder for a missing one. */
function unshipped(service: Service, { model }: Project, move: Move): readonly string[] {
  return usesOf(service).flatMap(({ kind, name }) => {
    const file = textOf(valuesOf(valuesOf(model[kind])[name])['file'])
    if (file === undefined || move(file) !== file || hasVariable(file)) return []
    checkPath(file.replace(/^~?\//, ''))
    return [posix.normalize(file)]
  })
}

/** Mounted files that are not shipped; only paths that look like files. */
function boundFiles({ mounts }: Service, move: Move): readonly string[] {
  return mounts.flatMap((mount) => {
    const { kind, source } = mount
    const known = kind === 'bind' && source !== undefined ? knownPath(source) : undefined
    if (source === undefined || known?.path !== source || !isFileMount(source, mount.target)) return []
    return move(source, mount) === source ? [posix.normalize(source)] : []
  })
}

function insideRepository(folder: string, path: string): string | undefined {
  if (/^[/~]/.test(path) || path === '') return undefined
  const joined = posix.join(folder, path).replace(/(.)\/$/, '$1')
  return joined === '..' || joined.startsWith('../') || joined.startsWith('.deploy/') ? undefined : joined
}

const DATA_FILE = /\.(sqlite3?|db|log)$/
const DATA = /^((?!meta)\w*data|db|database|media|uploads?|storage|backups?|logs?|volumes?)$/

/** Paths where a container keeps data. Such a path counts as data for every container that mounts it. */
function dataPaths(project: Project, repository: Repository): ReadonlySet<string> {
  const mounts = [...project.services.values()].flatMap((service) => service.mounts)
  const all = mounts.flatMap((mount) => {
    const place = mount.kind === 'bind' ? placeOf(mount.source ?? '', { project, repository }) : undefined
    return place ? [{ mount, path: place.path }] : []
  })
  const paths = all.map(({ path }) => path)
  return new Set(all.filter(({ mount, path }) => isData(mount, path, paths, repository)).map(({ path }) => path))
}

/**
 * Whether a container writes data to this path. Data must stay on the host: each release replaces its shipped files.
 */
function isData(mount: Mount, path: string, mounted: readonly string[], repository: Repository): boolean {
  if (!isWritten(mount)) return false
  if (repository.files.has(path)) return DATA_FILE.test(path)
  // The repository lacks a mounted path below this one: one container creates it, and another reads it.
  const isExchanged = mounted.some((one) => one.startsWith(`${path}/`) && membersOf(repository, one).length === 0)
  return isExchanged || [path, mount.target].some((place) => DATA.test(posix.basename(place)))
}

const isWritten = ({ readOnly, target }: Mount): boolean =>
  !readOnly && !/^\/(etc|usr|docker-entrypoint-initdb\.d)(\/|$)/.test(target)
