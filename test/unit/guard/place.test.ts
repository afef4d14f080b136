import { describe, expect, test } from '@jest/globals'
import { checkPlace, projectIn, type Wanted } from '../../../src/guard/place.ts'
import type { Container } from '../../../src/host/container.ts'
import { parseLook, type Server } from '../../../src/host/look.ts'

const wanted: Wanted = {
  name: 'shop',
  isNamed: false,
  directory: 'deploy/shop',
  services: ['web', 'worker'],
  images: ['ghcr.io/o/shop'],
  ports: [80],
}

type Given = { project?: string; folder?: string; services?: string; image?: string; port?: number }

/** The containers of a stack, in our directory under our name if nothing else is said. */
function stack({ project = 'shop', folder = '/home/deploy/deploy/shop', ...given }: Given): Container[] {
  const { services = 'web worker db', image = 'any:1', port } = given
  return services.split(' ').map((service) => ({
    id: `${project}-${service}`,
    project,
    service,
    folder,
    files: [],
    envFiles: [],
    running: true,
    image: 'sha256:aa',
    imageName: service === 'db' ? 'postgres:17' : image,
    mounts: [],
    networks: [],
    ports: port !== undefined && service === 'web' ? [port] : [],
  }))
}

function serverWith(...stacks: Container[][]): Server {
  const server = parseLook('deploy-django look 1\nhome /home/deploy\nfolder /home/deploy/deploy/shop\nend\n')
  if (!server) throw new Error('no server')
  return { ...server, containers: stacks.flat() }
}

/** The lines to add, or undefined when nothing stands in the way. */
function linesOf(server: Server, change: Partial<Wanted> = {}): string | undefined {
  try {
    checkPlace(server, { ...wanted, ...change })
    return undefined
  } catch (error) {
    expect(error).toMatchObject({ code: 'project-elsewhere' })
    const [, lines] = /^add to the step:\n([^]*)\nor, if/.exec((error as { fix: string }).fix) ?? []
    return lines
  }
}

describe('another stack is this project when it has the services and', () => {
  const other = { project: 'docker', folder: '/srv/shop' }
  const lines = 'directory: /srv/shop\nproject: docker'

  test.each<[string, Given, Partial<Wanted>, string | undefined]>([
    ['nothing more', {}, {}, undefined],
    ['the published port', { port: 80 }, {}, lines],
    ['the published port, although the name is given', { port: 80 }, { isNamed: true }, lines],
    ['another port', { port: 81 }, {}, undefined],
    ['the image', { image: 'ghcr.io/o/shop:v1' }, {}, lines],
    ['the image by digest', { image: 'ghcr.io/o/shop@sha256:ab' }, {}, lines],
    [
      'the image, but the name is given: staging beside production',
      { image: 'ghcr.io/o/shop:v1' },
      { isNamed: true },
      undefined,
    ],
    ['an image that only begins so', { image: 'ghcr.io/o/shop2:v1' }, {}, undefined],
    ['the port, and none of them is active', { port: 80 }, { services: [] }, undefined],
    ['not all of them', { services: 'web db', port: 80, image: 'ghcr.io/o/shop:v1' }, {}, undefined],
  ])('%s', (_, given, change, found) => {
    expect(linesOf(serverWith(stack({ ...other, ...given })), change)).toBe(found)
  })

  test('a port of a service that is not built here is no sign', () => {
    const proxied = stack({ ...other, services: 'web worker proxy' }).map((each) =>
      each.service === 'proxy' ? { ...each, ports: [80] } : each,
    )
    expect(linesOf(serverWith(proxied))).toBeUndefined()
  })

  test('but not beside this project itself', () => {
    expect(linesOf(serverWith(stack({ ...other, port: 80 }), stack({})))).toBeUndefined()
  })
})

test.each<[string, Given, Partial<Wanted>, string | undefined]>([
  ['where it runs already', {}, {}, undefined],
  ['in another folder', { folder: '/home/deploy/deploy/old' }, {}, 'directory: deploy/old'],
  ['in another folder, although the name is given', { folder: '/srv/old' }, { isNamed: true }, 'directory: /srv/old'],
  ['under another name', { project: 'docker' }, {}, 'project: docker'],
])('a deploy of what runs %s', (_, given, change, lines) => {
  expect(linesOf(serverWith(stack(given)), change)).toBe(lines)
})

test('the releases in the directory know the name, also when nothing runs', () => {
  const releases = new Map([['v1-1-1', new Map([['project' as const, ['docker']]])]])
  expect(linesOf({ ...serverWith(), current: 'v1-1-1', releases })).toBe('project: docker')
  expect(linesOf({ ...serverWith(), current: 'v1-1-1', releases }, { name: 'docker' })).toBeUndefined()
})

test('projectIn is the only project in the directory', () => {
  expect(projectIn(serverWith())).toBeUndefined()
  expect(projectIn(serverWith(stack({ project: 'a' }), stack({ project: 'b', folder: '/srv' })))).toBe('a')
  expect(projectIn(serverWith(stack({ project: 'a' }), stack({ project: 'b' })))).toBeUndefined()
})
