import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { ActionRun } from '../run-action.ts'
import { DOCKERFILE, makeShape, project, type Shape } from './shape.ts'
import { codes } from './story.ts'

const COMPOSE = `services:
  web:
    build: .
    restart: always
    env_file: .env
    ports: ["@PORT@:8000"]
    volumes: ["data:/data", "./media:/media"]
volumes:
  data:
`
const files = project('v1')
const settings = (files['site_/settings.py'] ?? '').replace(
  '"/data/db.sqlite3"',
  'os.environ.get("DATABASE_FILE", "/data/db.sqlite3")',
)
const env = 'SECRET_KEY=only-for-this-test-1\n'

// The tests below are one story, in order: a site is up, and every deploy is a mistake.
describe('a deploy that would lose what there is', () => {
  let shape: Shape
  let before: string
  beforeAll(async () => {
    shape = await makeShape({
      ...files,
      'site_/settings.py': settings,
      Dockerfile: DOCKERFILE,
      'compose.yaml': COMPOSE,
    })
    expect((await shape.deploy('v1', { 'env-file': env })).outputs).toMatchObject({
      outcome: 'deployed',
      serving: 'v1',
    })
    before = await snapshot()
  })
  afterAll(async () => {
    await shape[Symbol.asyncDispose]()
  })

  /** Everything that must stay: containers, volumes, and the files of the directory but for our own. */
  async function snapshot(): Promise<string> {
    const script = `docker ps -aq --no-trunc --filter "label=com.docker.compose.project=$1" | sort
      docker volume ls -q | grep "^$1" | sort
      ls deploy | grep "^$1"
      cd "deploy/$1" && find . -path ./.deploy -prune -o -type f -exec sha256sum {} + | sort`
    return (await shape.server.exec(['sh', '-c', script, 'snapshot', shape.name])).stdout
  }

  async function stops(run: Promise<ActionRun>, code: string, ...texts: readonly string[]): Promise<void> {
    const { annotations, outputs, log } = await run
    expect(codes({ annotations })).toEqual([`Deploy Django: ${code}`])
    for (const text of texts) expect(log).toContain(text)
    expect(outputs['outcome']).toBe('failed')
    expect(await snapshot()).toBe(before)
  }

  test('under another name, in another folder, or both: stops with the lines to add', async () => {
    const { name } = shape
    const lines = `directory: deploy/${name}\n         project: ${name}\n`
    await stops(shape.deploy('v2', { project: `${name}-x`, 'env-file': env }), 'project-elsewhere', lines)
    await stops(
      shape.deploy('v2', { directory: `deploy/${name}-x`, 'env-file': env }),
      'project-elsewhere',
      `add to the step:\n         directory: deploy/${name}\n`,
    )
    await stops(
      shape.deploy('v2', { project: 'other', directory: `deploy/${name}`, 'env-file': env }),
      'project-elsewhere',
      `add to the step:\n         project: ${name}\n`,
    )
  })

  test('from a database that is another one, or empty', async () => {
    const other = { 'env-file': `${env}DATABASE_FILE=/data/other.sqlite3\n` }
    await stops(shape.deploy('v1', other), 'database-changed', 'now: sqlite /data/other.sqlite3')
    const move = 'import os, sys; os.rename(*sys.argv[1:])'
    const [id = ''] = before.split('\n')
    const place = '/data/db.sqlite3'
    await shape.server.docker('exec', id, 'python', '-c', move, place, '/data/kept')
    await stops(shape.deploy('v1', { 'env-file': env }), 'database-changed', 'database is empty')
    await shape.server.docker('exec', id, 'python', '-c', move, '/data/kept', place)
  })

  test('from another volume and another folder', async () => {
    const { name } = shape
    await shape.write({
      'compose.yaml': COMPOSE.replaceAll('data:', 'rows:').replace('./media', './uploads'),
    })
    await stops(
      shape.deploy('v3', { 'env-file': env }),
      'mount-changed',
      `web /data: now ${name}_data, then ${name}_rows`,
      `web /media: now /home/deploy/deploy/${name}/media, then /home/deploy/deploy/${name}/uploads`,
    )
  })

  // As after a power loss in the middle of a container's start.
  test('a port that Docker holds for no container', async () => {
    const [id = ''] = before.split('\n')
    await shape.server.docker('stop', id)
    const port = String(new URL(shape.url).port)
    const words = `-proto tcp -host-ip 0.0.0.0 -host-port ${port} -container-ip 172.17.0.250 -container-port 80`
    const start = `docker-proxy ${words} 3>/dev/null >/dev/null 2>&1 & echo $!`
    const holder = (await shape.server.exec(['sh', '-c', start], { as: 'root' })).stdout.trim()
    try {
      await stops(
        shape.deploy('v2', { 'env-file': env }),
        'port-left-over',
        `Docker holds port ${port} of the host, although no container publishes it`,
        'systemctl restart docker',
      )
      expect((await shape.sub('status')).summary).toContain(`Docker holds port ${port} of the host`)
    } finally {
      await shape.server.exec(['kill', holder], { as: 'root' })
      await shape.server.docker('start', id)
    }
  })

  test('and the site that was left alone is deployed again', async () => {
    await shape.write({ 'compose.yaml': COMPOSE, ...project('v2'), 'site_/settings.py': settings })
    expect((await shape.deploy('v4', { 'env-file': env })).outputs).toMatchObject({
      outcome: 'deployed',
      serving: 'v4',
    })
    expect((await shape.ask()).text).toBe('v2 with 0 notes')
  })
})
