import { describe, expect, test } from '@jest/globals'
import { chooseFiles } from '../../../src/compose/files.ts'
import { codeOf, DeployError } from '../../../src/errors.ts'
import { repositoryOf } from './model.ts'

const choose = (given: string[], ...present: string[]): readonly string[] =>
  chooseFiles(given, (path) => present.includes(path), repositoryOf({ 'ansible/production.yml': 'hosts: all\n' }))

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
  })
})

describe('no choice', () => {
  test('two of one rank are listed', () => {
    const error = failure(() => choose([], 'compose.prod.yml', 'docker-compose.production.yml', 'compose.yml'))
    expect(codeOf(error)).toBe('compose-file-ambiguous')
    expect(error.seen).toBe('docker-compose.production.yml\ncompose.prod.yml')
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
    const without = failure(() => chooseFiles([], (path) => names.includes(path), repository))
    expect(codeOf(without)).toBe('compose-file-missing')
    expect(without.seen).toBe('in the repository: production.yml, infra/docker-compose.yml, local.yml')
    expect(without.fix).toBe('name it, for example: compose-files: production.yml')
    const wrong = failure(() => chooseFiles(['production.yaml'], (path) => names.includes(path), repository))
    expect(wrong.fix).toContain('there are production.yml, infra/docker-compose.yml')
  })

  test('a given one that is not there is named', () => {
    const error = failure(() => choose(['compose.yml', 'nope.yml'], 'compose.yml'))
    expect(codeOf(error)).toBe('compose-file-missing')
    expect(error.what).toContain('nope.yml')
  })
})
