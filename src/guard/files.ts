import { posix } from 'node:path'
import { DeployError } from '../errors.ts'

/** The Compose files of this deployment, and those that the host names. */
export type HostFiles = {
  /** COMPOSE_FILE of the host's own `.env`; its paths start from that `.env`'s folder. */
  onHost: readonly string[]
  /** The files of this deployment, as paths in the repository. */
  chosen: readonly string[]
  isGiven: boolean
  /** Whether the current stack is a release: its whole model is then in the host's compose.yaml. */
  isDeployed: boolean
  directory: string
  exists: (path: string) => boolean
}

/** Stops when the host's own `.env` names files other than those that were chosen by their names. */
export function checkHostFiles(facts: HostFiles): void {
  const { onHost, chosen, isGiven, exists } = facts
  if (isGiven || isSettled(facts)) return
  const folder = posix.dirname(chosen[0] ?? '')
  const meant = onHost.map((path) => posix.join(folder, path))
  if (meant.join() === chosen.join()) return
  const others = meant.every(exists) ? meant : onHost.every(exists) ? onHost : ['<their paths in the repository>']
  throw new DeployError('compose-file-ambiguous', {
    what: 'The .env on the host does not name the Compose files that this deployment uses',
    seen: `COMPOSE_FILE on the host: ${onHost.join(' ')}\nthis deployment: ${chosen.join(' ')}`,
    why: 'the stack on the host was started with the files of COMPOSE_FILE',
    fix: `for those of the host: compose-files: ${others.join(' ')}\nfor those of this deployment: compose-files: ${chosen.join(' ')}`,
  })
}

/** The warning when COMPOSE_FILE would make a manual `docker compose` read files that are not those of the release. */
export function describeHostFiles(facts: HostFiles): string | undefined {
  if (facts.onHost.join() === 'compose.yaml' || facts.onHost.length === 0) return undefined
  return (
    `The .env on the host sets COMPOSE_FILE, so docker compose in ${facts.directory} would read ${facts.onHost.join(' ')} there ` +
    'and not the release. After this deployment, change that line to COMPOSE_FILE=compose.yaml'
  )
}

function isSettled({ onHost, isDeployed }: HostFiles): boolean {
  return onHost.length === 0 || (isDeployed && onHost.join() === 'compose.yaml')
}
