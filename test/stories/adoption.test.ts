import { expect, test } from '@jest/globals'
import { DOCKERFILE, makeShape, project } from './shape.ts'
import { codes } from './story.ts'

const app = (name: string, more = ''): string => `  ${name}:
    build: .
    restart: always
    labels: { caddy: shop.example.com }
    env_file: .env
    environment: { GREETING: "$\{GREETING:-none}" }
    volumes: ["./data:/data"]
${more}`
const PAUSE = `    command: python -c "import signal; signal.pause()"
    init: true
`
const NGINX = `  nginx:
    image: nginx:1-alpine
    restart: always
    ports: ["@PORT@:80"]
    volumes: ["./nginx.conf:/etc/nginx/conf.d/default.conf:ro"]
    depends_on: [web]
`
const nginx = (name: string): string =>
  `server { listen 80; add_header X-Proxy ${name}; location / { proxy_pass http://web:8000; } }\n`

/** A stack that was started by hand; its migrations were applied by hand. */
const BY_HAND = {
  ...project('v1'),
  Dockerfile: DOCKERFILE,
  'compose.yaml': `services:\n${app('web')}${app('beat', PAUSE)}${NGINX}`,
  'nginx.conf': nginx('by-hand'),
  '.env': "SECRET_KEY='by$hand'\nGREETING=hello\n",
}
const DEPLOYED = {
  'compose.yaml': `services:\n${app('web')}${app('worker', PAUSE)}${NGINX}`,
  'nginx.conf': nginx('deployed'),
}

test('a stack that was built and started by hand survives a first deploy that fails, is upgraded, and comes back', async () => {
  await using shape = await makeShape({ ...project('v2'), ...DEPLOYED, Dockerfile: DOCKERFILE })
  const { name, server } = shape
  const folder = `deploy/${name}`
  const shell = async (script: string): Promise<string> => {
    const done = await server.exec(['sh', '-euc', `cd "$1"; ${script}`, 'sh', folder])
    if (done.code !== 0) throw new Error(done.stderr)
    return done.stdout
  }
  await server.exec(['mkdir', '-p', folder])
  await shape.place(folder, BY_HAND)
  await shell('docker compose up -d --build 2>&1; docker compose exec -T web python manage.py migrate')
  expect(await shape.ask()).toEqual({ text: 'v1 with 0 notes', proxy: 'by-hand' })

  /** What is meant by "exactly": the containers with image, environment and mounts, and the files. */
  const snapshot = (): Promise<string> =>
    shell(`docker ps -aq --filter "label=com.docker.compose.project=${name}" | xargs docker inspect -f \\
      '{{.Name}} {{.State.Status}} {{.Image}} {{.HostConfig.Binds}} {{.HostConfig.PortBindings}} {{.Config.Cmd}}{{range .Config.Env}}{{println}}{{$.Name}} {{.}}{{end}}' | sort
      find . -path ./.deploy -prune -o -path ./data -prune -o -type f -exec sha256sum {} + | sort`)
  const before = await snapshot()
  expect(before).toContain('by$hand')
  const inputs = { 'env-file': 'SECRET_KEY=deployed\nGREETING=deployed\n' }

  await shape.write({ Dockerfile: `${DOCKERFILE}CMD ["python", "-c", "import signal; signal.pause()"]\n` })
  const failed = await shape.deploy('v1', { ...inputs, 'health-timeout': '3s', try: 'never' })
  expect(codes(failed)).toEqual(['Deploy Django: health-server-error'])
  const adopted = failed.outputs['serving'] ?? ''
  expect(adopted).toMatch(/^adopted-\d{8}T\d{6}$/)
  expect(await snapshot()).toBe(before)
  expect(await shape.ask()).toEqual({ text: 'v1 with 0 notes', proxy: 'by-hand' })
  // Its one-off containers are no part of the site either.
  const oneOff = await shell(`cat .deploy/releases/${adopted}/run.yaml`)
  expect(oneOff).toContain('driver: json-file')
  expect(oneOff).not.toContain('caddy')

  const inside = await shape.sub('exec', { run: 'echo "$GREETING, $SECRET_KEY"' })
  expect(inside.code).toBe(0)
  expect(inside.raw).toMatch(/^hello, \*\*\*$/m)
  const status = await shape.sub('status', {})
  expect(status.outputs).toMatchObject({ serving: adopted, healthy: 'true' })
  // The new one was applied before the swap; the old code, which can work with it, does not know it.
  const rows = [
    { name: 'notes.0001_initial', state: 'applied' },
    { name: 'notes.0002_extra', state: 'unknown' },
  ]
  expect(JSON.parse(status.outputs['migrations'] ?? '')).toEqual(rows)

  await shape.write({ Dockerfile: DOCKERFILE })
  const deployed = await shape.deploy('v2', inputs)
  expect(deployed.annotations).toEqual([])
  expect(deployed.outputs).toMatchObject({ outcome: 'deployed', serving: 'v2', 'previous-version': adopted })
  expect(await shape.ask()).toEqual({ text: 'v2 with 0 notes', proxy: 'deployed' })
  expect(await shape.containers()).toEqual(['nginx running', 'web running', 'worker running'])
  expect(await shell('cat .env')).toBe(inputs['env-file'])

  const back = await shape.rollback()
  expect(back.outputs).toMatchObject({ outcome: 'rolled-back', version: adopted, serving: adopted })
  expect(await snapshot()).toBe(before)
  expect(await shape.ask()).toEqual({ text: 'v1 with 0 notes', proxy: 'by-hand' })
})
