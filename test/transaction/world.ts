import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run, type Finished } from '../../src/process.ts'

/** A server of its own: a project directory, and the stand-in for Docker on PATH. */
export type World = { root: string; directory: string; env: NodeJS.ProcessEnv }

/** A service as the stand-in understands it. */
export type Service = { image: string; [key: string]: unknown }

/** What a test stages: a release (or, with `target`, only a plan for one that is there). */
export type Staged = {
  id: string
  steps: readonly string[]
  target?: string
  services?: Readonly<Record<string, Service>>
  releaseFacts?: Readonly<Record<string, readonly string[]>>
  planFacts?: Readonly<Record<string, string>>
  env?: string
  files?: Readonly<Record<string, string>>
  http?: boolean
}

/** One container as the stand-in keeps it. */
export type Container = {
  id: string
  name: string
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
}

export const SCRIPT = fileURLToPath(new URL('../../src/server/transaction.sh', import.meta.url))
const SERVER = fileURLToPath(new URL('./docker/server.py', import.meta.url))
const CLIENT = fileURLToPath(new URL('./docker/client.pl', import.meta.url))
/** A world is small and is flushed often. */
const MEMORY = '/dev/shm'

/** What `sh` is on the server. */
export type Shell = 'dash' | 'busybox'

export const DEPLOY = 'recover fence data replan migrate swap proxy health verify commit prune'.split(' ')
export const ROLLBACK = 'recover fence data fit swap proxy health verify commit prune'.split(' ')

/** The services of a version: an app, a worker that depends on it, a database and a proxy that are not built here. */
export function services(version: string, rows: readonly string[], web: object = {}): Record<string, Service> {
  return {
    web: {
      image: imageOf(version),
      'x-migrations': rows,
      'x-check': ['CMD-SHELL', 'curl -f localhost || exit 1'],
      restart: 'always',
      ...web,
    },
    worker: { image: imageOf(version), restart: 'always' },
    db: { image: 'postgres:17', 'x-check': ['CMD', 'pg_isready', '-U', 'a b'], restart: 'always' },
    proxy: { image: 'nginx:1', 'x-nginx': true },
  }
}

export const imageOf = (version: string): string => `registry/app@sha256:${version}`

/** The facts of a release with the services above. */
export function factsOf(id: string, version: string, run: number): Record<string, readonly string[]> {
  return {
    format: ['1'],
    version: [version],
    project: ['todo'],
    run: [String(run)],
    services: ['0 web', '1 worker'],
    images: [`web ${imageOf(version)}`, `worker ${imageOf(version)}`],
    django: ['web'],
    manage: ['python', 'manage.py'],
    data: ['db'],
    others: ['proxy'],
    fronts: ['proxy 80'],
    env: ['server'],
    'env-files': [],
    migrations: ['core.0001'],
    url: [`https://ci/${id}`],
  }
}

/** A deploy of `version`, whose code knows these rows of django_migrations. */
export function deployOf(version: string, run: number, rows: readonly string[], web: object = {}): Staged {
  const id = `${version}-${run}-1`
  return {
    id,
    steps: DEPLOY,
    services: services(version, rows, web),
    releaseFacts: factsOf(id, version, run),
    planFacts: { target: id, run: String(run), approved: rows.map((row) => `${row}=source\n`).join('') },
  }
}

/** A rollback to a release that is there. */
export function rollbackTo(target: string, run: number): Staged {
  return {
    id: `rollback-${target.split('-')[0]}-${run}-1`,
    steps: ROLLBACK,
    target,
    planFacts: { target, run: String(run) },
  }
}

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
  const client = (await readFile(CLIENT, 'utf8')).replace('@SERVER@', await startDocker()).replace('@WORLD@', root)
  await writeFile(join(bin, 'docker'), client, { mode: 0o755 })
  if (shell === 'busybox') {
    const applets = (await run('busybox', ['--list'])).stdout.split('\n')
    for (const applet of applets) {
      if (applet !== '' && !applet.startsWith('docker'))
        await symlink('/bin/busybox', join(bin, applet)).catch(() => {})
    }
  } else await symlink(`/bin/${shell}`, join(bin, 'sh'))
  return {
    root,
    directory: join(root, 'site/todo'),
    env: { PATH: `${bin}:/usr/local/bin:/usr/bin:/bin`, HOME: root },
  }
}

let docker: { address: Promise<string>; stop: () => void } | undefined

/** Starts the stand-in, once; it ends with this process, or when `stopDocker` is called. */
function startDocker(): Promise<string> {
  docker ??= (() => {
    const address = join(mkdtempSync(join(tmpdir(), 'docker-')), 'socket')
    const server = spawn('python3', ['-B', SERVER, address], { stdio: ['pipe', 'pipe', 'inherit'] })
    server.unref()
    return {
      address: new Promise((resolve, reject) => {
        server.once('error', reject)
        server.stdout.once('data', () => resolve(address))
      }),
      stop: () => server.stdin.end(),
    }
  })()
  return docker.address
}

export const removeWorld = (world: World): Promise<void> => rm(world.root, { recursive: true, force: true })

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
  }
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

/** Writes an upload as the runner sends it, for `stage` to put in place. */
export async function upload(world: World, staged: Staged): Promise<void> {
  const folder = join(world.directory, '.deploy/incoming', staged.id)
  const write = async (path: string, content: string): Promise<void> => {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), content)
  }
  const lines = (items: readonly string[]): string => items.map((item) => `${item}\n`).join('')
  for (const [name, items] of Object.entries(staged.releaseFacts ?? {}))
    await write(`release/facts/${name}`, lines(items))
  if (staged.services) await write('release/compose.yaml', JSON.stringify({ services: staged.services }))
  if (staged.env !== undefined) await write('release/env/.env', staged.env)
  for (const [path, content] of Object.entries(staged.files ?? {})) await write(`files/${path}`, content)
  await write('plan/transaction.sh', await readFile(SCRIPT, 'utf8'))
  await write('plan/probe.py', 'print("the stand-in answers for the probe")\n')
  await write('plan/steps', lines(staged.steps))
  if (staged.http !== false) await write('plan/http.json', '{"format":1,"urls":[]}')
  const facts = {
    run: '1',
    url: `https://ci/${staged.id}`,
    force: 'no',
    approved: '',
    'migrate-timeout': '3600',
    'lock-timeout': '5000',
    'health-timeout': '1',
    keep: '5',
    ...staged.planFacts,
  }
  for (const [name, value] of Object.entries(facts))
    await write(`plan/facts/${name}`, value === '' || value.endsWith('\n') ? value : `${value}\n`)
}

/** Runs a verb of the script in the repository, as the runner would. */
export function call(world: World, verb: string, words: readonly string[] = [], stdin = ''): Promise<Finished> {
  return run('sh', [SCRIPT, verb, world.directory, ...words], { env: world.env, stdin, timeoutMs: 60_000 })
}

export async function stage(world: World, staged: Staged, stdin = ''): Promise<Finished> {
  await upload(world, staged)
  const script = join(world.directory, '.deploy/incoming', staged.id, 'plan/transaction.sh')
  return run('sh', [script, 'stage', world.directory, staged.id], { env: world.env, stdin })
}

/** The engine in the foreground, as `begin` starts it in the background. */
export function engine(world: World, id: string): Promise<Finished> {
  const script = join('.deploy/plans', id, 'transaction.sh')
  return run('sh', [script, 'engine', world.directory, id], { env: world.env, cwd: world.directory, timeoutMs: 60_000 })
}

/** Stages and walks a transaction to its end; gives the last word of its journal, e.g. `committed v2-2-1`. */
export async function transact(world: World, staged: Staged): Promise<string> {
  const put = await stage(world, staged)
  if (put.code !== 0) throw new Error(`stage ended with ${put.code}: ${put.stderr}`)
  await engine(world, staged.id)
  return endOf(world, staged.id)
}

export async function journalOf(world: World, id: string): Promise<string[]> {
  const text = await readFile(join(world.directory, '.deploy/journal', id), 'utf8').catch(() => '')
  return text.split('\n').filter((line) => line !== '')
}

/** The journal without its times. */
export async function storyOf(world: World, id: string): Promise<string[]> {
  return (await journalOf(world, id)).map((line) => line.slice(line.indexOf(' ') + 1))
}

export async function endOf(world: World, id: string): Promise<string> {
  const last = (await storyOf(world, id)).at(-1) ?? 'no journal'
  return last.startsWith('end ') ? last.slice(4) : `open: ${last}`
}

export async function readCurrent(world: World): Promise<string> {
  return (await readFile(join(world.directory, '.deploy/current'), 'utf8').catch(() => '')).trim()
}

/**
 * What is wrong with a server that should serve this release whole (undefined: no app at all) and be at rest; an empty list
 * when nothing is.
 */
export async function findFaults(world: World, release: string | undefined): Promise<string[]> {
  const { containers, rows } = await stateOf(world)
  const faults: string[] = []
  const current = await readCurrent(world)
  if (current !== (release ?? '')) faults.push(`current is ${current}, not ${release}`)
  const app = containers.filter(
    (container) => !['db', 'proxy'].includes(container.service) || container.oneoff === 'True',
  )
  const expected = release === undefined ? [] : ['todo-web-1', 'todo-worker-1']
  const names = app.map((container) => container.name).sort()
  if (names.join() !== expected.join()) faults.push(`containers are ${names.join()}`)
  for (const { name, state, image } of app) {
    if (state !== 'running') faults.push(`${name} is ${state}`)
    if (image !== `sha256:${release?.split('-')[0]}`) faults.push(`${name} runs ${image}`)
  }
  if (new Set(rows).size !== rows.length) faults.push(`rows are ${rows.join()}`)
  const databases = containers.filter((container) => container.service === 'db')
  // One that a first deploy did not get to start is started by the next.
  const untouched = databases.every(
    ({ state, started }) => (state === 'running' && started === 1) || (state === 'created' && !release),
  )
  if (databases.length > 1 || !untouched) faults.push('the database was touched')
  for (const id of await journals(world)) {
    const end = await endOf(world, id)
    if (end.startsWith('open')) faults.push(`${id} is ${end}`)
  }
  const lock = await run('flock', ['-n', join(world.directory, '.deploy/lock'), 'true'])
  if (lock.code !== 0) faults.push('the lock is held')
  return faults
}

/** The ids of the transactions that have begun. */
export async function journals(world: World): Promise<string[]> {
  return (await readdir(join(world.directory, '.deploy/journal'))).filter((name) => /\d$/.test(name)).sort()
}
