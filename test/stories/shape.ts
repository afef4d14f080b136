/** A Django project of a few files, for stories about projects that are not shaped like the examples. */
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { run } from '../../src/process.ts'
import { runAction, type ActionRun } from '../run-action.ts'
import { output } from '../world/docker.ts'
import type { Server } from '../world/server.ts'
import { openWorld } from '../world/world.ts'
import { listContainers } from '../world/listing.ts'
import { untilEnded } from './story.ts'

/** The files of a repository by path. */
export type Files = Readonly<Record<string, string>>

/** A repository on a server of the world. */
export type Shape = AsyncDisposable & {
  server: Server
  name: string
  /** The checkout. */
  workspace: string
  /** The address of the site. */
  url: string
  /**
   * Makes the next commit with these files, and without those of `removed`; what starts with `#!` is executable. `@PORT@`,
   * `@NAME@` and `@REGISTRY@` in them are filled in.
   */
  write(files: Files, removed?: readonly string[]): Promise<void>
  /** Puts such files into a folder of the server, as a person would by hand. */
  place(folder: string, files: Files): Promise<void>
  deploy(version: string, inputs?: Record<string, string>): Promise<ActionRun>
  rollback(inputs?: Record<string, string>): Promise<ActionRun>
  /** A sub-action that needs no checkout. */
  sub(action: 'rollback' | 'exec' | 'status', inputs?: Record<string, string>): Promise<ActionRun>
  /** Text of a page of the site, the first one by default, and a header of its answer. */
  ask(path?: string): Promise<{ text: string; proxy: string | null }>
  /** "service state" of the project's containers, sorted. */
  containers(): Promise<string[]>
}

/** An image with Django and gunicorn and the project in /app. */
export const DOCKERFILE = `FROM python:3.13-slim
RUN --mount=type=cache,target=/root/.cache/pip pip install --root-user-action=ignore "django==5.2.*" gunicorn
WORKDIR /app
COPY . /app
CMD ["gunicorn", "-b", "0.0.0.0:8000", "site_.wsgi"]
`

/** The project below as one service, with its database in a volume and its settings in the env file. */
export const COMPOSE = `services:
  web:
    build: .
    env_file: .env
    ports: ["@PORT@:8000"]
    volumes: ["data:/data"]
volumes: { data: {} }
`

/** A project with one model on SQLite; the second version adds a migration. Its page says the version. */
export function project(version: 'v1' | 'v2'): Files {
  const settings = 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_.settings")\n'
  const extra = 'models.CharField(max_length=20, null=True)'
  const files = {
    'manage.py': `${settings}import sys\nfrom django.core.management import execute_from_command_line\nexecute_from_command_line(sys.argv)\n`,
    'site_/__init__.py': '',
    'site_/wsgi.py': `${settings}from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n`,
    'site_/settings.py': `import os
SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "site_.urls"
INSTALLED_APPS = ["notes"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "/data/db.sqlite3"}}
`,
    'site_/urls.py': `from django.http import HttpResponse
from django.urls import path
from notes.models import Note
urlpatterns = [path("", lambda request: HttpResponse("${version} with %d notes" % Note.objects.count()))]
`,
    'notes/__init__.py': '',
    'notes/models.py': `from django.db import models
class Note(models.Model):
    id = models.BigAutoField(primary_key=True)
    text = models.CharField(max_length=20)
${version === 'v1' ? '' : `    extra = ${extra}\n`}`,
    'notes/migrations/__init__.py': '',
    'notes/migrations/0001_initial.py': migration(
      '',
      'migrations.CreateModel("Note", [("id", models.BigAutoField(primary_key=True, serialize=False)), ("text", models.CharField(max_length=20))])',
    ),
  }
  if (version === 'v1') return files
  const added = migration('0001_initial', `migrations.AddField("note", "extra", ${extra})`)
  return { ...files, 'notes/migrations/0002_extra.py': added }
}

/** The text of a migration of the app `notes`. */
export function migration(after: string, operation: string): string {
  return `from django.db import migrations, models
class Migration(migrations.Migration):
    dependencies = [${after === '' ? '' : `("notes", "${after}")`}]
    operations = [${operation}]
`
}

/** Starts a story with these files in the first commit. */
export async function makeShape(files: Files, on?: Server): Promise<Shape> {
  const world = await openWorld()
  const server = on ?? (await world.server('beta'))
  const workspace = await mkdtemp(join(tmpdir(), 'deploy-django-shape-'))
  const name = `shape-${randomBytes(4).toString('hex')}`
  const port = await server.port()
  let sha = ''
  const who = { NAME: 'Shape', EMAIL: 'shape@example.com' }
  const names = Object.entries(who).flatMap(([key, value]) =>
    ['AUTHOR', 'COMMITTER'].map((role): [string, string] => [`GIT_${role}_${key}`, value]),
  )
  const git = async (...args: readonly string[]): Promise<string> => {
    const env = { ...process.env, ...Object.fromEntries(names), GIT_CONFIG_GLOBAL: '/dev/null' }
    return output(`git ${args[0]}`, await run('git', args, { cwd: workspace, env }))
  }
  const fill = (text: string): string =>
    text.replaceAll('@PORT@', String(port)).replaceAll('@NAME@', name).replaceAll('@REGISTRY@', world.registry.host)
  const write: Shape['write'] = async (written, removed = []) => {
    for (const path of removed) await rm(join(workspace, path))
    for (const [path, text] of Object.entries(written)) {
      await mkdir(dirname(join(workspace, path)), { recursive: true })
      await writeFile(join(workspace, path), fill(text))
      await chmod(join(workspace, path), text.startsWith('#!') ? 0o755 : 0o644)
    }
    await git('add', '--all')
    await git('commit', '--quiet', '--allow-empty', '--message', 'Change')
    sha = await git('rev-parse', 'HEAD')
  }
  const connection = { host: server.host, 'ssh-key': server.key, 'known-hosts': server.knownHosts }
  const facts = (version: string): Record<string, string> => ({
    GITHUB_SHA: sha,
    GITHUB_REPOSITORY: `owner/${name}`,
    GITHUB_REF_TYPE: 'tag',
    GITHUB_REF: `refs/tags/${version}`,
    GITHUB_REF_NAME: version,
  })
  const sub: Shape['sub'] = (action, inputs = {}) => {
    const all = { ...connection, directory: `deploy/${name}`, ...inputs }
    return untilEnded(
      server,
      all.directory,
      runAction({ action: `${action}/action.yml`, cwd: '/', inputs: all, env: facts('v1') }),
    )
  }
  await git('init', '--quiet', '--initial-branch', 'main')
  await write(files)
  return {
    server,
    name,
    workspace,
    url: server.url(port),
    write,
    async place(folder, placed) {
      const script = 'mkdir -p "$(dirname "$1")" && cat >"$1"'
      for (const [path, text] of Object.entries(placed)) {
        output(path, await server.exec(['sh', '-c', script, 'place', `${folder}/${path}`], { stdin: fill(text) }))
      }
    },
    async deploy(version, inputs = {}) {
      const { username, password } = world.registry
      const login = { 'registry-username': username, 'registry-password': password }
      const all = { ...connection, ...login, image: `${world.registry.host}/${name}`, ...inputs }
      return await untilEnded(
        server,
        inputs['directory'] ?? `deploy/${name}`,
        runAction({ action: 'action.yml', cwd: workspace, inputs: all, env: facts(version) }),
      )
    },
    rollback: (inputs = {}) => sub('rollback', inputs),
    sub,
    async ask(path = '/') {
      const answer = await fetch(server.url(port) + path, { signal: AbortSignal.timeout(10_000) })
      return { text: await answer.text(), proxy: answer.headers.get('x-proxy') }
    },
    async containers() {
      const format = '{{.Label "com.docker.compose.service"}} {{.State}}'
      return (await listContainers(server, name, { format })).sort()
    },
    async [Symbol.asyncDispose]() {
      await server.remove(name, `deploy/${name}`, port)
      await rm(workspace, { recursive: true, force: true })
    },
  }
}
