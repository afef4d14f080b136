import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { readProject, type Project } from '../../../src/compose/project.ts'
import { DeployError } from '../../../src/errors.ts'
import { run } from '../../../src/process.ts'

/** These read with the real Docker Compose, which needs no daemon for it; settings of Compose must not matter. */
const env = {
  COMPOSE_ENV_FILES: '/absent',
  COMPOSE_PROFILES: 'none',
  ...process.env,
  PATH: `/usr/bin:${process.env['PATH'] ?? ''}`,
}
let workspace: string

beforeEach(async () => {
  workspace = await mkdtemp(join(tmpdir(), 'project-'))
  await mkdir(join(workspace, 'temp'))
})
afterEach(() => rm(workspace, { recursive: true }))

async function read(files: Record<string, string>, ...given: string[]): Promise<Project> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(workspace, path)), { recursive: true })
    await writeFile(join(workspace, path), text)
  }
  const chosen = given.length > 0 ? given : Object.keys(files).slice(0, 1)
  return readProject({ workspace, files: chosen, temp: join(workspace, 'temp'), run, env })
}

const service = (project: Project, name: string) => {
  const found = project.services.get(name)
  if (!found) throw new Error(`no service ${name}`)
  return found
}

async function refused(files: Record<string, string>): Promise<DeployError> {
  try {
    await read(files)
  } catch (error) {
    if (error instanceof DeployError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('what Compose merges', () => {
  test('anchors, merge keys, extends, include and several files', async () => {
    const project = await read(
      {
        'compose.yaml': `
name: \${NAME:-shop}
include: [inc/compose.yaml]
x-app: &app
  build: {context: ., args: {A: "\${A:?needed}"}}
  env_file: .env
services:
  web: {<<: *app, extends: {file: base.yaml, service: base}, depends_on: [db]}
  worker: {<<: *app, command: celery, profiles: [jobs]}
  db: {image: "postgres:17"}
`,
        'base.yaml': 'services: {base: {image: x, restart: always}}',
        'inc/compose.yaml': 'services: {cache: {image: redis, volumes: ["./conf:/conf"], env_file: cache.env}}',
        'prod.yaml': 'services: {web: {environment: {DEBUG: "0"}, ports: ["80:8000"]}}',
      },
      'compose.yaml',
      'prod.yaml',
    )
    expect(project.name).toBe('${NAME:-shop}')
    expect(project.model['name']).toBeUndefined()
    expect([...project.services.keys()].sort()).toEqual(['cache', 'db', 'web', 'worker'])
    const web = service(project, 'web')
    expect(web.build).toEqual({ context: '.', args: { A: '${A:?needed}' } })
    expect(web.values['env_file']).toEqual([{ path: '.env', required: true }])
    expect(web.ports).toEqual([8000])
    expect(web.values['restart']).toBe('always')
    expect(service(project, 'worker').profiles).toEqual(['jobs'])
    expect(service(project, 'cache').mounts[0]?.source).toBe('inc/conf')
    expect(service(project, 'cache').values['env_file']).toMatchObject([{ path: 'inc/cache.env' }])
  })

  test('needs no variable of the runner, and takes none', async () => {
    const project = await read({ 'compose.yaml': 'services: {web: {image: "a/b:${GITHUB_SHA:-none}$$x"}}' })
    expect(service(project, 'web').image).toBe('a/b:${GITHUB_SHA:-none}$$x')
  })

  test('a .env of the repository does not rename or filter the project', async () => {
    const project = await read({
      'compose.yaml': 'services: {web: {image: a}, tool: {image: b, profiles: [tools]}}',
      '.env': 'COMPOSE_PROFILES=none\nCOMPOSE_PROJECT_NAME=other\nCOMPOSE_FILE=nope.yaml\n',
    })
    expect([...project.services.keys()]).toEqual(['tool', 'web'])
  })
})

describe('short volumes with variables, which Compose alone would cut or refuse', () => {
  test.each([
    ['${DATA:-./data}:/data', { kind: 'bind', source: '${DATA:-./data}', target: '/data', readOnly: false }],
    ['${DATA:-./data}:/data:ro', { kind: 'bind', source: '${DATA:-./data}', target: '/data', readOnly: true }],
    ['${DATA}:/data', { kind: 'bind', source: '${DATA}', target: '/data' }],
    ['${VOLUME:-files}:/data', { kind: 'volume', source: '${VOLUME:-files}' }],
    ['./a:${PLACE:-/srv}/a', { source: './a', target: '${PLACE:-/srv}/a' }],
    ['${PUBLIC:-./public:/app/public:ro}', { kind: 'bind', source: './public', target: '/app/public', readOnly: true }],
    ['${A:-./a}/b:/b', { kind: 'bind', source: '${A:-./a}/b', target: '/b' }],
  ])('%s', async (entry, expected) => {
    const project = await read({ 'compose.yaml': `services: {web: {image: a, volumes: ["${entry}", "./x:/x"]}}` })
    const web = service(project, 'web')
    expect(web.mounts).toHaveLength(2)
    expect(web.mounts[0]).toMatchObject(expected)
    expect(web.values['volumes']).toContain(entry)
  })

  test('a later file replaces the mount at the same place', async () => {
    const project = await read(
      {
        'a.yaml': 'services: {web: {image: a, volumes: ["${A:-./a}:/data"]}}',
        'b.yaml': 'services: {web: {volumes: ["${B:-./b}:/data", "cache:/c"]}}\n',
      },
      'a.yaml',
      'b.yaml',
    )
    expect(service(project, 'web').mounts.map(({ source }) => source)).toEqual(['${B:-./b}', 'cache'])
  })

  test('in included and extended files and anchors too', async () => {
    const project = await read({
      'compose.yaml': `
include: [sub/c.yaml]
x-v: &v ["\${A:-./a}:/a:ro"]
services: {web: {extends: {file: sub/base.yaml, service: base}}, worker: {image: w, volumes: *v}}`,
      'sub/c.yaml': 'services: {inc: {image: i, volumes: ["${I:-./i}:/i:ro"]}}',
      'sub/base.yaml': 'services: {base: {image: b, volumes: ["${B:-./b}:/b:ro"]}}',
    })
    const sources = ['inc', 'web', 'worker'].map((name) => service(project, name).mounts[0]?.source)
    expect(sources).toEqual(['${I:-./sub/i}', '${B:-./sub/b}', '${A:-./a}'])
  })

  test('other lists stay as they are', async () => {
    const text =
      'services: {web: {image: a, command: ["${A:-x}:/y", b], environment: ["P=${B:-x}:/y", "Q=1"], ports: ["${I:-127.0.0.1}:${P:-80}:${C:-8000}"]}}'
    const web = service(await read({ 'compose.yaml': text }), 'web')
    expect(web.values['command']).toEqual(['${A:-x}:/y', 'b'])
    expect(web.environment.get('P')).toBe('${B:-x}:/y')
    expect(web.ports).toEqual([8000])
  })
})

describe('what is refused', () => {
  test('invalid YAML, with its place', async () => {
    const error = await refused({ 'compose.yaml': 'services:\n  web:\n    image: "a\n    ports: [1\n' })
    expect(error.code).toBe('compose-invalid')
    expect(error.annotation?.file).toBe('compose.yaml')
    expect(error.annotation?.line).toBeGreaterThanOrEqual(3)
    expect(error.annotation?.column).toBeGreaterThanOrEqual(1)
  })

  test('what Compose refuses, in its words, with the line', async () => {
    const error = await refused({ 'compose.yaml': 'services:\n  web:\n    restart: always\n    image: [a]\n' })
    expect(error.code).toBe('compose-invalid')
    expect(error.seen).toContain('services.web.image')
    expect(error.seen).not.toContain(tmpdir())
    expect(error.annotation).toMatchObject({ file: 'compose.yaml', line: 4 })
  })

  test('a dependency on nothing', async () => {
    const error = await refused({ 'compose.yaml': 'services:\n  web: {image: a, depends_on: [postgres]}\n' })
    expect(error.what).toContain('postgres')
    expect(error.annotation).toMatchObject({ line: 2 })
  })

  test('a brace that nothing closes', async () => {
    const error = await refused({ 'compose.yaml': 'services:\n  web: {image: "a:${TAG"}\n' })
    expect(error.seen).toBe('a:${TAG')
  })

  test('no services', async () => {
    expect((await refused({ 'compose.yaml': 'services: {}\n' })).what).toContain('no services')
  })
})
