import { expect, test } from '@jest/globals'
import { readApp } from '../../../src/compose/app.ts'
import { findDrifts, hashDefinition } from '../../../src/compose/drift.ts'
import { markFiles, withoutMark } from '../../../src/compose/mark.ts'
import { valuesOf, type Values } from '../../../src/compose/document.ts'

const model = (content: string, labels: unknown = undefined): Values => ({
  services: {
    web: { image: 'shop@sha256:aa', configs: ['site'] },
    nginx: {
      image: 'nginx:1',
      configs: [{ source: 'site', target: '/x' }],
      secrets: ['key'],
      ...(labels ? { labels } : {}),
    },
    plain: { image: 'nginx:1', secrets: ['there'] },
  },
  configs: { site: { file: `./.deploy/files/${content}/site.conf` } },
  secrets: { key: { file: './.deploy/files/cc/key' }, there: { file: './secrets/there' } },
})
const serviceOf = (marked: Values, name: string): Values => valuesOf(valuesOf(marked['services'])[name])
const labelsOf = (marked: Values): Values => valuesOf(serviceOf(marked, 'nginx')['labels'])

test('a service that is not built gets a label that changes with its files', () => {
  const [first, same, other] = ['aa', 'aa', 'bb'].map((content) => markFiles(model(content), ['web']))
  expect(labelsOf(first!)).toEqual({ 'deploy-django.files': expect.stringMatching(/^[0-9a-f]{64}$/) })
  expect(labelsOf(same!)).toEqual(labelsOf(first!))
  expect(labelsOf(other!)).not.toEqual(labelsOf(first!))
})

test('one that is built, or whose files only the host has, is left as it is', () => {
  const marked = markFiles(model('aa'), ['web'])
  for (const name of ['web', 'plain']) expect(serviceOf(marked, name)).toEqual(serviceOf(model('aa'), name))
})

test.each([
  ['a map', { a: 'b', on: true }, { a: 'b', on: true }],
  ['a list', ['a=b', 'on'], { a: 'b', on: '' }],
])('its own labels stay, written as %s', (_, labels, kept) => {
  const marked = markFiles(model('aa', labels), ['web'])
  expect(labelsOf(marked)).toMatchObject(kept)
  expect(withoutMark(serviceOf(marked, 'nginx'))['labels']).toEqual(kept)
})

test('the label is no change of the definition', () => {
  const [unmarked, marked] = [readApp(model('aa')), readApp(markFiles(model('aa'), ['web']))]
  expect(findDrifts(unmarked, marked, ['nginx'])).toEqual([])
  expect(hashDefinition(marked, 'nginx')).toBe(hashDefinition(unmarked, 'nginx'))
  const other = readApp(markFiles(model('bb'), ['web']))
  expect(findDrifts(marked, other, ['nginx'])).toMatchObject([{ keys: ['configs'] }])
})
