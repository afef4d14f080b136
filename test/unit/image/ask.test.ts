import { expect, test } from '@jest/globals'
import { missingVariable, standInFor } from '../../../src/image/ask.ts'

test.each([
  ["KeyError: 'SECRET_KEY'", 'SECRET_KEY'],
  ['ImproperlyConfigured: Set the REDIS_URL environment variable', 'REDIS_URL'],
  ['decouple.UndefinedValueError: API_KEY not found. Declare it', 'API_KEY'],
  ['environs.EnvError: Environment variable "MAIL_URL" not set', 'MAIL_URL'],
  ['ImproperlyConfigured: The DJANGO_KEY environment variable must be set', 'DJANGO_KEY'],
  ["KeyError: 'FIRST'\nDuring handling:\nKeyError: 'FIRST'", 'FIRST'],
  ['ModuleNotFoundError: No module named shop', undefined],
])('%j asks for %s', (said, name) => expect(missingVariable(said)).toBe(name))

test.each([
  ['SECRET_KEY', '1'],
  ['DATABASE_URL', 'postgres://user:password@localhost:5432/database'],
  ['EMAIL_URL', 'smtp://localhost'],
  ['SENTRY_DSN', 'http://key@localhost/1'],
  ['CELERY_BROKER', 'redis://localhost:6379/0'],
  ['ALLOWED_HOSTS', 'localhost'],
])('%s has %s for it', (name, value) => expect(standInFor(name)).toBe(value))
