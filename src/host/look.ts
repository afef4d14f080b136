import { findDocument, readDatabases, type Database } from '../django/document.ts'
import { codeOf, DeployError } from '../errors.ts'
import type { Connection } from './connection.ts'
import { readContainer, type Container } from './container.ts'
import { explainExit } from './exit.ts'
import { explanations } from './explanation.ts'
import { isReleaseFact, type Facts, type ReleaseFact } from './fact.ts'
import { explainShell } from './login-failure.ts'

/** The host's report about itself and this project. */
export type Server = {
  home: string
  docker: string | undefined
  /** In Docker's terms, for example `amd64`. */
  architecture: string | undefined
  dockerError: string | undefined
  compose: string | undefined
  /** Free disk space where Docker keeps its images, in KiB. */
  freeDisk: number | undefined
  missing: readonly string[]
  /** The folder that this user cannot write to: the directory, its `.deploy`, or the parent of a missing directory. */
  unwritable: string | undefined
  /** The user whose processes end with their login. No deployment can start there. */
  endsWithLogin: string | undefined
  /** The containers of every Compose project on the host. */
  containers: readonly Container[]
  /** The directory's absolute path, in each way to write it; empty when the directory does not exist. */
  folders: readonly string[]
  /** The requested files that exist. */
  files: readonly string[]
  /** Folders that exist in place of a requested file, `.env` or compose.yaml. */
  foldersAt: readonly string[]
  /** All volumes and networks as `volume NAME` and `network NAME`, if requested. */
  externals: readonly string[]
  /** The holders of the requested ports that are in use. */
  ports: readonly PortHolder[]
  /** Names that the directory's own `.env` sets; below, its profiles and its project name. */
  settings: readonly string[]
  /** Names that this `.env` sets to an empty value. */
  emptySettings: readonly string[]
  profiles: string | undefined
  projectName: string | undefined
  /** The Compose files that the directory's `.env` names. */
  composeFiles: readonly string[]
  format: number | undefined
  current: string | undefined
  /** The time of the current release's commit, as ISO 8601. */
  since: string | undefined
  /** Whether all containers of the current release run. */
  whole: boolean
  /** Whether its deployment went forward over a step that failed, because no revert was possible. */
  isForward: boolean
  /** Whether env files on the host changed since the containers of the current release were made. */
  isOutdated: boolean
  /** The running containers of a whole release, as `service=number`. */
  running: readonly string[]
  /** The numbers of containers in the Compose file of the last deployment, and the services that were to have none. */
  counts: ReadonlyMap<string, number>
  unstarted: readonly string[]
  previous: string | undefined
  releases: ReadonlyMap<string, Facts>
  /** Ids of committed releases, in the order of their last commit. */
  served: readonly string[]
  /** How long the app was stopped by the last deployment that stopped it; undefined when none did. */
  lastStopSeconds: number | undefined
  /** The databases that the last committed deployment used. */
  databases: readonly Database[]
  /** The last committed deployment, if it could not remove all old releases. */
  unpruned: string | undefined
  /** Ids of deployments. */
  plans: readonly string[]
}

/** The holder of a port on the host: a container, Docker without a container, or a program outside Docker. */
export type PortHolder = { port: number } & (
  { kind: 'container'; name: string; project: string } | { kind: 'docker' | 'program' }
)

const HEADER = 'deploy-django look 1'
const LOOK_LIMIT_MS = 120_000

/**
 * Reads from the host, in one call, everything that a run decides on. `script` is transaction.sh; `asked` lists files,
 * `externals:` and ports.
 */
export async function look(
  connection: Connection,
  script: string,
  directory: string,
  asked: readonly string[] = [],
): Promise<Server> {
  const finished = await connection
    .callOrThrow(['sh', '-s', 'look', directory, ...asked], { stdin: script, timeoutMs: LOOK_LIMIT_MS })
    .catch((cause: unknown) => {
      throw codeOf(cause) === 'program-timeout' ? tooSlow(cause) : cause
    })
  const server = parseLook(finished.stdout)
  if (server) return server
  throw explainShell(connection.host, finished)
}

function tooSlow(cause: unknown): DeployError {
  return new DeployError('server-slow', {
    what: `The host did not answer the first command within ${LOOK_LIMIT_MS / 1000} s`,
    why: 'it is overloaded, its Docker hangs, or a start file of the login shell waits for input',
    fix: 'log in, check `uptime`, `docker ps` and the start files of the shell (~/.bashrc, ~/.profile), then run the job again',
    cause,
  })
}

/** Reads the answer and skips lines that a noisy login prints first. Undefined when the answer is incomplete. */
export function parseLook(text: string): Server | undefined {
  const lines = text.split('\n')
  const start = lines.indexOf(HEADER)
  const end = lines.indexOf('end', start)
  if (start < 0 || end < 0) return undefined
  const words = lines.slice(start + 1, end).map((line) => splitOnce(line))
  const all = (name: string): string[] => words.filter(([word]) => word === name).map(([, rest]) => rest)
  const one = (name: string): string | undefined => all(name)[0] || undefined
  const [docker, architecture] = one('docker')?.split(' ') ?? []
  return {
    home: one('home') ?? '',
    docker,
    architecture,
    dockerError: one('docker-error'),
    compose: one('compose'),
    freeDisk: toNumber(one('disk')),
    missing: all('missing'),
    unwritable: one('unwritable'),
    endsWithLogin: one('ends-with-login'),
    containers: all('container').map(readContainer),
    folders: [...new Set(all('folder'))],
    files: all('file'),
    foldersAt: [...new Set(all('folder-at'))],
    externals: all('external'),
    ports: all('port').flatMap(readHolder),
    settings: all('setting'),
    emptySettings: all('setting').filter((name) => !all('filled-setting').includes(name)),
    profiles: one('COMPOSE_PROFILES'),
    projectName: one('COMPOSE_PROJECT_NAME'),
    composeFiles: (one('COMPOSE_FILE') ?? '').split(one('COMPOSE_PATH_SEPARATOR') ?? ':').filter((path) => path !== ''),
    format: toNumber(one('format')),
    current: one('current'),
    since: one('since'),
    whole: one('whole') === 'yes',
    isForward: one('forward') === 'yes',
    isOutdated: one('settings-changed') === 'yes',
    running: all('running'),
    counts: new Map(all('count').map((line) => readCount(line))),
    unstarted: all('unstarted'),
    previous: one('previous'),
    releases: new Map(all('release').map((id) => [id, factsOf(id, all('fact'))])),
    served: all('served'),
    lastStopSeconds: toSeconds(one('stop')),
    databases: readDatabases(findDocument(one('database') ?? '')),
    unpruned: one('unpruned'),
    plans: all('plan'),
  }
}

/** Whether no container of any Compose project runs, so that nothing can serve. Without access to Docker: not known. */
export const isIdle = ({ docker, containers }: Pick<Server, 'docker' | 'containers'>): boolean =>
  docker !== undefined && containers.every(({ running }) => !running)

/** Counts the running containers of each service of a project. */
export function runningCounts({ containers }: Server, project: string): ReadonlyMap<string, number> {
  const running = containers.filter((each) => each.project === project && each.running)
  return new Map([...Map.groupBy(running, ({ service }) => service)].map(([service, all]) => [service, all.length]))
}

/** The warning about old releases that were not removed; undefined without any. */
export function describeUnpruned({ unpruned }: Server, directory: string): string | undefined {
  return unpruned === undefined
    ? undefined
    : `Old releases were not all removed from the host: the end of ${directory}/.deploy/journal/${unpruned}.log there says why. The next deployment tries again`
}

function readCount(line: string): [string, number] {
  const [service = '', count = ''] = line.split('=')
  return [service, Number(count)]
}

function readHolder(line: string): PortHolder[] {
  const [port, kind, name = '', project = ''] = line.split(' ')
  if (kind === 'container') return [{ port: Number(port), kind, name, project }]
  return kind === 'docker' || kind === 'program' ? [{ port: Number(port), kind }] : []
}

function factsOf(id: string, lines: readonly string[]): Facts {
  const facts = new Map<ReleaseFact, readonly string[]>()
  for (const line of lines) {
    const [of, rest] = splitOnce(line)
    const [name, value] = splitOnce(rest)
    if (of === id && isReleaseFact(name)) facts.set(name, [...(facts.get(name) ?? []), value])
  }
  return facts
}

/** Stops, before anything is sent, when the host cannot run a deployment. One error names all problems of a kind. */
export function checkServer(server: Server, user: string, directory: string): void {
  if (server.docker === undefined) throw noDocker(server.dockerError, user)
  if (server.compose === undefined || !isAtLeast(server.compose, [2, 20])) {
    throw new DeployError('server-compose-old', {
      what: 'The host needs Docker Compose 2.20 or newer',
      seen: server.compose ?? 'no `docker compose`',
      fix: "install the package docker-compose-plugin from Docker's own repository on the host: https://docs.docker.com/compose/install/linux/",
    })
  }
  if (server.missing.length > 0) {
    throw new DeployError('server-tools', {
      what: `The host lacks ${server.missing.join(', ')}`,
      why: 'each is either not installed, or not on the PATH of a login without a terminal',
      fix: 'on the host, as root: apt-get install coreutils util-linux tar (on Alpine: apk add coreutils util-linux tar)',
    })
  }
  if (server.unwritable !== undefined) throw notWritable(server, server.unwritable, directory, user)
  if (server.endsWithLogin !== undefined) {
    const [code, problem] = explainExit(explanations.logind.exit, undefined, '')
    throw new DeployError(code, { ...problem, fix: problem.fix?.replace('USER', server.endsWithLogin) })
  }
  if (server.format !== undefined && server.format > 1) {
    throw new DeployError('server-format', {
      what: 'A newer version of this action has deployed to this directory',
      seen: `format ${server.format}, this version knows 1`,
      fix: 'use that version in this workflow as well',
    })
  }
}

/**
 * `place` is the folder that this user cannot write: the directory, its `.deploy`, or a missing directory's parent.
 */
function notWritable({ home }: Server, place: string, directory: string, user: string): DeployError {
  const absolute = (path: string): string => (path === '.' ? home : path.startsWith('/') ? path : `${home}/${path}`)
  const whole = absolute(directory)
  // Never a recursive chown of the directory: a database's bind mount in it must keep its owner.
  const commands = place.endsWith('/.deploy')
    ? `chown -R ${user} ${absolute(place)} && chown ${user} ${whole}`
    : directory.startsWith('/')
      ? `mkdir -p ${whole} && chown ${user} ${whole}`
      : `chown ${user} ${absolute(place)}`
  return new DeployError('server-directory', {
    what: `${user} cannot write to the folder of the project on the host, ${whole}`,
    seen: `not writable: ${absolute(place)}`,
    why: `it does not belong to ${user}, or a file is in its place`,
    fix: `on the host, as root: ${commands}\nor set \`directory\` to a folder that ${user} may write to`,
  })
}

/** Stops when the image cannot run on the host. */
export function checkArchitecture(server: Server, image: string): void {
  if (server.architecture === undefined || image === '' || server.architecture === image) return
  throw new DeployError('server-architecture', {
    what: `The image is for ${image}, the host has ${server.architecture}`,
    fix: `build for the host, with \`set: "*.platform=linux/${server.architecture}"\`; or run the job on a runner that has ${server.architecture}`,
  })
}

function noDocker(error: string | undefined, user: string): DeployError {
  if (error === undefined) {
    return new DeployError('server-no-docker', {
      what: 'Docker is not installed on the host',
      seen: 'no `docker` program',
      fix: 'install Docker Engine with the Compose plugin on the host: https://docs.docker.com/engine/install/',
    })
  }
  if (/permission denied/i.test(error)) {
    return new DeployError('server-no-docker', {
      what: `${user} may not use Docker on the host`,
      seen: error,
      why: `${user} is not in the group docker, and may not use \`sudo docker\` without a password`,
      fix: `on the host, as root: usermod -aG docker ${user}`,
    })
  }
  return new DeployError('server-no-docker', {
    what: 'Docker does not answer on the host',
    seen: error,
    why: 'it is not running, or this user has a rootless Docker that is not running',
    fix: `on the host, as root: systemctl enable --now docker; a rootless one as ${user}: systemctl --user enable --now docker`,
  })
}

/** Whether a version such as `v2.30.1` is this one or newer. */
export function isAtLeast(version: string, wanted: readonly number[]): boolean {
  const numbers = version.replace(/^v/, '').split(/[.+-]/).map(Number)
  for (const [index, least] of wanted.entries()) {
    const number = numbers[index] ?? 0
    if (number !== least) return number > least
  }
  return true
}

function splitOnce(line: string): [string, string] {
  const space = line.indexOf(' ')
  return space < 0 ? [line, ''] : [line.slice(0, space), line.slice(space + 1)]
}

function toSeconds(milliseconds: string | undefined): number | undefined {
  const number = toNumber(milliseconds)
  return number === undefined ? undefined : number / 1000
}

function toNumber(text: string | undefined): number | undefined {
  return text === undefined || !/^\d+$/.test(text) ? undefined : Number(text)
}
