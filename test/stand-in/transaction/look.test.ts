import { afterAll, describe, expect, jest, test } from '@jest/globals'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../../../src/process.ts'
import { parseLook, type Server } from '../../../src/host/look.ts'
import { arm } from './death.ts'
import { deployOf, rollbackTo, stage } from './staged.ts'
import { asNobody, makeClosed, makeWorld, removeWorld, script, SHELLS, stopDocker, type World } from './world.ts'

jest.setTimeout(60_000)
const worlds: World[] = []
afterAll(async () => {
  await Promise.all(worlds.map(removeWorld))
  stopDocker()
})

async function newWorld(shell: 'dash' | 'busybox'): Promise<World> {
  const world = await makeWorld(shell)
  worlds.push(world)
  return world
}

/** As the runner does it: the script comes on standard input, the directory is relative to the home folder. */
async function look(world: World, ...files: readonly string[]): Promise<Server | undefined> {
  const cwd = join(world.root, 'site')
  const stdin = script.toString()
  const said = await run('sh', ['-s', 'look', 'todo', ...files], { env: world.env, cwd, stdin })
  expect(said).toMatchObject({ code: 0, stderr: '' })
  return parseLook(`a greeting of the login shell\n${said.stdout}`)
}

/** Writes what a transaction that committed leaves; gives its time. */
async function served(world: World, id: string, release: string, before: string): Promise<string> {
  const time = new Date().toISOString()
  const lines = [
    `begin ${id} ${release} from ${before}`,
    `commit begin ${release} after ${before}`,
    `end committed ${release}`,
  ]
  await writeFile(join(world.directory, '.deploy/journal', id), lines.map((line) => `${time} ${line}\n`).join(''))
  // An app may print anything.
  await writeFile(join(world.directory, '.deploy/journal', `${id}.log`), `${time} commit begin v0-0-1 after v0-0-0\n`)
  await writeFile(join(world.directory, '.deploy/current'), `${release}\n`)
  return time
}

describe.each(SHELLS)('look under %s', (shell) => {
  test('a server on which nothing is', async () => {
    const world = await newWorld(shell)
    await rm(world.directory, { recursive: true })
    // Files may lie elsewhere, such as beside the directory.
    const absolute = join(world.root, 'transaction.sh')
    await writeFile(join(world.root, 'site/shared.env'), '')
    const { files } = (await look(world, '.env', '../shared.env', '../../transaction.sh', '../no.env', absolute)) ?? {}
    expect(files).toEqual(['../shared.env', '../../transaction.sh', absolute])
    expect(await look(world)).toMatchObject({
      home: join(world.root, 'site'),
      docker: '27.0.0',
      architecture: 'amd64',
      dockerError: undefined,
      compose: '2.26.1',
      freeDisk: expect.any(Number),
      missing: [],
      files: [],
      settings: [],
      profiles: undefined,
      format: undefined,
      current: undefined,
      whole: false,
      previous: undefined,
      releases: new Map(),
      served: [],
      plans: [],
    })
  })

  test('a Docker that does not list its containers is no empty server: there is no end', async () => {
    const world = await newWorld(shell)
    const bin = join(world.root, 'silent')
    await mkdir(bin)
    const silent = '#!/bin/sh\nif [ "$1" = ps ]; then exit 1; fi\nPATH=${PATH#*:} exec docker "$@"\n'
    await writeFile(join(bin, 'docker'), silent, { mode: 0o755 })
    const env = { ...world.env, PATH: `${bin}:${world.env['PATH']}` }
    const said = await run('sh', ['-s', 'look', 'todo'], {
      env,
      cwd: join(world.root, 'site'),
      stdin: script.toString(),
    })
    expect(said.code).not.toBe(0)
    expect(said.stdout).toMatch(/^docker 27\.0\.0/m)
    expect(said.stdout).not.toMatch(/^end$/m)
  })

  test('which env files are there, which names .env sets, and none of its values but the profiles and the project', async () => {
    const world = await newWorld(shell)
    const lines = [
      '# NOT=1',
      'SECRET_KEY=hunter2',
      '  export DB_PASS = "hunter2"',
      'A.B=1',
      'COLON: x',
      'COMPOSE_PROFILES=other',
      'export COMPOSE_PROFILES="prod,jobs"',
      "COMPOSE_PROJECT_NAME='live'",
      'COMPOSE_FILE="docker/compose.yaml;compose.prod.yaml" # both',
      'COMPOSE_PATH_SEPARATOR=;',
    ]
    await writeFile(join(world.directory, '.env'), lines.map((line) => `${line}\n`).join(''))
    await mkdir(join(world.directory, 'conf'))
    await writeFile(join(world.directory, 'conf/prod.env'), '')
    await writeFile(join(world.root, 'site/shared.env'), '')
    const seen = await look(world, '.env', 'conf/prod.env', 'db.env', '../shared.env', '../no.env')
    expect(seen).toMatchObject({
      files: ['.env', 'conf/prod.env', '../shared.env'],
      settings: [
        ...['SECRET_KEY', 'DB_PASS', 'COLON', 'COMPOSE_PROFILES', 'COMPOSE_PROFILES', 'COMPOSE_PROJECT_NAME'],
        ...['COMPOSE_FILE', 'COMPOSE_PATH_SEPARATOR'],
      ],
      profiles: 'prod,jobs',
      projectName: 'live',
      composeFiles: ['docker/compose.yaml', 'compose.prod.yaml'],
    })
    expect(JSON.stringify(seen)).not.toContain('hunter2')
  })

  test('which of these names are set to nothing', async () => {
    const world = await newWorld(shell)
    const empty = ['A=', 'B= ', 'C=""', "D=''  # nothing", 'export E:', 'F= # nothing']
    const filled = ['G=x', 'H="x"', 'I=#x', 'J=0', 'K=', 'K=x', 'L="" x']
    await writeFile(join(world.directory, '.env'), [...empty, ...filled].map((line) => `${line}\n`).join(''))
    expect((await look(world))?.emptySettings).toEqual(['A', 'B', 'C', 'D', 'E', 'F'])
  })

  test('folders where files should be: asked for, or in the way of a release', async () => {
    const world = await newWorld(shell)
    for (const folder of ['.env', 'compose.yaml', 'site.conf', 'other']) await mkdir(join(world.directory, folder))
    const seen = await look(world, '.env', 'site.conf')
    expect(seen).toMatchObject({ files: [], foldersAt: ['.env', 'site.conf', 'compose.yaml'], settings: [] })
  })

  test('which of the external volumes and networks are there, also before the first deploy', async () => {
    const world = await newWorld(shell)
    await rm(world.directory, { recursive: true })
    const seen = await look(world, '.env', 'externals:')
    expect(seen).toMatchObject({ externals: ['volume there', 'network bridge', 'network there'], files: [] })
    expect(await look(world, '.env')).toMatchObject({ externals: [] })
  })

  test('what served and what is kept; facts as they are', async () => {
    const world = await newWorld(shell)
    const v1 = deployOf('v1', 1, ['core.0001'])
    const v2 = deployOf('v2', 2, ['core.0001'])
    const odd = { ...v1, releaseFacts: { ...v1.releaseFacts, 'env-files': ['a\\nb', ' c  d '] } }
    for (const file of ['a\\nb', ' c  d ']) await writeFile(join(world.directory, file), '')
    expect(await stage(world, odd)).toMatchObject({ code: 0 })
    expect(await stage(world, v2)).toMatchObject({ code: 0 })
    await served(world, 'v1-1-1', 'v1-1-1', '-')
    const since = await served(world, 'v2-2-1', 'v2-2-1', 'v1-1-1')
    const before = await look(world)
    expect(before).toMatchObject({ format: 1, current: 'v2-2-1', previous: 'v1-1-1', since })
    expect(before?.releases.get('v1-1-1')?.get('env-files')).toEqual(['a\\nb', ' c  d '])
    expect(before?.releases.get('v2-2-1')?.get('images')).toEqual([
      'web registry/app@sha256:v2',
      'worker registry/app@sha256:v2',
    ])

    expect(await stage(world, rollbackTo('v1-1-1', 3))).toMatchObject({ code: 0 })
    await served(world, 'rollback-v1-3-1', 'v1-1-1', 'v2-2-1')
    await mkdir(join(world.directory, '.deploy/plans/v9-9-1'))
    const after = await look(world)
    // What served before v1 was first deployed is nothing, although v2 served just now.
    expect(after).toMatchObject({ current: 'v1-1-1', previous: undefined })
    expect(after?.served).toEqual(['v1-1-1', 'v2-2-1', 'v1-1-1'])
    expect(after?.plans).toEqual(['rollback-v1-3-1', 'v1-1-1', 'v2-2-1', 'v9-9-1'])
  })

  test('a file where only root may look may be there', async () => {
    const world = await newWorld(shell)
    const closed = await makeClosed(world)
    const files = [`${closed}/site.env`, '../../closed/a/site.env', `${closed}s/site.env`, '.env']
    const said = await asNobody(world, ['-s', 'look', 'todo', ...files], { stdin: script.toString() })
    expect(parseLook(said.stdout)?.files).toEqual(files.slice(0, 2))
  })

  test('where the directory can neither be made nor written to', async () => {
    const world = await newWorld(shell)
    await writeFile(join(world.root, 'site/file'), '')
    await run('chmod', ['-R', 'a+rwX', world.root])
    const seen = async (directory: string): Promise<string | undefined> => {
      const said = await asNobody(world, ['-s', 'look', directory], { stdin: script.toString() })
      return parseLook(said.stdout)?.unwritable
    }
    for (const directory of ['todo', 'todo/a/b', 'new']) expect(await seen(directory)).toBe(undefined)
    expect(await seen('file')).toBe('file')
    expect(await seen('file/a')).toBe('file')
    expect(await seen('/proc/a/b')).toBe('/proc')
    expect(await seen('/nowhere')).toBe('/')
    await mkdir(join(world.root, 'site/of-root/.deploy'), { recursive: true })
    await run('chmod', ['755', join(world.root, 'site/of-root')])
    await run('chmod', ['755', join(world.root, 'site/of-root/.deploy')])
    expect(await seen('of-root')).toBe('of-root/.deploy')
    await run('chmod', ['777', join(world.root, 'site/of-root')])
    expect(await seen('of-root')).toBe('of-root/.deploy')
  })

  test('a Docker that does not answer is reported with its own message', async () => {
    const world = await newWorld(shell)
    await arm(world, { mode: 'away', at: 1, calls: 9 })
    expect(await look(world)).toMatchObject({
      docker: undefined,
      dockerError: 'Cannot connect to the Docker daemon. Is the docker daemon running?',
    })
  })
})

// Only where nothing but one folder is on PATH.
if (SHELLS.includes('busybox')) {
  test('tools that are missing are named', async () => {
    const world = await newWorld('busybox')
    for (const tool of ['flock', 'tar']) await rm(join(world.root, 'bin', tool))
    expect(await look(world)).toMatchObject({ missing: ['flock', 'tar'] })
  })
}
