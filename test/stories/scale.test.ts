import { expect, test } from '@jest/globals'
import { DOCKERFILE, makeShape, project } from './shape.ts'

const compose = (deploy: string): string => `services:
  web:
    build: .
    env_file: .env
    ports: ["@PORT@:8000"]
    volumes: ["data:/data"]
  worker:
    build: .
    command: ["python", "-c", "import signal; signal.pause()"]
    init: true
    env_file: .env
    volumes: ["data:/data"]
    deploy: ${deploy}
volumes: { data: {} }
`

test('a service without containers, by the Compose file, by the env file and by the input', async () => {
  const files = { ...project('v1'), Dockerfile: DOCKERFILE }
  await using shape = await makeShape({ ...files, 'compose.yaml': compose('{ replicas: "${WORKERS:-1}" }') })
  const env = (workers: number) => ({ 'env-file': `SECRET_KEY=only-for-this-test-1\nWORKERS=${workers}\n` })
  const one = ['web running']
  const three = ['web running', 'worker running', 'worker running']

  expect((await shape.deploy('v1', env(0))).outputs['outcome']).toBe('deployed')
  expect(await shape.containers()).toEqual(one)
  expect((await shape.deploy('v1', env(0))).outputs['outcome']).toBe('unchanged')
  const more = await shape.deploy('v2', env(2))
  expect([more.outputs['outcome'], more.annotations]).toEqual(['deployed', []])
  expect(await shape.containers()).toEqual(three)

  await shape.write({ ...project('v2'), 'compose.yaml': compose('{ replicas: 0 }') })
  expect((await shape.deploy('v3', env(2))).outputs['outcome']).toBe('deployed')
  expect(await shape.containers()).toEqual(one)
  expect((await shape.sub('status')).outputs['healthy']).toBe('true')
  expect((await shape.rollback()).outputs).toMatchObject({ outcome: 'rolled-back', serving: 'v2' })
  expect(await shape.containers()).toEqual(three)

  await shape.write({ ...project('v2'), 'compose.yaml': compose('{ replicas: 2 }') })
  expect((await shape.deploy('v4', { ...env(2), scale: 'worker=0' })).outputs['outcome']).toBe('deployed')
  expect(await shape.containers()).toEqual(one)
  const kept = await shape.deploy('v5', { ...env(2), force: 'true' })
  expect(kept.outputs['outcome']).toBe('deployed')
  expect(kept.annotations).toMatchObject([{ message: expect.stringContaining('deploy with scale: worker=2') }])
  expect(await shape.containers()).toEqual(one)
  const none = await shape.deploy('v6', { ...env(2), scale: 'web=0' })
  expect(none.outputs).toMatchObject({ outcome: 'failed', serving: 'v5' })
  expect((await shape.ask()).text).toBe('v2 with 0 notes')
})
