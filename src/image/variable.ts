import { posix } from 'node:path'
import { isValues, listOf, pairsOf, textOf, valuesOf, type Values } from '../compose/document.ts'
import type { BuildGroup } from '../compose/group.ts'
import type { Project } from '../compose/project.ts'
import { interpolate, missingIn, namesIn } from '../compose/variable.ts'
import { checkAll, DeployError } from '../errors.ts'

/** What build sections may use, as `docker compose build` would: the environment of the step, then the shipped `.env`. */
export type BuildVariables = {
  step: Readonly<Record<string, string | undefined>>
  /** Undefined when the host's own `.env` stays: the runner never reads its values. */
  file: ReadonlyMap<string, string> | undefined
}

/** One text of a build section. An argument without a value has that of the variable with its name, if there is one. */
type Field = { name: string; text: string; isPassedOn: boolean }

/** The values, those of the step first. */
export function valuesFor({ step, file }: BuildVariables): Readonly<Record<string, string | undefined>> {
  return { ...Object.fromEntries(file ?? []), ...step }
}

/** GitHub's own variables must not leak into tags and arguments; only its build cache needs its address and token. */
export function withoutGitHub(env: NodeJS.ProcessEnv, set: readonly string[]): NodeJS.ProcessEnv {
  const cache = set.some((line) => line.includes('type=gha'))
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !HIDDEN.test(name) && (cache || !/^ACTIONS_/i.test(name))),
  )
}

const HIDDEN = /^(GITHUB|RUNNER|INPUT|STATE)_/i

/** Whether it is one of the variables that GitHub sets itself. */
export function isGitHubs(name: string): boolean {
  return HIDDEN.test(name)
}

/**
 * The build section with its variables filled in. An argument without a value whose variable is not set is left out, as
 * Compose does: the Dockerfile's own default counts. What `set` overrides is left out too.
 */
export function fillBuild(
  build: Values,
  values: Readonly<Record<string, string | undefined>>,
  isOverridden: (key: string) => boolean,
): Values {
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

const PAIRS = ['args', 'labels', 'additional_contexts']
/** The names of fields in `set`, where they differ. */
const BAKE_NAMES: Readonly<Record<string, string>> = {
  additional_contexts: 'contexts',
  cache_from: 'cache-from',
  cache_to: 'cache-to',
  no_cache: 'no-cache',
  platforms: 'platform',
  shm_size: 'shm-size',
}

function mapValues(values: Values, change: (value: unknown) => unknown): Values {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, change(value)]))
}

/** What decides whether a build has all that it needs. */
export type BuildCheck = {
  project: Project
  /** Those that will be built. */
  groups: readonly BuildGroup[]
  variables: BuildVariables
  /** Whether `set` overrides this field of the group. */
  isOverridden: (group: BuildGroup, key: string) => boolean
  /** The names that the host's own `.env` sets. */
  onHost: readonly string[]
  /** Text of a file of the checkout. */
  read: (path: string) => string | undefined
}

/** Stops for variables of build sections that are set nowhere, and for secrets that would end in an image unasked. */
export function checkBuildVariables(check: BuildCheck): void {
  checkAll(...check.groups.flatMap((group) => [() => checkMissing(group, check), () => checkSecrets(group, check)]))
}

function checkMissing(group: BuildGroup, check: BuildCheck): void {
  const { variables, project } = check
  const values = valuesFor(variables)
  const isSet = (name: string, needsText: boolean): boolean => (needsText ? !!values[name] : values[name] !== undefined)
  const missing = fieldsOf(group, check).flatMap((field) =>
    missingIn(field.text, isSet)
      .filter((variable) => !field.isPassedOn || needsArgument(variable, group, check))
      .map((variable) => ({ ...field, variable })),
  )
  const secrets = secretVariables(group.build, project).filter((name) => !isSet(name, false))
  const names = [...new Set([...missing.map(({ variable }) => variable), ...secrets])]
  if (names.length === 0) return
  const onHost = variables.file ? [] : names.filter((name) => check.onHost.includes(name))
  throw new DeployError('variable-missing', {
    what: `The build of service ${group.name} uses ${names.join(', ')}, which ${names.length > 1 ? 'are' : 'is'} not set`,
    seen: [
      ...missing.map(({ name, text, isPassedOn }) => `build: ${name}${isPassedOn ? ' without a value' : `: ${text}`}`),
      ...secrets.map((name) => `secrets: environment: ${name}`),
    ].join('\n'),
    why:
      onHost.length > 0
        ? `the .env on the host sets ${onHost.join(', ')}, but the image is built on the runner, which does not read it`
        : 'Compose would build with an empty value; a .env in the repository is for development and is not read',
    fix: names
      .map((name) =>
        waysToGive(
          name,
          missing.find(({ variable }) => variable === name),
        ),
      )
      .join('\n'),
    annotation: { file: project.files[0] ?? '' },
  })
}

/** Each of these works alone. */
function waysToGive(variable: string, field: Field | undefined): string {
  const [, context = '', name = ''] = /^(GITHUB|RUNNER)_(\w+)$/.exec(variable) ?? []
  if (context !== '') {
    const value = `\${{ ${context.toLowerCase()}.${name.toLowerCase()} }}`
    return (
      `${variable} is GitHub's own and never reaches a build: write \${BUILD_${name}} in the Compose file, ` +
      `and give it to this step: env: { BUILD_${name}: '${value}' }`
    )
  }
  const ways = [
    ...(field?.name === 'dockerfile_inline' ? [`$$${variable} there, if it is a variable of the Dockerfile`] : []),
    ...(field?.isPassedOn ? [`a default in the Dockerfile: ARG ${variable}=…`, `a value there: ${variable}: …`] : []),
    ...(field && !field.isPassedOn ? [`a default there: \${${variable}:-…}`] : []),
    `a line of env-file: ${variable}=…`,
    `this step's environment: env: { ${variable}: … }`,
  ]
  return `${variable}: ${ways.join(' · or ')}`
}

/** The texts of the build section that `set` does not override. Tags are not used: nobody pushes them. */
function fieldsOf(group: BuildGroup, { isOverridden }: BuildCheck): readonly Field[] {
  const fields = Object.entries(group.build).flatMap(([key, value]): Field[] => {
    if (key === 'tags') return []
    if (!PAIRS.includes(key)) return textsIn(value).map((text) => ({ name: key, text, isPassedOn: false }))
    return [...pairsOf(value)].map(([name, text]) => {
      const isPassedOn = text === undefined && key === 'args'
      return { name: `${key}.${name}`, text: isPassedOn ? `\${${name}}` : (text ?? ''), isPassedOn }
    })
  })
  return fields.filter(({ name }) => {
    const [key = '', ...rest] = name.split('.')
    return !isOverridden(group, [BAKE_NAMES[key] ?? key, ...rest].join('.'))
  })
}

function textsIn(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value]
  return Array.isArray(value) ? value.flatMap(textsIn) : isValues(value) ? Object.values(value).flatMap(textsIn) : []
}

/** Whether the Dockerfile asks for the argument and has no default for it. What BuildKit knows by itself is not asked for. */
function needsArgument(name: string, { build }: BuildGroup, { project, read, variables }: BuildCheck): boolean {
  if (
    /^((HTTPS?|FTP|NO|ALL)_PROXY|(TARGET|BUILD)(PLATFORM|OS|ARCH|VARIANT)|BUILDKIT_\w+|SOURCE_DATE_EPOCH)$/i.test(name)
  )
    return false
  const place = (key: string, otherwise: string): string =>
    interpolate(textOf(build[key]) ?? otherwise, valuesFor(variables)) ?? otherwise
  const context = place('context', '.')
  const isHere = !/^\/|:/.test(context)
  const dockerfile = posix.join(project.folder, context, place('dockerfile', 'Dockerfile'))
  const text = textOf(build['dockerfile_inline']) ?? (isHere ? read(dockerfile) : undefined)
  // One that cannot be read, such as that of another repository, may ask for it.
  if (text === undefined) return true
  const words = [...text.replace(/\\\r?\n/g, ' ').matchAll(/^[ \t]*ARG[ \t]+(.+)$/gim)].flatMap(([, list = '']) =>
    list.split(/\s+/),
  )
  return words.includes(name) && !words.some((word) => word.startsWith(`${name}=`))
}

/** The variables that secrets of the build are made of. */
export function secretVariables(build: Values, { model }: Project): readonly string[] {
  const used = listOf(build['secrets']).flatMap((entry) => textOf(isValues(entry) ? entry['source'] : entry) ?? [])
  return used.flatMap((name) => textOf(valuesOf(valuesOf(model['secrets'])[name])['environment']) ?? [])
}

// As Docker's own check SecretsUsedInArgOrEnv.
const SECRET = /(^|_)(apikey|auth|credentials?|key|password|pword|passwd|secret|token)(_|$)/i
const PUBLIC = /(^|_)public(_|$)/i
/** The name of a variable, or a field such as `args.NPM_TOKEN`. */
const isSecret = (name: string): boolean => {
  const last = name.slice(name.indexOf('.') + 1)
  return SECRET.test(last) && !PUBLIC.test(last)
}
/** An address with a password in it. */
const HAS_PASSWORD = /:\/\/[^/\s:]*:[^/\s@]+@/

/** Stops before a secret of the env file is written into an image, where everybody who can pull the image reads it. */
function checkSecrets(group: BuildGroup, check: BuildCheck): void {
  const { variables, project } = check
  const found = written(group, check).filter(
    ({ field, name }) =>
      !isGiven(name, check) &&
      variables.file?.has(name) &&
      (isSecret(name) || isSecret(field) || HAS_PASSWORD.test(variables.file.get(name) ?? '')),
  )
  const [first] = found
  if (!first) return
  throw new DeployError('compose-invalid', {
    what: `The build of service ${group.name} would write ${[...new Set(found.map(({ name }) => name))].join(', ')} of env-file into the image`,
    seen: found.map(({ field, name }) => `build: ${field} uses ${name}`).join('\n'),
    why: 'everybody who can pull the image can read its build arguments and labels',
    fix:
      `if the build needs no real value, write one into the Compose file: ${first.field.split('.')[1]}: unused\n` +
      'if it needs the real one, pass it as a build secret (secrets: below build:) and read it with RUN --mount=type=secret\n' +
      `if everybody may know it, give it to this step as well: env: { ${first.name}: … }`,
    annotation: { file: project.files[0] ?? '' },
  })
}

/** The variables whose values end in the image, with the argument or label that they are in. */
function written(group: BuildGroup, check: BuildCheck): readonly { field: string; name: string }[] {
  return fieldsOf(group, check)
    .filter(({ name }) => /^(args|labels)\./.test(name))
    .flatMap(({ name: field, text }) => namesIn(text).map((name) => ({ field, name })))
}

/** Where each variable of the builds came from. */
export function describeBuildVariables(check: BuildCheck): readonly string[] {
  const { step, file } = check.variables
  const names = check.groups.flatMap((group) => fieldsOf(group, check).flatMap(({ text }) => namesIn(text)))
  return [...new Set(names)].sort().map((name) => {
    if (step[name] !== undefined) return `${name} from the environment of the step`
    return file?.has(name) ? `${name} from env-file` : `${name} not set: the default counts`
  })
}

/** What to say about secrets that the step itself gives to an image. */
export function describeBakedSecrets(check: BuildCheck): readonly string[] {
  return check.groups.flatMap((group) => {
    const given = written(group, check).filter(
      ({ field, name }) => isGiven(name, check) && (isSecret(name) || isSecret(field)),
    )
    return [...new Set(given.map(({ name }) => name))].map(
      (name) =>
        `${name} is written into the image of ${group.name}, where everybody who can pull it can read it. ` +
        'If it is a secret, pass it as a build secret (secrets: below build:) and read it with RUN --mount=type=secret',
    )
  })
}

/** Whether the step gives it: then it is meant for the build. */
function isGiven(name: string, { variables }: BuildCheck): boolean {
  return variables.step[name] !== undefined
}
