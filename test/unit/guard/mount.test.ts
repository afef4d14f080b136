import { expect, test } from '@jest/globals'
import { stringify } from 'yaml'
import { onlyMounts } from '../../../src/compose/mount.ts'
import { checkMounts, describeCodeMounts, isRenewable, readCounts, readMounts } from '../../../src/guard/mount.ts'
import type { Container, Mounted } from '../../../src/host/container.ts'

const FOLDER = '/srv/shop'

function mounted(text: string): Mounted {
  const [source = '', target = '', mode] = text.split(':')
  return { kind: source.startsWith('/') ? 'bind' : 'volume', source, target, readOnly: mode === 'ro' }
}

function containerWith(given: Partial<Container>): Container {
  return {
    id: 'c',
    project: 'shop',
    service: 'web',
    folder: FOLDER,
    files: [],
    envFiles: [],
    running: true,
    image: '',
    imageName: '',
    ports: [],
    networks: [],
    mounts: [],
    ...given,
  }
}

/** What the error shows when a container with this mount (`source:target`) is replaced by one with that; undefined for none. */
function seen(now: string, then: string | undefined, service = 'web'): string | undefined {
  try {
    checkMounts({
      containers: [containerWith({ mounts: [mounted(now)] })],
      mounts: new Map([[service, then === undefined ? [] : [mounted(then)]]]),
      managePath: '/code/manage.py',
      django: ['web'],
    })
    return undefined
  } catch (error) {
    expect(error).toMatchObject({ code: 'mount-changed' })
    return (error as { seen: string }).seen
  }
}

const anonymous = 'a'.repeat(64)
const shipped = `${FOLDER}/.deploy/files/${'b'.repeat(64)}/site.conf`

test.each<[string, string, string | undefined, string | undefined]>([
  ['the same volume', 'shop_media:/media', 'shop_media:/media', undefined],
  ['the same folder, written in another way', '/srv/media:/media', '/srv/media/:/media/', undefined],
  ['another volume', 'shop_media:/media', 'media:/media', 'web /media: now shop_media, then media'],
  ['another folder', '/srv/media:/media', '/srv/new:/media', 'web /media: now /srv/media, then /srv/new'],
  ['a folder for a volume', 'shop_media:/media', '/srv/media:/media', 'web /media: now shop_media, then /srv/media'],
  ['nothing', 'shop_media:/media', undefined, 'web /media: now shop_media, then nothing'],
  [
    'nothing where it could not write, as secrets are mounted',
    '/srv/key.pem:/run/secrets/key:ro',
    undefined,
    undefined,
  ],
  [
    'another place where it could not write',
    'shop_static:/static:ro',
    'static:/static:ro',
    'web /static: now shop_static, then static',
  ],
  ['nothing at this place', 'shop_media:/media', 'shop_media:/files', 'web /media: now shop_media, then nothing'],
  ['another file of the repository', shipped, `${FOLDER}/.deploy/files/c/site.conf:/etc/site.conf`, undefined],
  [
    'a file of the repository for the same by hand',
    `${FOLDER}/site.conf:/etc/site.conf`,
    `${shipped}:/etc/site.conf`,
    undefined,
  ],
  [
    'files of the repository for a volume',
    'shop_media:/media',
    `${shipped}:/media`,
    `web /media: now shop_media, then ${shipped}`,
  ],
  ['no file of the repository any more', `${shipped}:/etc/site.conf`, undefined, undefined],
  ['an anonymous volume, which travels along', `${anonymous}:/var/cache`, undefined, undefined],
  [
    'a volume in place of an anonymous one',
    `${anonymous}:/data`,
    'shop_data:/data',
    `web /data: now ${anonymous}, then shop_data`,
  ],
  ['the code of the image, which a folder has hidden', `${FOLDER}/src:/code`, undefined, undefined],
  ['the code of the image, which the whole folder has hidden', `${FOLDER}:/elsewhere`, undefined, undefined],
  [
    'no data below the code',
    `${FOLDER}/media:/code/media`,
    undefined,
    'web /code/media: now /srv/shop/media, then nothing',
  ],
])('%s', (_, now, then, shown) => expect(seen(now, then)).toBe(shown))

test.each<[string, string, string, number]>([
  ['the project folder over the code', `${FOLDER}:/code`, 'web', 1],
  ['a folder above manage.py, also without the right to write', '/srv/src:/code:ro', 'web', 1],
  ['data', '/srv/media:/media:ro', 'web', 0],
  ['a file of the project folder in a service of another image', `${FOLDER}:/site`, 'nginx', 0],
])('a warning for a mount that goes: %s', (_, mount, service, count) => {
  const facts = {
    containers: [containerWith({ service, mounts: [mounted(mount)] })],
    mounts: new Map([[service, []]]),
    managePath: '/code/manage.py',
    django: ['web'],
  }
  expect(describeCodeMounts(facts)).toHaveLength(count)
  expect(() => checkMounts(facts)).not.toThrow()
  const kept = { ...facts, mounts: new Map([[service, [mounted(mount)]]]) }
  expect(describeCodeMounts(kept)).toEqual([])
})

test('a service that is not deployed any more loses nothing', () => {
  expect(seen('shop_media:/media', undefined, 'app')).toBeUndefined()
})

test('only what deploys that failed have brought takes any mounts', () => {
  const ours = containerWith({ files: [`${FOLDER}/.deploy/releases/v1-1-1/compose.yaml`] })
  const failed = { current: undefined, served: [], plans: ['v1-1-1'] }
  expect(isRenewable(ours, failed)).toBe(true)
  expect(isRenewable(containerWith({ files: [`${FOLDER}/compose.yaml`] }), failed)).toBe(false)
  expect(isRenewable(ours, { ...failed, current: 'v1-1-1' })).toBe(false)
  expect(isRenewable(ours, { ...failed, served: ['v1-1-1'] })).toBe(false)
  expect(isRenewable(ours, { ...failed, plans: [] })).toBe(false)
})

test('what Compose on the server resolves is read', () => {
  const model = {
    name: 'shop',
    services: {
      web: {
        image: 'none',
        volumes: [
          { type: 'volume', source: 'media', target: '/media', volume: {} },
          { type: 'bind', source: '/srv/shop/data', target: '/data', bind: {} },
          { type: 'volume', target: '/anonymous', volume: {} },
          { type: 'tmpfs', target: '/tmp' },
        ],
        deploy: { replicas: 2, resources: {} },
      },
      db: { image: 'none', scale: 0 },
      proxy: { image: 'none', volumes_from: ['web:ro'] },
    },
    volumes: { media: { name: 'shop_media' } },
  }
  expect(readMounts({ verb: 'mounts', model })).toEqual(
    new Map([
      ['web', [mounted('shop_media:/media'), mounted('/srv/shop/data:/data')]],
      ['db', []],
      ['proxy', [mounted('shop_media:/media'), mounted('/srv/shop/data:/data')]],
    ]),
  )
  expect(readCounts({ verb: 'mounts', model })).toEqual(
    new Map([
      ['web', 2],
      ['db', 0],
      ['proxy', 1],
    ]),
  )
  expect(readMounts(undefined)).toEqual(new Map())
  expect(readCounts(undefined)).toEqual(new Map())
  expect(() => readCounts({ model: { services: { web: { scale: [] } } } })).toThrow(
    expect.objectContaining({ seen: expect.stringMatching(/^model\.services\.web\.scale: /) }),
  )
})

test('the model that Compose resolves has mounts, numbers and no secret', () => {
  const model = {
    services: {
      web: { image: 'x', environment: { KEY: 'secret' }, volumes: ['media:/media', '${DATA:-./data}:/data'] },
      db: { scale: 0, deploy: { replicas: '${N}', labels: ['secret'] } },
    },
    volumes: {
      media: { driver_opts: { o: 'password=secret' }, name: '${NAME}' },
      old: { external: true },
      plain: null,
      folder: { driver_opts: { type: 'none', o: 'bind', device: './pg' } },
    },
  }
  expect(onlyMounts(model)).toEqual({
    services: {
      web: { image: 'none', volumes: ['media:/media', '${DATA:-./data}:/data'], volumes_from: [] },
      db: { image: 'none', volumes: [], volumes_from: [], scale: 0, deploy: { replicas: '${N}' } },
    },
    volumes: {
      media: { name: '${NAME}' },
      old: { external: true },
      plain: {},
      folder: { driver_opts: { type: 'none', o: 'bind', device: './pg' } },
    },
  })
  expect(stringify(onlyMounts(model))).not.toContain('secret')
})
