import { posix } from 'node:path'
import type { EnvFile } from '../values.ts'
import { usesOf } from './definition.ts'
import { isValues, listOf, textOf, textsOf, valuesOf, type Values } from './document.ts'
import { isFileMount, readMount, withSource, type Mount } from './mount.ts'
import type { Project } from './project.ts'
import type { Repository } from './repository.ts'
import { withEnvFiles, type Shippable } from './shipped-env.ts'
import { checkPath, isPlaceholder, membersOf, ship, type ShippedFile } from './shipment.ts'
import { canBecome, cutAtVariable, hasVariable, knownPath } from './variable.ts'

/** What pins a model: the images by service, and which env files travel with the release. */
export type Pins = {
  project: Project
  name: string
  release: string
  images: ReadonlyMap<string, string>
  repository: Repository
  /** The env files that are shipped; they lie below `env/` of the release. */
  envFiles: readonly EnvFile[]
  /** Those of the input: their services belong to the release, whatever the server's own settings say. */
  profiles: readonly string[]
}

/** The pinned model, what it needs on the server, and what a person should know. */
export type Pinned = {
  model: Values
  files: readonly ShippedFile[]
  /** Env files, and those of secrets and configs, that must be on the server already, by service. */
  required: ReadonlyMap<string, readonly string[]>
  /** Other files that are mounted and must be there, by service: for a missing one Docker would make a folder. */
  bound: ReadonlyMap<string, readonly string[]>
  /** Paths of the shipped env files that the model uses. */
  used: ReadonlySet<string>
  /** What is left out of what the Compose file names, or will not last. */
  warnings: readonly string[]
}

/** What is known of the pins while the model is walked. */
type Walk = Pins & { shippable: Shippable; used: Set<string> }

/** Pins the model: no build sections, images by digest, files of the repository by their content. */
export function pin(given: Pins): Pinned {
  const files = new Map<string, ShippedFile>()
  const required = new Map<string, readonly string[]>()
  const bound = new Map<string, readonly string[]>()
  const warnings = new Set<string>()
  const { project } = given
  const shippable = withEnvFiles(given.repository, project.folder, given.envFiles)
  const walk: Walk = { ...given, repository: shippable, shippable, used: new Set() }
  const data = dataPaths(walk)

  const move = (text: string, mount?: Mount): string => {
    const place = placeOf(text, walk)
    if (!place) return text
    const { path } = place
    const leftOut = shippable.leftOut(path)
    if (leftOut.length > 0 && leftOut[0] !== path) {
      warnings.add(
        `${leftOut.join(', ')} of the repository is for development, so it is not sent with ${path}; give its content for production with env-files`,
      )
    }
    if (mount && data.has(path)) {
      if (membersOf(shippable, path).some((file) => file === path || !isPlaceholder(file))) {
        warnings.add(
          `${path} is in the repository, but looks like data of the host: it is not shipped. To ship it, mount it read-only (:ro)`,
        )
      }
      return text
    }
    const shipped = ship(shippable, path)
    if (!shipped) return text
    if (mount && isWritten(mount) && !shippable.files.has(path)) {
      warnings.add(
        `${path} comes with the release: what a container writes there is not in the next; mount it read-only (:ro)`,
      )
    }
    for (const file of shipped.files) files.set(file.path, file)
    for (const member of membersOf(shippable, path)) {
      const envFile = shippable.envFileAt(member)
      if (envFile !== undefined) walk.used.add(envFile)
    }
    return place.rebuild(`./.deploy/${shipped.path}`)
  }

  const services = Object.entries(valuesOf(project.model['services'])).map(([name, values]) => {
    const envFiles = pinEnvFiles(valuesOf(values), walk, move)
    required.set(name, [...envFiles.required, ...unshipped(name, walk, move)])
    bound.set(name, boundFiles(name, walk, move))
    return [name, pinService(name, valuesOf(values), walk, envFiles.entries, move)]
  })
  const kept = Object.entries(project.model).filter(([key]) => !key.startsWith('x-') && key !== 'version')
  const model = {
    ...Object.fromEntries(kept),
    name: given.name,
    services: Object.fromEntries(services),
    ...pinDefinitions('configs', project, move),
    ...pinDefinitions('secrets', project, move),
  }
  return { model, files: [...files.values()], required, bound, used: walk.used, warnings: [...warnings] }
}

type Move = (text: string, mount?: Mount) => string

/** Where in the repository a text of the model leads, and the text that leads somewhere else in the same way. */
function placeOf(text: string, pins: Pins): ReturnType<typeof knownPath> {
  const known = knownPath(text) ?? chosenIn(text, pins)
  const path = known && insideRepository(pins.project.folder, known.path)
  return known && path !== undefined ? { path, rebuild: known.rebuild } : undefined
}

/** The folder of the repository in which a variable chooses what is mounted; never all of the repository. */
function chosenIn(text: string, { project, repository }: Pins): ReturnType<typeof knownPath> {
  const cut = cutAtVariable(text)
  const folder = cut && insideRepository(project.folder, cut.folder)
  if (!cut || folder === undefined || folder === '.') return undefined
  const isThere = membersOf(repository, folder).some(
    (member) => canBecome(cut.rest, posix.relative(folder, member)) && !DATA_FILE.test(member),
  )
  return isThere ? { path: cut.folder, rebuild: (path) => `${path}/${cut.rest}` } : undefined
}

/** A service that no active profile starts is not built, but Compose wants each to have an image. */
const NOT_BUILT = 'deploy-django/not-built'

function pinService(
  name: string,
  values: Values,
  { images, profiles }: Pins,
  envFiles: readonly unknown[],
  move: Move,
): Values {
  const { build, develop: _, ...rest } = values
  const image = images.get(name) ?? (build === undefined ? undefined : NOT_BUILT)
  // The digest is all there is to pull, and the server's login lives for one pull only.
  const { pull_policy: __, ...unpulled } = rest
  return {
    ...(image === undefined ? rest : { ...unpulled, image }),
    ...(textsOf(values['profiles']).some((profile) => ['*', profile].some((one) => profiles.includes(one)))
      ? { profiles: undefined }
      : {}),
    ...(envFiles.length > 0 ? { env_file: envFiles } : {}),
    ...(values['volumes'] === undefined
      ? {}
      : { volumes: listOf(values['volumes']).map((entry) => pinVolume(entry, move)) }),
    ...(values['label_file'] === undefined
      ? {}
      : { label_file: textsOf(values['label_file']).map((path) => move(path)) }),
  }
}

function pinVolume(entry: unknown, move: Move): unknown {
  const mount = readMount(entry)
  if (mount?.kind !== 'bind' || mount.source === undefined) return entry
  const source = move(mount.source, mount)
  return source === mount.source ? entry : withSource(entry, source)
}

function pinEnvFiles(
  values: Values,
  walk: Walk,
  move: Move,
): { entries: readonly unknown[]; required: readonly string[] } {
  const required: string[] = []
  const entries = listOf(values['env_file']).map((entry) => {
    const text = isValues(entry) ? textOf(entry['path']) : textOf(entry)
    if (text === undefined) return entry
    const known = knownPath(text)
    const path = known && posix.normalize(known.path)
    const inside = known && insideRepository(walk.project.folder, known.path)
    const shipped = walk.envFiles.find((file) => file.path === path || file.path === inside)?.path
    const put = (place: string): unknown => (isValues(entry) ? { ...entry, path: place } : place)
    const place = `./.deploy/releases/${walk.release}/env`
    if (known && shipped !== undefined) {
      walk.used.add(shipped)
      return put(known.rebuild(`${place}/${shipped}`))
    }
    const chosen = chosenEnvFile(text, walk)
    if (chosen !== undefined) return put(`${place}/${chosen}`)
    const moved = move(text)
    if (moved !== text) return put(moved)
    const optional = isValues(entry) && entry['required'] === false
    if (!optional && path !== undefined && !hasVariable(text) && !path.startsWith('.deploy/')) {
      checkPath(path.replace(/^~?\//, ''))
      required.push(path)
    }
    return entry
  })
  return { entries, required }
}

/** Where below `env/` a variable chooses among the shipped files. */
function chosenEnvFile(text: string, { project, envFiles, used }: Walk): string | undefined {
  const cut = cutAtVariable(text)
  const folders = cut ? [cut.folder, insideRepository(project.folder, cut.folder)] : []
  const paths = folders.flatMap((folder) => (folder === undefined ? [] : `${posix.normalize(folder)}/${cut?.rest}`))
  const possible = (text: string): readonly EnvFile[] => envFiles.filter(({ path }) => canBecome(text, path))
  const found = paths.find((path) => possible(path).length > 0)
  if (found !== undefined) possible(found).forEach(({ path }) => used.add(path))
  return found
}

/** Files of secrets and configs that are not in the repository: for a missing one Docker would make a folder. */
function unshipped(service: string, { project }: Pins, move: Move): readonly string[] {
  const found = project.services.get(service)
  return (found ? usesOf(found) : []).flatMap(({ kind, name }) => {
    const file = textOf(valuesOf(valuesOf(project.model[kind])[name])['file'])
    if (file === undefined || hasVariable(file) || move(file) !== file) return []
    checkPath(file.replace(/^~?\//, ''))
    return [posix.normalize(file)]
  })
}

/** Files that a service mounts and that are not shipped, as far as their names say that they are files. */
function boundFiles(service: string, { project }: Pins, move: Move): readonly string[] {
  return (project.services.get(service)?.mounts ?? []).flatMap((mount) => {
    const { kind, source } = mount
    const known = kind === 'bind' && source !== undefined ? knownPath(source) : undefined
    if (source === undefined || known?.path !== source || !isFileMount(source, mount.target)) return []
    return move(source, mount) === source ? [posix.normalize(source)] : []
  })
}

/** Those that a service uses: what only a build needs must not be asked for on the server. */
function pinDefinitions(kind: 'configs' | 'secrets', project: Project, move: Move): Values {
  const uses = [...project.services.values()].flatMap(usesOf)
  const all = Object.entries(valuesOf(project.model[kind])).filter(([name]) =>
    uses.some((use) => use.kind === kind && use.name === name),
  )
  const pinned = all.map(([name, definition]) => {
    const file = isValues(definition) ? textOf(definition['file']) : undefined
    return [name, isValues(definition) && file !== undefined ? { ...definition, file: move(file) } : definition]
  })
  return project.model[kind] === undefined ? {} : { [kind]: Object.fromEntries(pinned) }
}

function insideRepository(folder: string, path: string): string | undefined {
  if (/^[/~]/.test(path) || path === '') return undefined
  const joined = posix.join(folder, path).replace(/(.)\/$/, '$1')
  return joined === '..' || joined.startsWith('../') || joined.startsWith('.deploy/') ? undefined : joined
}

const DATA_FILE = /\.(sqlite3?|db|log)$/
const DATA = /^((?!meta)\w*data|db|database|media|uploads?|storage|backups?|logs?|volumes?)$/

/** Where any container keeps data: there it is for each that mounts it. */
function dataPaths(pins: Pins): ReadonlySet<string> {
  const mounts = [...pins.project.services.values()].flatMap((service) => service.mounts)
  const all = mounts.flatMap((mount) => {
    const place = mount.kind === 'bind' ? placeOf(mount.source ?? '', pins) : undefined
    return place ? [{ mount, path: place.path }] : []
  })
  const paths = all.map(({ path }) => path)
  return new Set(all.filter(({ mount, path }) => isData(mount, path, paths, pins.repository)).map(({ path }) => path))
}

/** What a container writes must stay where it is: a shipped file is replaced with the next change in the repository. */
function isData(mount: Mount, path: string, mounted: readonly string[], repository: Repository): boolean {
  if (!isWritten(mount)) return false
  if (repository.files.has(path)) return DATA_FILE.test(path)
  // What is mounted from below it and not in the repository is made by one container and read by another.
  const isExchanged = mounted.some((one) => one.startsWith(`${path}/`) && membersOf(repository, one).length === 0)
  return isExchanged || [path, mount.target].some((place) => DATA.test(posix.basename(place)))
}

const isWritten = ({ readOnly, target }: Mount): boolean =>
  !readOnly && !/^\/(etc|usr|docker-entrypoint-initdb\.d)(\/|$)/.test(target)
