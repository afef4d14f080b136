import { describe, expect, test } from '@jest/globals'
import { logInAs, noCompose5 } from '../world/kind.ts'
import type { Server } from '../world/server.ts'
import { openWorld } from '../world/world.ts'
import { codes } from './story.ts'
import { until } from '../until.ts'
import { DOCKERFILE, makeShape, migration, project, type Files, type Shape } from './shape.ts'

// Containers that are no part of the site, on real parts: with the Compose of the world, and with Compose 5.

/** What people write for caddy-docker-proxy, nginx-proxy, autoheal and ofelia; the image has a label as well. */
const COMPOSE = `services:
  web:
    build: .
    env_file: .env
    environment: { VIRTUAL_HOST: shop.example.com, VIRTUAL_PORT: "8000", LETSENCRYPT_HOST: shop.example.com }
    labels: { caddy: shop.example.com, caddy.reverse_proxy: "{{upstreams 8000}}", autoheal: "true", ofelia.enabled: "true" }
    hostname: shop
    ports: ["@PORT@:8000"]
    restart: always
    logging: { driver: none }
    healthcheck: { test: ["CMD", "python", "-c", "print()"], interval: 2s }
    volumes: ["data:/data"]
    networks: { edge: { aliases: [shop.internal] } }
volumes: { data: {} }
networks: { edge: { external: true, name: @NAME@-edge } }
`

const WAITING = migration('0001_initial', 'migrations.RunPython(wait)').replace(
  'class',
  `import pathlib, time
def wait(apps, schema_editor):
    for _ in range(600):
        if pathlib.Path('/data/go').exists(): return
        time.sleep(0.1)
    raise RuntimeError('nobody gave the word')
class`,
)

const files: Files = {
  ...project('v1'),
  'compose.yaml': COMPOSE,
  Dockerfile: `${DOCKERFILE}LABEL watch.me="true" caddy_1="image.example.com"\n`,
}

/** The template of `docker inspect` for what a proxy, a watcher or a visitor could find. */
const FOUND = `{{json .Config.Labels}}
{{json .Config.Env}}
{{json .NetworkSettings.Networks}}
{{json .Config.Healthcheck}} {{.HostConfig.RestartPolicy.Name}} {{.HostConfig.LogConfig.Type}} {{json .HostConfig.PortBindings}}`

async function servers(): Promise<{ beta: Server; five: Server }> {
  const world = await openWorld()
  return { beta: await world.server('beta'), five: await logInAs(await world.server('kinds'), 'five') }
}

async function shapeWithEdge(on: Server): Promise<Shape> {
  const shape = await makeShape(files, on)
  await shape.server.docker('network', 'create', `${shape.name}-edge`)
  return shape
}

describe.each<['beta' | 'five', string]>([
  ['beta', ''],
  ['five', noCompose5],
])('on %s', (on, skipped) => {
  ;(skipped === '' ? test : test.skip)(`a migration is no part of the site${skipped}`, async () => {
    await using shape = await shapeWithEdge((await servers())[on])
    const { server, name } = shape
    try {
      const env = { 'env-file': 'SECRET_KEY=x\nVIRTUAL_HOST=shop.example.com\n' }
      const first = await shape.deploy('v1', env)
      expect([first.outputs['outcome'], codes(first)]).toEqual(['deployed', []])

      await shape.write({ 'notes/migrations/0002_wait.py': WAITING })
      const running = shape.deploy('v2', env)
      const container = `${name}-migrate`
      await until(`${container} runs`, async () => (await server.exec(['docker', 'inspect', container])).code === 0)
      const [labels = '', variables = '', networks = '', rest] = (
        await server.docker('inspect', '-f', FOUND, container)
      ).split('\n')
      await server.docker('exec', container, 'touch', '/data/go')
      const second = await running

      const own = Object.entries(JSON.parse(labels) as Record<string, string>).filter(
        ([label]) => !/^(com\.docker\.compose|deploy-django|org\.opencontainers)\./.test(label),
      )
      expect(Object.fromEntries(own)).toEqual({
        'traefik.enable': 'false',
        SERVICE_IGNORE: 'true',
        'watch.me': '',
        caddy_1: 'http://deploy-django.invalid',
      })
      expect(JSON.parse(variables)).toEqual(
        expect.arrayContaining(['VIRTUAL_HOST=', 'LETSENCRYPT_HOST=', 'SECRET_KEY=x']),
      )
      const joined = JSON.parse(networks) as Record<string, { DNSNames: string[] }>
      expect(Object.keys(joined)).toEqual([`${name}-edge`])
      expect(joined[`${name}-edge`]?.DNSNames).toEqual([container, expect.stringMatching(/^[0-9a-f]{12}$/)])
      expect(rest).toBe('{"Test":["NONE"]} no json-file {}')
      expect([second.outputs['outcome'], codes(second)]).toEqual(['deployed', []])
      expect((await shape.ask()).text).toBe('v1 with 0 notes')

      await shape.write({ Dockerfile: `${DOCKERFILE}CMD ["sh", "-c", "echo the reason is X; exit 3"]\n` })
      const failed = await shape.deploy('v3', { ...env, try: 'never' })
      expect(codes(failed)).toEqual(['Deploy Django: container-exited'])
      expect(failed.annotations[0]?.message).toContain('because its log driver is none')
      expect((await shape.ask()).text).toBe('v1 with 0 notes')
    } finally {
      await server.docker('rm', '-f', `${name}-web-1`)
      await server.docker('network', 'rm', `${name}-edge`)
    }
  })
})
