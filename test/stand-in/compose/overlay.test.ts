import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkCodeMounts } from '../../../src/compose/code.ts'
import { chooseFiles } from '../../../src/compose/files.ts'
import { groupBuilds } from '../../../src/compose/group.ts'
import { readChosen } from '../../../src/compose/overlay.ts'
import { readProject } from '../../../src/compose/project.ts'
import { readRepository } from '../../../src/compose/repository.ts'
import { DeployError } from '../../../src/errors.ts'
import { run } from '../../../src/process.ts'

/** These merge with the real Docker Compose, which needs no daemon for it. */
let workspace: string
beforeEach(async () => {
  workspace = await mkdtemp(join(tmpdir(), 'overlay-'))
})
afterEach(() => rm(workspace, { recursive: true }))

const CODE = { 'manage.py': '', 'notes/migrations/0001_initial.py': '' }

/** The files that are deployed from a repository, and why; or the error. */
async function choose(files: Record<string, string>): Promise<{ files: readonly string[]; reason: string }> {
  for (const [path, text] of Object.entries({ ...CODE, ...files })) {
    await mkdir(dirname(join(workspace, path)), { recursive: true })
    await writeFile(join(workspace, path), text)
  }
  const repository = await readRepository(workspace, [], run)
  const exists = (path: string): boolean => existsSync(join(workspace, path))
  const choice = chooseFiles({ given: [], settings: undefined, exists, repository })
  const temp = tmpdir()
  const env = { ...process.env, PATH: `/usr/bin:${process.env['PATH'] ?? ''}` }
  const { project, reason } = await readChosen(
    choice,
    (chosen) => readProject({ workspace, files: chosen, temp, run, env }),
    repository,
  )
  return { files: project.files, reason }
}

const both = (base: string, production: string) =>
  choose({ 'compose.yaml': base, 'compose.production.yaml': production })

async function failure(base: string, production: string): Promise<DeployError> {
  try {
    await both(base, production)
  } catch (error) {
    if (error instanceof DeployError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

const ALONE = ['compose.production.yaml']
const OVER = ['compose.yaml', 'compose.production.yaml']

/** As Docker's documentation shows it: the base is no development file. */
const BASE = `
services:
  web: {build: ., env_file: .env, volumes: ["data:/data", "media:/app/media"]}
  worker: {build: ., command: celery, env_file: .env}
volumes: {data: {}, media: {}}`

const DEVELOPMENT = `
services:
  web:
    build: .
    command: python manage.py runserver 0.0.0.0:8000
    environment: {DEBUG: "1", DB_HOST: db}
    ports: ["127.0.0.1:8000:8000"]
    volumes: [".:/app", "media:/vol/media"]
    depends_on: [db]
  db: {image: "postgres:17", volumes: ["dev:/var/lib/postgresql/data"]}
volumes: {dev: {}, media: {}}`

describe('an overlay for certain is completed with its base', () => {
  test.each([
    [
      'a service without an image',
      'services: {web: {ports: ["80:8000"], restart: always}}',
      'service web has neither an image',
    ],
    [
      'a dependency that only the base has',
      'services: {web: {build: {context: ., target: prod}, depends_on: [worker]}}',
      'service web depends on worker',
    ],
    [
      'a volume that only the base defines',
      'services: {web: {build: ., volumes: ["media:/app/media"]}}',
      'service web uses media',
    ],
    [
      'a network of a service',
      'services: {web: {build: .}, x: {image: x, network_mode: "service:worker"}}',
      'x depends on worker',
    ],
    [
      'a host that only the base has',
      'services: {web: {build: ., environment: {Q: "http://worker:5555/x"}}}',
      'web uses worker',
    ],
    ['a tag of a merge', 'services: {web: {build: ., command: !reset null}}', 'compose.production.yaml uses !reset'],
    [
      'a list that replaces',
      'services: {web: {build: ., volumes: !override ["data:/data"]}}\nvolumes: {data: {}}',
      '!override',
    ],
    [
      'a build that needs another service',
      'services: {web: {build: {context: ., additional_contexts: {w: "service:worker"}}}}',
      'uses the image of service worker',
    ],
  ])('%s', async (_, production, reason) => {
    const chosen = await both(BASE, production)
    expect(chosen.files).toEqual(OVER)
    expect(chosen.reason).toContain('compose.production.yaml overrides compose.yaml: ')
    expect(chosen.reason).toContain(reason)
  })

  test('also where the base mounts the code, which is then refused with what to do', async () => {
    expect(await both(DEVELOPMENT, 'services: {web: {restart: always}}')).toMatchObject({ files: OVER })
  })
})

describe('a complete production file is deployed alone', () => {
  test.each([
    [
      'with all that the base has',
      BASE,
      `${BASE.replace('{build: .,', '{build: {context: ., target: prod}, ports: ["80:8000"],')}`,
      'has all that',
    ],
    [
      'that has more, and other settings',
      'services: {web: {build: ., environment: {A: b}}, db: {image: "postgres:17", volumes: ["base:/var/lib/postgresql/data"]}}\nvolumes: {base: }',
      'services: {web: {build: ., env_file: prod.env, ports: ["80:80"]}, db: {image: "postgres:17", volumes: ["prod:/var/lib/postgresql/data"]}, nginx: {image: nginx}}\nvolumes: {prod: }',
      'has all that',
    ],
    [
      'beside a base for development',
      DEVELOPMENT,
      'services: {web: {build: ., command: gunicorn, env_file: .env, ports: ["80:80"], volumes: ["media:/vol/media"]}}\nvolumes: {media: {}}',
      'compose.yaml is for development: web mounts the code from .',
    ],
    [
      'beside a base for development, with a database and without what only development has',
      `${DEVELOPMENT.replace('  db:', '  frontend: {build: ./frontend, volumes: ["./frontend:/f"]}\n  mail: {image: mailhog}\n  db:')}`,
      'services: {web: {build: ., command: gunicorn, env_file: .env, ports: ["80:80"], volumes: ["media:/vol/media"]}, db: {image: "postgres:17", volumes: ["prod:/var/lib/postgresql/data"]}}\nvolumes: {media: {}, prod: {}}',
      'compose.yaml is for development',
    ],
    [
      'that takes the base in itself',
      BASE,
      'services: {web: {extends: {file: compose.yaml, service: web}}}\nvolumes: {data: , media: }',
      'names compose.yaml itself',
    ],
    [
      'beside a base that is broken',
      'services: {web: [}',
      'services: {web: {build: .}}',
      'complete, and cannot override',
    ],
    [
      'whose base has more only behind a profile',
      'services: {web: {build: .}, tool: {image: x, profiles: [tools]}}',
      'services: {web: {build: ., ports: ["80:80"]}}',
      'has all that',
    ],
  ])('%s', async (_, base, production, reason) => {
    const chosen = await both(base, production)
    expect(chosen).toMatchObject({ files: ALONE })
    expect(chosen.reason).toContain(reason)
  })

  test.each(['polls', 'postdo', 'starter', 'todo'])('as in examples/%s', async (name) => {
    const example = fileURLToPath(new URL(`../../../examples/${name}`, import.meta.url))
    await cp(example, workspace, { recursive: true, filter: (path) => !path.endsWith('/versions') })
    expect(await choose({})).toMatchObject({ files: ALONE, reason: expect.stringContaining('compose.') })
  })
})

describe('what could be either is asked for, with both answers', () => {
  test.each([
    [
      'a worker and a volume would be left out',
      BASE,
      'services: {web: {build: {context: ., target: production}, env_file: .env, ports: ["8000:8000"], restart: always, volumes: ["data:/data"]}}\nvolumes: {data: {}}',
      ['web: volumes: media:/app/media', 'service worker'],
    ],
    [
      'an env file',
      'services: {web: {build: ., env_file: .env}}',
      'services: {web: {build: {context: ., target: p}, ports: ["80:80"]}}',
      ['web: env_file: .env'],
    ],
    [
      'settings',
      'services: {web: {build: ., environment: {DB_HOST: x, A: y}}}',
      'services: {web: {build: ., environment: {A: z}, ports: ["80:80"]}}',
      ['web: environment: DB_HOST'],
    ],
    [
      'the volume of the database',
      'services: {web: {build: .}, db: {image: postgres, volumes: ["base:/var/lib/postgresql/data"]}}\nvolumes: {base: }',
      'services: {web: {build: ., ports: ["80:80"]}, db: {image: "postgres:17", restart: always}}',
      ['db: volumes: base:/var/lib/postgresql/data'],
    ],
    [
      'a command',
      'services: {web: {build: .}, w: {build: ., command: celery}}',
      'services: {web: {build: ., ports: ["80:80"]}, w: {build: ., restart: always}}',
      ['w: command'],
    ],
    [
      'a network with the proxy',
      'services: {web: {build: ., networks: [p]}}\nnetworks: {p: {external: true}}',
      'services: {web: {build: ., restart: always}}',
      ['web: networks'],
    ],
    [
      'the only port',
      'services: {web: {build: ., ports: ["80:80"]}}',
      'services: {web: {build: ., restart: always}}',
      ['web: ports'],
    ],
    [
      'a worker of a base for development',
      DEVELOPMENT.replace('  db:', '  worker: {build: ., command: celery}\n  db:'),
      'services: {web: {build: ., command: gunicorn, env_file: .env, ports: ["80:80"], volumes: ["media:/vol/media"]}}\nvolumes: {media: {}}',
      ['service worker'],
    ],
    [
      'uploads of a base for development',
      DEVELOPMENT,
      'services: {web: {build: ., command: gunicorn, env_file: .env, ports: ["80:80"]}}',
      ['web: volumes: media:/vol/media'],
    ],
  ])('%s', async (_, base, production, seen) => {
    const error = await failure(base, production)
    expect(error.code).toBe('compose-file-ambiguous')
    for (const text of seen) expect(error.seen?.split('\n')).toContain(text)
    expect(error.fix).toBe(
      'for compose.production.yaml alone: compose-files: compose.production.yaml\n' +
        'for both: compose-files: compose.yaml compose.production.yaml',
    )
  })
})

test('what is wrong with the production file itself is said, not hidden behind the choice', async () => {
  expect(await failure(BASE, 'services: {web: [}')).toMatchObject({
    code: 'compose-invalid',
    what: 'compose.production.yaml is not valid YAML',
  })
  expect(await failure(BASE, 'services: {web: {build: ., volumes: ["typo:/x"]}}')).toMatchObject({
    what: expect.stringContaining('uses typo, which is not defined'),
  })
})

test('a service that only the production file still has is named, and no other', async () => {
  const base = 'services: {web: {build: ., depends_on: [db]}, db: {image: postgres:17}}'
  const production =
    'services: {web: {restart: always, depends_on: [db]}, db: {restart: always}, beat: {restart: always}}'
  expect(await failure(base, production)).toMatchObject({
    code: 'compose-invalid',
    what: 'compose.production.yaml still has beat, which compose.yaml no longer has',
    fix: 'remove beat from compose.production.yaml, or define it in compose.yaml again',
  })
})

test('in the folder docker as well; compose.override.yaml is for development', async () => {
  const chosen = await choose({
    'docker/docker-compose.yml': 'services: {web: {build: ..}, worker: {build: .., command: x}}',
    'docker/docker-compose.prod.yml': 'services: {web: {restart: always}}',
    'docker/docker-compose.override.yml': 'services: {web: {ports: ["1:1"]}}',
  })
  expect(chosen.files).toEqual(['docker/docker-compose.yml', 'docker/docker-compose.prod.yml'])
})

test('a mount of the code is refused with a file that works as it is written', async () => {
  const base = `services:
  web:
    build: .
    volumes: [".:/app", "data:/data", "./conf:/etc/conf:ro", "/app/node_modules", {type: tmpfs, target: /scratch}]
  worker: {build: ., volumes: [".:/app"]}
volumes: {data: {}}
`
  const read = async (files: readonly string[]) => {
    const env = { ...process.env, PATH: `/usr/bin:${process.env['PATH'] ?? ''}` }
    const project = await readProject({ workspace, files, temp: tmpdir(), run, env })
    const [django] = groupBuilds(project)
    if (!django) throw new Error('nothing is built')
    return { project, django, repository: await readRepository(workspace, [], run) }
  }
  await choose({ 'compose.yaml': base })
  const before = await read(['compose.yaml'])
  let fix = ''
  try {
    checkCodeMounts(before.project, before.django, '/app/manage.py', before.repository)
  } catch (error) {
    fix = error instanceof DeployError ? (error.fix ?? '') : ''
  }
  expect(fix).toContain('compose-files: compose.yaml compose.production.yaml')
  await writeFile(join(workspace, 'compose.production.yaml'), fix.split('\n').at(-1) ?? '')
  // It is found by its name as well.
  expect(await choose({})).toMatchObject({ files: OVER })
  const after = await read(OVER)
  expect(() => checkCodeMounts(after.project, after.django, '/app/manage.py', after.repository)).not.toThrow()
  expect(after.project.services.get('web')?.mounts.map(({ target }) => target)).toEqual([
    '/data',
    '/etc/conf',
    '/app/node_modules',
    '/scratch',
  ])
  expect(after.project.services.get('worker')?.mounts).toEqual([])
})
