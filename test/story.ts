/** What a story on real parts is told with: a repository, a server, a site, and the action as GitHub would start it. */
import { randomBytes } from 'node:crypto'
import { runAction, type ActionOptions, type ActionRun } from './run-action.ts'
import { makeProject, type Project } from './world/project.ts'
import type { Server } from './world/server.ts'
import { openWorld } from './world/world.ts'

/** One project on one server, of its own for this story. */
export type Story = AsyncDisposable & {
  server: Server
  project: Project
  /** Name of the Compose project and of the folder in `deploy/`. */
  name: string
  port: number
  env: Record<string, string>
  /** Deploys a version of the example, as the push of its tag does. */
  deploy(version: string, more?: Partial<ActionOptions>): Promise<ActionRun>
  /** Rolls back, as the workflow_dispatch does. */
  rollback(version?: string, more?: Partial<ActionOptions>): Promise<ActionRun>
  /** Status and `X-Release` of a path of the site. */
  ask(path?: string): Promise<{ status: number; release: string | null; text: string }>
  /** Rows of django_migrations of the app `core`, in order. */
  migrations(): Promise<string[]>
  /** "service image state" of the project's containers, sorted; ids with `withIds`. */
  containers(withIds?: boolean): Promise<string[]>
}

/** Starts a story with an example at its first version. */
export async function tell(example: string, on: 'alpha' | 'beta' | Server = 'alpha'): Promise<Story> {
  const world = await openWorld()
  const server = typeof on === 'string' ? await world.server(on) : on
  const project = await makeProject(example)
  const port = await server.port()
  const name = `${example}-${randomBytes(4).toString('hex')}`
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
  const facts = (version: string): Record<string, string> => ({
    GITHUB_SHA: project.sha,
    GITHUB_REF: `refs/tags/${version}`,
    GITHUB_REF_NAME: version,
    GITHUB_REF_TYPE: 'tag',
    GITHUB_REPOSITORY: `owner/${name}`,
  })
  const story: Story = {
    server,
    project,
    name,
    port,
    env,
    async deploy(version, more = {}) {
      await project.upgrade(version)
      const inputs = {
        ...connection,
        image: `${world.registry.host}/${name}`,
        'registry-username': world.registry.username,
        'registry-password': world.registry.password,
        'env-file': Object.entries(story.env).map(([key, value]) => `${key}=${value}\n`).join(''),
        'health-timeout': '60s',
        ...more.inputs,
      }
      return await runAction({ action: 'action.yml', cwd: project.workspace, ...more, inputs, env: { ...facts(version), ...more.env } })
    },
    async rollback(version, more = {}) {
      const inputs = { ...connection, directory: `deploy/${name}`, 'health-timeout': '60s', ...(version && { version }), ...more.inputs }
      return await runAction({ action: 'rollback/action.yml', cwd: '/', ...more, inputs, env: { ...facts('main'), ...more.env } })
    },
    async ask(path = '/') {
      const answer = await fetch(server.url(port) + path, { redirect: 'manual', signal: AbortSignal.timeout(10_000) })
      return { status: answer.status, release: answer.headers.get('x-release'), text: await answer.text() }
    },
    async migrations() {
      const query = "select name from django_migrations where app = 'core' order by id"
      const [id] = (await server.docker('ps', '-q', '--filter', `label=com.docker.compose.project=${name}`, '--filter', 'label=com.docker.compose.service=db')).split('\n')
      const rows = await server.docker('exec', id ?? '', 'psql', '-U', env.DB_USER, '-d', env.DB_NAME, '-tAc', query)
      return rows.split('\n').filter((row) => row !== '')
    },
    async containers(withIds = false) {
      const format = `{{.Label "com.docker.compose.service"}} {{.Image}} {{.State}}${withIds ? ' {{.ID}}' : ''}`
      const all = await server.docker('ps', '-a', '--no-trunc', '--filter', `label=com.docker.compose.project=${name}`, '--format', format)
      return all.split('\n').filter((line) => line !== '').sort()
    },
    async [Symbol.asyncDispose]() {
      await server.remove(name, `deploy/${name}`, port)
      await project[Symbol.asyncDispose]()
    },
  }
  return story
}
