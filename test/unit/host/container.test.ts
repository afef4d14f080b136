import { expect, test } from '@jest/globals'
import { isOurs, readContainer } from '../../../src/host/container.ts'

const labels = [
  'shop',
  'web',
  '/srv/shop',
  '/srv/shop/compose.yaml,/srv/shop/compose.override.yaml',
  '/srv/shop/.env.prod',
]
const mounts = [
  {
    Type: 'volume',
    Name: 'shop_media',
    Source: '/var/lib/docker/volumes/shop_media/_data',
    Destination: '/media',
    RW: true,
  },
  { Type: 'bind', Source: '/srv/shop/data', Destination: '/data', RW: false },
  { Type: 'tmpfs', Source: '', Destination: '/tmp' },
]
const ports = {
  '8000/tcp': [
    { HostIp: '', HostPort: '80' },
    { HostIp: '::', HostPort: '80' },
  ],
  '9000/tcp': [{ HostIp: '', HostPort: '' }],
}

test('a container as Docker describes it', () => {
  expect(
    readContainer(
      JSON.stringify(['c1', ...labels, true, 'sha256:aa', 'shop-web', mounts, ports, ['shop_default', null]]),
    ),
  ).toEqual({
    id: 'c1',
    project: 'shop',
    service: 'web',
    folder: '/srv/shop',
    running: true,
    files: ['/srv/shop/compose.yaml', '/srv/shop/compose.override.yaml'],
    envFiles: ['/srv/shop/.env.prod'],
    image: 'sha256:aa',
    imageName: 'shop-web',
    mounts: [
      { kind: 'volume', source: 'shop_media', target: '/media', readOnly: false },
      { kind: 'bind', source: '/srv/shop/data', target: '/data', readOnly: true },
    ],
    ports: [80],
    networks: ['shop_default'],
  })
})

test('one without mounts, ports and newer labels; who made it', () => {
  const read = (files: string): ReturnType<typeof readContainer> =>
    readContainer(JSON.stringify(['c1', 'shop', 'web', '', files, null, false, 'sha256:aa', 'x', null, null, [null]]))
  expect(read('')).toMatchObject({ files: [], envFiles: [], running: false, mounts: [], ports: [] })
  expect(isOurs(read(''))).toBe(false)
  expect(isOurs(read('/srv/shop/compose.yaml'))).toBe(false)
  expect(isOurs(read('/srv/shop/.deploy/releases/v1-1-1/compose.yaml'))).toBe(true)
})
