/** The parts of a story: a repository, a server, a site, and the action as GitHub would start it. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { runAction, type ActionOptions, type ActionRun, type Annotation } from '../run-action.ts'
import { makeProject, type Project } from '../world/project.ts'
import type { Server } from '../world/server.ts'
import { openWorld } from '../world/world.ts'
import { until } from '../until.ts'
import { linesOf, listContainers } from '../world/listing.ts'

/** One project on one server, of its own for this story. */
export type Story = AsyncDisposable & {
  server: Server
  project: Project
  /** Name of the Compose project and of the folder in `deploy/`. */
  name: string
  /** The project's folder on the server: the one in `deploy/`, or one in it. */
  directory: string
  port: number
  /** What `env-file` holds. */
  env: Record<string, string>
  /** Commits a version of the example; `deploy` does it by itself. */
  checkout(version: string): Promise<void>
  /** Commits files of the repository as a version of this story's own, for `deploy`; later ones keep the files. */
  change(version: string, files?: Readonly<Record<string, string>>): Promise<void>
  /** Deploys a version of the example, as the push of its tag does. */
  deploy(version: string, more?: Partial<ActionOptions>): Promise<ActionRun>
  /** Rolls back, as the workflow_dispatch does. */
  rollback(version?: string, more?: Partial<ActionOptions>): Promise<ActionRun>
  /** Builds a version of the example, for a deploy with its output `images`. */
  build(version: string, more?: Partial<ActionOptions>): Promise<ActionRun>
  /** Runs lines in a container, the one of Django unless the inputs name another. */
  exec(lines: string, more?: Partial<ActionOptions>): Promise<ActionRun>
  status(more?: Partial<ActionOptions>): Promise<ActionRun>
  /** Status and `X-Release` of a path of the site. */
  ask(path?: string): Promise<{ status: number; release: string | null; text: string }>
  /** Asks until the site answers with a release; a container that was brought back needs a moment to listen. */
  serves(): Promise<string | null>
  /** One whole release: every app container runs the images of `current`, nothing is left over, the lock is free. */
  expectWhole(): Promise<void>
  /** Rows of django_migrations of the apps of the example, in order. */
  migrations(): Promise<string[]>
  /** "service image state" of the project's containers, sorted; ids with `withIds`. */
  containers(withIds?: boolean): Promise<string[]>
  /** The journal of the last transaction that began, without times. */
  journal(): Promise<string[]>
}

/** A migration of the example that waits for `giveWord`, a minute at most; the database is not changed by it. */
export function patientMigration(name: string, after: string, app = 'core'): Record<string, string> {
  const text = `# deploy-django: accept
import pathlib, sys, time
from django.db import migrations

def wait(apps, schema_editor):
    print('${name} waits', file=sys.stderr, flush=True)
    end = time.monotonic() + 60
    while not pathlib.Path('/tmp/go').exists():
        if time.monotonic() > end:
            raise RuntimeError('nobody gave the word')
        time.sleep(0.05)

class Migration(migrations.Migration):
    dependencies = [('${app}', '${after}')]
    operations = [migrations.RunPython(wait, migrations.RunPython.noop)]
`
  return { [`src/${app}/migrations/${name}.py`]: text }
}

/** Lets the migration, or an app that waits in the same way, go on. */
export async function giveWord({ server, name }: Story, container: 'migrate' | 'project-1'): Promise<void> {
  await server.docker('exec', `${name}-${container}`, 'touch', '/tmp/go')
}

/** The titles of a step's annotations: the codes of its failures. */
export function codes(run: { annotations: readonly Annotation[] }): (string | undefined)[] {
  return run.annotations.map(({ properties }) => properties['title'])
}

/** The programs that a log shows outside of every group, where they hide what people look for. */
export function strayPrograms(log: string): readonly string[] {
  let isInGroup = false
  return log.split('\n').filter((line) => {
    if (line.startsWith('##[group]')) isInGroup = true
    if (line.startsWith('##[endgroup]')) isInGroup = false
    return !isInGroup && line.startsWith('[command]')
  })
}

/** Does `work` as soon as a log line of main matches, while the action continues. */
export async function meanwhile(
  start: (options: Partial<ActionOptions>) => Promise<ActionRun>,
  at: RegExp,
  work: () => Promise<void>,
): Promise<ActionRun> {
  const { promise: line, resolve: reached } = Promise.withResolvers<void>()
  // Under debug logging a line is shown at once, and not at the end of its step.
  const running = start({ onLine: (text) => at.test(text) && reached(), env: { RUNNER_DEBUG: '1' } })
  const missed = running.then((run) => assert.fail(`no line matched ${at}:\n${run.log}`))
  // It is only of interest until the line was reached.
  missed.catch(() => {})
  await Promise.race([line, missed])
  const [run] = await Promise.all([running, work()])
  return run
}

/** Waits until the old releases are removed, which happens after a deployment is reported. */
export async function untilFree(server: Pick<Server, 'exec'>, directory: string): Promise<void> {
  // BusyBox's timeout leaves a watcher behind, for a second; its flock cannot wait.
  const lock = ['sh', '-c', 'cd "$1/.deploy" && flock -n lock true', 'lock', directory]
  await until('the lock is free', async () => (await server.exec(lock)).code === 0, 30)
}

/** Gives the run when its deployment has ended on the host as well. */
export async function untilEnded(
  server: Pick<Server, 'exec'>,
  directory: string,
  running: Promise<ActionRun>,
): Promise<ActionRun> {
  const run = await running
  if (['deployed', 'rolled-back'].includes(run.outputs['outcome'] ?? '')) await untilFree(server, directory)
  return run
}

/** Runs the command that a text names, as the person who deploys would, from anywhere. */
export async function restoreAs(server: Pick<Server, 'exec'>, text: string): Promise<string> {
  const command = /to restore it, on the host: (sh '[^']+\.restore')/.exec(text)?.[1] ?? `no command in ${text}`
  const ran = await server.exec(['sh', '-c', `cd / && ${command} 2>&1`])
  if (ran.code !== 0) throw new Error(`${command} ended with ${ran.code}: ${ran.stdout}`)
  return ran.stdout
}

/** Starts a story with an example at its first version; `below` puts it into a folder of its own folder, beside others. */
export async function tell(example: string, on: 'alpha' | 'beta' | Server = 'alpha', below = ''): Promise<Story> {
  const world = await openWorld()
  const server = typeof on === 'string' ? await world.server(on) : on
  const project = await makeProject(example)
  const port = await server.port()
  const name = `${example}-${randomBytes(4).toString('hex')}`
  const directory = `deploy/${name}${below}`
  const secret = `secret-${randomBytes(9).toString('hex')}`
  const env = {
    SECRET_KEY: secret,
    ALLOWED_HOSTS: '127.0.0.1,localhost',
    DB_NAME: 'todo',
    DB_USER: 'todo',
    DB_PASS: `password-${randomBytes(9).toString('hex')}`,
    PORT: String(port),
  }
  const connection = { host: server.host, 'ssh-key': server.key, 'known-hosts': server.knownHosts }
  const registry = {
    image: `${world.registry.host}/${name}`,
    'registry-username': world.registry.username,
    'registry-password': world.registry.password,
  }
  /** A sub-action, as a workflow without a checkout uses it. */
  const onServer = (
    action: string,
    given: Record<string, string>,
    more: Partial<ActionOptions>,
  ): Promise<ActionRun> => {
    const inputs = { ...connection, directory, ...given, ...more.inputs }
    return untilEnded(
      server,
      inputs.directory,
      runAction({ action, cwd: '/', ...more, inputs, env: { ...facts('main'), ...more.env } }),
    )
  }
  const facts = (version: string): Record<string, string> => ({
    GITHUB_SHA: project.sha,
    GITHUB_REF: `refs/tags/${version}`,
    GITHUB_REF_NAME: version,
    GITHUB_REF_TYPE: 'tag',
    GITHUB_REPOSITORY: `owner/${name}`,
  })
  let at = 'v1'
  const story: Story = {
    server,
    project,
    name,
    directory,
    port,
    env,
    async checkout(version) {
      if (version === at) return
      await project.upgrade(version)
      at = version
    },
    async change(version, files = {}) {
      for (const [path, text] of Object.entries(files)) await project.write(path, text)
      await project.write('src/VERSION', `${version}\n`)
      at = version
    },
    async deploy(version, more = {}) {
      await story.checkout(version)
      const inputs = {
        ...connection,
        ...registry,
        'env-file': Object.entries(story.env)
          .map(([key, value]) => `${key}=${value}\n`)
          .join(''),
        'health-timeout': '60s',
        ...(below !== '' && { directory }),
        ...more.inputs,
      }
      const env = { ...facts(version), ...more.env }
      return await untilEnded(
        server,
        directory,
        runAction({ action: 'action.yml', cwd: project.workspace, ...more, inputs, env }),
      )
    },
    rollback: (version, more = {}) =>
      onServer('rollback/action.yml', { 'health-timeout': '60s', ...(version && { version }) }, more),
    async build(version, more = {}) {
      await story.checkout(version)
      const inputs = { ...registry, ...more.inputs }
      const env = { ...facts(version), ...more.env }
      return await runAction({ action: 'build/action.yml', cwd: project.workspace, ...more, inputs, env })
    },
    exec: (lines, more = {}) => onServer('exec/action.yml', { run: lines }, more),
    status: (more = {}) => onServer('status/action.yml', {}, more),
    async ask(path = '/') {
      const answer = await fetch(server.url(port) + path, { redirect: 'manual', signal: AbortSignal.timeout(10_000) })
      return { status: answer.status, release: answer.headers.get('x-release'), text: await answer.text() }
    },
    async serves() {
      for (let tries = 0; ; tries += 1) {
        const answer = await story.ask().catch(() => undefined)
        if (answer && answer.release !== null && answer.status === 200) return answer.release
        if (tries > 100) return answer?.release ?? null
        await pause(100)
      }
    },
    async expectWhole() {
      const folder = `${directory}/.deploy`
      const read = async (...argv: string[]): Promise<string> => (await server.exec(argv)).stdout.trim()
      const current = await read('cat', `${folder}/current`)
      const images = (await read('cat', `${folder}/releases/${current}/facts/images`)).split('\n').sort()
      const app = (await story.containers()).filter((line) => !line.startsWith('db '))
      assert.deepEqual(
        app,
        images.map((line) => `${line} running`),
      )
      const names = await listContainers(server, name, { format: '{{.Names}}' })
      assert.deepEqual(
        names.filter((line) => /^[0-9a-f]{12}_|-migrate$/.test(line)),
        [],
      )
      await untilFree(server, directory)
      const rows = await story.migrations()
      assert.deepEqual(rows, [...new Set(rows)])
    },
    async migrations() {
      const query = `select name from django_migrations where app not in ('admin', 'auth', 'contenttypes', 'sessions') order by id`
      const [id = ''] = await listContainers(server, name, { service: 'db' })
      return linesOf(await server.docker('exec', id, 'psql', '-U', 'todo', '-d', 'todo', '-tAc', query))
    },
    async containers(withIds = false) {
      const format = `{{.Label "com.docker.compose.service"}} {{.Image}} {{.State}}${withIds ? ' {{.ID}}' : ''}`
      return (await listContainers(server, name, { format })).sort()
    },
    async journal() {
      const script = `cd "$1/.deploy/journal" && last=$(head -qn 1 *[0-9] | sort | tail -n 1 | cut -d ' ' -f 3)
        cut -d ' ' -f 2- "$last"`
      const read = await server.exec(['sh', '-c', script, 'journal', directory])
      return read.stdout.split('\n').filter((line) => line !== '')
    },
    async [Symbol.asyncDispose]() {
      await server.remove(name, `deploy/${name}`, port)
      await project[Symbol.asyncDispose]()
    },
  }
  return story
}
