import { expect, test } from '@jest/globals'
import { parseStatus } from '../../../src/host/status.ts'

const document = (fields: object): string =>
  JSON.stringify({ 'deploy-django': 1 }).replace('}', `,${JSON.stringify(fields).slice(1)}`)

test('a busy server', () => {
  const said = `hello from .bashrc
deploy-django status 1
lock v2-8-1 https://ci/8
boot cron
port-left-over 8000
deployment T1 v1-7-1 v1-7-1 T2 committed prune
deployment T3 v2-8-1 v2-8-1 - - migrate
open v2-8-1 running
files 100
image a@sha256:1 5000
image b@sha256:2 500
container web running healthy 0 a@sha256:1
container db running - 2 postgres:17
migrations ${document({ verb: 'plan', applied: ['a.0001', 'a.0009'], unknown: ['a.0009'], pending: [{ app: 'a', name: '0002' }] })}
http ${document({ verb: 'http', url: 'http://web/', status: 500, reason: 'server-error', text: 'it answers 500' })}
end
`
  expect(parseStatus(said)).toEqual({
    lock: 'v2-8-1 https://ci/8',
    boot: 'cron',
    leftOverPorts: ['8000'],
    containers: [
      { service: 'web', state: 'running', health: 'healthy', restarts: 0, image: 'a@sha256:1' },
      { service: 'db', state: 'running', health: undefined, restarts: 2, image: 'postgres:17' },
    ],
    migrations: {
      rows: [
        { name: 'a.0001', state: 'applied' },
        { name: 'a.0009', state: 'unknown' },
        { name: 'a.0002', state: 'pending' },
      ],
      databases: [],
      serving: undefined,
      trouble: undefined,
    },
    http: { url: 'http://web/', status: 500, reason: 'server-error', text: 'it answers 500' },
    deployments: [
      { id: 'v2-8-1', release: 'v2-8-1', begun: 'T3', ended: undefined, outcome: 'running', step: 'migrate' },
      { id: 'v1-7-1', release: 'v1-7-1', begun: 'T1', ended: 'T2', outcome: 'committed', step: undefined },
    ],
    disk: { files: 102_400, images: 5500 },
  })
})

test('a bare one', () => {
  expect(parseStatus('deploy-django status 1\nend\n')).toEqual({
    lock: undefined,
    boot: undefined,
    leftOverPorts: [],
    containers: [],
    migrations: undefined,
    http: undefined,
    deployments: [],
    disk: { files: 0, images: 0 },
  })
})

test('an answer that was cut off is none', () => {
  expect(parseStatus('deploy-django status 1\nlock x\n')).toBeUndefined()
})
