import { describe, expect, test } from '@jest/globals'
import { chooseFiles } from '../../../src/compose/files.ts'
import { codeOf, DeployError } from '../../../src/errors.ts'
import { repositoryOf } from './model.ts'

const facts = { given: [], settings: undefined, repository: repositoryOf({ 'ansible/production.yml': 'hosts: all\n' }) }
const choose = (given: string[], ...present: string[]): readonly string[] =>
  chooseFiles({ ...facts, given, exists: (path) => present.includes(path) }).files

function failure(act: () => unknown): DeployError {
  try {
    act()
  } catch (error) {
    if (error instanceof DeployError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('the file that is chosen', () => {
  test.each([
    [['compose.yaml'], 'compose.yaml'],
    [['docker-compose.yml', 'docker-compose.prod.yml'], 'docker-compose.prod.yml'],
    [['docker-compose.yml', 'docker-compose.production.yaml'], 'docker-compose.production.yaml'],
    [['docker-compose.yml', 'docker-compose-deploy.yml'], 'docker-compose-deploy.yml'],
    [['docker/docker-compose.yml'], 'docker/docker-compose.yml'],
    [['docker/docker-compose.yml', 'docker/docker-compose.prod.yml'], 'docker/docker-compose.prod.yml'],
    [['docker/docker-compose.prod.yml', 'compose.yml'], 'compose.yml'],
    [['compose.override.yaml', 'compose.yaml', 'docker-compose.dev.yml'], 'compose.yaml'],
  ])('of %j is %s', (present, chosen) => {
    expect(choose([], ...present)).toEqual([chosen])
  })

  test('is what was given, in that order', () => {
    expect(choose(['b.yml', 'a.yml'], 'a.yml', 'b.yml', 'compose.yaml')).toEqual(['b.yml', 'a.yml'])
    expect(choose(['b.yml a.yml', 'c d.yml'], 'a.yml', 'b.yml', 'c d.yml')).toEqual(['b.yml', 'a.yml', 'c d.yml'])
  })
})

describe('COMPOSE_FILE of the env file', () => {
  const named = (settings: Record<string, string>, ...present: string[]): readonly string[] =>
    chooseFiles({
      ...facts,
      settings: new Map(Object.entries(settings)),
      exists: (path) => ['compose.prod.yaml', ...present].includes(path),
    }).files

  test.each([
    [{ COMPOSE_FILE: 'compose.yaml:./compose.prod.yaml' }, ['compose.yaml'], ['compose.yaml', 'compose.prod.yaml']],
    [{ COMPOSE_FILE: 'b;a', COMPOSE_PATH_SEPARATOR: ';' }, ['a', 'b'], ['b', 'a']],
    [{ COMPOSE_FILE: 'a.yml:b.yml' }, ['docker/a.yml', 'docker/b.yml'], ['docker/a.yml', 'docker/b.yml']],
    [{ COMPOSE_FILE: '' }, [], ['compose.prod.yaml']],
  ])('%j', (settings, present, expected) => {
    expect(named(settings, ...present)).toEqual(expected)
  })

  test('is less than the input', () => {
    const settings = new Map([['COMPOSE_FILE', 'a']])
    expect(chooseFiles({ ...facts, given: ['b'], settings, exists: () => true })).toMatchObject({ files: ['b'] })
  })

  test.each(['nope.yaml', '/srv/compose.yaml', '../../compose.prod.yaml'])(
    '%s, which is not in the repository, is an error',
    (path) => {
      const error = failure(() => named({ COMPOSE_FILE: path }))
      expect(codeOf(error)).toBe('compose-file-missing')
      expect(error.fix).toContain('correct COMPOSE_FILE in env-file')
    },
  )
})

test('a production file has the bases beside it, and only those', () => {
  const present = [
    'docker/docker-compose.prod.yml',
    'docker/docker-compose.yml',
    'docker/compose.yaml',
    'docker/compose.override.yaml',
  ]
  const choice = chooseFiles({ ...facts, exists: (path) => present.includes(path) })
  expect(choice).toMatchObject({
    files: ['docker/docker-compose.prod.yml'],
    bases: ['docker/docker-compose.yml', 'docker/compose.yaml'],
  })
})

test('a file that looks like production elsewhere is named in a warning that says both ways', () => {
  const services = 'services: {web: {build: .}}\n'
  const names = ['compose.yaml', 'docker/compose.prod.yml', 'compose.dev.yml']
  const repository = repositoryOf(Object.fromEntries(names.map((name) => [name, services])))
  const { files, warnings } = chooseFiles({ ...facts, exists: (path) => names.includes(path), repository })
  expect(files).toEqual(['compose.yaml'])
  expect(warnings).toEqual([
    expect.stringMatching(/compose-files: docker\/compose\.prod\.yml, .*compose-files: compose\.yaml$/),
  ])
})

describe('no choice', () => {
  test('two of one rank are listed', () => {
    const error = failure(() => choose([], 'compose.prod.yml', 'docker-compose.production.yml', 'compose.yml'))
    expect(codeOf(error)).toBe('compose-file-ambiguous')
    expect(error.seen).toBe('docker-compose.production.yml\ncompose.prod.yml')
    expect(error.fix).toBe('compose-files: docker-compose.production.yml\nor compose-files: compose.prod.yml')
  })

  test('nothing there: the names that were looked for', () => {
    const error = failure(() => choose([], 'docker-compose.dev.yml'))
    expect(codeOf(error)).toBe('compose-file-missing')
    expect(error.seen).toMatch(/compose\.production\.yaml.*docker-compose\.yml.*docker\/compose\.yaml/)
  })

  test('files with other names are found by what is in them, that for production first', () => {
    const services = 'volumes: {}\nservices:\n  web: {build: .}\n'
    const names = ['local.yml', 'infra/docker-compose.yml', 'production.yml', '.github/workflows/ci.yml']
    const files = Object.fromEntries(names.map((name) => [name, services]))
    const repository = repositoryOf({ ...files, 'openapi.yaml': 'info: {}\n', 'services.md': services })
    const without = failure(() => chooseFiles({ ...facts, exists: (path) => names.includes(path), repository }))
    expect(codeOf(without)).toBe('compose-file-missing')
    expect(without.seen).toBe('in the repository: production.yml, infra/docker-compose.yml, local.yml')
    expect(without.fix).toBe('name it: compose-files: production.yml')
    const parts = Object.fromEntries(['deploy/common.yml', 'deploy/compose.yaml'].map((name) => [name, services]))
    const part = failure(() =>
      chooseFiles({ ...facts, exists: (path) => path in parts, repository: repositoryOf(parts) }),
    )
    expect(part.fix).toBe('name it: compose-files: deploy/compose.yaml')
    const wrong = failure(() =>
      chooseFiles({ ...facts, given: ['production.yaml'], exists: (path) => names.includes(path), repository }),
    )
    expect(wrong.fix).toContain('exist: production.yml, infra/docker-compose.yml')
  })

  test('a given one that is not there is named', () => {
    const error = failure(() => choose(['compose.yml', 'nope.yml'], 'compose.yml'))
    expect(codeOf(error)).toBe('compose-file-missing')
    expect(error.what).toContain('nope.yml')
  })
})
