import { createHash } from 'node:crypto'
import { stringify } from 'yaml'
import { DeployError } from '../errors.ts'
import type { EnvFile } from '../values.ts'
import { canonical, textOf, valuesOf, type Values } from './document.ts'
import { findDrifts, keepDefinitions, type Drift } from './drift.ts'
import { onlyMounts } from './mount.ts'
import { oneOffModel } from './one-off.ts'
import { pin } from './pin.ts'
import type { Project } from './project.ts'
import type { Repository } from './repository.ts'
import { findResourceDrifts, keepResources, type ResourceDrift } from './resource.ts'
import type { Roles } from './role.ts'
import { checkPath, type ShippedFile } from './shipment.ts'

/** What a release is made of. */
export type ReleaseFacts = {
  project: Project
  /** The Compose project's name. */
  name: string
  /** The release's id, which is part of the paths of shipped env files. */
  id: string
  roles: Roles
  /** `name@sha256:…` by service, for every service that is built here. */
  images: ReadonlyMap<string, string>
  repository: Repository
  /** Content of `.env`. */
  envFile: string | undefined
  envFiles: readonly EnvFile[]
  /** Those of the input. */
  profiles: readonly string[]
  /** The pinned model of the release that serves. */
  before: Values
  /** `network NAME` and `volume NAME` of all that the host has. */
  there: readonly string[]
  /** Services with data that take a changed definition all the same. */
  update: readonly string[]
  /** What each built image holds, and what each service's image held when the current release was made, as hashes. */
  contents: ReadonlyMap<string, string>
  contentsBefore: ReadonlyMap<string, string>
}

/** A release, ready to be staged. */
export type Release = {
  /** What the image of each built service holds, as a hash: of one that is kept, what it holds already. */
  contents: ReadonlyMap<string, string>
  /** What `compose` is the text of. */
  model: Values
  /** Text of compose.yaml: the same for the same input, byte for byte. */
  compose: string
  /** Texts of run.yaml and what belongs to it: the model of containers that are no part of the site. */
  oneOff: {
    files: readonly { path: string; content: string }[]
    networks: readonly string[]
    volumes: readonly string[]
  }
  /** Text of mounts.yaml: what the repository wants to be mounted. */
  mounts: string
  roles: Roles
  images: ReadonlyMap<string, string>
  /** Those of services that are not built here, as far as no variable is in their names. */
  imagesBeside: readonly string[]
  env: 'shipped' | 'server'
  /** Env files that the server must have, relative to the directory. */
  requiredEnvFiles: readonly string[]
  /** Other files that are mounted and that the host must have. */
  boundFiles: readonly string[]
  /** Belongs below `.deploy/` of the server: `files/<sha256>/…`. */
  files: readonly ShippedFile[]
  /** Belongs below the release: `env/…`, readable by the owner only. */
  envFiles: readonly ShippedFile[]
  /** Equal for two releases that differ in nothing but their id. */
  fingerprint: string
  /** What is left out of what the Compose file names, is not deployed, or will not last. */
  warnings: readonly string[]
  /** Services with data that stay as they are although the repository defines them in another way. */
  drifts: readonly Drift[]
  /** Networks and volumes that stay as they were created. */
  resourceDrifts: readonly ResourceDrift[]
}

/** Makes the release: the whole pinned model, with every `${VARIABLE}` left for the server to fill in. */
export function makeRelease(facts: ReleaseFacts): Release {
  const { project, name, id, roles, images, repository } = facts
  const shipped = shippedEnvFiles(facts)
  const pinned = pin({
    project,
    name,
    release: id,
    images,
    repository,
    envFiles: shipped,
    profiles: facts.profiles,
  })
  const { files, required, bound, warnings } = pinned
  const taking = [...roles.backing, ...facts.update]
  const keeping = roles.data.filter((service) => !taking.includes(service))
  const drifts = findDrifts(facts.before, pinned.model, keeping)
  const resourceDrifts = findResourceDrifts(facts.before, pinned.model, name, facts.there)
  const model = keepResources(facts.before, keepDefinitions(facts.before, pinned.model, drifts), resourceDrifts)
  // Labels name the commit, so each release has an image of its own: that alone is no change that anybody made.
  const isRebuilt = ({ service, keys }: Drift): boolean => images.has(service) && keys.every((key) => key === 'image')
  const held = (service: string): string | undefined => facts.contentsBefore.get(service)
  // A service that keeps its image keeps what that image holds.
  const contents = [...facts.contents].map(([service, hash]): [string, string | undefined] => [
    service,
    drifts.some((drift) => drift.service === service) ? held(service) : hash,
  ])
  const write = (values: Values): string =>
    stringify(values, { sortMapEntries: true, lineWidth: 0, aliasDuplicateObjects: false, version: '1.1' })
  const compose = write(model)
  const oneOff = oneOffModel(model, roles.django, name)
  const active = [...roles.replaced.map(({ service }) => service), ...roles.data, ...roles.jobs, ...roles.others]
  const filesOf = (all: ReadonlyMap<string, readonly string[]>): readonly string[] =>
    [...new Set(active.flatMap((service) => all.get(service) ?? []))].sort()
  const kept = [...roles.data, ...roles.others].filter((service) => !images.has(service))
  return {
    model,
    contents: new Map(contents.flatMap(([service, hash]) => (hash === undefined ? [] : [[service, hash]]))),
    compose,
    oneOff: { ...oneOff, files: oneOff.files.map((file) => ({ path: file.path, content: write(file.model) })) },
    mounts: stringify(onlyMounts(pinned.model), { aliasDuplicateObjects: false, version: '1.1' }),
    roles,
    images,
    imagesBeside: [...new Set(kept.flatMap((service) => imageOf(model, service) ?? []))],
    env: shipped.some(({ path }) => path === '.env') ? 'shipped' : 'server',
    requiredEnvFiles: filesOf(required),
    boundFiles: filesOf(bound),
    files,
    envFiles: shipped.map((file) => ({ path: `env/${file.path}`, content: Buffer.from(onHost(file)), mode: 0o600 })),
    fingerprint: createHash('sha256')
      .update(compose.replaceAll(`.deploy/releases/${id}/`, '.deploy/releases/-/'))
      .update(canonical(shipped))
      .digest('hex'),
    warnings: [
      ...warnings,
      ...drifts
        .filter((drift) => isRebuilt(drift) && facts.contents.get(drift.service) !== held(drift.service))
        .map(
          ({ service }) =>
            `${service} keeps the image that it runs, because it may hold data: what changed in its source is not deployed. To deploy it: update-services: ${service}`,
        ),
    ],
    resourceDrifts,
    drifts: drifts.filter((drift) => !isRebuilt(drift)),
  }
}

/** The release is one file on the host: COMPOSE_FILE of the repository would make a `docker compose` by hand look for others. */
function onHost({ path, content }: EnvFile): string {
  return path === '.env'
    ? content.replace(/^([^\S\n]*(?:export[^\S\n]+)?COMPOSE_FILE[^\S\n]*[=:]).*$/gm, '$1compose.yaml')
    : content
}

function imageOf(model: Values, service: string): string | undefined {
  const image = textOf(valuesOf(valuesOf(model['services'])[service])['image'])
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
