import { describe, expect, test } from '@jest/globals'
import { checkExternals, findExternals } from '../../../src/compose/external.ts'
import { projectOf } from './model.ts'

const text = `
services:
  db: {image: x, volumes: ["pg:/data", "own:/own", "./pg:/x"], networks: [back]}
  web: {image: x, networks: {front: {aliases: [a]}, back: }}
  worker: {image: x, volumes: [{type: volume, source: pg, target: /data}]}
  alone: {image: x, network_mode: host}
volumes:
  pg: {name: "\${PG_VOLUME:-pg}", external: true}
  own: {}
  unused: {external: true}
networks:
  front: {name: proxy, external: true}
  back:
  default: {name: "\${NETWORK:?}", external: true}
`
const project = projectOf(text)
const find = (settings?: Record<string, string>) =>
  findExternals(project, settings && new Map(Object.entries(settings)))

describe('external volumes and networks', () => {
  const unused = { kind: 'volume', name: 'unused', services: [] }
  const front = { kind: 'network', name: 'proxy', services: ['web'] }
  test('are found with their real names, and who uses them', () => {
    expect(find({ PG_VOLUME: 'shop', NETWORK: 'edge' })).toEqual([
      { kind: 'volume', name: 'shop', services: ['db', 'worker'] },
      unused,
      front,
      { kind: 'network', name: 'edge', services: ['worker'] },
    ])
  })

  test('are left to Compose when only the server knows their names, or nobody could have them', () => {
    expect(find()).toEqual([unused, front])
    expect(find({ PG_VOLUME: 'a b' })).toEqual([unused, front])
  })

  test('that an active service misses are named with the commands that make them', () => {
    const check = (active: string[], there: string[]) => (): void => checkExternals(find({}), active, there, project)
    expect(check(['db', 'web'], ['network pg', 'volume shop'])).toThrow(
      expect.objectContaining({
        code: 'external-missing',
        seen: 'volume pg, of db, worker\nnetwork proxy, of web',
        fix: 'on the host: docker volume create pg && docker network create proxy',
      }),
    )
    expect(check(['db', 'web'], ['volume pg', 'network proxy'])).not.toThrow()
    expect(check(['alone'], [])).not.toThrow()
  })
})
