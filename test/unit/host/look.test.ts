import { describe, expect, test } from '@jest/globals'
import { DeployError } from '../../../src/errors.ts'
import { fact } from '../../../src/host/fact.ts'
import { checkArchitecture, checkServer, look, parseLook, type Server } from '../../../src/host/look.ts'
import { FakeServer } from './fake-server.ts'

const answer = `deploy-django look 1
home /home/deploy
docker 26.1.5+dfsg1 amd64
compose 2.26.1-4
disk 41943040
container ["c1","todo","web","/home/deploy/deploy/todo","/home/deploy/deploy/todo/.deploy/releases/v2-18-1/compose.yaml","",true,"sha256:aa","ghcr.io/o/r@sha256:bb",[],{},["todo_default",null]]
folder /home/deploy/deploy/todo
folder /home/deploy/deploy/todo
file .env
file ../shared.env
folder-at .env.d
external volume pg
external network web
port 80 container blog-web-1 blog
port 81 container by-hand 
port 82 docker
port 83 program
port 84 something-new
setting SECRET_KEY
setting PORT
filled-setting PORT
COMPOSE_PROFILES prod,jobs
COMPOSE_PROJECT_NAME live
COMPOSE_FILE compose.yaml:b.yaml
format 1
current v2-18-1
since 2026-01-02T03:04:05.678Z
stop 4210
whole yes
running web=3
count web=2
count worker=0
unstarted worker
previous v1-17-1
release v1-17-1
fact v1-17-1 version v1
fact v1-17-1 services app 0 web
release v2-18-1
fact v2-18-1 version v2
fact v2-18-1 services app 0 web
fact v2-18-1 services app 1 worker
fact v2-18-1 env-files conf/of today.env
fact v2-18-1 fingerprint
fact v2-18-1 of-another-version 1
served v1-17-1
served v2-18-1
database {"deploy-django": 1, "verb": "verify", "database": {"vendor": "postgresql", "system": "77", "host": "db:", "name": "todo", "empty": false}}
unpruned v2-18-1
plan v1-17-1
plan v2-18-1
plan rollback-v1-19-1
end
`
const whole = parseLook(answer)

describe('parseLook', () => {
  test('reads every fact', () => {
    expect(whole).toEqual({
      home: '/home/deploy',
      docker: '26.1.5+dfsg1',
      architecture: 'amd64',
      dockerError: undefined,
      compose: '2.26.1-4',
      freeDisk: 41_943_040,
      missing: [],
      endsWithLogin: undefined,
      containers: [expect.objectContaining({ id: 'c1', service: 'web', running: true })],
      folders: ['/home/deploy/deploy/todo'],
      files: ['.env', '../shared.env'],
      foldersAt: ['.env.d'],
      externals: ['volume pg', 'network web'],
      ports: [
        { port: 80, kind: 'container', name: 'blog-web-1', project: 'blog' },
        { port: 81, kind: 'container', name: 'by-hand', project: '' },
        { port: 82, kind: 'docker' },
        { port: 83, kind: 'program' },
      ],
      settings: ['SECRET_KEY', 'PORT'],
      emptySettings: ['SECRET_KEY'],
      profiles: 'prod,jobs',
      projectName: 'live',
      composeFiles: ['compose.yaml', 'b.yaml'],
      format: 1,
      current: 'v2-18-1',
      since: '2026-01-02T03:04:05.678Z',
      lastStopSeconds: 4.21,
      whole: true,
      isForward: false,
      isOutdated: false,
      running: ['web=3'],
      counts: new Map([
        ['web', 2],
        ['worker', 0],
      ]),
      unstarted: ['worker'],
      previous: 'v1-17-1',
      releases: new Map([
        [
          'v1-17-1',
          new Map([
            ['version', ['v1']],
            ['services', ['app 0 web']],
          ]),
        ],
        [
          'v2-18-1',
          new Map([
            ['version', ['v2']],
            ['services', ['app 0 web', 'app 1 worker']],
            ['env-files', ['conf/of today.env']],
            ['fingerprint', ['']],
          ]),
        ],
      ]),
      served: ['v1-17-1', 'v2-18-1'],
      databases: [{ vendor: 'postgresql', system: '77', host: 'db:', name: 'todo', empty: false }],
      unpruned: 'v2-18-1',
      plans: ['v1-17-1', 'v2-18-1', 'rollback-v1-19-1'],
    })
  })

  test('reads a server on which nothing is', () => {
    expect(parseLook('deploy-django look 1\nhome /root\nmissing docker\nmissing flock\nend\n')).toEqual({
      home: '/root',
      docker: undefined,
      architecture: undefined,
      dockerError: undefined,
      compose: undefined,
      freeDisk: undefined,
      missing: ['docker', 'flock'],
      endsWithLogin: undefined,
      format: undefined,
      current: undefined,
      since: undefined,
      lastStopSeconds: undefined,
      counts: new Map(),
      unstarted: [],
      files: [],
      foldersAt: [],
      externals: [],
      ports: [],
      settings: [],
      emptySettings: [],
      profiles: undefined,
      projectName: undefined,
      composeFiles: [],
      whole: false,
      isForward: false,
      isOutdated: false,
      running: [],
      previous: undefined,
      releases: new Map(),
      served: [],
      unpruned: undefined,
      plans: [],
      containers: [],
      folders: [],
      databases: [],
    })
  })

  test('takes an empty value for none, and what is no number for unknown', () => {
    const server = parseLook('deploy-django look 1\nhome /root\ndisk ?\nformat \ncurrent \nprevious \nend\n')
    expect(server).toMatchObject({
      freeDisk: undefined,
      format: undefined,
      current: undefined,
      whole: false,
      previous: undefined,
    })
  })

  test.each(['Welcome!\nend\nhome /elsewhere\n', 'deploy-django look\n', '\n\n'])(
    'passes over %j in front',
    (noise) => {
      expect(parseLook(noise + answer)).toEqual(whole)
    },
  )

  test('passes over what comes behind', () => {
    expect(parseLook(`${answer}home /elsewhere\nlogout\n`)).toEqual(whole)
  })

  test('keeps the facts of a release apart from those of one with a longer name', () => {
    const text =
      'deploy-django look 1\nrelease v1-1-1\nfact v1-1-1 version 1\nrelease v1-1-1.2\nfact v1-1-1.2 version 2\nend\n'
    const releases = parseLook(text)?.releases
    expect(fact(releases?.get('v1-1-1'), 'version')).toBe('1')
    expect(fact(releases?.get('v1-1-1.2'), 'version')).toBe('2')
  })

  test('has no use for an answer that broke off, wherever that was', () => {
    const body = answer.slice(0, -'end\n'.length)
    for (let length = 0; length <= body.length; length += 1) expect(parseLook(body.slice(0, length))).toBeUndefined()
  })

  test.each(['deploy-django look 2\nend\n', 'Deploy-django look 1\nend\n', 'x deploy-django look 1\nend\n'])(
    '%j is no answer to this question',
    (text) => expect(parseLook(text)).toBeUndefined(),
  )
})

describe('look', () => {
  test('sends the script on standard input and the directory as a word', async () => {
    const server = new FakeServer({ stdout: answer })
    expect(await look(server, '#!/bin/sh\n', 'deploy/todo')).toEqual(whole)
    expect(server.asked).toEqual(['sh -s look deploy/todo'])
    expect(server.calls[0]?.options.stdin).toBe('#!/bin/sh\n')
  })

  test.each([
    { stdout: 'This account is not available.\n', stderr: '', seen: 'This account is not available.' },
    { stdout: '', stderr: 'fish: Unknown command: sh\n', seen: 'fish: Unknown command: sh' },
  ])('shows what answered instead: $seen', async ({ stdout, stderr, seen }) => {
    const failed = look(new FakeServer({ code: 1, stdout, stderr }), '', 'deploy/todo')
    await expect(failed).rejects.toMatchObject({
      code: 'server-shell',
      seen,
      what: expect.stringContaining('deploy on example.org'),
    })
  })
})

test('look gives up on a server that does not answer in time', async () => {
  const hanging = new FakeServer(() => {
    throw new DeployError('program-timeout', { what: 'ssh did not end' })
  })
  await expect(look(hanging, '', 'deploy/todo')).rejects.toMatchObject({ code: 'server-slow' })
  expect(hanging.calls[0]?.options.timeoutMs).toBe(120_000)
  const gone = new FakeServer({ code: 255 })
  await expect(look(gone, '', 'deploy/todo')).rejects.toMatchObject({ code: 'ssh-unreachable' })
})

describe('checkServer', () => {
  const good: Server = { ...(whole as Server), missing: [] }
  const failureOf = (change: Partial<Server>, directory = 'deploy/todo'): DeployError => {
    try {
      checkServer({ ...good, ...change }, 'deploy', directory)
    } catch (error) {
      if (error instanceof DeployError) return error
    }
    throw new Error('the server was accepted')
  }

  test.each(['2.20.0', '2.20', 'v2.20.3', '2.26.1-4', '2.29.7+ds', '5.0.0', '5.5.0-desktop.1', '10.1'])(
    'takes Compose %s',
    (compose) => expect(() => checkServer({ ...good, compose }, 'deploy', 'deploy/todo')).not.toThrow(),
  )

  test.each(['2.19.1', '2.2.20', '1.29.2', 'v2.3.3', '2', 'dev', 'unknown'])('refuses Compose %s', (compose) => {
    const failure = failureOf({ compose })
    expect(failure).toMatchObject({ code: 'server-compose-old', seen: compose })
    expect(failure.fix).toContain('docker-compose-plugin')
  })

  test('misses Compose', () => {
    expect(failureOf({ compose: undefined })).toMatchObject({ code: 'server-compose-old', seen: 'no `docker compose`' })
  })

  test('misses Docker', () => {
    const failure = failureOf({ docker: undefined, missing: ['docker'] })
    expect(failure).toMatchObject({ code: 'server-no-docker', seen: 'no `docker` program' })
    expect(failure.fix).toContain('install Docker Engine')
  })

  test('meets a Docker that is stopped', () => {
    const dockerError =
      'Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running? '
    const failure = failureOf({ docker: undefined, dockerError })
    expect(failure).toMatchObject({
      code: 'server-no-docker',
      seen: dockerError,
      why: expect.stringContaining('running'),
    })
    expect(failure.fix).toContain('systemctl enable --now docker')
  })

  test('meets a user who may not use Docker', () => {
    const dockerError =
      'permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock'
    const failure = failureOf({ docker: undefined, dockerError })
    expect(failure).toMatchObject({ code: 'server-no-docker', what: 'deploy may not use Docker on the host' })
    expect(failure.fix).toBe('on the host, as root: usermod -aG docker deploy')
  })

  test('names all tools that are missing', () => {
    const failure = failureOf({ missing: ['flock', 'setsid', 'tar'] })
    expect(failure).toMatchObject({ code: 'server-tools', what: 'The host lacks flock, setsid, tar' })
    for (const name of ['coreutils', 'util-linux', 'tar']) expect(failure.fix).toContain(name)
  })

  test.each([
    ['a folder that is not there', '/srv/todo', '/srv', 'mkdir -p /srv/todo && chown deploy /srv/todo'],
    ['a folder of another user', '/srv/todo', '/srv/todo', 'mkdir -p /srv/todo && chown deploy /srv/todo'],
    ['a home of another user', 'deploy/todo', '.', 'chown deploy /home/deploy'],
    ['a folder in the home', 'deploy/todo', 'deploy', 'chown deploy /home/deploy/deploy'],
    [
      'what another user has deployed',
      '/srv/todo',
      '/srv/todo/.deploy',
      'chown -R deploy /srv/todo/.deploy && chown deploy /srv/todo',
    ],
  ])(
    'sends nothing where it cannot write, and changes the owner of nothing else: %s',
    (_, directory, unwritable, fix) => {
      const failure = failureOf({ home: '/home/deploy', unwritable }, directory)
      expect(failure).toMatchObject({ code: 'server-directory', fix: expect.stringContaining(`as root: ${fix}\n`) })
    },
  )

  test('begins nothing where it would end with the login', () => {
    const failure = failureOf({ endsWithLogin: 'deploy' })
    expect(failure).toMatchObject({ code: 'server-logind', why: expect.stringContaining('KillUserProcesses=yes') })
    expect(failure.fix).toContain('loginctl enable-linger deploy ')
  })

  test.each([undefined, 1])('takes format %p', (format) => {
    expect(() => checkServer({ ...good, format }, 'deploy', 'deploy/todo')).not.toThrow()
  })

  test('leaves a directory alone that a newer version has deployed to', () => {
    expect(failureOf({ format: 2 })).toMatchObject({ code: 'server-format', seen: 'format 2, this version knows 1' })
  })
})

describe('checkArchitecture', () => {
  const on = (architecture: string | undefined): Server => ({ ...(whole as Server), architecture })

  test.each([
    ['amd64', 'amd64'],
    ['arm64', 'arm64'],
    [undefined, 'amd64'],
    ['arm64', ''],
  ])('a server of %s runs an image for %s', (server, image) => {
    expect(() => checkArchitecture(on(server), image)).not.toThrow()
  })

  test.each([
    ['arm64', 'amd64'],
    ['amd64', 'arm64'],
  ])('a server of %s does not run an image for %s', (server, image) => {
    expect(() => checkArchitecture(on(server), image)).toThrow(
      expect.objectContaining({
        code: 'server-architecture',
        what: `The image is for ${image}, the host has ${server}`,
        fix: expect.stringContaining(`linux/${server}`),
      }),
    )
  })
})
