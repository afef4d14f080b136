import { expect, test } from '@jest/globals'
import { DeployError } from '../../../src/errors.ts'
import { explainImport } from '../../../src/guard/import.ts'
import { explainProbe } from '../../../src/host/failure.ts'
import { projectOf } from '../compose/model.ts'

const failure = explainProbe(1, undefined, "KeyError: 'BROKER_URL'")
const files = new Map(
  ['src/site_/settings.py', 'src/blog/__init__.py', 'docker/celery/start.py'].map((path) => [path, false]),
)
const explain = (text: string, hasEntrypoint = false, cause: unknown = failure): unknown => {
  const entrypoint = hasEntrypoint ? ['/entrypoint'] : []
  return explainImport(cause, projectOf(`services: {web: {build: ., ${text}}}`), 'web', entrypoint, { files })
}

test.each([
  [
    'env_file: [./.envs/.production/.django, {path: .envs/.production/.postgres}]',
    'set the variable in `.envs/.production/.django` or `.envs/.production/.postgres` (input `env-files`, or the file on the host)',
  ],
  ['env_file: .env', 'set the variable in `env-file`, or in `.env` on the host'],
  [
    'env_file: [.env, web.env]',
    'set the variable in `web.env` (input `env-files`, or the file on the host), or in `env-file`, or in `.env` on the host',
  ],
  [
    'environment: {A: b}',
    'name the variable below `environment:` of web, as in NAME: ${NAME}, and set it in `env-file`, or in `.env` on the host',
  ],
])('the fix names the env files that the service reads: %s', (text, way) => {
  expect(explain(text)).toMatchObject({
    code: 'settings-import',
    seen: "KeyError: 'BROKER_URL'",
    fix: `${way}; set \`manage\` if the image starts Django commands differently`,
  })
})

test('the entrypoint of the image is named, and other failures stay', () => {
  expect(explain('env_file: .env', true)).toMatchObject({ why: expect.stringContaining('The entrypoint of the image') })
  expect(explain('env_file: .env')).toMatchObject({ why: failure.why })
  const other = new DeployError('settings-import', { what: 'Other settings', fix: 'another fix' })
  expect(explain('env_file: .env', true, other)).toBe(other)
})

test.each([
  ['site_.local_settings', 'src/site_/local_settings.py'],
  ['site_.secret.keys', 'src/site_/secret/keys.py'],
  ['blog', 'src/blog'],
  ['celery', undefined],
  ['rest_framework', undefined],
])('a missing module of the project is a file that the image lacks: %s', (name, file) => {
  const cause = explainProbe(1, undefined, `ModuleNotFoundError: No module named '${name}'`)
  const found = explain('env_file: .env', false, cause)
  expect(found).toMatchObject({
    why: file === undefined ? cause.why : expect.stringContaining(`${file} is not in the image`),
    fix: expect.stringContaining(file === undefined ? '`env-file`' : `commit ${file}, `),
  })
})

test('the failure is not shown a second time as its own cause', () => {
  expect(explain('env_file: .env')).not.toHaveProperty('cause')
})
