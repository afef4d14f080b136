import { describe, expect, test } from '@jest/globals'
import { groupBuilds } from '../../../src/compose/group.ts'
import { planBake } from '../../../src/image/bake.ts'
import { findDjango } from '../../../src/image/inspect.ts'
import { projectOf } from '../compose/model.ts'
import { fakeDocker } from './fake.ts'

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

type World = {
  /** Files by target, as `docker cp` finds them. */
  files: Record<string, readonly string[]>
  services?: string[]
  manage?: string[]
}

function inspect({ files, services = [], manage = ['python', 'manage.py'] }: World) {
  const docker = fakeDocker((line) => {
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
    return {}
  })
  const result = findDjango({ targets, services, manage }, { run: docker.run, env: { PATH: '/bin' } })
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
      fix: expect.stringMatching(/first: services: job web worker proxy$/),
    })
    expect((await inspect({ files, services: ['proxy', 'job', 'web'] }).result).target.name).toBe('job')
    expect((await inspect({ files, services: ['worker'] }).result).target.name).toBe('web')
  })
})
