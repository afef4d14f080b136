import { createHash } from 'node:crypto'
import { stringify } from 'yaml'
import { canonical } from '../canonical.ts'
import { DeployError } from '../errors.ts'
import type { EnvFile } from '../inputs/values.ts'
import { readApp, type App } from './app.ts'
import type { Values } from './document.ts'
import { findDrifts, keepDefinitions, type Drift, type Settings } from './drift.ts'
import { readEnvFile } from './env-file.ts'
import { markFiles } from './mark.ts'
import { onlyMounts } from './mount.ts'
import { oneOffModel } from './one-off.ts'
import { pin } from './pin.ts'
import { placeFiles } from './placement.ts'
import type { Project } from './project.ts'
import type { Repository } from './repository.ts'
import { findResourceDrifts, keepResources, type ResourceDrift } from './resource.ts'
import { behindApp, withRole, type Roles } from './role.ts'
import { checkPath, type ShippedFile } from './shipment.ts'

/** The parameters of `makeRelease`. */
export type ReleaseFacts = {
  project: Project
  /** The Compose project's name. */
  name: string
  /** The release's id, which is part of the paths of shipped env files. */
  id: string
  roles: Roles
  /** Services whose image holds Django. */
  djangoServices: readonly string[]
  /** `name@sha256:…` by service, for every service that is built here. */
  images: ReadonlyMap<string, string>
  repository: Repository
  /** Content of `.env`. */
  envFile: string | undefined
  envFiles: readonly EnvFile[]
  /** The input `profiles`. */
  profiles: readonly string[]
  /** The pinned model of the current release. */
  before: App
  /** The values of the current release's own `.env`; undefined when it uses the host's. */
  settingsBefore: ReadonlyMap<string, string> | undefined
  /** All networks and volumes of the host, as `network NAME` and `volume NAME`. */
  there: readonly string[]
  /** The input `update-services`: services behind the app whose changed definition is applied. */
  update: readonly string[]
  /** Content hashes by service: of the images built now, and of the images when the current release was made. */
  contents: ReadonlyMap<string, string>
  contentsBefore: ReadonlyMap<string, string>
}

/** A release, ready to be staged. */
export type Release = {
  /** The content hash of each built service's image. A service that keeps its image keeps its hash. */
  contents: ReadonlyMap<string, string>
  /** The model whose text is `compose`. */
  app: App
  /** The values of `.env` in the current release and in this one; undefined unless both have their own. */
  settings: Settings | undefined
  /** Text of compose.yaml. The same input gives the same text, byte for byte. */
  compose: string
  /** Texts of run.yaml and its overlays: the model of containers beside the site. */
  oneOff: {
    files: readonly { path: string; content: string }[]
    networks: readonly string[]
    volumes: readonly string[]
  }
  /** Text of mounts.yaml: the mounts and container counts that the repository defines. */
  mounts: string
  roles: Roles
  images: ReadonlyMap<string, string>
  /** Images that are not built here, except names with a variable. */
  imagesBeside: readonly string[]
  env: 'shipped' | 'server'
  /** Env files, and files of secrets and configs, that the host must have, relative to the directory. */
  requiredEnvFiles: readonly string[]
  /** Env files that the containers read if the host has them. */
  optionalEnvFiles: readonly string[]
  /** Shipped env files that set variables; the others are secrets, configs or mounted files. */
  variableFiles: readonly string[]
  /** Other mounted files that the host must have. */
  boundFiles: readonly string[]
  /** Goes below `.deploy/` on the host: `files/<sha256>/…`. */
  files: readonly ShippedFile[]
  /** Goes below the release's folder: `env/…`, readable by the owner only. */
  envFiles: readonly ShippedFile[]
  /** Equal for two releases that differ only in their id. */
  fingerprint: string
  /** Warnings about files that are not shipped or will not last, and about changes that are not deployed. */
  warnings: readonly string[]
  /** Services that keep their definition although the repository changed it, because they may hold data. */
  drifts: readonly Drift[]
  /** Networks and volumes that keep their definition although the repository changed it. */
  resourceDrifts: readonly ResourceDrift[]
}

/** Makes the release: the whole pinned model. The host fills in every `${VARIABLE}`. */
export function makeRelease(facts: ReleaseFacts): Release {
  const { project, name, id, roles, images, repository } = facts
  const shipped = shippedEnvFiles(facts)
  const active = roles.services.map(({ service }) => service)
  const placement = placeFiles({ project, repository, envFiles: shipped, active })
  const { files, required, optional, bound, warnings } = placement
  const before = facts.before.model
  const built = [...images.keys()]
  const pinned = markFiles(pin({ project, name, release: id, images, placement, profiles: facts.profiles }), built)
  const keeping = withRole(roles.services, 'database', 'one-time').filter((service) => !facts.update.includes(service))
  const own = shipped.find(({ path }) => path === '.env')
  const settings = own && facts.settingsBefore && { before: facts.settingsBefore, now: readEnvFile(own.content).values }
  const drifts = findDrifts(facts.before, readApp(pinned), keeping, settings)
  const resourceDrifts = findResourceDrifts(before, pinned, name, facts.there)
  const model = keepResources(before, keepDefinitions(before, pinned, drifts, settings), resourceDrifts)
  // Labels name the commit, so every release has new images. A new image alone does not change the definition.
  const isRebuilt = ({ service, keys }: Drift): boolean => images.has(service) && keys.every((key) => key === 'image')
  const held = (service: string): string | undefined => facts.contentsBefore.get(service)
  // A service that keeps its image keeps the content hash too.
  const contents = [...facts.contents].map(([service, hash]): [string, string | undefined] => [
    service,
    drifts.some((drift) => drift.service === service) ? held(service) : hash,
  ])
  const write = (values: Values): string =>
    stringify(values, { sortMapEntries: true, lineWidth: 0, aliasDuplicateObjects: false, version: '1.1' })
  const app = readApp(model)
  const compose = write(model)
  const replaced = withRole(roles.services, 'app')
  const siblings = facts.djangoServices.filter((service) => replaced.includes(service))
  const oneOff = oneOffModel(model, roles.django, name, siblings)
  const filesOf = (all: ReadonlyMap<string, readonly string[]>): readonly string[] =>
    [...new Set(active.flatMap((service) => all.get(service) ?? []))].sort()
  const kept = [...behindApp(roles.services), ...withRole(roles.services, 'front')].filter(
    (service) => !images.has(service),
  )
  return {
    app,
    settings,
    contents: new Map(contents.flatMap(([service, hash]) => (hash === undefined ? [] : [[service, hash]]))),
    compose,
    oneOff: { ...oneOff, files: oneOff.files.map((file) => ({ path: file.path, content: write(file.model) })) },
    mounts: stringify(onlyMounts(pinned), { aliasDuplicateObjects: false, version: '1.1' }),
    roles,
    images,
    imagesBeside: [...new Set(kept.flatMap((service) => plainImage(app, service) ?? []))],
    env: shipped.some(({ path }) => path === '.env') ? 'shipped' : 'server',
    requiredEnvFiles: filesOf(required),
    optionalEnvFiles: filesOf(optional),
    variableFiles: shipped.map(({ path }) => path).filter((path) => setsVariables(app, path, id)),
    boundFiles: filesOf(bound),
    files,
    envFiles: shipped.map((file) => ({ path: `env/${file.path}`, content: Buffer.from(onHost(file)), mode: 0o600 })),
    fingerprint: createHash('sha256')
      .update(compose.replaceAll(`.deploy/releases/${id}/`, '.deploy/releases/-/'))
      .update(canonical([shipped, active]))
      .digest('hex'),
    warnings: [
      ...warnings,
      ...drifts
        .filter(({ service }) => !roles.unnamed.includes(service))
        .filter((drift) => isRebuilt(drift) && facts.contents.get(drift.service) !== held(drift.service))
        .map(
          ({ service }) =>
            `${service} keeps the image that it runs, because it may hold data: changes in its source are not deployed. To deploy it: update-services: ${service}`,
        ),
    ],
    resourceDrifts,
    drifts: drifts.filter((drift) => !isRebuilt(drift)),
  }
}

/**
 * A release is one file on the host. COMPOSE_FILE of the repository would make a manual `docker compose` look for
 * others.
 */
function onHost({ path, content }: EnvFile): string {
  return path === '.env'
    ? content.replace(/^([^\S\n]*(?:export[^\S\n]+)?COMPOSE_FILE[^\S\n]*[=:]).*$/gm, '$1compose.yaml')
    : content
}

/** Whether a shipped file is `.env` or an `env_file` of a service. */
function setsVariables({ services }: App, path: string, id: string): boolean {
  const place = `.deploy/releases/${id}/env/${path}`
  const isThis = (entry: string): boolean => entry.replace(/^\.\//, '') === place
  return path === '.env' || [...services.values()].some(({ envFiles }) => envFiles.some(isThis))
}

function plainImage({ services }: App, service: string): string | undefined {
  const image = services.get(service)?.image
  return image !== undefined && /^\w[\w.:/@-]*$/.test(image) ? image : undefined
}

/** `env-file` is another way to write `.env` in `env-files`. */
export function shippedEnvFiles({ envFile, envFiles }: Pick<ReleaseFacts, 'envFile' | 'envFiles'>): readonly EnvFile[] {
  const all = new Map(envFiles.map(({ path, content }) => [path, content]))
  if (envFile !== undefined && all.has('.env')) {
    throw new DeployError('input-invalid', {
      what: 'The content of .env is given twice',
      fix: 'leave out `env-file`, or the entry `.env` of `env-files`',
    })
  }
  if (envFile !== undefined) all.set('.env', envFile)
  return [...all]
    .map(([path, content]) => ({ path, content }))
    .sort((a, b) => (a.path < b.path ? -1 : 1))
    .map((file) => {
      checkPath(file.path)
      return file
    })
}
