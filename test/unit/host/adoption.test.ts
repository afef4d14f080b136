import { describe, expect, test } from '@jest/globals'
import type { Roles } from '../../../src/compose/role.ts'
import { planAdoption, type Adoption } from '../../../src/host/adoption.ts'
import type { Container, Mounted } from '../../../src/host/container.ts'
import { parseLook } from '../../../src/host/look.ts'
import { roles as staged } from '../../stand-in/transaction/hand.ts'

const roles: Roles = { ...staged, fronts: [...staged.fronts, { service: 'web', port: 8000 }] }

function container(service: string, change: Partial<Container> = {}): Container {
  return {
    id: service,
    project: 'shop',
    service,
    folder: '/srv/shop',
    files: ['/srv/shop/compose.yaml'],
    envFiles: [],
    running: true,
    image: `sha256:${service}`,
    imageName: service,
    mounts: [],
    ports: [],
    networks: [],
    ...change,
  }
}

const mount = (source: string): Mounted => ({ kind: 'volume', source, target: '/data', readOnly: false })

function adoption(containers: Container[], current?: string): Adoption | undefined {
  const server = parseLook('deploy-django look 1\nhome /root\nend\n')
  if (!server) throw new Error('no server')
  return planAdoption({
    server: { ...server, containers, current },
    name: 'shop',
    roles,
    manage: ['python', 'manage.py'],
    named: ['web', 'worker', 'db', 'proxy'],
    time: new Date('2026-01-02T03:04:05.678Z'),
  })
}

/** The lines of a fact of the adopted release. */
function factOf(made: Adoption | undefined, name: string): string[] {
  const file = made?.files.find(({ path }) => path === `plan/adopted/facts/${name}`)
  return (file?.content.toString() ?? '').split('\n').filter((line) => line !== '')
}

describe('a stack that was started by hand', () => {
  const envFiles = ['/srv/shop/.env.prod']
  const web = { image: 'sha256:app', envFiles }
  const made = adoption([container('web', web), container('db'), container('other', { project: 'other' })])

  test('is kept with what is needed to start it', () => {
    expect(made).toMatchObject({
      id: 'adopted-20260102T030405',
      facts: {
        adopt: ['adopted-20260102T030405', '-'],
        'adopt-images': ['web sha256:app', 'db sha256:db'],
        'adopt-files': ['/srv/shop/compose.yaml'],
        'adopt-env-files': envFiles,
      },
    })
    const pins = made?.files.find(({ path }) => path.endsWith('pins.yaml'))?.content.toString() ?? ''
    const image = (service: string): object => ({
      image: `deploy-django/shop:adopted-20260102T030405.${service}`,
      pull_policy: 'never',
    })
    expect(JSON.parse(pins)).toEqual({ services: { web: image('web'), db: image('db') } })
  })

  test('is a release of what it has: its app is what is replaced', () => {
    expect(factOf(made, 'services')).toEqual(['app 0 web', 'database 0 db'])
    expect(factOf(made, 'images')).toEqual(['web deploy-django/shop:adopted-20260102T030405.web'])
    expect(factOf(made, 'django')).toEqual(['web'])
    expect(factOf(made, 'fronts')).toEqual(['web 8000'])
    expect(factOf(made, 'manage')).toEqual(['python', 'manage.py'])
  })

  test('takes along what runs the image of the app under a name that is gone, and nothing else', () => {
    const app = { image: 'sha256:app' }
    const ended = container('migrate', { ...app, running: false })
    const more = adoption([
      container('web', app),
      container('beat', app),
      container('redis'),
      container('db', app),
      ended,
    ])
    expect(factOf(more, 'services')).toEqual(['app 0 beat', 'app 0 web', 'database 0 db'])
    expect(more?.facts['adopt-images']).toContain('redis sha256:redis')
  })

  test.each<[string, Partial<Container>, string[]]>([
    ['built beside it', { imageName: 'shop-beat' }, ['app 0 beat', 'app 0 web']],
    ['built beside it by an old Compose', { imageName: 'shop_beat:latest' }, ['app 0 beat', 'app 0 web']],
    ['built elsewhere', { imageName: 'beat' }, ['app 0 web']],
    [
      'built beside it, with the same data',
      { imageName: 'shop-beat', mounts: [mount('media')] },
      ['app 0 beat', 'app 0 web'],
    ],
    ['built beside it, with data of its own', { imageName: 'shop-beat', mounts: [mount('rows')] }, ['app 0 web']],
  ])('a service whose name is gone and whose image was %s', (_, change, services) => {
    const web = container('web', { mounts: [mount('media')] })
    expect(factOf(adoption([web, container('beat', change)]), 'services')).toEqual(services)
  })

  test('is judged by the containers that run', () => {
    const old = container('web', { image: 'sha256:old', running: false, files: ['/srv/old.yaml'] })
    const mixed = adoption([old, container('web', web), container('web', { ...old, id: 'another' })])
    expect(mixed?.facts).toMatchObject({
      'adopt-images': ['web sha256:app'],
      'adopt-files': ['/srv/shop/compose.yaml'],
    })
  })
})

test.each<[string, Container[], string | undefined, boolean]>([
  ['nothing runs', [], undefined, false],
  ['only a database runs', [container('db')], undefined, false],
  ['the app is stopped', [container('web', { running: false })], undefined, false],
  ['a release of ours runs', [container('web')], 'v1-1-1', false],
  [
    'a deploy that failed has brought it back',
    [container('web', { files: ['/srv/shop/.deploy/releases/a/compose.yaml'] })],
    'adopted-1',
    false,
  ],
  ['it was changed by hand after that', [container('web')], 'adopted-1', true],
])('adopted when %s?', (_, containers, current, is) => {
  expect(adoption(containers, current) !== undefined).toBe(is)
})
