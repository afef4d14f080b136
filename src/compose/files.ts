import { posix } from 'node:path'
import { DeployError } from '../errors.ts'
import type { Repository } from './repository.ts'

const PRODUCTION = [
  'compose.production',
  'docker-compose.production',
  'compose.prod',
  'docker-compose.prod',
  'docker-compose-deploy',
]
const BASE = ['compose', 'docker-compose']
/** File names by rank, the preferred rank first. Two files of one rank in a folder are ambiguous. */
const RANKS: readonly (readonly string[])[] = [PRODUCTION, BASE]
const FOLDERS = ['', 'docker']

const withEnds = (folder: string, stems: readonly string[]): readonly string[] =>
  stems.flatMap((stem) => ['yaml', 'yml'].map((end) => posix.join(folder, `${stem}.${end}`)))

/**
 * Base files in the same folder that this file may override; those with the same `docker-` prefix or none come first.
 */
export function basesOf(file: string, exists: (path: string) => boolean): readonly string[] {
  const isOld = (path: string): boolean => posix.basename(path).startsWith('docker-')
  return withEnds(posix.dirname(file), BASE)
    .filter((base) => base !== file && exists(base))
    .sort((a, b) => Number(isOld(a) !== isOld(file)) - Number(isOld(b) !== isOld(file)))
}

/** The paths to look for, in order; each list is one rank. */
const ranks: readonly (readonly string[])[] = FOLDERS.flatMap((folder) => RANKS.map((stems) => withEnds(folder, stems)))

/** The Compose files of a deployment, in the order in which Compose merges them. Paths inside the repository. */
export type Choice = {
  files: readonly string[]
  /** Why these files were chosen. */
  reason: string
  /** Base files that a production file may override, when it was chosen by its name. */
  bases: readonly string[]
  /** Warnings about files that may have been meant instead. */
  warnings: readonly string[]
  /** Override files that Docker would read too, but that are not deployed. */
  left: readonly string[]
}

/** The parameters of `chooseFiles`. */
export type ChoiceFacts = {
  /** The input `compose-files`. */
  given: readonly string[]
  /** The values of the shipped `.env`. */
  settings: ReadonlyMap<string, string> | undefined
  exists: (path: string) => boolean
  repository: Repository
}

/** Chooses the files of the input, else of COMPOSE_FILE in the shipped `.env`, else the first with a known name. */
export function chooseFiles(facts: ChoiceFacts): Choice {
  const { given, settings, exists, repository } = facts
  const chosen = (files: readonly string[], reason: string): Choice => ({
    files,
    reason,
    bases: [],
    warnings: [],
    left: [],
  })
  if (given.length > 0) return chosen(checkGiven(given, facts), 'the input compose-files')
  const named = composeFileOf(settings)
  if (named.length > 0) return chosen(checkNamed(named, facts), 'COMPOSE_FILE of env-file')
  for (const names of ranks) {
    const [first, ...others] = names.filter(exists)
    if (first === undefined) continue
    if (others.length > 0) throw ambiguous([first, ...others])
    const isProduction = withEnds(posix.dirname(first), PRODUCTION).includes(first)
    return {
      files: [first],
      reason: isProduction ? 'the production file by its name' : 'the first with a known name',
      bases: isProduction ? basesOf(first, exists) : [],
      warnings: isProduction ? [] : describeOthers(first, exists, repository),
      left: withEnds(posix.dirname(first), ['compose.override', 'docker-compose.override']).filter(exists),
    }
  }
  const others = findOthers(exists, repository)
  throw new DeployError('compose-file-missing', {
    what: 'No Compose file with a known name was found',
    seen: others.length > 0 ? `in the repository: ${others.join(', ')}` : `none of ${ranks.flat().join(', ')}`,
    why: 'it has another name or folder, or the job has no actions/checkout step',
    fix:
      others.length > 0
        ? `name it: compose-files: ${others[0]}`
        : 'add a step `uses: actions/checkout@v7` before this one; if there is one, commit a compose.yaml with a service that has `build: .`',
  })
}

function ambiguous(files: readonly string[]): DeployError {
  return new DeployError('compose-file-ambiguous', {
    what: 'Several Compose files could be the production one',
    seen: files.join('\n'),
    fix: files.map((file) => `compose-files: ${file}`).join('\nor '),
  })
}

/** The warning about a file that also looks like the production Compose file. */
function describeOthers(taken: string, exists: (path: string) => boolean, repository: Repository): readonly string[] {
  return findOthers(exists, repository)
    .filter((path) => /\b(prod|production|deploy)\b/.test(posix.basename(path)))
    .map(
      (path) =>
        `${taken} is deployed; ${path} looks like a Compose file for production. If that one is meant: compose-files: ${path}, ` +
        `or both: compose-files: ${taken} ${path}. If not, name the one that is: compose-files: ${taken}`,
    )
    .slice(0, 1)
}

/** The files that COMPOSE_FILE names, as written. */
function composeFileOf(settings: ReadonlyMap<string, string> | undefined): readonly string[] {
  const separator = settings?.get('COMPOSE_PATH_SEPARATOR') || ':'
  return (settings?.get('COMPOSE_FILE') ?? '').split(separator).filter((path) => path !== '')
}

/** A line may hold several paths; a path with a space needs its own line. */
function checkGiven(lines: readonly string[], { exists, repository }: ChoiceFacts): readonly string[] {
  const given = lines.flatMap((line) => (exists(line) ? [line] : line.split(' ')))
  const missing = given.filter((path) => !exists(path))
  if (missing.length === 0) return given
  const others = findOthers(exists, repository)
  throw new DeployError('compose-file-missing', {
    what: `Compose file ${missing.join(', ')} is not in the repository`,
    seen: `compose-files: ${given.join(' ')}`,
    why: 'the path starts from the root of the repository; or the job has no actions/checkout step',
    fix:
      others.length > 0
        ? `correct compose-files; these exist: ${others.join(', ')}`
        : 'correct compose-files, or add a step `uses: actions/checkout@v7` before this one',
  })
}

/** Paths in COMPOSE_FILE start from the folder of `.env`: the root of the repository or the folder `docker`. */
function checkNamed(named: readonly string[], { exists, repository }: ChoiceFacts): readonly string[] {
  const places = FOLDERS.map((folder) => named.map((path) => posix.join(folder, path)))
  const found = places.find((paths) => paths.every((path) => !/^(\/|\.\.\/)/.test(path) && exists(path)))
  if (found) return found
  const others = findOthers(exists, repository)
  throw new DeployError('compose-file-missing', {
    what: 'COMPOSE_FILE of env-file names files that are not in the repository',
    seen: `COMPOSE_FILE: ${named.join(' ')}`,
    why: 'its paths start from the folder of .env, which here is the root of the repository',
    fix:
      others.length > 0
        ? `name the right ones: compose-files: ${others[0]}${others.length > 1 ? `\nthese exist: ${others.join(', ')}` : ''}`
        : 'correct COMPOSE_FILE in env-file, or add a step `uses: actions/checkout@v7` before this one',
  })
}

const SHOWN = 10

/**
 * Files of the repository that look like Compose files: those for production first, then those with a usual name, then
 * those near the root. Others may only be parts for `extends`.
 */
function findOthers(exists: (path: string) => boolean, { files, read }: Repository): readonly string[] {
  const rank = (path: string): number =>
    (/prod|deploy/.test(path) ? 0 : 100) +
    (/test|example|local|dev/.test(path) ? 50 : 0) +
    (/(^|\/)(docker-)?compose\b/.test(path) ? 0 : 20) +
    path.split('/').length
  return [...files.keys()]
    .filter((path) => /^(?!\.|.*\/\.).*\.ya?ml$/.test(path) && exists(path) && /^services:/m.test(String(read(path))))
    .sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))
    .slice(0, SHOWN)
}
