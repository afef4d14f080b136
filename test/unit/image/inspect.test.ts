import { describe, expect, test } from '@jest/globals'
import { groupBuilds } from '../../../src/compose/group.ts'
import { planBake } from '../../../src/image/bake.ts'
import { findDjango, listMigrations } from '../../../src/image/inspect.ts'
import { projectOf } from '../compose/model.ts'
import { fakeDocker, type Call } from './fake.ts'

const project = projectOf(
  'services: {web: {build: .}, worker: {build: {context: .}}, job: {build: ./job}, proxy: {build: ./proxy}}',
)
const commit = { sha: 'c'.repeat(40), time: new Date(0), source: '' }
const { targets } = planBake({
  project,
  groups: groupBuilds(project),
  workspace: '/w',
  set: [],
  variables: { step: {}, file: undefined },
  commit,
})

const LIST = {
  'deploy-django': 1,
  verb: 'list',
  django: '5.2',
  python: '3.13',
  migrations: [{ app: 'a', name: '0001', source: 's' }],
  models_drift: ['a: x'],
}
const FAILED = {
  'deploy-django': 1,
  verb: 'list',
  error: { kind: 'not-importable', message: 'No settings.', detail: 'KeyError' },
}

type World = {
  /** Files by target, as `docker cp` finds them. */
  files: Record<string, readonly string[]>
  probe?: (verb: string, call: Call) => { code: number; document?: unknown; stderr?: string }
  services?: string[]
  manage?: string[]
  environment?: Record<string, string | undefined>
}

function inspect({
  files,
  probe = () => ({ code: 0, document: LIST }),
  services = [],
  manage = ['python', 'manage.py'],
  environment = {},
}: World) {
  const docker = fakeDocker((line, call) => {
    const target = Object.keys(files).find((name) => line.includes(`deploy-django/${name}:`))
    if (line.startsWith('image inspect')) {
      return {
        stdout: JSON.stringify([
          { Id: `sha256:${target}`, Architecture: 'amd64', Config: { WorkingDir: '/srv', Cmd: ['x'], User: 'app' } },
        ]),
      }
    }
    if (line.startsWith('create')) return { stdout: `${target}-container\n` }
    if (line.startsWith('cp')) {
      const [, name, path] = /^cp (\w+)-container:(\S+) -$/.exec(line) ?? []
      const found = files[name ?? '']?.includes(path ?? '')
      return found
        ? {}
        : { code: 1, stderr: `Error response from daemon: Could not find the file ${path} in container` }
    }
    if (line.startsWith('run')) {
      const {
        code,
        document,
        stderr = 'Traceback',
      } = probe(line.includes('DEPLOY_DJANGO=list') ? 'list' : 'static', call)
      return {
        code,
        stdout: document ? `noise\n${JSON.stringify(document).replace(',', ', ').replace('":1', '": 1')}\n` : '',
        stderr,
      }
    }
    return {}
  })
  const facts = {
    targets,
    services,
    manage,
    probe: 'print(1)',
    environments: new Map([['web', new Map(Object.entries(environment))]]),
  }
  const tools = { run: docker.run, env: { PATH: '/bin' } }
  const result = findDjango(facts, tools).then(async (django) => ({
    ...django,
    ...(await listMigrations(django.target, facts, tools)),
  }))
  return { result, calls: docker.calls }
}

const nothing = { web: [], job: [], proxy: [] }

describe('the Django image', () => {
  test('is the one that holds manage.py in its working folder', async () => {
    const { result, calls } = inspect({ files: { ...nothing, web: ['/srv/manage.py'] } })
    expect(await result).toMatchObject({
      managePath: '/srv/manage.py',
      confidence: 'imported',
      migrations: [{ app: 'a', name: '0001', source: 's' }],
      drift: ['a: x'],
      django: '5.2',
    })
    expect((await result).target.name).toBe('web')
    const created = calls.filter(({ args }) => args[0] === 'create').length
    expect(calls.filter(({ args }) => args[0] === 'rm').length).toBe(created)
  })

  test('may have it elsewhere, when the manage words say so', async () => {
    const files = { ...nothing, job: ['/code/src/manage.py'] }
    expect((await inspect({ files, manage: ['/venv/bin/python', '/code/src/manage.py'] }).result).target.name).toBe(
      'job',
    )
  })

  test('is not there: where it was looked for and where it is', async () => {
    const { result } = inspect({ files: { ...nothing, web: ['/srv/src/manage.py'] } })
    await expect(result).rejects.toMatchObject({
      code: 'no-manage-py',
      seen: expect.stringContaining('web: /srv/manage.py is not there (WORKDIR /srv)'),
      fix: 'set manage: python /srv/src/manage.py, or WORKDIR /srv/src in the Dockerfile',
    })
    await expect(inspect({ files: nothing }).result).rejects.toMatchObject({ code: 'no-manage-py' })
  })

  test('must be one: services decides between several', async () => {
    const files = { ...nothing, web: ['/srv/manage.py'], job: ['/srv/manage.py'] }
    await expect(inspect({ files }).result).rejects.toMatchObject({
      code: 'several-manage-py',
      fix: expect.stringMatching(/first: services: job web worker proxy$/),
    })
    expect((await inspect({ files, services: ['proxy', 'job', 'web'] }).result).target.name).toBe('job')
    expect((await inspect({ files, services: ['worker'] }).result).target.name).toBe('web')
  })
})

describe('the probe', () => {
  const files = { ...nothing, web: ['/srv/manage.py'] }

  test('has no network, and settings of the Compose file without their values in the arguments', async () => {
    const environment = {
      DJANGO_SETTINGS_MODULE: 'shop.settings',
      MODE: '${MODE:-prod}',
      SECRET_KEY: '${SECRET_KEY:?}',
      PATH: '/evil',
    }
    const { result, calls } = inspect({ files, environment })
    await result
    const [call, ...others] = calls.filter(({ args }) => args[0] === 'run')
    expect(others).toEqual([])
    const line = call?.args.join(' ') ?? ''
    expect(line).toMatch(
      /^run --rm --init --network none --env DEPLOY_DJANGO=list --env DJANGO_SETTINGS_MODULE --env MODE --env SECRET_KEY --entrypoint python deploy-django\/web:\S+ manage.py shell -v 0 -c exec\(\S+\)$/,
    )
    expect(call?.options.env).toEqual({
      PATH: '/bin',
      DJANGO_SETTINGS_MODULE: 'shop.settings',
      MODE: 'prod',
      SECRET_KEY: 'deploy-django',
    })
  })

  test('tries stand-ins for secrets, then reads the files', async () => {
    const environment = { SECRET_KEY: '${SECRET_KEY:?}', DATABASE_URL: '${DATABASE_URL}' }
    const seen: (string | undefined)[] = []
    const probe = (verb: string, call: Call) => {
      seen.push(verb, call.options.env?.['SECRET_KEY'])
      return verb === 'list'
        ? { code: 18, document: FAILED }
        : { code: 0, document: { ...LIST, verb, confidence: 'static' } }
    }
    expect(await inspect({ files, environment, probe }).result).toMatchObject({ confidence: 'static' })
    expect(seen).toEqual(['list', 'deploy-django', 'list', undefined, 'static', undefined])
  })

  test('that cannot run at all says what was tried', async () => {
    const probe = (verb: string) => (verb === 'list' ? { code: 18, document: FAILED } : { code: 127 })
    await expect(inspect({ files, probe }).result).rejects.toMatchObject({
      code: 'settings-import',
      seen: expect.stringMatching(/No settings\. KeyError[\s\S]*Traceback/),
      fix: expect.stringContaining('manage:'),
    })
  })

  test('that is for another processor is told so', async () => {
    const probe = () => ({ code: 255, stderr: 'exec /usr/bin/python: exec format error' })
    await expect(inspect({ files, probe }).result).rejects.toMatchObject({ fix: expect.stringContaining('qemu') })
  })
})
