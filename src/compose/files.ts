import { posix } from 'node:path'
import { DeployError } from '../errors.ts'
import type { Repository } from './repository.ts'

/** Names of one rank: a folder with two of them leaves open which one is meant. */
const RANKS: readonly (readonly string[])[] = [
  ['compose.production', 'docker-compose.production', 'compose.prod', 'docker-compose.prod', 'docker-compose-deploy'],
  ['compose', 'docker-compose'],
]
const FOLDERS = ['', 'docker']

/** The names that are looked for, in order: each list is one rank. */
const ranks: readonly (readonly string[])[] = FOLDERS.flatMap((folder) =>
  RANKS.map((stems) => stems.flatMap((stem) => ['yaml', 'yml'].map((end) => posix.join(folder, `${stem}.${end}`)))),
)

/** The Compose files of a deployment: those that were given, else the production-looking one. Paths inside the repository. */
export function chooseFiles(
  given: readonly string[],
  exists: (path: string) => boolean,
  repository: Repository,
): readonly string[] {
  if (given.length > 0) return checkGiven(given, exists, repository)
  for (const names of ranks) {
    const [first, ...others] = names.filter(exists)
    if (first === undefined) continue
    if (others.length === 0) return [first]
    throw new DeployError('compose-file-ambiguous', {
      what: 'Several Compose files could be the production one',
      seen: [first, ...others].join('\n'),
      fix: `name the right one: compose-files: ${first}`,
    })
  }
  const others = findOthers(exists, repository)
  throw new DeployError('compose-file-missing', {
    what: 'No Compose file has one of the names that are looked for',
    seen: others.length > 0 ? `in the repository: ${others.join(', ')}` : `none of ${ranks.flat().join(', ')}`,
    why: 'it has another name or folder, or the job has no actions/checkout step',
    fix: `name it, for example: compose-files: ${others[0] ?? 'deploy/compose.yaml'}`,
  })
}

function checkGiven(
  given: readonly string[],
  exists: (path: string) => boolean,
  repository: Repository,
): readonly string[] {
  const missing = given.filter((path) => !exists(path))
  if (missing.length === 0) return given
  const others = findOthers(exists, repository)
  throw new DeployError('compose-file-missing', {
    what: `Compose file ${missing.join(', ')} is not in the repository`,
    seen: `compose-files: ${given.join(' ')}`,
    why: 'the path is relative to the root of the repository, or the job has no actions/checkout step',
    fix: `correct the input compose-files${others.length > 0 ? `; there are ${others.join(', ')}` : ''}`,
  })
}

const SHOWN = 10

/** Files of the repository that are written like a Compose file, those for production first, then those near its root. */
function findOthers(exists: (path: string) => boolean, { files, read }: Repository): readonly string[] {
  const rank = (path: string): number =>
    (/prod|deploy/.test(path) ? 0 : 100) + (/test|example|local|dev/.test(path) ? 50 : 0) + path.split('/').length
  return [...files.keys()]
    .filter((path) => /^(?!\.|.*\/\.).*\.ya?ml$/.test(path) && exists(path) && /^services:/m.test(String(read(path))))
    .sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))
    .slice(0, SHOWN)
}
