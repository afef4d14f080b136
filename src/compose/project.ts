import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join, posix } from 'node:path'
import { parse } from 'yaml'
import { DeployError } from '../errors.ts'
import type { Run } from '../process.ts'
import { readApp, type App } from './app.ts'
import { textOf, textsIn, valuesOf, type Source } from './document.ts'
import { nearest } from './place.ts'
import type { Service } from './service.ts'
import { readSources } from './include.ts'
import { unshadow, writeShadows } from './shadow.ts'
import { isWhole } from './variable.ts'

/** The merged Compose project of the repository, with every `${VARIABLE}` as written. */
export type Project = App & {
  /** Paths inside the repository. Relative paths of the model start from the folder of the first file. */
  files: readonly string[]
  folder: string
  /** `name:` of the files, as written. */
  name: string | undefined
  /** All files that were read: `files`, and those that they include or extend. */
  sources: readonly Source[]
}

/** What `readProject` needs; `temp` is a folder for copies. */
export type ReadProject = {
  workspace: string
  files: readonly string[]
  temp: string
  run: Run
  env: NodeJS.ProcessEnv
}

/** Reads the project as Compose merges it; needs no variable, no env file and no secret. */
export async function readProject({ workspace, files, temp, run, env }: ReadProject): Promise<Project> {
  const { files: sources, envFiles, folders } = await readSources(files, (path) => readText(workspace, path))
  const copies = await mkdtemp(join(temp, 'compose-'))
  try {
    const entries = await writeShadows(copies, sources)
    for (const path of folders) await mkdir(join(copies, path), { recursive: true })
    // Compose needs these files to exist; their values are in the copies already.
    for (const path of envFiles) await writeEmpty(join(copies, path))
    const finished = await run(
      'docker',
      [
        ...['compose', '-p', 'deploy-django'],
        ...files.flatMap((file) => ['-f', join(copies, file)]),
        ...['config', '--no-interpolate', '--no-path-resolution', '--no-normalize'],
      ],
      { env: bareEnvironment(env), cwd: join(copies, posix.dirname(files[0] ?? '')) },
    )
    const only = [...sources.values()].map(({ source }) => source)
    if (finished.code !== 0) throw refused(finished.stderr, copies, files, only)
    const named = files.map((file) => sources.get(file)?.source.document.get('name')).findLast((name) => name)
    return toProject(files, textOf(named), unshadow(parse(finished.stdout), entries), only)
  } finally {
    await rm(copies, { recursive: true, force: true })
  }
}

/** Types a merged model. Also checks what Compose skips with `--no-normalize`. */
export function toProject(
  files: readonly string[],
  name: string | undefined,
  merged: unknown,
  sources: readonly Source[] = [],
): Project {
  const { name: _, ...model } = valuesOf(merged)
  const app = readApp(model)
  checkServices(app.services, files, sources)
  return { files, folder: posix.dirname(files[0] ?? ''), name, ...app, sources }
}

function checkServices(
  services: ReadonlyMap<string, Service>,
  files: readonly string[],
  sources: readonly Source[],
): void {
  const [file = ''] = files
  if (services.size === 0) {
    throw new DeployError('compose-invalid', {
      what: `${file} has no services`,
      fix: 'name the Compose file that starts the site: compose-files: <path>',
      annotation: { file },
    })
  }
  for (const service of services.values()) {
    const annotation = nearest(sources, ['services', service.name], file)
    const stranger = service.dependsOn.find(({ service: name }) => !services.has(name))
    if (stranger) {
      throw new DeployError('compose-invalid', {
        what: `Service ${service.name} depends on ${stranger.service}, which does not exist`,
        fix: `name a service that exists, or add the file that has ${stranger.service}: compose-files: <that file> ${files.join(' ')}`,
        annotation,
      })
    }
    const cut = textsIn(service.values).find((text) => !isWhole(text))
    if (cut !== undefined) {
      throw new DeployError('compose-invalid', {
        what: `Service ${service.name} has a \${…} that cannot be read`,
        seen: cut,
        why: 'the closing brace is missing, or a colon inside the braces split a short form',
        fix: 'close the brace, or use the long form (source:, target:) of this entry',
        annotation,
      })
    }
  }
}

/** The runner's environment must not change the project. */
function bareEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => /^(PATH|HOME|DOCKER_\w+)$/.test(name)))
}

async function readText(workspace: string, path: string): Promise<string | undefined> {
  if (path.startsWith('..')) return undefined
  try {
    return await readFile(join(workspace, path), 'utf8')
  } catch {
    // Compose itself reports the missing file, with a better message.
    return undefined
  }
}

async function writeEmpty(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, '')
}

function refused(stderr: string, copies: string, files: readonly string[], sources: readonly Source[]): DeployError {
  const lines = stderr.split('\n').filter((line) => line !== '' && !line.includes('level=warning'))
  const seen = lines.join('\n').replaceAll(`${copies}/`, '').trim()
  const [, path] = /\b((?:services|volumes|networks|configs|secrets)\.[\w.-]+)/.exec(seen) ?? []
  const named = sources.filter((source) => seen.includes(source.path))
  const [first] = sources
  return new DeployError('compose-invalid', {
    what: 'Docker Compose does not accept the Compose file',
    seen,
    fix: `correct it until this succeeds in a fresh clone: docker compose ${files.map((file) => `-f ${file}`).join(' ')} config --no-interpolate`,
    annotation: nearest(named.length > 0 ? named : sources, path?.split('.') ?? [], first?.path),
  })
}
