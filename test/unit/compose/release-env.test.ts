import { describe, expect, test } from '@jest/globals'
import type { Release } from '../../../src/compose/release.ts'
import { release, serviceOf } from './model.ts'

describe('env files', () => {
  const text = (entry: string) => `services: {web: {build: {context: .}, env_file: ${entry}}}`
  const entryOf = (made: Release) => serviceOf(made, 'web')['env_file']

  test('shipped ones belong to the release, for its owner only', () => {
    const made = release(text('[.env, {path: ./config/prod.env, required: true}]'), {
      envFile: 'A=1\n',
      envFiles: [{ path: 'config/prod.env', content: 'B=1\n' }],
    })
    expect(entryOf(made)).toEqual([
      './.deploy/releases/v1-1-1/env/.env',
      { path: './.deploy/releases/v1-1-1/env/config/prod.env', required: true },
    ])
    expect(made.envFiles.map(({ path, mode }) => [path, mode])).toEqual([
      ['env/.env', 0o600],
      ['env/config/prod.env', 0o600],
    ])
    expect([made.env, made.requiredEnvFiles, made.files]).toEqual(['shipped', [], []])
  })

  test('COMPOSE_FILE becomes the one file that the host has', () => {
    const envFile =
      'A=1\nCOMPOSE_FILE=compose.yaml:compose.production.yaml # both\nexport COMPOSE_FILE="a"\n#COMPOSE_FILE=b\n'
    const made = release(text('.env'), { envFile, envFiles: [{ path: 'b.env', content: 'COMPOSE_FILE=x\n' }] })
    expect(made.envFiles.map(({ content }) => String(content))).toEqual([
      'A=1\nCOMPOSE_FILE=compose.yaml\nexport COMPOSE_FILE=compose.yaml\n#COMPOSE_FILE=b\n',
      'COMPOSE_FILE=x\n',
    ])
  })

  test.each([
    ['.env.${STAGE:-prod}', './.env.${STAGE:-prod}', '.env.prod'],
    ['env/$STAGE.env', 'env/$STAGE.env', 'env/prod.env'],
  ])('a variable may choose among the shipped ones: %s', (entry, place, path) => {
    const made = release(text(`["${entry}"]`), { envFiles: [{ path, content: 'A=1\n' }] })
    expect(entryOf(made)).toEqual([`./.deploy/releases/v1-1-1/env/${place}`])
    expect(entryOf(release(text(`["${entry}"]`)))).toEqual([entry])
  })

  test('one of the repository goes by its content', () => {
    const made = release(text('[config/prod.env]'), { files: { 'config/prod.env': 'B=1' } })
    expect(entryOf(made)).toEqual([expect.stringMatching(/^\.\/\.deploy\/files\/\w{64}\/prod\.env$/)])
  })

  test('those of the server must be there, unless they are optional', () => {
    const made = release(text('[.env, ./b.env, {path: c.env, required: false}, /efs/.env, ~/d.env, "${D}"]'), {
      files: { '.env': 'DEBUG=1' },
    })
    expect(made.requiredEnvFiles).toEqual(['.env', '/efs/.env', 'b.env', '~/d.env'])
    expect(made.env).toBe('server')
    expect(made.files).toEqual([])
  })

  test('those of services that are not active are not asked for', () => {
    const made = release('services: {web: {build: {context: .}}, x: {image: x, profiles: [p], env_file: x.env}}')
    expect(made.requiredEnvFiles).toEqual([])
  })

  test('those of a service that runs to its end are asked for', () => {
    const init = 'init: {build: ., env_file: init.env}'
    const made = release(
      `services: {app: {build: ., depends_on: {init: {condition: service_completed_successfully}}}, ${init}}`,
    )
    expect(made.requiredEnvFiles).toEqual(['init.env'])
  })

  test('.env is given once', () => {
    const twice = { envFile: 'A=1\n', envFiles: [{ path: '.env', content: 'A=2\n' }] }
    expect(() => release(text('[.env]'), twice)).toThrow('The content of .env is given twice')
  })
})
