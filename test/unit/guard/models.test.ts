import { expect, test } from '@jest/globals'
import { explainDrift } from '../../../src/guard/models.ts'
import { repositoryOf } from '../compose/model.ts'

const MODELS =
  'from django.db import models\n\nclass Tag(models.Model):\n    pass\n\nclass Item(models.Model):\n    pass\n'
const FILE = { 'shop/models.py': MODELS }
const ITEM = { file: 'shop/models.py', line: 6 }

const explain = (drift: string[], files: Record<string, string>, setting: 'warn' | 'error' = 'warn') =>
  explainDrift({ drift, repository: repositoryOf(files), manage: ['python', 'manage.py'] }, setting)

test.each<[string, Record<string, string>, string, object | undefined]>([
  ['one file', { 'src/shop/models.py': MODELS }, 'Add field due to item', { file: 'src/shop/models.py', line: 6 }],
  [
    'a folder',
    { 'shop/models/__init__.py': 'from .item import *', 'shop/models/item.py': MODELS },
    'Create model Tag',
    { file: 'shop/models/item.py', line: 3 },
  ],
  [
    'a class that is indented',
    { 'shop/models.py': 'if X:\n    class Item(Base):\n' },
    'Alter field due on item',
    { ...ITEM, line: 2 },
  ],
  ['a field with the name of another model', FILE, 'Add field tag to item', ITEM],
  ['a renamed field', FILE, 'Rename field tag on item to label', ITEM],
  ['a renamed model', FILE, 'Rename model Tag to Item', ITEM],
  ['an index', FILE, 'Create index tag on field(s) tag, item of model item', ITEM],
  ['an index that gets a name', FILE, "Rename unnamed index for ('tag', 'item') on item to tag", ITEM],
  ['a constraint', FILE, 'Remove constraint tag from model item', ITEM],
  ['unique values', FILE, 'Alter unique_together for item (1 constraint(s))', ITEM],
  ['a comment', FILE, 'Alter item table comment', ITEM],
  ['options', FILE, 'Change Meta options on item', ITEM],
  ['a deleted model', FILE, 'Delete model Order', { file: 'shop/models.py' }],
  [
    'a deleted model of a folder',
    { 'shop/models/item.py': '', 'shop/models/__init__.py': '' },
    'Delete model Order',
    { file: 'shop/models/__init__.py' },
  ],
  ['what does not name its model', FILE, 'Custom operation', { file: 'shop/models.py' }],
  ['another app', { 'myshop/models.py': MODELS }, 'Create model Tag', undefined],
])('a change without a migration, in %s', (_, files, change, place) => {
  const { failure, warnings } = explain([`shop: ${change}`], files)
  const text = `The models changed without a migration (run \`python manage.py makemigrations\`): shop: ${change}`
  expect([failure, warnings]).toEqual([undefined, [{ text, place }]])
  expect(explain([`shop: ${change}`], files, 'error').failure?.annotation).toEqual(place)
})

test('each changed model has its annotation, with all of its changes', () => {
  const drift = [
    'shop: Create model Tag',
    'blog: Add field x to post',
    'shop: Add field due to item',
    'shop: Alter field no on item',
  ]
  const files = { ...FILE, 'blog/models.py': 'class Post(models.Model):\n' }
  const { warnings } = explain(drift, files)
  expect(warnings.map(({ text, place }) => [text.split('): ')[1], place?.file, place?.line])).toEqual([
    ['shop: Create model Tag', 'shop/models.py', 3],
    ['blog: Add field x to post', 'blog/models.py', 1],
    ['shop: Add field due to item; shop: Alter field no on item', 'shop/models.py', 6],
  ])

  const forbidden = explain(['gone: Create model X', ...drift], files, 'error')
  expect(forbidden.failure).toMatchObject({
    code: 'models-changed',
    seen: ['gone: Create model X', ...drift].join('\n'),
    fix: expect.stringContaining('`python manage.py makemigrations`'),
    annotation: { file: 'shop/models.py', line: 3 },
  })
  expect(forbidden.warnings).toEqual(warnings.slice(1))
})

test('models that cannot be compared have no place', () => {
  const text = '?: models and migrations cannot be compared: a.b'
  expect(explain([text], FILE).warnings).toEqual([{ text: expect.stringContaining(text), place: undefined }])
})
