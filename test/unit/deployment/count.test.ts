import { describe, expect, test } from '@jest/globals'
import { groupBuilds } from '../../../src/compose/group.ts'
import { parseScale } from '../../../src/compose/scale.ts'
import { readApp } from '../../../src/compose/app.ts'
import { checkCounts, type CountChoice } from '../../../src/deployment/count.ts'
import { projectOf } from '../compose/model.ts'

const SHOP = `
services:
  web: {build: ., depends_on: [db], ports: ["8000:8000"]}
  worker: {build: .}
  db: {image: "postgres:17"}`
/** A frontend that is built beside Django: before the build nobody knows which of them holds manage.py. */
const TWO = `${SHOP}
  pages: {build: pages}`

function check(text: string, given: Partial<Omit<CountChoice, 'scale'>> & { scale?: string[] }): void {
  const project = projectOf(text)
  const groups = groupBuilds(project)
  const scale = (given.scale ?? []).map(parseScale)
  const facts = { before: readApp({}), counts: new Map(), unstarted: [], running: new Map(), update: [] }
  checkCounts({ project, ...facts, ...given, scale }, { groups, allGroups: groups, services: [], profiles: [] })
}

describe('before the build', () => {
  test.each<[string, string, Parameters<typeof check>[1], RegExp]>([
    ['a database has no number', SHOP, { scale: ['db=2'] }, /^Input scale names db, which a release does not start/],
    ['no site without Django', SHOP, { scale: ['web=0'] }, /^Service web, which runs Django, would have no container/],
    [
      'nor by the file',
      SHOP.replace('[db],', '[db], scale: 0,'),
      { scale: ['worker=0'] },
      /runs Django, would have no/,
    ],
    [
      'an app keeps no data',
      SHOP,
      { update: ['worker'] },
      /^Input update-services names worker, which is not a stateful service/,
    ],
    ['whichever image is Django’s', TWO, { update: ['worker'] }, /^Input update-services names worker/],
    ['both at once', SHOP, { scale: ['db=2'], update: ['web'] }, /update-services names web[^]*scale names db/],
  ])('%s', (_, text, given, refusal) => {
    expect(() => check(text, given)).toThrow(refusal)
  })

  test.each<[string, string, Parameters<typeof check>[1]]>([
    ['a number of its own', SHOP, { scale: ['web=2', 'worker=0'] }],
    ['a database that is updated', SHOP, { update: ['db'], scale: ['db=1'] }],
    ['the other image may be Django’s', TWO, { scale: ['web=0'] }],
    ['what only the host can fill in', SHOP.replace('[db],', '[db], scale: "${N}",'), { unstarted: ['web'] }],
  ])('%s is nothing to refuse', (_, text, given) => {
    expect(() => check(text, given)).not.toThrow()
  })
})
