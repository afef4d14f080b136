import type { Serving } from '../django/document.ts'
import { DeployError } from '../errors.ts'

/** Programs that import wsgi.py or asgi.py. */
const SERVERS = /\b(gunicorn|uvicorn|daphne|uwsgi|hypercorn|granian|waitress-serve|mod_wsgi-express)\b/

/**
 * What it means that the site uses other settings than manage.py, which is asked for the migrations. `command` is how the
 * service starts, as far as that is known: `manage.py runserver` serves with the settings of manage.py.
 */
export function judgeServing(found: Serving, command: string): 'stop' | 'warn' | 'nothing' {
  const isServer = SERVERS.test(command)
  if (!isServer && /\bmanage\.py\b/.test(command)) return 'nothing'
  return isServer && !found.same ? 'stop' : 'warn'
}

/** The error for it: another database would be migrated than the site uses. `said`: what failed with those of manage.py. */
export function explainServing({ manage, module, file }: Serving, said = ''): DeployError {
  return new DeployError('settings-differ', {
    what: `manage.py uses the settings ${manage}, the site uses ${module}`,
    seen: `${file} sets DJANGO_SETTINGS_MODULE to ${module}; for manage.py it is ${manage}\n${said}`.trim(),
    why: 'DJANGO_SETTINGS_MODULE is not set in the environment, so each file takes its own default: another database would be migrated than the site uses',
    fix: `add this line to the env file, or to \`environment:\` of the service: DJANGO_SETTINGS_MODULE=${module}`,
  })
}
