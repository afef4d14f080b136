import type { Serving } from '../django/document.ts'
import { DeployError } from '../errors.ts'

/** Programs that import wsgi.py or asgi.py. */
const SERVERS = /\b(gunicorn|uvicorn|daphne|uwsgi|hypercorn|granian|waitress-serve|mod_wsgi-express)\b/

/**
 * The lines of the fact `start`: the settings and the module that a start command names, such as
 * `gunicorn --env DJANGO_SETTINGS_MODULE=shop.live shop.wsgi`. Empty for a command that names none.
 */
export function startLines(command: string): readonly string[] {
  const settings = /\bDJANGO_SETTINGS_MODULE=["']?([A-Za-z_][\w.]*)/.exec(command)?.[1]
  const module = SERVERS.test(command)
    ? /(?<![\w./-])([A-Za-z_]\w*(?:\.\w+)*\.[aw]sgi\w*)\b(?!\/)/.exec(command)?.[1]
    : undefined
  return [
    ...(settings === undefined ? [] : [`settings=${settings}`]),
    ...(module === undefined ? [] : [`module=${module}`]),
  ]
}

/**
 * What to do when the site does not use the settings of manage.py, which runs the migrations. `command` starts the service,
 * as far as it is known. `manage.py runserver` serves with the settings of manage.py.
 */
export function judgeServing(found: Serving, command: string): 'stop' | 'warn' | 'nothing' {
  const isServer = SERVERS.test(command)
  if (!isServer && /\bmanage\.py\b/.test(command)) return 'nothing'
  return isServer && !found.same ? 'stop' : 'warn'
}

/** The warning about a site that Django's development server serves; undefined for any other command. */
export function describeRunserver(service: string, command: string): string | undefined {
  if (!/\bmanage\.py\b.*\brunserver\b/.test(command) || SERVERS.test(command)) return undefined
  return (
    `${service} serves with \`manage.py runserver\`, which is for development: Django says not to use it in production, and with ` +
    'DEBUG=True it shows settings and code to visitors. Use a server such as gunicorn: ' +
    'command: gunicorn <project>.wsgi --bind 0.0.0.0:8000'
  )
}

/**
 * The error for different settings: the migrations would not change the database that the site uses. `said` is the
 * failure with the settings of manage.py.
 */
export function explainServing({ manage, module, file }: Serving, said = ''): DeployError {
  return new DeployError('settings-differ', {
    what: `manage.py uses the settings ${manage}, the site uses ${module}`,
    seen: `${file} sets DJANGO_SETTINGS_MODULE to ${module}; for manage.py it is ${manage}\n${said}`.trim(),
    why: 'DJANGO_SETTINGS_MODULE is not set in the environment of the container, so the site and manage.py each use their own: the database that is migrated would not be the one that the site uses',
    fix: `add it to \`environment:\` of this service, or to the env file if all services use these settings: DJANGO_SETTINGS_MODULE=${module}\nIf another service runs the site, put it first: services: <its name>`,
  })
}
