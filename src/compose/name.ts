import { DeployError } from '../errors.ts'
import { interpolate, missingIn } from './variable.ts'

/** The sources of the project's name, highest precedence first. */
export type NameSources = {
  input: string | undefined
  /** The name in a release on the host, or of the stack that runs there. */
  host: string | undefined
  /** COMPOSE_PROJECT_NAME of `.env`. */
  env: string | undefined
  /** `name:` of the Compose files, as written. */
  file: string | undefined
  /** The values of the shipped `.env`, which `name:` may use. */
  settings: ReadonlyMap<string, string> | undefined
  /** `owner/name`. */
  repository: string
}

/** The name of the Compose project, and what decided it. */
export type ProjectName = { name: string; source: string }

/** The name of the Compose project. It must never change: Compose finds volumes and containers by it. */
export function chooseProjectName(sources: NameSources): ProjectName {
  const [first = { text: '', source: '' }] = namesOf(sources)
  const { file = '', settings } = sources
  const [missing] = missingIn(file, (name, needsText) => (needsText ? !!settings?.get(name) : !!settings?.has(name)))
  if (first.source === REPOSITORY && missing !== undefined) {
    throw new DeployError('variable-missing', {
      what: `The name of the project needs ${missing}, which is not set`,
      seen: `name: ${file}`,
      why: 'the name must be known before the runner can look it up on the host',
      fix: `give the name to this step: project: <name>; or a default to the Compose file: \${${missing}:-<name>}`,
    })
  }
  return { name: asProjectName(first.text), source: first.source }
}

/** All project names that the Compose file may have been written for. */
export function possibleNames(sources: NameSources): readonly string[] {
  return [...new Set(namesOf(sources).map(({ text }) => asProjectName(text)))]
}

const REPOSITORY = 'the name of the repository'

function namesOf({
  input,
  host,
  env,
  file,
  settings,
  repository,
}: NameSources): readonly { text: string; source: string }[] {
  const all = [
    { text: input, source: 'the input project' },
    { text: host, source: 'the name on the host' },
    { text: env, source: 'COMPOSE_PROJECT_NAME' },
    { text: file && interpolate(file, Object.fromEntries(settings ?? [])), source: 'name: in the Compose file' },
    { text: repository.split('/').at(-1), source: REPOSITORY },
  ]
  return all.flatMap(({ text, source }) => (text === undefined || text === '' ? [] : [{ text, source }]))
}

/** Normalizes a name as Compose normalizes the name of a folder. */
function asProjectName(text: string): string {
  if (/^[a-z0-9][a-z0-9_-]*$/.test(text)) return text
  return (
    text
      .toLowerCase()
      .replace(/[^a-z0-9_-]/g, '')
      .replace(/^[_-]+/, '') || 'app'
  )
}
