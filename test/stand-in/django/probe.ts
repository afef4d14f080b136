import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  findDocument,
  readDatabases,
  readCompatibility,
  readHttpReport,
  readMigrateReport,
  readPlan,
  readProbeError,
  readRows,
  readServing,
} from '../../../src/django/document.ts'
import { readPending } from '../../../src/django/verdict/facts.ts'
import { readAssets } from '../../../src/host/assets.ts'

// Jest has no import.meta.dirname.
const root = fileURLToPath(new URL('../../..', import.meta.url))
const environments = join(root, '.tools/django')

/** The versions of Django that test/stand-in/django/ready could make on this machine, oldest first. */
export const djangos: readonly string[] = existsSync(environments)
  ? readdirSync(environments).filter((version) => existsSync(join(environments, version, 'ready')))
  : []
if (djangos.length === 0) throw new Error('There is no Django in .tools/django: run test/stand-in/django/ready')

/** Those on which the tests run that depend on the version: the oldest and the newest, or each with DJANGO=all. */
export const several = djangos.filter(
  (_, place) => process.env['DJANGO'] === 'all' || place === 0 || place === djangos.length - 1,
)

/** The one that most tests use. */
export const usual = djangos.find((version) => version === '5.2') ?? djangos[djangos.length - 1] ?? ''

/** What a probe left: its exit code, its result, and what people see. */
export type Outcome = { code: number | null; result: Result; stdout: string; stderr: string }

/** The result of any verb; each test reads the part of its verb. */
type Result = {
  verb?: string
  error?: { kind: string; message: string; detail: string }
  [fact: string]: unknown
}

/** A probe that runs. */
export type Running = {
  /** Resolves when it has printed this, on stdout or stderr; rejects when it ends without. */
  printed: (text: string) => Promise<void>
  /** Sends a signal to the probe's process. */
  signal: (name: 'SIGUSR1' | 'SIGTERM') => void
  ended: Promise<Outcome>
}

export type Options = {
  django?: string
  env?: Readonly<Record<string, string>>
  stdin?: string
  /** Words in front of the Python, to start it somewhere else. */
  inside?: readonly string[]
}

const assets = await readAssets()

/** The Python of a virtual environment of test/stand-in/django/ready. */
export const python = (django: string = usual): string => join(environments, django, 'bin/python')

/** Starts a verb as the server does: `manage.py shell -v 0 -c`, or plain Python where no Django is needed. */
export function start(verb: string, project: string, options: Options = {}): Running {
  const django = ['http', 'answers'].includes(verb) ? [] : ['manage.py', 'shell', '-v', '0']
  const words = [...(options.inside ?? []), python(options.django), ...django, '-c', assets.probe.toString()]
  const child = spawn(words[0] ?? '', words.slice(1), {
    cwd: project,
    env: { PATH: process.env['PATH'], DEPLOY_DJANGO_GO_WAIT: '20', ...options.env, DEPLOY_DJANGO: verb },
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (text) => (stdout += String(text)))
  child.stderr.on('data', (text) => (stderr += String(text)))
  child.stdin.end(options.stdin ?? '')
  const ended = new Promise<Outcome>((resolve, reject) =>
    child.on('close', (code) => {
      try {
        resolve({ code, result: readResult(stdout, code), stdout, stderr })
      } catch (unreadable) {
        reject(unreadable)
      }
    }),
  )
  const printed = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => void ((stdout + stderr).includes(text) && resolve())
      look()
      child.stdout.on('data', look)
      child.stderr.on('data', look)
      void ended.then(() => reject(new Error(`The probe ended without "${text}":\n${stdout}\n${stderr}`)))
    })
  return { printed, signal: (name) => void child.kill(name), ended }
}

/** Runs a verb to its end. */
export const probe = (verb: string, project: string, options: Options = {}): Promise<Outcome> =>
  start(verb, project, options).ended

/** The last document, which the readers of the runner must be able to read as well. */
function readResult(stdout: string, code: number | null): Result {
  const document = findDocument(stdout)
  if (!document) return {}
  readProbeError(document)
  readServing(document)
  readDatabases(document)
  if (code === 0 && (document['verb'] === 'list' || document['verb'] === 'plan')) readPlan(document)
  if (code === 0 && document['verb'] === 'plan') readPending(document['pending'])
  if (document['verb'] === 'plan') readRows(document)
  if (document['verb'] === 'migrate') readMigrateReport(document)
  if (document['verb'] === 'http') readHttpReport(document)
  if (document['verb'] === 'fit') readCompatibility(document)
  return document as Result
}

/** A copy of the test project with these files changed, or removed where null stands for the text. */
export async function makeProject(files: Readonly<Record<string, string | null>> = {}): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'probe-project-'))
  await cp(join(root, 'test/stand-in/django/project'), folder, { recursive: true })
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    if (text === null) await rm(join(folder, name))
    else await writeFile(join(folder, name), text)
  }
  made.push(folder)
  return folder
}
const made: string[] = []

/** Removes the projects that this file's tests made. */
export async function removeProjects(): Promise<void> {
  for (const folder of made.splice(0)) await rm(folder, { recursive: true })
}

/** The text of a migration file. */
export function migration(dependency: string, operations: string, attributes = ''): string {
  const [app, name] = dependency.split('.')
  return [
    'import time',
    'from django.contrib.postgres import operations as postgres',
    'from django.db import migrations, models',
    'class Migration(migrations.Migration):',
    `    dependencies = [("${app}", "${name}")]`,
    `    ${attributes || 'pass'}`,
    `    operations = [${operations}]`,
    '',
  ].join('\n')
}

/** The text of a migration that runs until the file `finish` is in the working directory. It keeps its connection busy. */
export const lastingMigration = (dependency: string, attributes = ''): string =>
  [
    'import os',
    'def last(apps, editor):',
    '    while not os.path.exists("finish"):',
    '        with editor.connection.cursor() as cursor:',
    '            cursor.execute("SELECT 1")',
    '        time.sleep(0.1)',
    migration(dependency, 'migrations.RunPython(last, migrations.RunPython.noop)', attributes),
  ].join('\n')

/** The value of DEPLOY_DJANGO_APPROVED for everything that a plan found. */
export function approve(planned: Outcome): string {
  const pending = planned.result['pending'] as { app: string; name: string; source: string }[]
  return pending.map((each) => `${each.app}.${each.name}=${each.source}`).join(' ')
}

/** The same for the migrations that a project has more than the one in the repository. */
export async function approveNew(project: string): Promise<string> {
  const approved: string[] = []
  for (const file of await readdir(project, { recursive: true })) {
    const [, app, name] = /^(\w+)\/migrations\/(\d\w+)\.py$/.exec(file) ?? []
    if (app === undefined || existsSync(join(root, 'test/stand-in/django/project', file))) continue
    approved.push(
      `${app}.${name}=${createHash('sha256')
        .update(await readFile(join(project, file)))
        .digest('hex')}`,
    )
  }
  return approved.join(' ')
}
