import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from '../../src/process.ts'
import { DOCKERFILE, makeShape, project } from './shape.ts'
import { builtTool, workflowsIn } from '../workflow.ts'
import { environment, output } from '../world/docker.ts'
import { clientSettings } from '../world/registry.ts'
import { openWorld } from '../world/world.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const act = builtTool('act')
const story = act === undefined ? test.skip : test

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'act-'))
})
afterAll(() => rm(folder, { recursive: true }))

/** The registry is not ghcr.io, so runner and server are logged in to it by themselves. */
const COMPOSE = `name: @NAME@
services:
  web:
    build: .
    image: @REGISTRY@/@NAME@
    restart: unless-stopped
    env_file: .env
    ports: ["@PORT@:8000"]
    volumes: ["data:/data"]
volumes:
  data:
`

story('the workflows of the README, unchanged but for names, deploy and roll back', async () => {
  const world = await openWorld()
  await using server = await world.throwaway([])
  const settings = clientSettings(world.registry)
  const keep = ['sh', '-c', 'umask 077; mkdir .docker; cat >.docker/config.json']
  output('docker login', await server.exec(keep, { stdin: settings }))

  const page = await readFile(join(root, 'README.md'), 'utf8')
  const workflows = [...workflowsIn(page)].map(([name, text]): [string, string] => [
    `.github/workflows/${name}`,
    text.replaceAll('deploy@example.com', server.host),
  ])
  await using shape = await makeShape(
    { ...project('v1'), ...Object.fromEntries(workflows), Dockerfile: DOCKERFILE, 'compose.yaml': COMPOSE },
    server,
  )
  // What owner/deploy-django@v1 stands for, without the tools of this checkout.
  const action = join(folder, 'action')
  for (const part of ['action.yml', 'rollback', 'build', 'dist', '.github']) {
    await cp(join(root, part), join(action, part), { recursive: true })
  }
  await mkdir(join(folder, 'docker'))
  await writeFile(join(folder, 'docker/config.json'), settings, { mode: 0o600 })
  const secrets = join(folder, 'secrets')
  await writeFile(secrets, `SSH_KEY="${server.key}"\nENV_FILE="SECRET_KEY='only for this test 1'"\n`, { mode: 0o600 })
  await writeFile(join(folder, 'variables'), `KNOWN_HOSTS="${server.knownHosts}"\n`)

  const start = async (workflow: string, event: string, facts: object): Promise<string> => {
    await writeFile(join(folder, 'event.json'), JSON.stringify(facts))
    const finished = await run(
      act ?? '',
      [
        ...[event, '--workflows', `.github/workflows/${workflow}`, '--platform', 'ubuntu-latest=-self-hosted'],
        ...['--local-repository', `owner/deploy-django@v1=${action}`, '--eventpath', join(folder, 'event.json')],
        ...['--secret-file', secrets, '--var-file', join(folder, 'variables')],
      ],
      {
        cwd: shape.workspace,
        env: {
          ...environment,
          // Without containers act takes the node of this machine, whatever the action asks for.
          PATH: `${dirname(process.execPath)}:${environment['PATH']}`,
          DOCKER_CONFIG: join(folder, 'docker'),
          XDG_CACHE_HOME: join(folder, 'cache'),
          XDG_CONFIG_HOME: join(folder, 'config'),
        },
      },
    )
    const log = `${finished.stdout}${finished.stderr}`
    if (finished.code !== 0) throw new Error(`${workflow} failed:\n${log}`)
    expect(log).toContain('Job succeeded')
    expect(log).not.toContain('only for this test 1')
    return log
  }

  await start('deploy.yml', 'push', { ref: 'refs/tags/v1' })
  expect((await shape.ask()).text).toBe('v1 with 0 notes')
  await shape.write(project('v2'))
  // The pipeline: build, plan and deploy are jobs of a reusable workflow.
  const log = await start('pipeline.yml', 'push', { ref: 'refs/tags/v2' })
  for (const job of ['Build', 'Plan', 'Deploy']) expect(log).toMatch(new RegExp(`${job}.*Job succeeded`))
  expect((await shape.ask()).text).toBe('v2 with 0 notes')
  await start('rollback.yml', 'workflow_dispatch', { ref: 'refs/heads/main', inputs: { version: '' } })
  expect((await shape.ask()).text).toBe('v1 with 0 notes')
  await start('pipeline-rollback.yml', 'workflow_dispatch', { ref: 'refs/heads/main', inputs: { version: 'v2' } })
  expect((await shape.ask()).text).toBe('v2 with 0 notes')
})
