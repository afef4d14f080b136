import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readAssets } from '../../../src/host/assets.ts'
import { run, type Finished, type RunOptions } from '../../../src/process.ts'

/** A server of its own: a project directory, and the stand-in for Docker on PATH. */
export type World = { root: string; directory: string; env: NodeJS.ProcessEnv }

/** A service as the stand-in understands it. */
export type Service = { image: string; [key: string]: unknown }

/** One container as the stand-in keeps it. */
type Container = {
  id: string
  name: string
  project: string
  service: string
  oneoff: string
  state: string
  exit: number
  image: string
  started: number
  spec: Service
}

/** What the stand-in knows. */
export type State = {
  containers: Container[]
  images: Record<string, string>
  registry: Record<string, string>
  rows: string[]
  removed: string[]
  reloads: number
  networks: string[]
  volumes: string[]
  /** What the labels and variables of each image are. */
  marks?: string[]
  /** Whether the last dump was terminated; undefined when there was none. */
  dumpEnded?: boolean
  /** The image whose static files are in the volume. */
  static?: string
  /** The number of words in the entrypoint of each image; 1 without it. */
  entrypoint?: number
}

export type OneOffRun = {
  verb: string
  files: string[]
  labels: Record<string, string>
  environment: Record<string, string>
}

/** The image of a version of the app. */
export const imageOf = (version: string): string => `registry/app@sha256:${version}`

/** The script as it is sent. */
export const script = (await readAssets()).transaction
const SERVER = fileURLToPath(new URL('./docker/server.py', import.meta.url))
const CLIENT = fileURLToPath(new URL('./docker/client.pl', import.meta.url))
/** The machine's own crontab is nobody's business. This one writes down that it was asked. */
const CRONTAB = `#!/bin/sh
echo "$1" >>'@WORLD@/crontab.calls'
if [ "$1" = - ]; then exec cat >'@WORLD@/crontab'; fi
cat '@WORLD@/crontab' 2>/dev/null || { echo 'no crontab for deploy' >&2; exit 1; }
`
/** A world is small and is flushed often. */
const MEMORY = '/dev/shm'

/** What `sh` is on the server; with BusyBox, so are all other tools. */
export type Shell = 'dash' | 'busybox'

/** Makes a server on which nothing was ever deployed; `shell` is what `sh` means there. */
export async function makeWorld(shell: Shell = 'dash'): Promise<World> {
  const root = await mkdtemp(join(existsSync(MEMORY) ? MEMORY : tmpdir(), 'world-'))
  await mkdir(join(root, 'docker'))
  await mkdir(join(root, 'site/todo'), { recursive: true })
  await writeFile(join(root, 'docker/state'), JSON.stringify(emptyState()))
  return furnish(root, shell)
}

/** A copy of a server as it is at this moment. */
export async function copyWorld(from: { root: string }, shell: Shell = 'dash'): Promise<World> {
  const root = await mkdtemp(join(existsSync(MEMORY) ? MEMORY : tmpdir(), 'world-'))
  await run('cp', ['-a', join(from.root, 'site'), join(from.root, 'docker'), root])
  return furnish(root, shell)
}

async function furnish(root: string, shell: Shell): Promise<World> {
  const bin = join(root, 'bin')
  await mkdir(bin)
  await writeFile(join(root, 'transaction.sh'), script)
  const client = (await readFile(CLIENT, 'utf8')).replace('@SERVER@', await startDocker()).replace('@WORLD@', root)
  await writeFile(join(bin, 'docker'), client, { mode: 0o755 })
  await writeFile(join(bin, 'crontab'), CRONTAB.replaceAll('@WORLD@', root), { mode: 0o755 })
  const directory = join(root, 'site/todo')
  if (shell === 'dash') {
    await symlink('/bin/dash', join(bin, 'sh'))
    return { root, directory, env: { PATH: `${bin}:/usr/bin:/bin`, HOME: root } }
  }
  // Nothing but BusyBox, as on Alpine; Debian's has no flock.
  const applets = (await run('busybox', ['--list'])).stdout.split('\n').filter((applet) => /^\w+$/.test(applet))
  const missing = applets.filter((applet) => applet !== 'crontab')
  await Promise.all(missing.map((applet) => symlink('/bin/busybox', join(bin, applet))))
  if (!applets.includes('flock')) await symlink('/usr/bin/flock', join(bin, 'flock'))
  return { root, directory, env: { PATH: bin, HOME: root } }
}

let docker: { address: Promise<string>; stop: () => void } | undefined

/** Starts the stand-in, once; it ends with this process, or when `stopDocker` is called. */
function startDocker(): Promise<string> {
  docker ??= (() => {
    const folder = mkdtempSync(join(tmpdir(), 'docker-'))
    const address = join(folder, 'socket')
    const server = spawn('python3', ['-B', SERVER, address], { stdio: ['pipe', 'pipe', 'inherit'] })
    server.unref()
    return {
      address: new Promise((resolve, reject) => {
        server.once('error', reject)
        server.stdout.once('data', () => {
          server.stdout.destroy()
          resolve(address)
        })
      }),
      stop: () => {
        server.stdin.end()
        rmSync(folder, { recursive: true })
      },
    }
  })()
  return docker.address
}

/** Removes a server once its transactions have ended: after its last word, one still works for a moment. */
export async function removeWorld(world: World): Promise<void> {
  const plans = join(world.directory, '.deploy/plans')
  for (const id of await readdir(plans).catch(() => [])) {
    const alive = join(plans, id, 'alive')
    if (existsSync(alive)) await run('flock', ['-w', '30', alive, 'true'])
  }
  await rm(world.root, { recursive: true, force: true })
}

/** The shells at hand. */
export const SHELLS: readonly Shell[] = existsSync('/bin/busybox') ? ['dash', 'busybox'] : ['dash']
if (SHELLS.length < 2)
  process.stdout.write('There is no /bin/busybox (apt-get install busybox), so it is not tested.\n')

export function stopDocker(): void {
  docker?.stop()
  docker = undefined
}

function emptyState(): object {
  const versions = ['v0', 'v1', 'v2', 'v3', 'v4', 'v5', 'v6', 'v7', 'v8', 'v9']
  return {
    containers: [],
    images: { 'postgres:17': 'sha256:db', 'nginx:1': 'sha256:proxy' },
    registry: Object.fromEntries(versions.map((version) => [imageOf(version), `sha256:${version}`])),
    rows: [],
    created: 0,
    starts: 0,
    events: [],
    removed: [],
    reloads: 0,
    checks: {},
    networks: [],
    volumes: [],
  }
}

/** The one-off containers so far: their purpose, the release files they used, their labels and variables. */
export async function runsOf(world: { root: string }): Promise<OneOffRun[]> {
  const lines = (await readFile(join(world.root, 'docker/runs'), 'utf8')).trim().split('\n')
  return lines.map((line) => JSON.parse(line) as OneOffRun)
}

/** The starts of the probe so far in a container that runs. */
export async function execsOf(world: { root: string }): Promise<Pick<OneOffRun, 'verb' | 'environment'>[]> {
  const lines = (await readFile(join(world.root, 'docker/execs'), 'utf8').catch(() => '')).split('\n')
  return lines.flatMap((line) => (line === '' ? [] : [JSON.parse(line) as OneOffRun]))
}

/** What the stand-in knows now. */
export async function stateOf(world: { root: string }): Promise<State> {
  return JSON.parse(await readFile(join(world.root, 'docker/state'), 'utf8')) as State
}

export async function changeState(world: { root: string }, change: (state: State) => void): Promise<void> {
  const state = await stateOf(world)
  change(state)
  await writeFile(join(world.root, 'docker/state'), JSON.stringify(state))
}

/** A folder into which only root may look; everything else in the world is anybody's. */
export async function makeClosed({ root }: World): Promise<string> {
  await run('chmod', ['-R', 'a+rwX', root])
  await mkdir(join(root, 'closed'), { mode: 0 })
  return join(root, 'closed')
}

/** Runs a shell script in the home folder as a user who is not root, and whom Docker does not know. */
export function asNobody({ root, env }: World, words: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const nobody = userInfo().uid === 0 ? ['/usr/bin/setpriv', '--reuid', '65534', '--clear-groups'] : []
  const [program = '', ...rest] = [...nobody, 'sh', ...words]
  return run(program, rest, { env, cwd: join(root, 'site'), ...options })
}

/** Runs a verb of the script in the repository, as the runner would. */
export function call(world: World, verb: string, words: readonly string[] = [], stdin = ''): Promise<Finished> {
  const options = { env: world.env, stdin, timeoutMs: 60_000 }
  return run('sh', [join(world.root, 'transaction.sh'), verb, world.directory, ...words], options)
}
