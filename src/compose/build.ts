import { resolve } from 'node:path'
import { stringify } from 'yaml'
import { canonical } from '../canonical.ts'
import { isValues, listOf, pairsOf, textOf, textsIn, textsOf, valuesOf, type Values } from './document.ts'
import type { App } from './app.ts'
import type { Service } from './service.ts'
import { interpolate } from './variable.ts'

/** A build section in its long form. Only this folder reads its content. */
export type Build = Values

/** One text of a build section. `isPassedOn`: an argument without a value takes the variable of the same name. */
export type Field = { name: string; text: string; isPassedOn: boolean }

const PAIRS = ['args', 'labels', 'additional_contexts']
/** Fields that have another name in bake's `--set`. */
const BAKE_NAMES: Readonly<Record<string, string>> = {
  additional_contexts: 'contexts',
  cache_from: 'cache-from',
  cache_to: 'cache-to',
  no_cache: 'no-cache',
  platforms: 'platform',
  shm_size: 'shm-size',
}

/** The texts of the build section, without overridden fields. Tags are left out because they are not pushed. */
export function buildFields(build: Build, isOverridden: (key: string) => boolean): readonly Field[] {
  const fields = Object.entries(build).flatMap(([key, value]): Field[] => {
    if (key === 'tags') return []
    if (!PAIRS.includes(key)) return textsIn(value).map((text) => ({ name: key, text, isPassedOn: false }))
    return [...pairsOf(value)].map(([name, text]) => {
      const isPassedOn = text === undefined && key === 'args'
      return { name: `${key}.${name}`, text: isPassedOn ? `\${${name}}` : (text ?? ''), isPassedOn }
    })
  })
  return fields.filter(({ name }) => {
    const [key = '', ...rest] = name.split('.')
    return !isOverridden([BAKE_NAMES[key] ?? key, ...rest].join('.'))
  })
}

/**
 * Fills in the variables of a build section, and leaves out overridden fields. An argument without a value whose
 * variable is unset is left out too: as in Compose, the Dockerfile's default applies.
 */
export function fillBuild(
  build: Build,
  values: Readonly<Record<string, string | undefined>>,
  isOverridden: (key: string) => boolean,
): Build {
  const fill = (value: unknown): unknown => {
    if (typeof value === 'string') return interpolate(value, values) ?? value
    if (Array.isArray(value)) return value.map(fill)
    return isValues(value) ? mapValues(value, fill) : value
  }
  const pairs = (key: string): Values => {
    const given = [...pairsOf(build[key])].filter(([name]) => !isOverridden(`${BAKE_NAMES[key] ?? key}.${name}`))
    return Object.fromEntries(
      given.flatMap(([name, text]) => {
        const value = text === undefined ? (key === 'args' ? values[name] : '') : fill(text)
        return value === undefined ? [] : [[name, value]]
      }),
    )
  }
  const kept = Object.entries(build).filter(([key]) => !isOverridden(BAKE_NAMES[key] ?? key))
  return Object.fromEntries(kept.map(([key, value]) => [key, PAIRS.includes(key) ? pairs(key) : fill(value)]))
}

function mapValues(values: Values, change: (value: unknown) => unknown): Values {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, change(value)]))
}

/** The place of the Dockerfile as written. `inline` is the text of `dockerfile_inline`. */
export function dockerfileOf(build: Build): { context: string; dockerfile: string; inline: string | undefined } {
  return {
    context: textOf(build['context']) ?? '.',
    dockerfile: textOf(build['dockerfile']) ?? 'Dockerfile',
    inline: textOf(build['dockerfile_inline']),
  }
}

/** The services whose images this build uses: `service:NAME` in `additional_contexts`. */
export function neededServices(build: Build): readonly string[] {
  const contexts = [...pairsOf(build['additional_contexts']).values()]
  return contexts.flatMap((context) => serviceIn(context ?? '') ?? [])
}

const serviceIn = (context: string): string | undefined => /^service:(.+)$/.exec(context)?.[1]

export function tagsOf({ build }: Service): readonly string[] {
  return textsOf(build?.['tags'])
}

/** A key that is equal for build sections of the same image. */
export function identify(build: Build): string {
  const context = build['context']
  const plain = typeof context === 'string' ? context.replace(/^\.\/(?=.)/, '').replace(/(.)\/+$/, '$1') : context
  return canonical({ ...build, context: plain, dockerfile: build['dockerfile'] ?? 'Dockerfile' })
}

function secretNames(build: Build): readonly string[] {
  return listOf(build['secrets']).flatMap((entry) => textOf(isValues(entry) ? entry['source'] : entry) ?? [])
}

/** The variables that the build's secrets read by `environment:`. */
export function secretVariables(build: Build, { model }: App): readonly string[] {
  return secretNames(build).flatMap((name) => textOf(valuesOf(valuesOf(model['secrets'])[name])['environment']) ?? [])
}

/** One service of a reduced Compose file for bake. */
type Baked = {
  name: string
  image: string
  /** With its variables filled in. */
  build: Build
  labels: Readonly<Record<string, string>>
}

/** The inputs of `writeBakeFile`. */
export type BakeFile = {
  app: App
  services: readonly Baked[]
  /** The sections as written: they name the secrets to keep. */
  builds: readonly Build[]
  values: Readonly<Record<string, string | undefined>>
  /** Where relative paths start, on the runner. */
  folder: string
  /** Returns the bake target of a service that `additional_contexts` names. */
  targetOf: (service: string) => string
}

/** Writes a Compose file with only these build sections and their secrets. */
export function writeBakeFile({ app, services, builds, values, folder, targetOf }: BakeFile): string {
  const toContext = (context: string): string => {
    const service = serviceIn(context)
    return service === undefined ? localPath(context, folder) : `target:${targetOf(service)}`
  }
  const used = new Set(builds.flatMap(secretNames))
  const secrets = Object.entries(valuesOf(app.model['secrets'])).filter(([name]) => used.has(name))
  const write = {
    name: 'deploy-django',
    services: Object.fromEntries(services.map((each) => [each.name, writeService(each, folder, toContext)])),
    secrets: Object.fromEntries(secrets.map(([name, secret]) => [name, writeSecret(secret, values, folder)])),
  }
  return stringify(literal(write), { lineWidth: 0, aliasDuplicateObjects: false, version: '1.1' })
}

function writeService(
  { image, build: filled, labels }: Baked,
  folder: string,
  toContext: (text: string) => string,
): Values {
  // The tags are not pushed: see describeTags.
  const { tags: _, ...build } = filled
  const contexts = [...pairsOf(build['additional_contexts'])].map(([name, context = '']) => [name, toContext(context)])
  return {
    image,
    build: {
      ...build,
      context: localPath(dockerfileOf(build).context, folder),
      ...(contexts.length > 0 ? { additional_contexts: Object.fromEntries(contexts) } : {}),
      labels: { ...Object.fromEntries(pairsOf(build['labels'])), ...labels },
    },
  }
}

function writeSecret(secret: unknown, values: BakeFile['values'], folder: string): unknown {
  const file = textOf(valuesOf(secret)['file'])
  return file === undefined
    ? secret
    : { ...valuesOf(secret), file: localPath(interpolate(file, values) ?? file, folder) }
}

/** Escapes each `$`, which bake would read as the start of a variable. */
function literal(value: unknown): unknown {
  if (typeof value === 'string') return value.replaceAll('$', '$$$$')
  if (Array.isArray(value)) return value.map(literal)
  return isValues(value) ? mapValues(value, literal) : value
}

/** Makes a local path absolute; addresses (https:, docker-image:, git@…) stay. */
export function localPath(path: string, folder: string): string {
  return /^[a-z][a-z0-9+.-]*:|^git@|^github\.com\//i.test(path) ? path : resolve(folder, path)
}
