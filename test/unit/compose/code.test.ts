import { expect, test } from '@jest/globals'
import { checkCodeMounts, likelyDjango } from '../../../src/compose/code.ts'
import { groupBuilds } from '../../../src/compose/group.ts'
import { projectOf } from './model.ts'

const files = ['manage.py', 'shop/migrations/0001_initial.py', 'nginx/site.conf', 'locale/de/django.po']
const repository = { files: new Map(files.map((path) => [path, false])), read: () => Buffer.alloc(0) }

function check(volume: string, service = 'web', env: Readonly<Record<string, string>> = {}): void {
  const services = { web: { build: { context: '.' } }, proxy: { image: 'nginx' } }
  const project = projectOf(
    JSON.stringify({ services: { ...services, [service]: { ...services.web, volumes: [volume] } } }),
  )
  const [django] = groupBuilds(project)
  if (!django) throw new Error('nothing is built')
  checkCodeMounts(project, django, '/code/manage.py', repository, env)
}

test.each([
  '.:/code',
  './:/code/',
  'code:/code',
  '/srv/code:/code',
  '${CODE:-.}:/code',
  './shop:/code/shop',
  './manage.py:/code/manage.py',
  './x:/',
])('%s hides the code', (volume) => expect(() => check(volume)).toThrow('hides the code of the image in service web'))

test.each(['${WEB_VOLUME}:/code', '${WEB_VOLUME:-./public}:/code', '${WHOLE:-./public:/code/public}'])(
  '%s hides the code, with the variables of the env file',
  (volume) => {
    const env = { WEB_VOLUME: '.', WHOLE: '.:/code' }
    expect(() => check(volume, 'web', env)).toThrow('hides the code of the image in service web')
  },
)

test.each(['./locale:/code/locale', 'media:/code/media', '/code2:/code2', 'static:/codes', './nginx:/etc/nginx'])(
  '%s does not',
  (volume) => expect(() => check(volume)).not.toThrow(),
)

test.each([
  ['the only image', '{web: {build: {context: ./other}}}', 'web'],
  ['the only one with a manage.py', '{web: {build: .}, front: {build: ./nginx}}', 'web'],
  ['nobody knows', '{web: {build: .}, front: {build: {context: ., dockerfile: front.Dockerfile}}}', undefined],
  ['a context elsewhere', '{web: {build: "https://example.com/a.git"}, front: {build: ./nginx}}', undefined],
])('Django is in %s', (_, services, name) => {
  const project = projectOf(`services: ${services}`)
  expect(likelyDjango(project, groupBuilds(project), repository)?.name).toBe(name)
})
