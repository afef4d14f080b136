import { posix } from 'node:path'
import { isNode, visit } from 'yaml'
import { DeployError, Problems } from '../errors.ts'
import { hidesCode } from './code.ts'
import { checkComplete, checkDefinitions, isBare } from './definition.ts'
import { textsOf, valuesOf, type Source } from './document.ts'
import type { Choice } from './files.ts'
import type { Mount } from './mount.ts'
import type { Project } from './project.ts'
import type { Repository } from './repository.ts'
import type { Service } from './service.ts'

/** The project to deploy, and why these files were chosen. */
export type Chosen = { project: Project; reason: string }

/**
 * Reads the project. A production file that was chosen by its name is also read together with its base, and compared.
 */
export async function readChosen(
  { files, reason, bases }: Choice,
  read: (files: readonly string[]) => Promise<Project>,
  repository: Repository,
): Promise<Chosen> {
  const [production = ''] = files
  const [base] = bases
  if (base === undefined) return { project: await read(files), reason }
  const [alone, both] = await Promise.all([attempt(() => read(files)), attempt(() => read([base, ...files]))])
  return settleOverlay({ production, base, alone, both, repository })
}

/** The result of reading Compose files: a complete project, or the error that makes it incomplete. */
type Attempt =
  | { kind: 'complete'; project: Project }
  | { kind: 'incomplete'; project: Project | undefined; error: DeployError | Problems }

/** Reads the project. It is complete when each service has an image or a build, and all its references are defined. */
async function attempt(read: () => Promise<Project>): Promise<Attempt> {
  let project: Project | undefined
  try {
    project = await read()
    checkComplete(project)
    checkDefinitions(project)
    return { kind: 'complete', project }
  } catch (error) {
    if (error instanceof DeployError || error instanceof Problems) return { kind: 'incomplete', project, error }
    throw error
  }
}

/** A production file, read alone and together with the base that it may override. */
type OverlayFacts = {
  production: string
  base: string
  alone: Attempt
  both: Attempt
  repository: Repository
}

/** Decides whether the production file is complete or overrides the base. Stops when both are possible. */
function settleOverlay(facts: OverlayFacts): Chosen {
  const { production, base, alone, both, repository } = facts
  const isTaken = (source: Source): boolean => source.path === base
  if (alone.kind === 'complete' && alone.project.sources.some(isTaken)) {
    return { project: alone.project, reason: `${production} names ${base} itself` }
  }
  // When both attempts are incomplete, the choice is not the problem.
  if (both.kind === 'incomplete') {
    if (alone.kind === 'incomplete')
      throw (both.project && explainLeftOver(both.project, production, base)) ?? alone.error
    return { project: alone.project, reason: `${production} is complete, and cannot override ${base}` }
  }
  const over = (reason: string): Chosen => ({
    project: both.project,
    reason: `${production} overrides ${base}: ${reason}`,
  })
  if (alone.kind === 'incomplete') {
    const { what } = alone.error instanceof Problems ? (alone.error.problems[0] ?? { what: '' }) : alone.error
    return over(`alone, ${what.replace(/^(Service|The) /, (word) => word.toLowerCase())}`)
  }
  const sign = tagIn(alone.project) ?? strangerIn(alone.project, both.project)
  if (sign !== undefined) return over(sign)

  const lacking = compare(alone.project, both.project, repository)
  const why = (reason: string): Chosen => ({ project: alone.project, reason })
  if (lacking.length === 0) return why(`${production} has all that ${base} has`)
  const traits = developmentIn(both.project, repository).filter(
    (trait) => !developmentIn(alone.project, repository).includes(trait),
  )
  const [trait] = traits
  const isEssential = ({ kind }: Lack): boolean =>
    kind === 'data' || (kind === 'built' && !restates(alone.project, both.project, base))
  if (trait !== undefined && !lacking.some(isEssential)) {
    return why(`${base} is for development: ${trait}`)
  }
  throw new DeployError('compose-file-ambiguous', {
    what: `${production} may be complete, or override ${base}`,
    seen: `only ${base} has:\n${lacking.map(({ text }) => text).join('\n')}`,
    why: `without ${base} these would be missing in production${trait === undefined ? '' : `; with it, ${trait}`}`,
    fix: `for ${production} alone: compose-files: ${production}\nfor both: compose-files: ${base} ${production}`,
    annotation: { file: production },
  })
}

/** The error for services that were removed from the base, but not from the file that overrides it. */
function explainLeftOver({ services, sources }: Project, production: string, base: string): DeployError | undefined {
  const namesIn = (file: string): readonly string[] =>
    Object.keys(valuesOf(valuesOf(sources.find(({ path }) => path === file)?.document.toJS())['services']))
  const [own, others] = [namesIn(production), namesIn(base)]
  const left = own.filter(
    (name) => !others.includes(name) && [...services.values()].filter(isBare).some((one) => one.name === name),
  )
  if (left.length === 0 || !own.some((name) => others.includes(name))) return undefined
  const names = left.join(', ')
  return new DeployError('compose-invalid', {
    what: `${production} still has ${names}, which ${base} no longer has`,
    why: 'there it has neither an image nor a build section',
    fix: `remove ${names} from ${production}, or define it in ${base} again`,
    annotation: { file: production },
  })
}

/** `!override` and `!reset` only make sense in a file that overrides another. */
function tagIn({ files, sources }: Project): string | undefined {
  const found: string[] = []
  for (const { path, document } of sources.filter((source) => files.includes(source.path))) {
    visit(document, (_, node) => {
      if (isNode(node) && 'tag' in node && /^!(override|reset)$/.test(String(node.tag)))
        found.push(`${path} uses ${node.tag}`)
    })
  }
  return found[0]
}

/** A service that only the base has and the production file refers to: `redis://cache:6379`, `DB_HOST: db`. */
function strangerIn(alone: Project, both: Project): string | undefined {
  const strangers = [...both.services.keys()].filter((name) => !alone.services.has(name))
  for (const { name, environment, values } of alone.services.values()) {
    const texts = [...environment.values(), ...textsOf(values['command'])]
    const stranger = strangers.find((one) => texts.some((text) => isHost(one, text ?? '')))
    if (stranger !== undefined) return `service ${name} uses ${stranger}`
  }
  return undefined
}

/** Whether the text is this host name, or an address with it. */
function isHost(name: string, text: string): boolean {
  const escaped = name.replace(/[^\w]/g, '\\$&')
  return new RegExp(`^${escaped}(:\\d+)?$|(//|@)${escaped}(:\\d+)?(/|$)`).test(text)
}

/** Something that only the base has. */
type Lack = { kind: 'built' | 'ready' | 'data' | 'setting'; text: string }

/** What would be missing if the production file were deployed alone. */
function compare(alone: Project, both: Project, repository: Repository): readonly Lack[] {
  const isPublished = [...alone.services.values()].some(({ ports, values }) => ports.length > 0 || values['labels'])
  // Services behind a profile are skipped: they start only on request.
  const always = [...both.services.values()].filter(({ profiles }) => profiles.length === 0)
  return always.flatMap((service): Lack[] => {
    const { name } = service
    const own = alone.services.get(name)
    if (!own) return [{ kind: service.build ? 'built' : 'ready', text: `service ${name}` }]
    const targets = own.mounts.map(({ target }) => target)
    const mounts = service.mounts.filter(
      (mount) => isData(mount, both.folder, repository) && !targets.includes(mount.target),
    )
    const keys = KEYS.filter((key) => service.values[key] !== undefined && own.values[key] === undefined)
    const isDevelopment = (key: string): boolean =>
      ['command', 'entrypoint'].includes(key) && DEVELOPMENT_COMMAND.test(textsOf(service.values[key]).join(' '))
    return [
      ...mounts.map(({ source = '', target }): Lack => ({
        kind: 'data',
        text: `${name}: volumes: ${source}:${target}`,
      })),
      ...keys.filter((key) => !isDevelopment(key)).map((key): Lack => ({ kind: 'setting', text: `${name}: ${key}` })),
      ...settingsOf(service, own),
      ...(!isPublished && service.ports.length > 0 ? [{ kind: 'setting', text: `${name}: ports` } as const] : []),
    ]
  })
}

const KEYS = ['command', 'entrypoint', 'networks', 'labels', 'secrets', 'configs', 'volumes_from']

/** Whether a mount may hold data: neither code nor the cache of a development tool. */
function isData(mount: Mount, folder: string, repository: Repository): boolean {
  if (mount.source === undefined || mount.kind === 'tmpfs' || mount.kind === 'other') return false
  return !/node_modules|venv|cache/.test(mount.target) && !hidesCode(mount, folder, undefined, repository)
}

/** Settings that only the base has. None when the production file has an env file, which may set them all. */
function settingsOf({ name, envFiles, environment }: Service, own: Service): readonly Lack[] {
  if (own.envFiles.length > 0) return []
  const names = [...environment.keys()].filter((one) => !own.environment.has(one) && !isDebug(one))
  return [
    ...(envFiles.length > 0 ? [{ kind: 'setting', text: `${name}: env_file: ${envFiles.join(', ')}` } as const] : []),
    ...(names.length > 0 ? [{ kind: 'setting', text: `${name}: environment: ${names.join(', ')}` } as const] : []),
  ]
}

const DEVELOPMENT_COMMAND = /runserver|--reload\b/
const isDebug = (name: string): boolean => /(^|_)DEBUG$/.test(name)

/** Signs of development: mounted code, a development server, DEBUG. */
function developmentIn({ services, folder }: Project, repository: Repository): readonly string[] {
  return [...services.values()].flatMap(({ name, build, mounts, values, environment, profiles }) => {
    if (profiles.length > 0) return []
    const code = build && mounts.find((mount) => hidesCode(mount, folder, undefined, repository))
    const command = [...textsOf(values['command']), ...textsOf(values['entrypoint'])].join(' ')
    const [word] = DEVELOPMENT_COMMAND.exec(command) ?? []
    const debug = [...environment].find(([key, value = '']) => isDebug(key) && /^(1|true|yes|on)$/i.test(value))
    return [
      ...(code ? [`${name} mounts the code from ${posix.normalize(code.source ?? '')}`] : []),
      ...(word === undefined ? [] : [`${name} runs ${word}`]),
      ...(debug ? [`${name} has ${debug[0]}=${debug[1]}`] : []),
    ]
  })
}

/** Whether the production file repeats an image that the base already sets: an overlay would not need to. */
function restates(alone: Project, both: Project, base: string): boolean {
  const document = both.sources.find(({ path }) => path === base)?.document
  const services = valuesOf(valuesOf(document?.toJS())['services'])
  return [...alone.services.values()].some(
    ({ name, build, image }) => !build && image !== undefined && valuesOf(services[name])['image'] !== undefined,
  )
}
