import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { stringify } from 'yaml'
import { readProject } from '../../../src/compose/project.ts'
import { DeployError } from '../../../src/errors.ts'
import { run } from '../../../src/process.ts'

/** What Docker Compose makes of an included file by itself must be what it makes of the merged model on the host. */
const env = { ...process.env, PATH: `/usr/bin:${process.env['PATH'] ?? ''}` }
let workspace: string
beforeEach(async () => {
  workspace = await mkdtemp(join(tmpdir(), 'include-'))
})
afterEach(() => rm(workspace, { recursive: true }))

async function write(files: Record<string, string>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(workspace, path)), { recursive: true })
    await writeFile(join(workspace, path), text)
  }
}

async function config(file: string, settings: Record<string, string>): Promise<unknown> {
  const variables = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`)
  await writeFile(join(workspace, 'settings'), variables.join(''))
  const args = ['compose', '-p', 'x', '--project-directory', '.', '--env-file', 'settings', '-f', file]
  const finished = await run('docker', [...args, 'config', '--format', 'json'], { cwd: workspace, env })
  expect({ code: finished.code, stderr: finished.stderr }).toMatchObject({ code: 0 })
  return JSON.parse(finished.stdout)
}

/** The merged model as it would be on the host. */
async function merge(files: Record<string, string>): Promise<string> {
  await write(files)
  const { model } = await readProject({ workspace, files: ['compose.yaml'], temp: tmpdir(), run, env })
  return stringify(model, { version: '1.1', lineWidth: 0, aliasDuplicateObjects: false })
}

const WEB = 'services: { web: { image: "web:${CACHE_IMAGE-none}", depends_on: [cache] } }\n'
const CACHE = `services:
  cache:
    image: "\${CACHE_IMAGE}"
    command: sleep $CACHE_SECONDS
    environment:
      - A=\${CACHE_IMAGE:-x}/\${NOTHING:-\${CACHE_SECONDS}}
      - B=$$CACHE_IMAGE
      - "C=\${EMPTY-x}\${EMPTY:-y}\${CACHE_IMAGE:+set}"
    labels:
      text: |
        first \${CACHE_IMAGE}
        second \${CACHE_SECONDS}
      plain: \${CACHE_SECONDS:?needed}
    volumes: ["./conf:/conf:ro", "\${DATA:-./data}:/data"]
`
const DEFAULTS = `CACHE_IMAGE=redis:7\nCACHE_SECONDS="100"\nEMPTY=\nDATA=./kept\nREF=\${CACHE_IMAGE}-\${PROJECT:-none}\n`

describe('an included file has its own defaults', () => {
  const settings = [{}, { CACHE_IMAGE: 'redis:8' }, { CACHE_SECONDS: '5', DATA: '/srv', PROJECT: 'p' }]
  test.each<[string, Record<string, string>]>([
    [
      'of an env file',
      {
        'compose.yaml': `include: [{path: cache/compose.yaml, env_file: cache/defaults.env}]\n${WEB}`,
        'cache/defaults.env': DEFAULTS,
      },
    ],
    ['of the .env in its folder', { 'compose.yaml': `include: [cache/compose.yaml]\n${WEB}`, 'cache/.env': DEFAULTS }],
    [
      'of several files, the last one first',
      {
        'compose.yaml': `include: [{path: cache/compose.yaml, env_file: [cache/defaults.env, cache/more.env]}]\n${WEB}`,
        'cache/defaults.env': DEFAULTS,
        'cache/more.env': 'CACHE_IMAGE=redis:6\nEMPTY=x\n',
      },
    ],
    [
      'with a folder of its own',
      {
        'compose.yaml': `include: [{path: cache/compose.yaml, project_directory: other, env_file: other/x.env}]\n${WEB}`,
        'other/x.env': DEFAULTS,
      },
    ],
    [
      'with a folder of its own and the .env there',
      {
        'compose.yaml': `include: [{path: cache/compose.yaml, project_directory: other}]\n${WEB}`,
        'other/.env': DEFAULTS,
      },
    ],
    [
      'for a list of files that are merged',
      {
        'compose.yaml': `include: [{path: [cache/compose.yaml, cache/more.yaml]}]\n${WEB}`,
        'cache/more.yaml': 'services: {cache: {hostname: "h${CACHE_SECONDS}"}}\n',
        'cache/.env': DEFAULTS,
      },
    ],
    [
      'and what it extends and includes has them too, after those of the outer file',
      {
        'compose.yaml': `include: [cache/compose.yaml, {path: a/compose.yaml, env_file: a/a.env}]\n${WEB}`,
        'cache/.env': DEFAULTS,
        'a/a.env': 'B=outer\nC=${PROJECT:-c}\n',
        'a/compose.yaml':
          'include: [{path: b/compose.yaml, env_file: b/b.env}]\nservices: {a: {image: "a:${B}-${D-none}"}}\n',
        'a/b/b.env': 'B=inner\nD=${B}-${C}\n',
        'a/b/compose.yaml': 'services: {b: {extends: {file: base.yaml, service: base}, hostname: "${B}"}}\n',
        'a/b/base.yaml': 'services: {base: {image: "b:${D}"}}\n',
      },
    ],
  ])('%s', async (_, files) => {
    const text = await merge({ 'cache/compose.yaml': CACHE, ...files })
    // Nothing but the model is there on the host.
    await write({ 'merged.yaml': text })
    for (const each of settings) expect(await config('merged.yaml', each)).toEqual(await config('compose.yaml', each))
  })

  test('but not those of the .env beside the Compose file, which is for development', async () => {
    const text = await merge({
      'compose.yaml': 'include: [cache.yaml]\nservices: {web: {image: web}}\n',
      'cache.yaml': 'services: {cache: {image: "redis:${TAG-7}"}}\n',
      '.env': 'TAG=dev\n',
    })
    expect(text).toContain('redis:${TAG-7}')
  })
})

describe('what cannot be read', () => {
  async function refused(files: Record<string, string>): Promise<DeployError> {
    try {
      await merge({ 'cache/compose.yaml': CACHE, ...files })
    } catch (error) {
      if (error instanceof DeployError) return error
      throw error
    }
    throw new Error('nothing was thrown')
  }
  const named = `include: [{path: cache/compose.yaml, env_file: cache/x.env}]\n${WEB}`

  test('an env file that is not in the repository', async () => {
    expect(await refused({ 'compose.yaml': named })).toMatchObject({
      code: 'env-file-missing',
      fix: expect.stringContaining('commit cache/x.env'),
    })
    // The other way that it names.
    expect(await merge({ 'compose.yaml': `include: [cache/compose.yaml]\n${WEB}` })).toContain(
      'image: ${CACHE_IMAGE}\n',
    )
  })

  test('a value that cannot be a default, if it is used', async () => {
    const error = await refused({ 'compose.yaml': named, 'cache/x.env': `CACHE_IMAGE='{"a": 1}'\n` })
    expect(error).toMatchObject({
      code: 'compose-invalid',
      what: expect.stringContaining('CACHE_IMAGE'),
      annotation: { file: 'cache/compose.yaml', line: 3 },
    })
    expect(error.why).not.toContain('"a"')
    expect(await merge({ 'compose.yaml': named, 'cache/x.env': `UNUSED='{"a": 1}'\n` })).toContain(
      'image: ${CACHE_IMAGE}',
    )
  })

  test('a line that Compose reads in another way', async () => {
    expect(await refused({ 'compose.yaml': named, 'cache/x.env': 'A=1\nCACHE_IMAGE="a" b\n' })).toMatchObject({
      annotation: { file: 'cache/x.env', line: 2 },
    })
  })

  test('one file with two sets of values', async () => {
    const error = await refused({
      'compose.yaml': `include: [cache/compose.yaml, other/compose.yaml]\n${WEB}`,
      'cache/.env': 'CACHE_IMAGE=a\nCACHE_SECONDS=1\n',
      'other/.env': 'TAG=x\n',
      'other/compose.yaml': 'services: {o: {extends: {file: ../base.yaml, service: base}}}\n',
      'base.yaml': 'services: {base: {image: "b:${TAG}"}}\n',
      'cache/compose.yaml': 'services: {cache: {extends: {file: ../base.yaml, service: base}}}\n',
    })
    expect(error).toMatchObject({ what: expect.stringContaining('base.yaml is read twice') })
  })
})
