import { describe, expect, test } from '@jest/globals'
import { groupBuilds } from '../../../src/compose/group.ts'
import {
  assignRoles,
  behindApp,
  checkProfiles,
  checkServices,
  chooseProfiles,
  describeUnnamed,
  readRoles,
  visitedFirst,
  withRole,
  writeRoles,
  type Role,
  type Roles,
} from '../../../src/compose/role.ts'
import { projectOf } from './model.ts'

function roles(text: string, django: string, services: string[] = [], profiles: string[] = []): Roles {
  const project = projectOf(text)
  const groups = groupBuilds(project)
  const group = groups.find(({ name }) => name === django)
  if (!group) throw new Error(`no group ${django}`)
  return assignRoles({ project, groups, django: group, services, profiles })
}

const replaced = ({ services }: Roles): string[] =>
  services.filter(({ role }) => role === 'app').map(({ level, service }) => `${level} ${service}`)
const named = ({ services }: Roles, role: Role): readonly string[] => withRole(services, role)
const behind = ({ services }: Roles): readonly string[] => behindApp(services)

const shop = `
services:
  web: {build: ., ports: ["8000:8000"], depends_on: {db: {condition: service_healthy}, setup: {condition: service_completed_successfully}}, volumes: ["media:/media"]}
  worker: {build: ., depends_on: [web, redis]}
  setup: {image: busybox}
  proxy: {build: ./proxy, ports: ["80:80"], depends_on: [web], volumes: ["certificates:/certificates"]}
  edge: {image: nginx, ports: ["443:443"], depends_on: [proxy]}
  traefik: {image: "traefik:3", ports: ["81:80"]}
  db: {build: ./postgres, volumes: ["pg:/var/lib/postgresql/data"], depends_on: [network]}
  network: {image: vpn}
  redis: {image: "redis:7", ports: ["6379:6379"]}
  tool: {build: ., profiles: [tools]}
`

describe('a whole shop', () => {
  const all = roles(shop, 'web')
  test('what is built here is replaced, what depends on it later; a database that is built here is not', () => {
    expect(replaced(all)).toEqual(['0 web', '1 proxy', '1 worker'])
  })
  test('a pooler or a tunnel that is built here is the way to the database, so it starts first', () => {
    const text =
      'services: {web: {build: ., depends_on: [pgbouncer]}, pgbouncer: {build: ./pgbouncer}, tunnel: {build: ./tunnel, ports: ["80:80"]}}'
    expect(replaced(roles(text, 'web'))).toEqual(['0 tunnel', '0 web'])
    expect(named(roles(text, 'web'), 'cache')).toEqual(['pgbouncer'])
  })
  test('a proxy that is built here keeps running while the app is stopped', () => {
    expect(all.proxies).toEqual(['proxy'])
    const built = (more: string): readonly string[] =>
      roles(`services: {web: {build: ., ports: ["80:80"]}, front: {depends_on: [web], ${more}}}`, 'web').proxies
    expect(built('build: ./docker/nginx/')).toEqual(['front'])
    expect(built('build: {context: ., dockerfile: Dockerfile.caddy}')).toEqual(['front'])
    expect(built('build: {context: ., target: nginx}')).toEqual(['front'])
    expect(built('build: ./frontend')).toEqual([])
    // Another app that may write to the same database.
    expect(built('build: ./nginx, command: celery -A shop worker')).toEqual([])
    expect(roles('services: {nginx: {build: ., ports: ["80:80"]}}', 'nginx').proxies).toEqual([])
  })
  test('what the app needs starts before it, in order', () => {
    expect(behind(all)).toEqual(['network', 'db', 'setup', 'redis'])
  })
  test('what nobody depends on is not waited for', () => {
    expect(all.optional).toEqual([])
    const tool = '  awscli: {build: ./aws, volumes: ["backups:/backups"], depends_on: [db]}\n'
    const more = roles(shop + tool, 'web')
    expect(behind(more)).toEqual(['network', 'db', 'awscli', 'setup', 'redis'])
    expect(more.optional).toEqual(['awscli'])
  })
  test('nor what stands in front without being published', () => {
    const tool = '  certbot: {image: certbot/certbot, depends_on: [edge]}\n'
    const more = roles(shop + tool, 'web')
    expect(named(more, 'front')).toEqual(['edge', 'certbot', 'traefik'])
    expect(more.optional).toEqual(['certbot'])
  })
  test('what keeps nothing takes a changed definition; a database does not, with a volume or without', () => {
    expect(named(all, 'cache')).toEqual(['network', 'redis'])
    const text = 'services: {web: {build: ., depends_on: [store]}, store: {image: "postgis/postgis:17"}}'
    expect(named(roles(text, 'web'), 'cache')).toEqual([])
  })
  test('what stands in front of it comes after', () => {
    expect(named(all, 'front')).toEqual(['edge', 'traefik'])
  })
  test('what others wait for to end runs once, or for each release when it is built here', () => {
    expect([named(all, 'job'), named(all, 'one-time')]).toEqual([[], ['setup']])
    const built = roles(shop.replace(/setup: \{image: [^,}]*/, 'setup: {build: .'), 'web')
    expect([named(built, 'job'), named(built, 'one-time')]).toEqual([['setup'], []])
    expect(behind(built)).toEqual(['network', 'db', 'redis'])
    expect(replaced(built)).toEqual(replaced(all))
  })
  test('nobody reaches the app through what stands behind it, or through a worker', () => {
    const more =
      '  pgadmin: {image: pgadmin, ports: ["9000:80"], depends_on: [db]}\n  flower: {image: flower, ports: ["5555:5555"], depends_on: [worker]}\n'
    const services = roles(shop + more, 'web').fronts.map(({ service }) => service)
    expect(services).toEqual(['web', 'proxy', 'edge', 'traefik'])
  })
  test('the probed service and the published ports', () => {
    expect(all.django).toBe('web')
    expect(all.fronts).toContainEqual({ service: 'proxy', port: 80 })
    expect(all.fronts).toContainEqual({ service: 'web', port: 8000 })
  })
})

test('each active service has one role, which is one line of a fact', () => {
  const lines = writeRoles(roles(shop, 'web').services)
  expect(lines).toEqual([
    'app 0 web',
    'app 1 proxy',
    'app 1 worker',
    'front 0 edge',
    'front 0 traefik',
    'cache 0 network',
    'database 0 db',
    'one-time 0 setup',
    'cache 0 redis',
  ])
  expect(writeRoles(readRoles(lines))).toEqual(lines)
  expect(readRoles(['nobody 0 web', ''])).toEqual([])
})

describe('a service that is built here, with a volume', () => {
  const shop = (frontend: string, proxy = '"dist:/srv/front:ro"'): Roles =>
    roles(
      `services:
  web: {build: ., expose: ["8000"]}
  ${frontend}
  nginx: {image: "nginx:1", ports: ["80:80"], depends_on: [web], volumes: [${proxy}]}
`,
      'web',
    )

  test('is replaced when it copies its files into what another one serves', () => {
    expect(replaced(shop('frontend: {build: ./front, volumes: ["dist:/out"]}'))).toEqual(['0 frontend', '0 web'])
  })
  test.each([
    ['it looks like a database', 'db: {build: ./front, volumes: ["dist:/out"]}'],
    ['it writes where a database does', 'store: {build: ./front, volumes: ["dist:/var/lib/postgresql/data"]}'],
    ['nobody else reads its volume', 'frontend: {build: ./front, volumes: ["other:/out"]}'],
    ['it has data of its own as well', 'frontend: {build: ./front, volumes: ["dist:/out", "own:/own"]}'],
  ])('is kept when %s', (_, service) => {
    expect(replaced(shop(service))).toEqual(['0 web'])
  })
  test('is kept when the other one writes there as well', () => {
    expect(replaced(shop('frontend: {build: ./front, volumes: ["dist:/out"]}', '"dist:/srv"'))).toEqual(['0 web'])
  })
})

describe('the input services', () => {
  test('names all that is replaced, in any order', () => {
    expect(replaced(roles(shop, 'web', ['worker', 'web']))).toEqual(['0 web', '1 worker'])
  })
  test('a service on the image of one that is named is known, with what to add', () => {
    const text =
      'services: {web: {build: ., ports: ["80:80"]}, admin: {build: .}, job: {build: ./job}, db: {image: postgres}}'
    expect(roles(text, 'web', ['web']).unnamed).toEqual(['admin'])
    expect(roles(text, 'web', []).unnamed).toEqual([])
    expect(describeUnnamed('admin', ['web', 'job'])).toMatch(
      /^admin runs the image .* Add it: services: web job admin$/,
    )
  })
  test('can name what no profile starts', () => {
    expect(replaced(roles(shop, 'web', ['tool']))).toEqual(['0 tool'])
  })
  test('must exist', () => {
    expect(() => checkServices(projectOf(shop), { services: ['app'] })).toThrow('Input services names app')
    const all = {
      services: ['web'],
      updateServices: ['db'],
      scale: [{ service: 'web', count: 2 }],
      profiles: ['tools'],
    }
    expect(() => checkServices(projectOf(shop), all)).not.toThrow()
    expect(() => checkServices(projectOf(shop), { ...all, profiles: ['*'] })).not.toThrow()
    const wrong = {
      services: ['app'],
      updateServices: ['dB'],
      scale: [{ service: 'wep', count: 2 }],
      profiles: ['tool'],
    }
    expect(() => checkServices(projectOf(shop), wrong)).toThrow(
      /services names app[^]*update-services names dB[^]*scale names wep[^]*profiles names tool/,
    )
  })
  test('must name one of the Django image', () => {
    expect(() => roles(shop, 'web', ['proxy'])).toThrow('No service of the Django image')
  })
})

describe('profiles', () => {
  const text =
    'services: {web: {build: ., profiles: [prod]}, worker: {build: ., profiles: [jobs]}, beat: {build: ., profiles: [jobs]}, db: {image: postgres, profiles: [data]}}'
  test('decide which services are there', () => {
    expect(replaced(roles(text, 'beat', [], ['prod']))).toEqual(['0 web'])
    expect(replaced(roles(text, 'beat', [], ['*']))).toEqual(['0 beat', '0 web', '0 worker'])
  })
  test('none of them active is an error, not an empty deployment', () => {
    const project = projectOf(text)
    const check = (services: string[], profiles: string[]) => (): void =>
      checkProfiles(project, groupBuilds(project), services, profiles)
    expect(check([], ['prud'])).toThrow(
      expect.objectContaining({
        code: 'compose-invalid',
        seen: 'active profiles: prud; profiles of the services that are built here: jobs prod',
        fix: expect.stringContaining('The Compose file has: data jobs prod'),
        annotation: expect.objectContaining({ file: 'compose.yaml' }),
      }),
    )
    for (const fine of [check([], ['prod']), check([], ['*']), check(['web'], [])]) expect(fine).not.toThrow()
  })
  test('are those of the input, else those of the env file', () => {
    expect(chooseProfiles(['a'], 'b')).toEqual(['a'])
    expect(chooseProfiles([], 'b,c')).toEqual(['b', 'c'])
    expect(chooseProfiles([], undefined)).toEqual([])
  })
})

test('the services closest to visitors come first, workers last', () => {
  const order = (text: string, names: readonly string[]): readonly string[] =>
    visitedFirst(projectOf(`services: {${text}}`), names)
  const app = 'beat: {build: ./a, command: celery beat}, job: {build: ./b}'
  expect(order(`${app}, site: {build: ., ports: ["80:80"]}`, ['beat', 'job', 'site'])).toEqual(['site', 'job', 'beat'])
  const proxied = 'site: {build: .}, proxy: {image: nginx, depends_on: [site]}'
  expect(order(`${app}, ${proxied}`, ['beat', 'job', 'site'])).toEqual(['site', 'job', 'beat'])
  const files = 'site: {build: ., volumes: ["s:/static"]}, proxy: {image: nginx, volumes: ["s:/static:ro"]}'
  expect(order(`${app}, ${files}`, ['beat', 'job', 'site'])).toEqual(['site', 'job', 'beat'])
})

describe('the service that is probed', () => {
  test.each([
    ['the published one', 'services: {a: {build: .}, b: {build: ., ports: ["80:80"]}}', 'b', 'b'],
    [
      'the one a proxy waits for',
      'services: {a: {build: .}, b: {build: .}, p: {image: nginx, depends_on: [b]}}',
      'a',
      'b',
    ],
    [
      'not one for tasks, although it is published and the web service is not',
      'services: {flower: {build: ., ports: ["5555:5555"]}, tasks: {build: ., command: [celery, -A, x]}, web: {build: ., command: gunicorn --workers 2 x}}',
      'flower',
      'web',
    ],
    ['one for tasks when there is no other', 'services: {celery: {build: .}, worker: {build: .}}', 'celery', 'celery'],
    [
      'not one without a container',
      'services: {a: {build: ., ports: ["80:80"], deploy: {replicas: 0}}, b: {build: ., ports: ["81:80"]}}',
      'a',
      'b',
    ],
    [
      'of two published ones the one that others depend on',
      'services: {admin: {build: ., ports: ["81:80"]}, portal: {build: ., ports: ["80:80"]}, p: {image: nginx, depends_on: [portal]}}',
      'admin',
      'portal',
    ],
    [
      'of two published ones the one with a usual name',
      'services: {admin: {build: ., ports: ["81:80"]}, shop-web1: {build: ., ports: ["80:80"]}}',
      'admin',
      'shop-web1',
    ],
    [
      'of two that a proxy waits for the one with a usual name',
      'services: {admin: {build: .}, web: {build: .}, p: {image: nginx, depends_on: [admin, web]}}',
      'admin',
      'web',
    ],
    ['the one with a usual name', 'services: {api: {build: .}, django: {build: .}}', 'api', 'django'],
    [
      'the one without settings of its own',
      'services: {api: {build: ., environment: {DJANGO_SETTINGS_MODULE: a.b}}, portal: {build: .}}',
      'api',
      'portal',
    ],
    [
      'the one with a health check',
      'services: {api: {build: .}, portal: {build: ., healthcheck: {test: [CMD, x]}}}',
      'api',
      'portal',
    ],
    [
      'the published one, whatever the names are',
      'services: {portal: {build: ., ports: ["80:80"]}, web: {build: ., healthcheck: {test: [CMD, x]}}}',
      'portal',
      'portal',
    ],
    ['else the first', 'services: {b: {build: .}, a: {build: .}}', 'a', 'a'],
  ])('is %s', (_, text, group, service) => {
    expect(roles(text, group).django).toBe(service)
  })
})

test('a circle of dependencies ends', () => {
  const text = 'services: {a: {build: ., depends_on: [b]}, b: {build: ., depends_on: [a]}}'
  expect(replaced(roles(text, 'a')).map((line) => line.slice(2))).toEqual(expect.arrayContaining(['a', 'b']))
})

test('levels go through services that are not replaced', () => {
  const text = 'services: {web: {build: .}, mid: {image: x, depends_on: [web]}, top: {build: ./top, depends_on: [mid]}}'
  expect(replaced(roles(text, 'web'))).toEqual(['0 web', '1 top'])
})

test('names that a shell would read differently are refused', () => {
  for (const name of ['-x', 'a b', 'a;b', '$(id)', "a'b", '../x', 'a\\nb']) {
    const check = (): void =>
      checkServices(projectOf(JSON.stringify({ services: { [name]: { build: '.' } } })), { services: [] })
    expect(check).toThrow('is not supported')
  }
})
