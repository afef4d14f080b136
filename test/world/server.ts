import type { Finished } from '../../src/process.ts'
import { keep } from './container.ts'
import { docker, output, tryDocker } from './docker.ts'
import { prefix, type Key } from './folder.ts'
import { bases, clientSettings, registryName, type Registry } from './registry.ts'
import { linesOf, ofProject } from './listing.ts'

/** How a test looks at a server and handles it, from outside and not through the action. */
export type Server = {
  name: string
  /** The action's input `host`, for the user `deploy`; root has the same key. */
  host: string
  /** The port of its sshd on 127.0.0.1. */
  sshPort: number
  /** The action's input `known-hosts`. */
  knownHosts: string
  /** The action's input `ssh-key`. */
  key: string
  /** File with the same key, for a person's ssh. */
  keyPath: string
  /** Where this machine reaches any port of the server. */
  address: string
  /** Ports of the server that this machine has too, on 127.0.0.1. Take one with `port()`. */
  ports: readonly number[]
  /** Runs a program on the server as `deploy` (or `as` another user), in its home folder. */
  exec(argv: readonly string[], options?: { stdin?: string | Buffer; as?: string }): Promise<Finished>
  /** Runs docker on the server, returns its output and throws when it fails. */
  docker(...argv: readonly string[]): Promise<string>
  /** Reserves a port of `ports` for a project that publishes it. `remove` gives it back. */
  port(): Promise<number>
  /** The address of a port of the server, as this machine reaches it: `http://127.0.0.1:8100`. */
  url(port: number): string
  /** Removes a project for good: containers, volumes, networks, its folder below `deploy`'s home, its port. */
  remove(project: string, directory?: string, port?: number): Promise<void>
  /** Kills the Docker daemon, which stays down until `startDocker`. Its containers go on, as those of any killed daemon. */
  killDocker(): Promise<void>
  startDocker(): Promise<void>
  /** Everything on it dies at once. */
  cutPower(): Promise<void>
  /** Boots it again and waits until it is up. */
  boot(): Promise<void>
}

/** What makes one server differ from another. */
export type ServerSettings = {
  name: string
  sshPort: number
  ports: readonly [first: number, last: number]
  images: readonly string[]
  /** The image that it is made of, when it is not the ordinary one. */
  image?: string
}

/** Starts a server, or finds it running, with Docker up and the base images loaded. */
export async function keepServer(settings: ServerSettings, key: Key, registry: Registry): Promise<Server> {
  const name = `${prefix}-${settings.name}`
  const [first, last] = settings.ports
  const anew = await keep({
    name,
    image: `${prefix}-${settings.image ?? 'server'}`,
    options: [
      ...['--hostname', settings.name, '--network', prefix, '--privileged', '--init'],
      ...['--tmpfs', '/run:exec,mode=755'],
      ...['--publish', `127.0.0.1:${settings.sshPort}:22`],
      ...['--publish', `127.0.0.1:${first}-${last}:${first}-${last}`],
      ...['--volume', `${name}:/var/lib/docker`],
      ...['--env', `AUTHORIZED_KEY=${key.open}`, '--env', `REGISTRY=${registryName}:5000`],
    ],
  })
  const address = await docker([
    'inspect',
    '--format',
    '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}',
    name,
  ])
  const server = handle(settings, name, address, key)
  await up(server)
  if (anew) await load(server, registry, settings.images)
  const hostKey = output('cat', await server.exec(['cat', '/etc/ssh/ssh_host_ed25519_key.pub']))
  const [kind, open] = hostKey.split(' ')
  return { ...server, knownHosts: `[127.0.0.1]:${settings.sshPort} ${kind} ${open}` }
}

/** Removes a server with its disk. */
export async function removeServer(name: string): Promise<void> {
  await tryDocker(['rm', '--force', '--volumes', `${prefix}-${name}`])
  await tryDocker(['volume', 'rm', '--force', `${prefix}-${name}`])
}

function handle(settings: ServerSettings, name: string, address: string, key: Key): Server {
  const [first, last] = settings.ports
  const exec: Server['exec'] = (argv, { stdin, as = 'deploy' } = {}) => {
    const home = as === 'root' ? '/root' : `/home/${as}`
    const options = ['--user', as, '--workdir', home, '--env', `HOME=${home}`, '--env', `USER=${as}`]
    return tryDocker(['exec', ...(stdin === undefined ? [] : ['--interactive']), ...options, name, ...argv], { stdin })
  }
  const asRoot = async (...argv: readonly string[]): Promise<string> =>
    output(argv.join(' '), await exec(argv, { as: 'root' }))
  const server: Server = {
    name: settings.name,
    host: `deploy@127.0.0.1:${settings.sshPort}`,
    sshPort: settings.sshPort,
    knownHosts: '',
    key: key.secret,
    keyPath: key.path,
    address,
    ports: Array.from({ length: last - first + 1 }, (_, index) => first + index),
    exec,
    docker: (...argv) => asRoot('docker', ...argv),
    async port() {
      // mkdir succeeds for one test only. The port of a test that died is free again after two hours, unless a
      // container still listens on it.
      const script = `find /var/lib/ports -mindepth 1 -mmin +120 -delete
        held=$(docker ps --format '{{.Ports}}')
        for port; do
          case $held in *":$port->"*) continue ;; esac
          mkdir "/var/lib/ports/$port" 2>/dev/null && echo "$port" && exit 0
        done; exit 1`
      const taken = await exec(['sh', '-c', script, 'port', ...server.ports.map(String)], { as: 'root' })
      if (taken.code === 0) return Number(taken.stdout)
      throw new Error(`every port of ${settings.name} is taken. Fix: script/world down`)
    },
    url: (port) => `http://127.0.0.1:${port}`,
    async remove(project, directory = `deploy/${project}`, port) {
      await removeProject(server.docker, project)
      await asRoot('rm', '-rf', `/home/deploy/${directory}`)
      if (port !== undefined) await asRoot('rm', '-rf', `/var/lib/ports/${port}`)
    },
    async killDocker() {
      await asRoot('touch', '/run/docker.held')
      const script = `pkill -KILL -x dockerd; while pgrep -x dockerd >/dev/null; do sleep 0.05; done`
      await asRoot('sh', '-c', script)
    },
    async startDocker() {
      await asRoot('rm', '-f', '/run/docker.held')
      await up(server)
    },
    async cutPower() {
      await docker(['kill', name])
    },
    async boot() {
      await docker(['start', name])
      await up(server)
    },
  }
  return server
}

/** Removes what a Docker has of a project: its containers, those that hold its images, its volumes and networks. */
export async function removeProject(ask: Server['docker'], project: string): Promise<void> {
  const [own, holders] = [ofProject(project), ['--filter', `label=deploy-django.holds=${project}`]]
  const list = async (...argv: readonly string[]): Promise<string[]> => linesOf(await ask(...argv))
  const containers = [await list('ps', '-aq', ...own), await list('ps', '-aq', ...holders)].flat()
  if (containers.length > 0) await ask('rm', '--force', '--volumes', ...containers)
  const volumes = await list('volume', 'ls', '--quiet', ...own)
  if (volumes.length > 0) await ask('volume', 'rm', '--force', ...volumes)
  const networks = await list('network', 'ls', '--quiet', ...own)
  if (networks.length > 0) await ask('network', 'rm', ...networks)
}

/** Waits until Docker and sshd answer. */
async function up(server: Server): Promise<void> {
  const script = 'until docker version && pgrep -x sshd; do sleep 0.1; done >/dev/null 2>&1'
  const finished = await server.exec(['timeout', '60', 'sh', '-c', script], { as: 'root' })
  if (finished.code === 0) return
  const log = await server.exec(['tail', '-n', '5', '/var/log/dockerd.log'], { as: 'root' })
  throw new Error(`${server.name} is not up after 60 s: ${finished.stderr}${log.stdout}`)
}

/** Gives the server the base images under their official names. Pulled, so that layers of apps built on them are known. */
async function load(server: Server, registry: Registry, images: readonly string[]): Promise<void> {
  // The login is in memory and lives for these pulls.
  const script = `set -e; trap 'rm -rf /run/login' EXIT; umask 077; mkdir -p /run/login; cat >/run/login/config.json
    while [ $# -gt 0 ]; do docker --config /run/login pull -q "$1"; docker tag "$1" "$2"; docker rmi "$1"; shift 2; done`
  const pairs = bases
    .filter(([name]) => images.includes(name))
    .flatMap(([name, kept]) => [`${registry.host}/${kept}`, name])
  const argv = ['sh', '-c', script, 'load', ...pairs]
  output('loading images', await server.exec(argv, { as: 'root', stdin: clientSettings(registry) }))
}
