import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from '../../src/process.ts'
import { keepDeployments, startApi, type KeptRecord } from '../github-api.ts'
import { builtTool, workflowsIn } from '../workflow.ts'
import { output } from '../world/docker.ts'
import { linesOf, listContainers } from '../world/listing.ts'
import { clientSettings } from '../world/registry.ts'
import type { Server } from '../world/server.ts'
import { openWorld } from '../world/world.ts'
import { openAct, type Act, type ActRun } from './act.ts'
import { DOCKERFILE, makeShape, project } from './shape.ts'
import { untilFree } from './story.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const act = builtTool('act')

/** The registry is not ghcr.io, so runner and hosts are logged in to it by themselves. */
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

/** A job behind those of stages.yml that keeps what a caller gets from them. */
const TOLD = `  told:
    needs: [staging, production]
    runs-on: ubuntu-latest
    steps:
      - run: printf 'needs=%s\\n' "$NEEDS" | tr -d '\\n' >>"$GITHUB_OUTPUT"
        env: { NEEDS: '\${{ toJSON(needs) }}' }
`

/** Two stages with records, in jobs without `environment:`. */
const RECORDED_STAGES = `on: push
jobs:
  staging:
    runs-on: ubuntu-latest
    permissions: { contents: read, packages: write, deployments: write }
    outputs: { images: '\${{ steps.deploy.outputs.images }}' }
    steps:
      - uses: actions/checkout@v7
      - id: deploy
        uses: owner/deploy-django@v1
        with:
          host: deploy@staging.example.com
          ssh-key: \${{ secrets.SSH_KEY }}
          known-hosts: \${{ vars.STAGING_KNOWN_HOSTS }}
          env-file: \${{ secrets.STAGING_ENV_FILE }}
          environment: staging
  production:
    needs: staging
    runs-on: ubuntu-latest
    permissions: { contents: read, packages: read, deployments: write }
    steps:
      - uses: actions/checkout@v7
      - uses: owner/deploy-django@v1
        with:
          images: \${{ needs.staging.outputs.images }}
          host: deploy@example.com
          ssh-key: \${{ secrets.SSH_KEY }}
          known-hosts: \${{ vars.KNOWN_HOSTS }}
          env-file: \${{ secrets.ENV_FILE }}
          environment: production
`

/** A rollback with a record: the workflows of the README leave that to GitHub, by the \`environment:\` of the job. */
const RECORDED = `on: workflow_dispatch
jobs:
  recorded:
    runs-on: ubuntu-latest
    permissions: { deployments: write }
    steps:
      - uses: owner/deploy-django/rollback@v1
        with:
          host: deploy@example.com
          ssh-key: \${{ secrets.SSH_KEY }}
          known-hosts: \${{ vars.KNOWN_HOSTS }}
          version: v1
          environment: production
`

/** A repository with the workflows of the README, its two hosts, and GitHub's API. */
async function open() {
  // What was opened ends as well when the rest cannot be.
  await using opening = new AsyncDisposableStack()
  const world = await openWorld()
  const login = clientSettings(world.registry)
  const host = async (): Promise<Server> => {
    const server = opening.use(await world.throwaway([]))
    const keep = ['sh', '-c', 'umask 077; mkdir .docker; cat >.docker/config.json']
    output('docker login', await server.exec(keep, { stdin: login }))
    return server
  }
  const production = await host()
  const staging = await host()
  const workflows = [
    ...workflowsIn(await readFile(join(root, 'README.md'), 'utf8')),
    ['recorded.yml', RECORDED] as const,
    ['recorded-stages.yml', RECORDED_STAGES] as const,
  ]
  const named = workflows.map(([name, text]): [string, string] => [
    `.github/workflows/${name}`,
    (name === 'stages.yml' ? text + TOLD : text)
      .replaceAll('deploy@example.com', production.host)
      .replaceAll('deploy@staging.example.com', byName(staging.host)),
  ])
  const files = { ...project('v1'), ...Object.fromEntries(named), Dockerfile: DOCKERFILE, 'compose.yaml': COMPOSE }
  const shape = opening.use(await makeShape(files, production))
  const { records, reply } = keepDeployments()
  const api = opening.use(await startApi(reply))
  const github = opening.use(
    await openAct(act ?? '', shape.workspace, {
      secrets: {
        SSH_KEY: production.key,
        ENV_FILE: `SECRET_KEY='${SECRET}'`,
        STAGING_ENV_FILE: `SECRET_KEY='${SECRET}'`,
        GITHUB_TOKEN: 'only for this test 2',
      },
      variables: { KNOWN_HOSTS: production.knownHosts, STAGING_KNOWN_HOSTS: byName(staging.knownHosts) },
      docker: login,
      apiUrl: api.url,
    }),
  )
  const head = async (): Promise<string> =>
    output('git', await run('git', ['rev-parse', 'HEAD'], { cwd: shape.workspace })).trim()
  const running = async (server: Server, format: string): Promise<string> => {
    const [id = ''] = await listContainers(server, shape.name, { service: 'web' })
    const image = (await server.docker('inspect', '--format', '{{.Image}}', id)).trim()
    return await server.docker('image', 'inspect', '--format', format, image)
  }
  const ends = opening.move()
  return {
    production,
    staging,
    shape,
    api,
    records,
    github,
    head,
    tag: (workflow: string, version: string, pause?: Parameters<Act['start']>[3]) =>
      github.start(workflow, 'push', { ref: `refs/tags/${version}` }, pause),
    dispatch: (workflow: string, inputs: object = {}) =>
      github.start(workflow, 'workflow_dispatch', { ref: 'refs/heads/main', inputs }),
    /** Everything of the project on a host that a deployment would change. */
    async stateOf(server: Server): Promise<string> {
      await untilFree(server, `deploy/${shape.name}`)
      const files = await server.exec(['find', `deploy/${shape.name}`, '-printf', '%p %T@\n'])
      const images = await server.docker('image', 'ls', '--all', '--quiet')
      const format = '{{.ID}} {{.Image}} {{.State}}'
      return [files.stdout, images, ...(await listContainers(server, shape.name, { format }))].join('\n')
    },
    /** The digests of the image that the app of a host runs. */
    digests: async (server: Server): Promise<string[]> => linesOf(await running(server, '{{join .RepoDigests "\\n"}}')),
    /** The commit of which that image is. */
    revision: async (server: Server): Promise<string> =>
      (await running(server, '{{index .Config.Labels "org.opencontainers.image.revision"}}')).trim(),
    /** What a host answers from within, where every port can be asked. */
    async page(server: Server): Promise<string> {
      const { port } = new URL(shape.url)
      return await (await fetch(`http://${server.address}:${port}/`, { signal: AbortSignal.timeout(10_000) })).text()
    },
    [Symbol.asyncDispose]: () => ends.disposeAsync(),
  }
}

/** Both hosts have the address of this machine. A name tells staging apart. */
const byName = (text: string): string => text.replaceAll('127.0.0.1', 'localhost')

const SECRET = 'only for this test 1'

/** The jobs that a run had, when it succeeded and kept its secrets. */
function jobsOf({ code, jobs, log }: ActRun): readonly string[] {
  if (code !== 0) throw new Error(`the workflow failed:\n${log}`)
  expect(log).not.toContain(SECRET)
  return jobs
}

const statesOf = ({ statuses }: KeptRecord): string[] => statuses.map(({ state }) => state)

const pipeline = act === undefined ? describe.skip : describe

pipeline('the workflows of the README, unchanged but for names,', () => {
  let world: Awaited<ReturnType<typeof open>>
  beforeAll(async () => {
    world = await open()
  })
  afterAll(() => world[Symbol.asyncDispose]())

  let first: string
  test('deploy a tag in one job', async () => {
    first = await world.head()
    const ended = await world.tag('deploy.yml', 'v1')
    expect(jobsOf(ended)).toEqual(['deploy succeeded'])
    expect(await world.page(world.production)).toBe('v1 with 0 notes')
    const { outcome, version, serving, images = '' } = ended.outputs.get('deploy') ?? {}
    expect({ outcome, version, serving }).toEqual({ outcome: 'deployed', version: 'v1', serving: 'v1' })
    const { web = '' } = JSON.parse(images) as { web?: string }
    expect(await world.digests(world.production)).toContain(web)
    const summary = ended.summaries.get('deploy') ?? ''
    expect(summary).toContain(`## ✅ ${world.shape.name} serves v1`)
    expect(summary).toContain(web)
  })

  test('refuse a plan that changed after it was approved', async () => {
    const { production, shape, tag } = world
    await shape.write(project('v2'))
    const apply = (query: string): Promise<string> =>
      production.docker(
        ...['exec', `${shape.name}-web-1`, 'python', '-c'],
        `import sqlite3; db = sqlite3.connect('/data/db.sqlite3'); db.execute("${query}"); db.commit()`,
      )
    let running: string[] = []
    const ended = await tag('pipeline.yml', 'v2', {
      after: 'release/Plan',
      async look() {
        // Somebody applies it by hand.
        await apply(`insert into django_migrations (app, name, applied) values ('notes', '0002_extra', '2026-01-01')`)
        running = await listContainers(production, shape.name)
      },
    })
    expect(ended.jobs).toEqual(['release/Build succeeded', 'release/Plan succeeded', 'release/Deploy failed'])
    expect(ended.log).toContain('[plan-digest]')
    // What was approved, and what it would have been.
    expect(ended.summaries.get('release/Plan')).toContain('| migrate | notes.0002&#95;extra |')
    expect(ended.summaries.get('release/Deploy')).toContain('No migrations are pending.')
    expect(ended.outputs.get('release/Deploy')).toMatchObject({ outcome: 'failed', serving: 'v1' })
    expect(await world.page(production)).toBe('v1 with 0 notes')
    expect(running).toHaveLength(1)
    expect(await listContainers(production, shape.name)).toEqual(running)
    await apply(`delete from django_migrations where name = '0002_extra'`)
  })

  test('deploy what was built once to staging, then to production', async () => {
    const { production, staging, tag, page, digests } = world
    const ended = await tag('stages.yml', 'v2')
    expect(jobsOf(ended)).toEqual([
      ...['Build', 'Plan', 'Deploy'].map((job) => `staging/${job} succeeded`),
      ...['Plan', 'Deploy'].map((job) => `production/${job} succeeded`),
      'told succeeded',
    ])
    type Needs = Record<'staging' | 'production', { outputs: Record<'images' | 'outcome' | 'version', string> }>
    const needs = JSON.parse(ended.outputs.get('told')?.['needs'] ?? '{}') as Needs
    expect(needs.production.outputs).toMatchObject({ outcome: 'deployed', version: 'v2' })
    expect(needs.production.outputs).toEqual(needs.staging.outputs)
    const { web = '' } = JSON.parse(needs.production.outputs.images) as { web?: string }
    expect(web).toMatch(/@sha256:[0-9a-f]{64}$/)
    for (const [stage, server, host] of [
      ['staging', staging, 'localhost'],
      ['production', production, '127.0.0.1'],
    ] as const) {
      expect(await page(server)).toBe('v2 with 0 notes')
      expect(await digests(server)).toContain(web)
      const summary = ended.summaries.get(`${stage}/Deploy`) ?? ''
      expect(summary).toContain(`## ✅ ${world.shape.name} serves v2`)
      expect(summary).toContain(`| host | ${host}`)
      expect(summary).toContain(web)
    }
  })

  test('roll back by dispatch, and forward again', async () => {
    const { production, dispatch, page, digests } = world
    const [now] = await digests(production)
    const back = await dispatch('rollback.yml', { version: '' })
    expect(jobsOf(back)).toEqual(['rollback succeeded'])
    expect(back.outputs.get('rollback')).toMatchObject({
      outcome: 'rolled-back',
      version: 'v1',
      'previous-version': 'v2',
    })
    expect(back.summaries.get('rollback')).toContain(`${world.shape.name} is back at v1`)
    expect(await page(production)).toBe('v1 with 0 notes')
    expect(await digests(production)).not.toContain(now)
    jobsOf(await dispatch('pipeline-rollback.yml', { version: 'v2' }))
    expect(await page(production)).toBe('v2 with 0 notes')
    expect(await digests(production)).toContain(now)
    expect(world.api.requests).toEqual([])
  })

  test('judge a pull request without a host', async () => {
    const { production, staging, stateOf, github } = world
    const states = async (): Promise<string[]> => [await stateOf(production), await stateOf(staging)]
    const before = await states()
    const head = { ref: 'more', repo: { full_name: 'owner/shop' } }
    const facts = { pull_request: { number: 5, base: { sha: first, ref: 'main' }, head } }
    const ended = await github.start('migrations.yml', 'pull_request', facts)
    expect(jobsOf(ended)).toEqual(['judge succeeded'])
    expect(ended.outputs.get('judge')).toMatchObject({ outcome: 'planned', serving: '' })
    expect(ended.summaries.get('judge')).toContain('| migrate | notes.0002&#95;extra | not in main |')
    expect(await states()).toEqual(before)
  })

  test('and a rollback with a record: GitHub knows the commit that serves', async () => {
    const { records, dispatch, production, page } = world
    jobsOf(await dispatch('recorded.yml'))
    expect(await page(production)).toBe('v1 with 0 notes')
    expect(records).toMatchObject([{ ref: first, environment: 'production', description: 'rollback to v1' }])
    expect(records.map(statesOf)).toEqual([['in_progress', 'success']])
  })

  test('and two stages with records: each says what really serves', async () => {
    const { records, shape, tag, production, staging, page, digests, revision, head } = world
    const stages = Object.entries({ staging, production })
    const urls = String(project('v2')['site_/urls.py'])
    await shape.write({ ...project('v2'), 'site_/urls.py': urls.replace('v2 with', 'v3 with') })
    const ended = await tag('recorded-stages.yml', 'v3')
    expect(jobsOf(ended)).toEqual(['staging succeeded', 'production succeeded'])
    for (const [environment, server] of stages) {
      const own = records.filter((each) => each.environment === environment)
      const newest = own.at(-1)
      expect(newest).toMatchObject({ ref: await head(), description: 'v3' })
      expect(newest && statesOf(newest)).toEqual(['in_progress', 'success'])
      for (const { log_url } of newest?.statuses ?? []) expect(log_url).toMatch(/\/actions\/runs\/\d+\/attempts\/\d+$/)
      // That of the rollback.
      expect(own.slice(0, -1).map(statesOf)).toEqual(
        environment === 'production' ? [['in_progress', 'success', 'inactive']] : [],
      )
      expect(await revision(server)).toBe(newest?.ref)
      const { images = '', version } = ended.outputs.get(environment) ?? {}
      expect(await digests(server)).toContain((JSON.parse(images) as { web?: string }).web)
      expect(await page(server)).toBe(`${version} with 0 notes`)
    }

    const before = records.length
    const wsgi = String(project('v2')['site_/wsgi.py'])
    await shape.write({ 'site_/wsgi.py': `import stripe\n${wsgi}` })
    const broken = await tag('recorded-stages.yml', 'v4')
    expect(broken.jobs).toEqual(['staging failed'])
    const made = records.slice(before)
    expect(made).toMatchObject([{ ref: await head(), environment: 'staging', description: 'v4' }])
    expect(made.map(statesOf)).toEqual([['in_progress', 'failure']])
    expect(records.slice(-3, -1).map(statesOf)).toEqual([
      ['in_progress', 'success'],
      ['in_progress', 'success'],
    ])
    for (const [, server] of stages) expect(await page(server)).toBe('v3 with 0 notes')
  })
})
