import { expect, test } from '@jest/globals'
import { DeployError } from '../../../src/errors.ts'
import { explainRefused, explainUnknownHost } from '../../../src/guard/refused.ts'
import { explainProbe } from '../../../src/host/failure.ts'
import { readApp } from '../../../src/compose/app.ts'
import { parse } from 'yaml'

const app = readApp(parse('services: {web: {image: app}, db: {image: "postgres:17"}, cache: {image: redis}}'))
const volume = { kind: 'volume', source: 'shop_pg', target: '/var/lib/postgresql/data', readOnly: false } as const
const facts = { app, mounts: new Map([['db', [volume]]]), project: 'shop', isNew: true }
const refused = (host: string, detail = 'FATAL: password authentication failed for user "shop"'): DeployError => {
  const error = { kind: 'database-refused', message: `The database shop at ${host} refused: check name.`, detail }
  return explainProbe(13, { 'deploy-django': 1, verb: 'plan', error }, '')
}
const filters = '--filter label=com.docker.compose.project=shop --filter label=com.docker.compose.service=db'

test('the fix has the command that changes the password, and those that remove a new database', () => {
  const found = explainRefused(refused('db'), facts)
  expect(found).toMatchObject({ code: 'database-refused', seen: refused('db').seen })
  const { fix = '' } = found instanceof DeployError ? found : {}
  expect(fix).toContain(
    `docker exec -it $(docker ps -q ${filters}) sh -c 'psql -U "\${POSTGRES_USER:-postgres}" -c "\\password" postgres'`,
  )
  expect(fix).toContain(`docker rm -f $(docker ps -aq ${filters}) && docker volume rm shop_pg`)
})

test.each([
  ['after a release was committed', { isNew: false }],
  ['in a folder of the host', { mounts: new Map([['db', [{ ...volume, kind: 'bind' as const }]]]) }],
])('nothing is removed %s', (_, other) => {
  const found = explainRefused(refused('db'), { ...facts, ...other })
  expect(found).toMatchObject({ fix: expect.stringContaining('docker exec -it') })
  expect(found).toMatchObject({ fix: expect.not.stringContaining('docker volume rm') })
})

test.each([
  ['a database elsewhere', refused('db.example.com')],
  ['no PostgreSQL', refused('cache')],
  ['another reason', refused('db', 'FATAL: database "shop" does not exist')],
  ['another failure', new DeployError('internal', { what: 'x' })],
])('stays: %s', (_, failure) => {
  expect(explainRefused(failure, facts)).toBe(failure)
})

const down = (host: string): DeployError => {
  const message = `The database shop at ${host} does not answer (yet): is its service up?`
  return explainProbe(
    12,
    { 'deploy-django': 1, verb: 'plan', error: { kind: 'database-not-up', message, detail: '' } },
    '',
  )
}

test.each([
  ['dbb', 'db'],
  ['d', 'db'],
  ['bd', 'db'],
  ['xb', 'db'],
  ['chache', 'cache'],
  ['cahce', 'cache'],
  ['cachee', 'cache'],
])('a host name that no service has: %s', (host, meant) => {
  expect(explainUnknownHost(down(host), app)).toMatchObject({
    code: 'database-not-up',
    why: expect.stringContaining(`did you mean ${meant}?`),
    fix: expect.stringContaining(`if so, write ${meant} as the host`),
  })
})

test.each([
  ['a service that is down', down('db')],
  ['a host elsewhere', down('dbb.example.com')],
  ['a name like no service', down('postgres')],
  ['another failure', new DeployError('internal', { what: 'x' })],
])('stays: %s', (_, failure) => {
  expect(explainUnknownHost(failure, app)).toBe(failure)
})
