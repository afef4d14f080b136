import { expect, test } from '@jest/globals'
import { readApp } from '../../../src/compose/app.ts'
import { DeployError } from '../../../src/errors.ts'
import { explainDenial } from '../../../src/guard/denied.ts'
import type { Mounts } from '../../../src/guard/mount.ts'

const bind = (source: string, target: string) => ({ kind: 'bind' as const, source, target, readOnly: false })
const mounts: Mounts = new Map([
  ['web', [bind('/srv/shop/.env', '/app/.env'), bind('/srv/shop/public', '/app/public')]],
  ['proxy', [bind('/srv/shop/.deploy/files/ab/site.conf', '/etc/site.conf'), bind('/srv/logs', '/logs')]],
])
const app = readApp({ services: { web: { image: 'o/shop@sha256:ab' }, proxy: { image: 'nginx:1', user: '101:101' } } })
const explain = (seen: string): unknown =>
  explainDenial(new DeployError('container-exited', { what: 'it ended', seen }), { mounts, app })

test.each([
  ["PermissionError: [Errno 13] Permission denied: '/app/.env'", 'chmod a+r /srv/shop/.env'],
  [
    "  | cp: cannot create regular file '/app/public/a.css': Permission denied",
    'chown -R $(docker run --rm --entrypoint id o/shop@sha256:ab -u) /srv/shop/public',
  ],
  [
    '  | mkdir: cannot create directory ‘/app/public/admin’: Permission denied',
    'chown -R $(docker run --rm --entrypoint id o/shop@sha256:ab -u) /srv/shop/public',
  ],
  ["  | sh: can't create /app/public/a: Permission denied", '/srv/shop/public'],
  ['  | nginx: [emerg] open() "/logs/access.log" failed (13: Permission denied)', 'chown -R 101 /srv/logs'],
])('what a container is denied: %s', (line, fix) => {
  expect(explain(`last lines of /shop-web-1:\n${line}`)).toMatchObject({
    code: 'mount-denied',
    seen: line.trim(),
    fix: expect.stringContaining(fix),
    cause: { code: 'container-exited' },
  })
})

test.each([
  "PermissionError: [Errno 13] Permission denied: '/data/db.sqlite3'",
  'exec /etc/site.conf: permission denied',
  'the app says nothing',
])('another failure stays as it is: %s', (line) => expect(explain(line)).toMatchObject({ code: 'container-exited' }))
