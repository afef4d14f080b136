import { describe, expect, test } from '@jest/globals'
import { groupBuilds } from '../../../src/compose/group.ts'
import type { Project } from '../../../src/compose/project.ts'
import { planBake } from '../../../src/image/bake.ts'
import { findDjango } from '../../../src/image/inspect.ts'
import { projectOf } from '../compose/model.ts'
import { fakeDocker } from './fake.ts'

const shop = projectOf(
  'services: {web: {build: ., ports: ["80:80"]}, worker: {build: {context: .}}, job: {build: ./job}, proxy: {build: ./proxy}}',
)
const commit = { sha: 'c'.repeat(40), time: new Date(0), source: '' }
const targetsOf = (project: Project) =>
  planBake({
    project,
    groups: groupBuilds(project),
    workspace: '/w',
    set: [],
    variables: { step: {}, file: undefined },
    commit,
  }).targets

type World = {
  /** Files by target, as `docker cp` finds them. */
  files: Record<string, readonly string[]>
  /** Of manage.py by target, and of others by `target:path`; by default all have the same. */
  contents?: Record<string, string>
  /** By target. */
  workdirs?: Record<string, string>
  services?: string[]
  manage?: string[]
  project?: Project
  active?: string[]
}

const text = "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'conf.settings')"

function inspect({
  files,
  contents = {},
  workdirs = {},
  services = [],
  manage = ['python', 'manage.py'],
  project = shop,
  active = [...project.services.keys()],
}: World) {
  const docker = fakeDocker((line) => {
    const target = Object.keys(files).find((name) => line.includes(`deploy-django/${name}:`))
    if (line.startsWith('image inspect')) {
      return {
        stdout: JSON.stringify([
          {
            Id: `sha256:${target}`,
            Architecture: 'amd64',
            Config: { WorkingDir: workdirs[target ?? ''] ?? '/srv', Cmd: ['x'], User: 'app' },
          },
        ]),
      }
    }
    if (line.startsWith('create')) return { stdout: `${target}-container\n` }
    if (line.startsWith('cp')) {
      const [, name, path] = /^cp (\w+)-container:(\S+) -$/.exec(line) ?? []
      const found = files[name ?? '']?.includes(path ?? '')
      return found
        ? {
            stdout:
              `${name}, at its own time`.padEnd(512, '\0') +
              (contents[`${name}:${path}`] ?? contents[name ?? ''] ?? text),
          }
        : { code: 1, stderr: `Error response from daemon: Could not find the file ${path} in container` }
    }
    return {}
  })
  const result = findDjango(
    { project, active, targets: targetsOf(project), services, manage },
    { run: docker.run, env: { PATH: '/bin' } },
  )
  return { result, calls: docker.calls }
}

const nothing = { web: [], job: [], proxy: [] }

describe('the Django image', () => {
  test('is the one that holds manage.py in its working folder', async () => {
    const { result, calls } = inspect({ files: { ...nothing, web: ['/srv/manage.py'] } })
    expect(await result).toMatchObject({ managePath: '/srv/manage.py' })
    expect((await result).target.name).toBe('web')
    const created = calls.filter(({ args }) => args[0] === 'create').length
    expect(calls.filter(({ args }) => args[0] === 'rm').length).toBe(created)
    expect(calls.filter(({ args }) => args[0] === 'run')).toEqual([])
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
      fix: expect.stringContaining('first: services: web job proxy worker.'),
    })
    expect((await inspect({ files, services: ['proxy', 'job', 'web'] }).result).target.name).toBe('job')
    const chosen = await inspect({ files, services: ['worker'] }).result
    // It may be another project with the same manage.py.
    expect(chosen).toMatchObject({ target: { name: 'web' }, strangers: ['job'] })
    const contents = { job: 'another project' }
    expect(await inspect({ files, contents, services: ['worker'] }).result).toMatchObject({ strangers: ['job'] })
    await expect(inspect({ files, active: ['web', 'job', 'proxy'] }).result).rejects.toMatchObject({
      seen: 'job: /srv/manage.py\nweb: /srv/manage.py',
      fix: expect.stringContaining('first: services: web job proxy.'),
    })
  })

  test('may be several of one project: the one closest to visitors is asked', async () => {
    const text = (context: string): string =>
      `services: {job: {build: {context: ., target: job}}, web: {build: {context: ${context}, target: web}, ports: ["80:80"]}}`
    const files = { web: ['/srv/manage.py'], job: ['/srv/manage.py'] }
    const targets = await inspect({ files, project: projectOf(text('.')) }).result
    expect(targets).toMatchObject({ target: { name: 'web' }, services: ['job', 'web'], strangers: [] })
    const refused = { code: 'several-manage-py' }
    await expect(inspect({ files, project: projectOf(text('./shop')) }).result).rejects.toMatchObject(refused)
    const others = inspect({ files, project: projectOf(text('.')), contents: { job: 'another project' } })
    await expect(others.result).rejects.toMatchObject(refused)
  })

  describe('of two with the same manage.py and build context', () => {
    const built = (web: string, job: string): Project =>
      projectOf(
        `services: {web: {build: {context: ., dockerfile: ${web}}, ports: ["80:80"]}, job: {build: {context: ., dockerfile: ${job}}}}`,
      )
    const holding = (...folders: readonly [string, string]): Pick<World, 'files' | 'workdirs'> => {
      const [web, job] = folders.map((folder) => [`${folder}/manage.py`, `${folder}/conf/settings.py`])
      return { files: { web: web ?? [], job: job ?? [] }, workdirs: { web: folders[0], job: folders[1] } }
    }
    const settings = (folder: string): Record<string, string> => ({ [`job:${folder}/conf/settings.py`]: 'DATABASES' })

    test.each<[string, World]>([
      ['their folders differ', { ...holding('/shop', '/blog'), project: built('shop/Dockerfile', 'blog/Dockerfile') }],
      [
        'their folders and settings differ',
        {
          ...holding('/shop', '/blog'),
          project: built('shop/Dockerfile', 'blog/Dockerfile'),
          contents: settings('/blog'),
        },
      ],
      [
        'their settings differ',
        {
          ...holding('/app', '/app'),
          project: built('shop.Dockerfile', 'blog.Dockerfile'),
          contents: settings('/app'),
        },
      ],
      [
        'their settings, a package, differ',
        {
          files: {
            web: ['/srv/manage.py', '/srv/conf/settings/__init__.py'],
            job: ['/srv/manage.py', '/srv/conf/settings/__init__.py'],
          },
          project: built('shop.Dockerfile', 'blog.Dockerfile'),
          contents: { 'job:/srv/conf/settings/__init__.py': 'DATABASES' },
        },
      ],
    ])('each is a project if %s', async (_, world) => {
      await expect(inspect(world).result).rejects.toMatchObject({ code: 'several-manage-py' })
      expect(await inspect({ ...world, services: ['web', 'job'] }).result).toMatchObject({
        target: { name: 'web' },
        strangers: ['job'],
      })
    })

    test.each<[string, World]>([
      [
        'Dockerfiles differ',
        { ...holding('/app', '/app'), project: built('docker/web/Dockerfile', 'docker/job/Dockerfile') },
      ],
      [
        'working folders differ, and the Dockerfiles lie in one folder',
        { ...holding('/web', '/job'), project: built('web.Dockerfile', 'job.Dockerfile') },
      ],
      [
        'settings are not found',
        { files: { web: ['/srv/manage.py'], job: ['/srv/manage.py'] }, project: built('a/Dockerfile', 'b/Dockerfile') },
      ],
    ])('both are one project if only their %s', async (_, world) => {
      for (const services of [[], ['web', 'job']]) {
        expect(await inspect({ ...world, services }).result).toMatchObject({ target: { name: 'web' }, strangers: [] })
      }
    })
  })
})
