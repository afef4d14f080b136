import { describe, expect, test } from '@jest/globals'
import { parse } from 'yaml'
import { valuesOf } from '../../../src/compose/document.ts'
import { checkScale, chooseCounts, type Scale } from '../../../src/compose/scale.ts'
import { release } from './model.ts'

const shop = (web: string): string => `
services:
  web: {build: ., depends_on: [db], ${web}}
  worker: {build: .}
  proxy: {image: nginx, ports: ["80:80"], depends_on: [web]}
  edge: {image: caddy, ports: [{target: 80, published: "8000-8003"}], depends_on: [web]}
  db: {image: "postgres:17"}
`
function counts(asked: Scale[], before: string | undefined, now: string): readonly string[] {
  const model = valuesOf(parse(shop(now)))
  for (const scale of asked) checkScale(scale, model)
  return chooseCounts(asked, before === undefined ? {} : valuesOf(parse(shop(before))), model, release(shop(now)).roles)
}

describe('how many of each', () => {
  test.each([
    ['nothing to say: as many as there are', [], 'scale: 2', 'scale: 2', []],
    ['nor on the first deploy', [], undefined, 'scale: 2', []],
    ['a count that changed in the file is the file’s', [], 'scale: 2', 'deploy: {replicas: 3}', ['web=']],
    ['and so is one that was removed', [], 'deploy: {replicas: 3}', '', ['web=']],
    ['what is asked for wins', [{ service: 'web', count: 4 }], 'scale: 2', 'scale: 3', ['web=4']],
    ['one is a number as well', [{ service: 'proxy', count: 1 }], '', '', ['proxy=1']],
    ['a range of ports is for several', [{ service: 'edge', count: 3 }], '', '', ['edge=3']],
  ])('%s', (_, asked, before, now, expected) => expect(counts(asked, before, now)).toEqual(expected))

  test.each([
    ['db', 2, '', 'which a release does not bring up'],
    ['wbe', 2, '', 'which a release does not bring up'],
    ['proxy', 2, '', 'proxy cannot have 2 containers'],
    ['web', 2, 'container_name: site', 'web cannot have 2 containers'],
  ])('%s=%d with {%s} is refused', (service, count, now, message) => {
    expect(() => counts([{ service, count }], undefined, now)).toThrow(message)
  })
})
