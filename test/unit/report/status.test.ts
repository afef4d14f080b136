import { expect, test } from '@jest/globals'
import {
  renderStatus,
  reportStatus,
  statusHeadline,
  statusOutputs,
  type StatusReport,
} from '../../../src/report/status.ts'
import { parseLook, type Server } from '../../../src/host/look.ts'
import { parseStatus, type Status } from '../../../src/host/status.ts'

const looked = (lines: string): Server => {
  const server = parseLook(`deploy-django look 1\n${lines}end\n`)
  if (!server) throw new Error('the look is not whole')
  return server
}
const SERVES = `docker 27.0.0 amd64
disk 2097152
format 1
current v2-8-1
whole yes
release v2-8-1
fact v2-8-1 version v2
fact v2-8-1 project todo
fact v2-8-1 images web r.io/app@sha256:2
`
const DATABASE = { vendor: 'postgresql', system: '77', host: 'db', name: 'shop', empty: false }
const SITE = { manage: 'site_.settings', module: 'site_.live', file: 'site_/wsgi.py' }
/** What the running code says, with more about its database. */
const asked = (more: object): string => `migrations ${JSON.stringify({ 'deploy-django': 1, ...more })}\n`

const told = (lines: string): Status | undefined => parseStatus(`deploy-django status 1\n${lines}end\n`)
const MIGRATED = 'migrations {"deploy-django": 1, "applied": ["core.0001"], "pending": []}\n'

function report(look: string, status: string | undefined): StatusReport {
  const found = { directory: 'deploy/todo', server: looked(look) }
  return reportStatus('example.com', found, status === undefined ? undefined : told(status))
}

test('a port that Docker holds for no container is a trouble, with its fix', () => {
  const held = report(SERVES, `port-left-over 8000\n${MIGRATED}`)
  expect(held.healthy).toBe(false)
  expect(held.troubles.join()).toMatch(/Docker holds port 8000 .*systemctl restart docker/)
})

test('a site whose migrations nobody could ask for is not called healthy', () => {
  const unasked = report(SERVES, 'container web running healthy 0 r.io/app@sha256:2\n')
  expect(unasked.healthy).toBe(false)
  expect(statusHeadline(unasked)).toContain('its migrations are not known')
})

test('a healthy site', () => {
  const healthy = report(SERVES, `container web running healthy 0 r.io/app@sha256:2\nfiles 2048\n${MIGRATED}`)
  expect(statusHeadline(healthy)).toBe('✅ todo serves v2')
  expect(statusOutputs(healthy)).toMatchObject({
    serving: 'v2',
    healthy: 'true',
    images: '{"web":"r.io/app@sha256:2"}',
    migrations: '[{"name":"core.0001","state":"applied"}]',
  })
  const text = renderStatus(healthy)
  expect(text).toContain('| migrations | 1 applied, 0 pending |')
  expect(text).toContain('| lock | free |')
  expect(text).toContain('| after a power loss | only the next deploy or rollback finishes what was interrupted |')
  expect(text).toContain('| disk | releases 2 MiB, their images at most 0 MiB, free 2048 MiB |')
  expect(text).toContain('| web | running | healthy | 0 | `r.io/app@sha256:2` |')
})

test.each([
  ['a container that does not run', SERVES.replace('whole yes\n', ''), MIGRATED, 'not every container'],
  ['an unhealthy one', SERVES, `container web running unhealthy 0 x\n${MIGRATED}`, 'web is unhealthy'],
  [
    'a site that answers an error',
    SERVES,
    `${MIGRATED}http {"deploy-django": 1, "reason": "server-error", "text": "it answers 500"}\n`,
    'it answers 500',
  ],
  [
    'a migration that is missing',
    SERVES,
    'migrations {"deploy-django": 1, "pending": [{"app": "core", "name": "0002"}]}\n',
    'not migrated: core.0002',
  ],
  [
    'a database that is away',
    SERVES,
    'migrations {"deploy-django": 1, "error": {"kind": "x", "message": "It does not answer."}}\n',
    'It does not answer.',
  ],
  [
    'another database than the one of the last deploy',
    `${SERVES}database ${JSON.stringify({ 'deploy-django': 1, database: DATABASE })}\n`,
    asked({ database: { ...DATABASE, system: '78' } }),
    'The settings no longer point to the current database: before: postgresql db shop (system 77), now: postgresql db shop (system 78)',
  ],
  [
    'a database that was emptied by hand',
    `${SERVES}database ${JSON.stringify({ 'deploy-django': 1, database: DATABASE })}\n`,
    asked({ database: { ...DATABASE, empty: true } }),
    'The database is empty',
  ],
  [
    'a site with other settings, which lead to another database',
    SERVES,
    `command "gunicorn" ["site_.wsgi"]\n${asked({ serving: { ...SITE, same: false } })}`,
    'manage.py uses the settings site_.settings, the site uses site_.live',
  ],
  [
    'a deployment that died',
    SERVES,
    `${MIGRATED}deployment T v3-9-1 v3-9-1 - - swap\nopen v3-9-1 interrupted\n`,
    'interrupted: v3-9-1',
  ],
  [
    'a Docker that is silent',
    SERVES.replace(/docker .*/, 'docker-error permission denied'),
    '',
    'Docker does not answer: permission denied',
  ],
])('%s is a trouble', (_, look, status, trouble) => {
  const troubled = report(look, status)
  expect(troubled.troubles).toEqual([expect.stringContaining(trouble)])
  expect(troubled.healthy).toBe(false)
  expect(statusHeadline(troubled)).toMatch(/^❌ todo serves v2: /)
})

test.each([
  ['the same database with other settings', 'gunicorn', { ...SITE, same: true }],
  ['the settings of manage.py', 'python" ["manage.py runserver', { ...SITE, same: false }],
])('a site that uses %s is no trouble', (_, command, serving) => {
  expect(report(SERVES, `command "${command}"\n${asked({ serving })}`).troubles).toEqual([])
})

test('no HTTP at all is no trouble', () => {
  const silent = 'http {"deploy-django": 1, "reason": "nothing-speaks-http", "text": "Nothing speaks HTTP."}\n'
  expect(report(SERVES, MIGRATED + silent).troubles).toEqual([])
})

test('a deployment that runs is shown with its step and its lock', () => {
  const busy = report(
    SERVES,
    `lock v3-9-1 https://ci/9\nboot cron\n${MIGRATED}deployment T v3-9-1 v3-9-1 - - migrate\nopen v3-9-1 running\n`,
  )
  expect(busy.healthy).toBe(true)
  expect(renderStatus(busy)).toContain('| v3-9-1 | v3-9-1 | T | - | running (migrate) |')
  expect(renderStatus(busy)).toContain('| after a power loss | cron finishes what was interrupted |')
  expect(renderStatus(busy)).toContain('held by v3-9-1 https://ci/9')
})

test('nothing deployed is neither healthy nor a trouble', () => {
  for (const nothing of [report('docker 27.0.0 amd64\n', ''), report('docker 27.0.0 amd64\n', undefined)]) {
    expect(nothing).toMatchObject({ healthy: false, troubles: [], serving: undefined })
    expect(renderStatus(nothing)).toContain('Nothing was deployed to deploy/todo on example.com')
  }
})
