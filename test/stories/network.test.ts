import { describe, expect, test } from '@jest/globals'
import { logInAs, noCompose5 } from '../world/kind.ts'
import { openWorld } from '../world/world.ts'
import { DOCKERFILE, makeShape, project } from './shape.ts'

// Options of a network that change between two releases, with the Compose of the world and with Compose 5.

const compose = (networks: string): string => `services:
  web: { build: ., env_file: .env, ports: ["@PORT@:8000"], volumes: ["data:/data"], depends_on: [cache] }
  cache: { image: nginx:1-alpine, networks: [default] }
volumes: { data: {} }
networks: { default: ${networks} }
`

describe.each<['beta' | 'five', string]>([
  ['beta', ''],
  ['five', noCompose5],
])('on %s', (on, skipped) => {
  ;(skipped === '' ? test : test.skip)(`are named, and no plan touches a container${skipped}`, async () => {
    const world = await openWorld()
    const server = on === 'beta' ? await world.server('beta') : await logInAs(await world.server('kinds'), 'five')
    const files = { ...project('v1'), Dockerfile: DOCKERFILE, 'compose.yaml': compose('{}') }
    await using shape = await makeShape(files, server)
    const env = { 'env-file': 'SECRET_KEY=x\n' }
    expect((await shape.deploy('v1', env)).outputs['outcome']).toBe('deployed')
    const running = (): Promise<string> =>
      server.docker('ps', '-q', '--no-trunc', '--filter', `label=com.docker.compose.project=${shape.name}`)
    const before = await running()

    await shape.write({ 'compose.yaml': compose('{ internal: true, labels: { team: shop } }') })
    const planned = await shape.deploy('v2', { ...env, 'dry-run': 'true' })
    expect(planned.outputs['outcome']).toBe('planned')
    expect(await running()).toBe(before)
    const said = planned.annotations.map(({ message }) => message).join('\n')
    expect(said).toMatch(/The network default stays as it was created.*internal, labels changed.*NOT internal/)

    const deployed = await shape.deploy('v2', env)
    expect(['deployed', 'unchanged']).toContain(deployed.outputs['outcome'])
    expect(deployed.annotations.filter(({ message }) => /network/.test(message))).toHaveLength(1)
    expect((await shape.ask()).text).toBe('v1 with 0 notes')

    // The advice, word by word.
    await server.exec(['sh', '-c', `cd deploy/${shape.name} && docker compose down`])
    const taken = await shape.deploy('v3', env)
    expect(taken.outputs['outcome']).toBe('deployed')
    expect(taken.annotations.filter(({ message }) => /network/.test(message))).toEqual([])
    const internal = await server.docker('network', 'inspect', '-f', '{{.Internal}}', `${shape.name}_default`)
    expect(internal).toBe('true')
  })
})
