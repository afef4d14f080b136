import { describe, expect, test } from '@jest/globals'
import { readService } from '../../../src/compose/service.ts'

const read = (values: Record<string, unknown>) => readService('web', values)

test.each([
  ['8000:8000', [8000]],
  ['${PORT:-8000}:8000', [8000]],
  ['${PORT:-8000}:${INNER:-9000}', [9000]],
  ['127.0.0.1:80:8080/tcp', [8080]],
  ['[::1]:80:8080', [8080]],
  ['9000-9001:7000-7001', [7000]],
  ['53:53/udp', []],
  ['8000', []],
  ['80:${INNER}', []],
  [{ target: 80, published: '8080' }, [80]],
  [{ target: '${T:-81}', published: '${P}' }, [81]],
  [{ target: 80 }, []],
])('port %j publishes %j', (entry, ports) => {
  expect(read({ ports: [entry] }).ports).toEqual(ports)
})

describe('dependencies', () => {
  test('list and map', () => {
    expect(read({ depends_on: ['db'] }).dependsOn).toEqual([{ service: 'db', condition: 'service_started' }])
    expect(read({ depends_on: { db: { condition: 'service_healthy' }, 'a.b': {} } }).dependsOn).toEqual([
      { service: 'db', condition: 'service_healthy' },
      { service: 'a.b', condition: 'service_started' },
    ])
  })

  test('what shares a network, volumes or a link depends as well', () => {
    const values = { network_mode: 'service:vpn', links: ['db:database'], volumes_from: ['assets:ro', 'container:x'] }
    expect(read(values).dependsOn.map(({ service }) => service)).toEqual(['vpn', 'db', 'assets'])
    expect(read({ network_mode: '${MODE:-service:vpn}' }).dependsOn.map(({ service }) => service)).toEqual(['vpn'])
  })
})

test('environment as a map and as a list', () => {
  expect([...read({ environment: { A: 1, B: null, C: true } }).environment]).toEqual([
    ['A', '1'],
    ['B', undefined],
    ['C', 'true'],
  ])
  expect([...read({ environment: ['A=b=c', 'D'] }).environment]).toEqual([
    ['A', 'b=c'],
    ['D', undefined],
  ])
})

test.each([
  [{ type: 'volume', source: 'data', target: '/d' }, 'volume', 'data'],
  [{ type: 'bind', source: './x', target: '/d', read_only: true }, 'bind', './x'],
  [{ type: 'tmpfs', target: '/d' }, 'tmpfs', undefined],
  ['/d', 'volume', undefined],
  ['~/x:/d', 'bind', '~/x'],
  ['data:/d', 'volume', 'data'],
])('mount %j', (entry, kind, source) => {
  expect(read({ volumes: [entry] }).mounts[0]).toMatchObject({ kind, source, target: '/d' })
})
