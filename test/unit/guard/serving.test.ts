import { expect, test } from '@jest/globals'
import { explain } from '../../../src/errors.ts'
import { describeRunserver, explainServing, judgeServing, startLines } from '../../../src/guard/serving.ts'

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

test.each([
  ['python manage.py runserver 0.0.0.0:8000', true],
  ['sh -c python manage.py migrate && python3 /code/manage.py runserver', true],
  ['gunicorn shop.wsgi', false],
  ['python manage.py qcluster', false],
  ['./start.sh', false],
])('the development server in `%s` is warned about: %s', (command, isWarned) =>
  expect(describeRunserver('web', command) !== undefined).toBe(isWarned),
)

test.each<[string, string[]]>([
  ['gunicorn -b 0.0.0.0:8000 shop.wsgi', ['module=shop.wsgi']],
  ['gunicorn --env DJANGO_SETTINGS_MODULE=shop.live shop.wsgi:application', ['settings=shop.live', 'module=shop.wsgi']],
  [
    'sh -c export DJANGO_SETTINGS_MODULE="shop.live"; exec uvicorn shop.asgi_live:app --port 80',
    ['settings=shop.live', 'module=shop.asgi_live'],
  ],
  ['daphne -b 0.0.0.0 config.asgi:application', ['module=config.asgi']],
  ['uwsgi --module=shop.wsgi:application --http :8000', ['module=shop.wsgi']],
  ['uwsgi --wsgi-file shop/wsgi.py', []],
  ['uwsgi --ini /etc/shop.wsgi/uwsgi.ini', []],
  ['gunicorn -k uvicorn.workers.UvicornWorker shop.asgi', ['module=shop.asgi']],
  ['gunicorn --chdir src wsgi:application', []],
  ['env DJANGO_SETTINGS_MODULE=$SETTINGS gunicorn shop.wsgi', ['module=shop.wsgi']],
  ['python manage.py runserver', []],
  ['', []],
])('the settings and the module in `%s`', (command, lines) => {
  expect(startLines(command)).toEqual(lines)
})
