import { expect, test } from '@jest/globals'
import { explain } from '../../../src/errors.ts'
import { explainServing, judgeServing } from '../../../src/guard/serving.ts'

const other = { manage: 'site.settings.local', module: 'site.settings.production', file: 'site/wsgi.py', same: false }

test.each([
  ['gunicorn -b 0.0.0.0:8000 site.wsgi', false, 'stop'],
  ['sh -c python manage.py collectstatic && exec /venv/bin/gunicorn site.wsgi', false, 'stop'],
  ['uwsgi --ini uwsgi.ini', false, 'stop'],
  ['python -m uvicorn site.asgi:application', false, 'stop'],
  ['gunicorn site.wsgi', true, 'warn'],
  ['python manage.py runserver 0.0.0.0:8000', false, 'nothing'],
  ['/start.sh', false, 'warn'],
  ['', false, 'warn'],
] as const)('%s (same: %s): %s', (command, same, verdict) => {
  expect(judgeServing({ ...other, same }, command)).toBe(verdict)
})

test('the error names both settings and the line to add', () => {
  const text = explain(explainServing(other))
  expect(text).toContain('manage.py uses the settings site.settings.local, the site uses site.settings.production')
  expect(text).toContain(': DJANGO_SETTINGS_MODULE=site.settings.production')
})
