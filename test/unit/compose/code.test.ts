import { expect, test } from '@jest/globals'
import { checkCodeMounts } from '../../../src/compose/code.ts'
import { groupBuilds } from '../../../src/compose/group.ts'
import { projectOf } from './model.ts'

const files = ['manage.py', 'shop/migrations/0001_initial.py', 'nginx/site.conf', 'locale/de/django.po']
const repository = { files: new Map(files.map((path) => [path, false])), read: () => Buffer.alloc(0) }

function check(volume: string, service = 'web'): void {
  const services = { web: { build: { context: '.' } }, proxy: { image: 'nginx' } }
  const project = projectOf(
    JSON.stringify({ services: { ...services, [service]: { ...services.web, volumes: [volume] } } }),
  )
  const [django] = groupBuilds(project)
  if (!django) throw new Error('nothing is built')
  checkCodeMounts(project, django, '/code/manage.py', repository)
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

test.each(['./locale:/code/locale', 'media:/code/media', '/code2:/code2', 'static:/codes', './nginx:/etc/nginx'])(
  '%s does not',
  (volume) => expect(() => check(volume)).not.toThrow(),
)
