import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'yaml'
import { readApp } from '../../../src/compose/app.ts'
import { valuesOf } from '../../../src/compose/document.ts'
import { ship } from '../../../src/compose/shipment.ts'
import { toProject } from '../../../src/compose/project.ts'
import { makeRelease, type Release } from '../../../src/compose/release.ts'
import { run } from '../../../src/process.ts'
import { withRole } from '../../../src/compose/role.ts'
import { DIGEST, modelOf, release, repositoryOf, serviceOf } from './model.ts'

const SHOP = `
x-app: &app {build: {context: .}, command: "\${UNSET:?}"}
services:
  web: {build: {context: ., secrets: [{source: pip}]}, develop: {watch: []}, image: "a/b:\${T:-1}", pull_policy: build, ports: ["\${P:-80}:8000"], env_file: [{path: .env, required: true}], secrets: [{source: key}]}
  worker: {build: {context: ., secrets: [{source: pip}]}, depends_on: [web], profiles: [x]}
  db: {image: "postgres:\${PG:-17}", environment: {P: "\${P:?needed}", Q: "a$$b"}, pull_policy: always}
volumes: {data: {external: true}}
secrets: {pip: {environment: PIP}, key: {file: ./key.pem}}
`

describe('the pinned model', () => {
  const made = release(SHOP)
  test('has the images by digest, nothing to build, and the name', () => {
    expect(serviceOf(made, 'web')).toMatchObject({ image: `ghcr.io/o/r@${DIGEST}`, ports: ['${P:-80}:8000'] })
    expect(made.compose).not.toMatch(/^\s*(build|develop|x-app):/m)
    expect(modelOf(made)['name']).toBe('shop')
  })
  test('leaves every value to the server, and services that are not built as they are', () => {
    expect(serviceOf(made, 'db')).toEqual({
      image: 'postgres:${PG:-17}',
      environment: { P: '${P:?needed}', Q: 'a$$b' },
      pull_policy: 'always',
    })
    expect(serviceOf(made, 'web')['pull_policy']).toBeUndefined()
  })
  test('keeps a service that no profile starts, without what would have to be built for it', () => {
    const text =
      'services: {app: {build: .}, dev: {build: {context: ., target: dev}, image: "${DEV}", profiles: [dev]}}'
    expect(serviceOf(release(text), 'dev')).toEqual({ image: 'deploy-django.invalid/not-built', profiles: ['dev'] })
  })
  test('has a second one for containers that are no part of the site', () => {
    const { oneOff } = release('services: {web: {build: ., ports: ["80:80"]}}')
    expect(oneOff.networks).toEqual(['default shop_default'])
    const own = oneOff.files.find(({ path }) => path === 'run.yaml')
    expect(parse(own?.content ?? '').services.web).toEqual({
      image: `ghcr.io/o/r@${DIGEST}`,
      healthcheck: { disable: true },
      logging: { driver: 'json-file' },
    })
  })
  test('asks for no secret that only a build needs', () => {
    expect(Object.keys(valuesOf(modelOf(made)['secrets']))).toEqual(['key'])
  })
})

test('only an active service is warned about', () => {
  const text =
    'services: {app: {build: .}, assets: {build: {context: ., target: assets}, profiles: [assets], volumes: [".:/app"]}}'
  const files = { 'manage.py': '', 'app.css': '' }
  expect(release(text, { files }).warnings).toEqual([])
  expect(release(text, { files, profiles: ['assets'] }).warnings).toEqual([
    expect.stringContaining('. is part of the release'),
  ])
})

test('images beside the app are known by name, those that are built here and those with a variable are not', () => {
  const text = `services:
  web: {build: ., depends_on: [db, cache]}
  db: {image: "postgres:17"}
  cache: {image: "redis:\${REDIS:-7}"}
  proxy: {image: "nginx:1@sha256:ab", ports: ["80:80"], depends_on: [web]}
  tool: {image: busybox, profiles: [tools]}`
  expect(release(text).imagesBeside).toEqual(['postgres:17', 'nginx:1@sha256:ab'])
})

describe('the same again', () => {
  test('gives the same bytes, whatever the order of the keys', () => {
    const turned = 'volumes: {b: {}, a: {}}\nservices: {web: {ports: ["1:1"], build: {context: .}}}'
    const straight = 'services: {web: {build: {context: .}, ports: ["1:1"]}}\nvolumes: {a: {}, b: {}}'
    expect(release(turned).compose).toBe(release(straight).compose)
  })

  test('another id has the same fingerprint, another env file has not', () => {
    const one = release(SHOP, { envFile: 'A=1\n' })
    expect(one.compose).toContain('.deploy/releases/v1-1-1/env/.env')
    expect(release(SHOP, { envFile: 'A=1\n', id: 'v1-2-1' }).fingerprint).toBe(one.fingerprint)
    expect(release(SHOP, { envFile: 'A=2\n' }).fingerprint).not.toBe(one.fingerprint)
    expect(release(SHOP).fingerprint).not.toBe(one.fingerprint)
  })

  test('texts that YAML takes for something else survive', () => {
    const odd = [
      'yes',
      'no',
      'on',
      '0644',
      '1e3',
      '22:22',
      'null',
      '~',
      '1_000',
      '2020-01-01',
      '0x1f',
      '',
      ' a ',
      '#',
      'a: b',
      'a\nb\n',
      '- x',
      '*a',
      '&a',
      '!t',
      '%',
    ]
    const made = release(JSON.stringify({ services: { web: { build: { context: '.' }, command: odd } } }))
    expect(serviceOf(made, 'web')['command']).toEqual(odd)
    expect(parse(made.compose, { version: '1.1' }).services.web.command).toEqual(odd)
  })

  test.each(Array.from({ length: 40 }, (_, seed) => seed))(
    'pinning a pinned model changes nothing (seed %i)',
    (seed) => {
      const { text, files } = randomProject(seed)
      const first = release(text, { files, envFile: 'A=1\n' })
      expect(first.compose).not.toMatch(/^\s*build:/m)
      const again = makeRelease({
        project: toProject(['compose.yaml'], undefined, parse(first.compose)),
        name: 'shop',
        id: 'v1-1-1',
        roles: first.roles,
        images: first.images,
        repository: repositoryOf(files),
        envFile: 'A=1\n',
        envFiles: [],
        profiles: [],
        settingsBefore: undefined,
        djangoServices: [],
        before: readApp({}),
        there: [],
        update: [],
        contents: new Map(),
        contentsBefore: new Map(),
      })
      expect(again.compose).toBe(first.compose)
      expect(again.files).toEqual([])
    },
  )
})

/** A small generator with a fixed sequence, so that a failure can be repeated. */
function randomProject(seed: number): { text: string; files: Record<string, string> } {
  let state = seed * 2654435761 + 1
  const pick = <T>(...values: T[]): T => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    const value = values[state % values.length]
    if (value === undefined) throw new Error('nothing to pick from')
    return value
  }
  const count = pick(1, 2, 3, 5)
  const services = Array.from({ length: count }, (_, index) => [
    pick('web', 'w.eb', 'worker-', 'api_') + index,
    {
      ...(index === 0 || pick(true, false)
        ? { build: { context: pick('.', './app'), args: { A: '${A:?x}' } } }
        : { image: 'redis' }),
      volumes: [pick('data:/d', './nginx.conf:/n', '${C:-./nginx.conf}:/n:ro', './conf:/c', '/abs:/a', '../up:/u')],
      env_file: pick<unknown>(
        '.env',
        [{ path: 'my.env', required: true }],
        [{ path: 'none.env', required: false }],
        [],
      ),
      ports: [pick('80:80', '${P:-80}:80')],
    },
  ])
  return {
    text: JSON.stringify({ services: Object.fromEntries(services) }),
    files: { 'nginx.conf': 'n', 'conf/a.conf': 'a', 'my.env': 'E=1' },
  }
}

describe('files of the repository', () => {
  const bind = (source: string, target = '/target', more = '') =>
    `services: {web: {build: {context: .}, volumes: [{type: bind, source: "${source}", target: ${target}${more}}]}}`
  const sourceOf = (made: Release): unknown => valuesOf([serviceOf(made, 'web')['volumes']].flat()[0])['source']

  test('a file goes by its content', () => {
    const one = release(bind('./nginx.conf'), { files: { 'nginx.conf': 'a' } })
    const other = release(bind('./nginx.conf'), { files: { 'nginx.conf': 'b' } })
    expect(sourceOf(one)).toMatch(/^\.\/\.deploy\/files\/[0-9a-f]{64}\/nginx\.conf$/)
    expect(one.files).toEqual([
      { path: String(sourceOf(one)).replace('./.deploy/', ''), content: Buffer.from('a'), mode: 0o644 },
    ])
    expect(sourceOf(other)).not.toBe(sourceOf(one))
    expect(sourceOf(release(bind('./nginx.conf'), { files: { 'nginx.conf': 'a', other: 'c' } }))).toBe(sourceOf(one))
  })

  test('a folder goes with all in it, modes included', () => {
    const made = release(bind('conf'), {
      files: { 'conf/b/x.sh': '1', 'conf/a': '2', 'conf/.hidden': '3', 'conference/z': '4' },
    })
    expect(made.files.map(({ path, mode }) => [path.replace(/^files\/[0-9a-f]{64}\//, ''), mode])).toEqual([
      ['conf/.hidden', 0o644],
      ['conf/a', 0o644],
      ['conf/b/x.sh', 0o755],
    ])
  })

  test('files below a folder have any name', () => {
    const names = ['static/logo (1).png', "static/$(id);'a\nb"]
    const made = release(bind('static'), { files: Object.fromEntries(names.map((name) => [name, 'x'])) })
    expect(made.files.map(({ path }) => path.replace(/^files\/[0-9a-f]{64}\//, '')).sort()).toEqual(names.sort())
  })

  test('another name or mode is another address: what an older release brought is not sent again', () => {
    const address = (path: string, executable: boolean) =>
      ship({ files: new Map([[path, executable]]), read: () => Buffer.from('x') }, path)?.path.split('/')[1]
    const addresses = [address('run', true), address('run', false), address('start', true), address('bin/run', true)]
    expect(new Set(addresses).size).toBe(3)
    expect(addresses[3]).toBe(addresses[0])
  })

  test('paths start from the folder of the first Compose file', () => {
    const made = release(bind('../nginx.conf'), { file: 'docker/compose.yml', files: { 'nginx.conf': 'a' } })
    expect(made.files).toHaveLength(1)
  })

  test('of a whole entry that is the default of a variable, the source is shipped', () => {
    const text = 'services: {web: {build: ., volumes: ["${CONF:-./conf:/conf:ro}"]}}'
    const [entry] = [serviceOf(release(text, { files: { 'conf/a': 'x' } }), 'web')['volumes']].flat()
    expect(entry).toMatch(/^\$\{CONF:-\.\/\.deploy\/files\/[0-9a-f]{64}\/conf:\/conf:ro\}$/)
  })

  test('the default of a variable is shipped, the variable stays', () => {
    const made = release(bind('${CONF:-./nginx.conf}'), { files: { 'nginx.conf': 'a' } })
    expect(sourceOf(made)).toMatch(/^\$\{CONF:-\.\/\.deploy\/files\/[0-9a-f]{64}\/nginx\.conf\}$/)
  })

  test.each([
    ['./nginx/${SITE:-shop}.conf', 'nginx', '/${SITE:-shop}.conf'],
    ['./nginx/${SITE}.conf', 'nginx', '/${SITE}.conf'],
    ['./conf/$ENV', 'conf', '/$ENV'],
  ])('where a variable chooses one of several, all of them are shipped: %s', (source, folder, rest) => {
    const files = { 'nginx/shop.conf': 'a', 'nginx/other.conf': 'b', 'conf/prod/a.conf': 'c' }
    const made = release(bind(source), { files })
    expect(String(sourceOf(made)).replace(/[0-9a-f]{64}/, '-')).toBe(`./.deploy/files/-/${folder}${rest}`)
    expect(made.files.length).toBe(folder === 'nginx' ? 2 : 1)
  })

  test.each([
    ['not in the repository', './data'],
    ['not in the repository, whatever the variable', './nginx/${SITE}.pem'],
    ['in the folder of all that there is', './${NAME:-nginx.conf}'],
    ['data whatever the variable', './media/${NAME:-logo}.png'],
    ['a database that a variable chooses', './sub/${NAME}.sqlite3'],
    ['absolute', '/srv/nginx.conf'],
    ['in a home folder', '~/nginx.conf'],
    ['outside of the repository', '../nginx.conf'],
    ['a variable', '${WHERE}'],
    ['nothing but .gitkeep', './empty'],
    ['nothing but a readme for who puts something there', './ssl'],
    ['data by its name', './media'],
    ['a database', './db.sqlite3'],
  ])('what is %s stays', (_, source) => {
    const data = { 'media/logo.png': 'p', 'db.sqlite3': 'd', 'sub/db.sqlite3': 'd' }
    const kept = { 'empty/.gitkeep': '', 'ssl/.gitignore': '*', 'ssl/ReadMe.md': '' }
    const files = { 'nginx.conf': 'a', 'nginx/shop.conf': 'a', ...kept, ...data }
    const made = release(bind(source), { files })
    expect(sourceOf(made)).toBe(source)
    expect(made.files).toEqual([])
  })

  test('data that is in the repository is warned of, read-only data is shipped', () => {
    const files = { 'media/logo.png': 'p' }
    expect(release(bind('./media'), { files }).warnings).toEqual([expect.stringContaining('media')])
    expect(release(bind('./media', '/target', ', read_only: true'), { files }).files).toHaveLength(1)
    expect(release(bind('./db', '/docker-entrypoint-initdb.d'), { files: { 'db/init.sql': 'x' } }).files).toHaveLength(
      1,
    )
  })

  test('a name such as metadata is no data, and a folder that is shipped should be read-only', () => {
    const files = { 'hasura/metadata/tables.yaml': 'x' }
    const made = release(bind('hasura/metadata'), { files })
    expect(made.files).toHaveLength(1)
    expect(made.warnings).toEqual([expect.stringContaining('Mount it read-only')])
    expect(release(bind('hasura/metadata', '/target', ', read_only: true'), { files }).warnings).toEqual([])
    expect(release(bind('hasura/metadata', '/etc/x'), { files }).warnings).toEqual([])
  })

  test('data of one service is data for all that mount it', () => {
    const text = `services:
  web: {build: ., volumes: ["./media:/app/media", "./site.conf:/etc/site.conf"]}
  proxy: {image: nginx, volumes: ["./media/:/usr/share/nginx/media:ro", "./site.conf:/etc/nginx/site.conf:ro"]}`
    const made = release(text, { files: { 'media/logo.png': 'p', 'site.conf': 'c' } })
    expect(serviceOf(made, 'proxy')['volumes']).toEqual([
      './media/:/usr/share/nginx/media:ro',
      expect.stringMatching(/^\.\/\.deploy.*:\/etc\/nginx\/site\.conf:ro$/),
    ])
    expect(made.files).toHaveLength(1)
  })

  test('where one container makes what another reads, the folder stays', () => {
    const proxy = (source: string) => `  proxy: {image: nginx, volumes: ["${source}:/usr/share/nginx/html"]}`
    const text = (source: string) =>
      `services:\n  front: {build: ./front, volumes: ["./front:/app/result"]}\n${proxy(source)}`
    const files = { 'front/Dockerfile': 'x', 'front/public/a.html': 'x' }
    expect(release(text('./front/dist'), { files }).files).toEqual([])
    expect(release(text('./front/dist'), { files }).warnings).toEqual([expect.stringContaining('front is in the')])
    expect(release(text('./front/public'), { files }).files).toHaveLength(3)
    expect(release(text('./frontend/dist'), { files }).files).toHaveLength(2)
  })

  test('configs and secrets from files', () => {
    const text = `
services: {web: {build: {context: .}, configs: [c], secrets: [s]}}
configs: {c: {file: ./c.conf}, unused: {file: ./u}}
secrets: {s: {file: ./absent.txt}}`
    const made = release(text, { files: { 'c.conf': 'x' } })
    expect(valuesOf(valuesOf(modelOf(made)['configs'])['c'])['file']).toMatch(/^\.\/\.deploy\/files\/\w{64}\/c\.conf$/)
    expect(modelOf(made)['secrets']).toEqual({ s: { file: './absent.txt' } })
  })

  test.each(['a\nb', 'a;b', '$(x)', 'a"b'])('a path such as %j is refused', (path) => {
    const text = JSON.stringify({
      services: { web: { build: {}, volumes: [{ type: 'bind', source: path.replaceAll('$', '$$$$'), target: '/t' }] } },
    })
    expect(() => release(text, { files: { [path]: 'x' } })).toThrow('unsupported characters')
  })
})

describe('Docker Compose itself', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'release-'))
  })
  afterEach(() => rm(folder, { recursive: true }))

  test('accepts the text and fills in the variables', async () => {
    await writeFile(join(folder, 'compose.yaml'), release(SHOP).compose)
    await writeFile(join(folder, '.env'), 'P=1234\n')
    const env = { PATH: `/usr/bin:${process.env['PATH'] ?? ''}`, HOME: folder }
    const finished = await run('docker', ['compose', 'config', '--format', 'json'], { cwd: folder, env })
    expect(finished.stderr).toBe('')
    const services = valuesOf(valuesOf(JSON.parse(finished.stdout))['services'])
    expect(services['db']).toMatchObject({ image: 'postgres:17', environment: { P: '1234', Q: 'a$$b' } })
    expect(services['web']).toMatchObject({ ports: [{ published: '1234', target: 8000 }] })
  })
})

test('a service of a profile that the input makes active belongs to the release, whatever the server sets', () => {
  const text = `services:
  web: {build: {context: .}, profiles: [prod]}
  worker: {build: {context: .}, profiles: [jobs]}`
  const made = release(text, { profiles: ['prod'] })
  expect(serviceOf(made, 'web')['profiles']).toBeUndefined()
  expect(serviceOf(made, 'worker')['profiles']).toEqual(['jobs'])
  expect(withRole(made.roles.services, 'app')).toEqual(['web'])
})
