import { describe, expect, test } from '@jest/globals'
import { valuesOf } from '../../../src/compose/document.ts'
import type { Release } from '../../../src/compose/release.ts'
import { modelOf, release, serviceOf } from './model.ts'

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
    expect(made.variableFiles).toEqual(['.env', 'config/prod.env'])
  })

  test('a shipped secret sets no variables, whatever its lines look like', () => {
    const secrets = 'services: {web: {build: {context: .}, secrets: [key]}}\nsecrets: {key: {file: secrets/key.txt}}'
    const made = release(secrets, { envFiles: [{ path: 'secrets/key.txt', content: 'A=1\n' }] })
    expect([made.envFiles.length, made.variableFiles]).toEqual([1, []])
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
    expect(made.optionalEnvFiles).toEqual(['c.env'])
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

describe('an env file that is not an env_file', () => {
  const HASH = /\.\/\.deploy\/files\/[0-9a-f]{64}/
  const web = (more: string, other = '') => `services: {web: {build: {context: .}, ${more}}}\n${other}`
  const volumeOf = (made: Release): unknown => [serviceOf(made, 'web')['volumes']].flat()[0]
  const plain = (text: unknown): string => String(text).replace(HASH, '-')
  const contents = (made: Release): string[][] =>
    made.files.map(({ path, content, mode }) => [
      path.replace(/^files\/[0-9a-f]{64}\//, ''),
      content.toString(),
      mode.toString(8),
    ])

  test.each([
    ['a mount', web('volumes: ["./.env:/app/.env:ro"]'), '-/.env:/app/.env:ro'],
    ['a mount below PWD', web('volumes: ["${PWD}/.env:/app/.env"]'), '-/.env:/app/.env'],
    ['the default of a variable', web('volumes: ["${E:-./.env}:/app/.env"]'), '${E:--/.env}:/app/.env'],
  ])('as %s is a copy of its own for each content', (_, text, source) => {
    const made = release(text, { envFile: 'A=1\n', files: { '.env': 'A=development' } })
    expect(plain(volumeOf(made))).toBe(source)
    // Any user of the container may read it; on the host `.deploy` keeps others out.
    expect(contents(made)).toEqual([['.env', 'A=1\n', '644']])
    expect(made.envFiles.map(({ path, mode }) => [path, mode])).toEqual([['env/.env', 0o600]])
    expect(made.requiredEnvFiles).toEqual([])
    expect(volumeOf(release(text, { envFile: 'A=1\n', id: 'v2-2-1' }))).toBe(volumeOf(made))
    expect(volumeOf(release(text, { envFile: 'A=2\n', id: 'v2-2-1' }))).not.toBe(volumeOf(made))
  })

  test.each(['secrets', 'configs'])('of %s is that of the release', (kind) => {
    const text = web(
      `${kind}: [{source: dotenv, target: /app/.env}]`,
      `${kind}: {dotenv: {file: ./.env}, key: {file: ./k}}`,
    )
    const made = release(text, { envFile: 'A=1\n', files: { '.env': 'A=development' } })
    expect(plain(valuesOf(valuesOf(modelOf(made)[kind])['dotenv'])['file'])).toBe('-/.env')
    expect(contents(made)).toEqual([['.env', 'A=1\n', '644']])
  })

  test('that lies in a folder that is mounted comes with what the repository has there', () => {
    const files = { 'conf/a.conf': 'a', 'conf/.env': 'A=development', 'conf/sub/.env': 'A=development' }
    const envFiles = [{ path: 'conf/prod.env', content: 'B=1\n' }]
    const made = release(web('volumes: ["./conf:/conf:ro"]'), { files, envFiles })
    expect(contents(made)).toEqual([
      ['conf/a.conf', 'a', '644'],
      ['conf/prod.env', 'B=1\n', '644'],
    ])
    expect(made.warnings).toEqual([expect.stringMatching(/conf\/\.env, conf\/sub\/\.env/)])
  })

  test('that a variable chooses is there with the others', () => {
    const envFiles = [{ path: 'envs/prod.env', content: 'B=1\n' }]
    const made = release(web('volumes: ["./envs/${STAGE}.env:/app/.env:ro"]'), { envFiles })
    expect(plain(volumeOf(made))).toBe('-/envs/${STAGE}.env:/app/.env:ro')
    expect(contents(made)).toEqual([['envs/prod.env', 'B=1\n', '644']])
  })

  test('is found where the Compose file is in a folder, by either path', () => {
    const file = 'docker/compose.yml'
    for (const path of ['app.env', 'docker/app.env']) {
      const made = release(web('volumes: ["./app.env:/app/.env"]'), { file, envFiles: [{ path, content: 'B=1\n' }] })
      expect(contents(made)).toEqual([['app.env', 'B=1\n', '644']])
    }
    const root = release(web('volumes: ["../.env:/app/.env"]'), { file, envFile: 'A=1\n' })
    expect(contents(root)).toEqual([['.env', 'A=1\n', '644']])
  })

  test('a .env of the repository is never sent, wherever it lies', () => {
    const files = { '.env': 'A=development', 'backend/.env': 'A=development' }
    for (const path of ['.env', 'backend/.env']) {
      for (const use of [`env_file: ${path}`, `volumes: ["./${path}:/app/.env"]`]) {
        const made = release(web(use), { files })
        expect([use, made.files]).toEqual([use, []])
        expect([use, made.requiredEnvFiles, made.boundFiles].flat(2)).toContain(path)
      }
    }
  })
})
