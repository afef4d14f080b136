import { posix } from 'node:path'
import { buildFields, dockerfileOf, secretVariables, type Field } from '../compose/build.ts'
import { placeOfService } from '../compose/place.ts'
import type { BuildGroup } from '../compose/group.ts'
import type { Project } from '../compose/project.ts'
import { interpolate, missingIn, namesIn } from '../compose/variable.ts'
import { checkAll, DeployError } from '../errors.ts'

/** What build sections may use, as in `docker compose build`: the environment of the step, then the shipped `.env`. */
export type BuildVariables = {
  step: Readonly<Record<string, string | undefined>>
  /** Undefined when the host's own `.env` stays: the runner never reads its values. */
  file: ReadonlyMap<string, string> | undefined
}

/** All values; those of the step win. */
export function valuesFor({ step, file }: BuildVariables): Readonly<Record<string, string | undefined>> {
  return { ...Object.fromEntries(file ?? []), ...step }
}

/** Removes GitHub's own variables: they must not leak into tags and arguments. Only its build cache needs ACTIONS_*. */
export function withoutGitHub(env: NodeJS.ProcessEnv, set: readonly string[]): NodeJS.ProcessEnv {
  const cache = set.some((line) => line.includes('type=gha'))
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !HIDDEN.test(name) && (cache || !/^ACTIONS_/i.test(name))),
  )
}

const HIDDEN = /^(GITHUB|RUNNER|INPUT|STATE)_/i

/** Whether GitHub sets this variable itself. */
export function isGitHubs(name: string): boolean {
  return HIDDEN.test(name)
}

/** The parameters of `checkBuildVariables`. */
export type BuildCheck = {
  project: Project
  /** The groups that will be built. */
  groups: readonly BuildGroup[]
  variables: BuildVariables
  /** Whether `set` overrides this field of the group. */
  isOverridden: (group: BuildGroup, key: string) => boolean
  /** The names that the host's own `.env` sets. */
  onHost: readonly string[]
  /** Text of a file of the checkout. */
  read: (path: string) => string | undefined
}

/** Stops for unset variables of build sections, and for secrets that would be written into an image by mistake. */
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
    annotation: placeOfService(project, group.name, 'build', ...(missing[0]?.name.split('.') ?? [])),
  })
}

/** How to give the value of one of GitHub's own variables to a build; undefined for other variables. */
function howToPassGitHubVariable(variable: string): string | undefined {
  const [, context = '', name = ''] = /^(GITHUB|RUNNER)_(\w+)$/.exec(variable) ?? []
  if (context === '') return undefined
  const value = `\${{ ${context.toLowerCase()}.${name.toLowerCase()} }}`
  return `write \${BUILD_${name}} in the Compose file, and give it to this step: env: { BUILD_${name}: '${value}' }`
}

/** The ways to set the variable; each works alone. */
function waysToGive(variable: string, field: Field | undefined): string {
  const way = howToPassGitHubVariable(variable)
  if (way !== undefined) return `${variable} is a variable of GitHub's own and never reaches a build: ${way}`
  const ways = [
    ...(field?.name === 'dockerfile_inline' ? [`$$${variable} there, if it is a variable of the Dockerfile`] : []),
    ...(field?.isPassedOn ? [`a default in the Dockerfile: ARG ${variable}=…`, `a value there: ${variable}: …`] : []),
    ...(field && !field.isPassedOn ? [`a default there: \${${variable}:-…}`] : []),
    `a line of env-file: ${variable}=…`,
    `this step's environment: env: { ${variable}: … }`,
  ]
  return `${variable}: ${ways.join(' · or ')}`
}

/** The texts of the build section that `set` does not override. */
function fieldsOf(group: BuildGroup, { isOverridden }: BuildCheck): readonly Field[] {
  return buildFields(group.build, (key) => isOverridden(group, key))
}

/** Whether the Dockerfile declares the argument without a default. Arguments that BuildKit predefines need no value. */
function needsArgument(name: string, { build }: BuildGroup, { project, read, variables }: BuildCheck): boolean {
  if (
    /^((HTTPS?|FTP|NO|ALL)_PROXY|(TARGET|BUILD)(PLATFORM|OS|ARCH|VARIANT)|BUILDKIT_\w+|SOURCE_DATE_EPOCH)$/i.test(name)
  )
    return false
  const { context: folder, dockerfile: file, inline } = dockerfileOf(build)
  const context = interpolate(folder, valuesFor(variables)) ?? '.'
  const isHere = !/^\/|:/.test(context)
  const dockerfile = posix.join(project.folder, context, interpolate(file, valuesFor(variables)) ?? 'Dockerfile')
  const text = inline ?? (isHere ? read(dockerfile) : undefined)
  // A Dockerfile that cannot be read, such as that of another repository, may need it.
  if (text === undefined) return true
  const words = [...text.replace(/\\\r?\n/g, ' ').matchAll(/^[ \t]*ARG[ \t]+(.+)$/gim)].flatMap(([, list = '']) =>
    list.split(/\s+/),
  )
  return words.includes(name) && !words.some((word) => word.startsWith(`${name}=`))
}

// The pattern of Docker's own check SecretsUsedInArgOrEnv.
const SECRET = /(^|_)(apikey|auth|credentials?|key|password|pword|passwd|secret|token)(_|$)/i
const PUBLIC = /(^|_)public(_|$)/i
/** `name` is a variable, or a field such as `args.NPM_TOKEN`. */
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
    annotation: placeOfService(project, group.name, 'build', ...first.field.split('.')),
  })
}

/** The variables whose values are written into the image, with the argument or label that they are in. */
function written(group: BuildGroup, check: BuildCheck): readonly { field: string; name: string }[] {
  return fieldsOf(group, check)
    .filter(({ name }) => /^(args|labels)\./.test(name))
    .flatMap(({ name: field, text }) => namesIn(text).map((name) => ({ field, name })))
}

/** The log lines that say where each variable of the builds came from. */
export function describeBuildVariables(check: BuildCheck): readonly string[] {
  const { step, file } = check.variables
  const names = check.groups.flatMap((group) => fieldsOf(group, check).flatMap(({ text }) => namesIn(text)))
  return [...new Set(names)].sort().map((name) => {
    if (step[name] !== undefined) return `${name} from the environment of the step`
    if (file?.has(name)) return `${name} from env-file`
    const way = howToPassGitHubVariable(name)
    return way === undefined
      ? `${name} not set: the default is used`
      : `${name}: the default is used, because GitHub's own variables never reach a build. For its value, ${way}`
  })
}

/** The warnings about secrets that the step itself passes into an image. */
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

/** Whether the step sets the variable: it is then meant for the build. */
function isGiven(name: string, { variables }: BuildCheck): boolean {
  return variables.step[name] !== undefined
}
