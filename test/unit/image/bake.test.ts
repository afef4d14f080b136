import { describe, expect, test } from '@jest/globals'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'yaml'
import { valuesOf, type Values } from '../../../src/compose/document.ts'
import { groupBuilds } from '../../../src/compose/group.ts'
import { bake, BAKE_LABEL, checkOverrides, describeTags, planBake, type BakePlan } from '../../../src/image/bake.ts'
import { withoutGitHub } from '../../../src/image/variable.ts'
import { projectOf } from '../compose/model.ts'
import { fakeDocker } from './fake.ts'

const commit = { sha: 'c'.repeat(40), time: new Date('2024-01-02T03:04:05Z'), source: 'https://github.com/o/r' }

type Options = {
  set?: string[]
  env?: NodeJS.ProcessEnv
  settings?: Record<string, string>
  file?: string
  workspace?: string
}

function plan(
  text: string,
  { set = [], env = {}, settings, file, workspace = '/work space/$x' }: Options = {},
): BakePlan {
  const project = projectOf(text, file)
  const variables = { step: withoutGitHub(env, set), file: settings && new Map(Object.entries(settings)) }
  return planBake({ project, groups: groupBuilds(project), workspace, set, variables, commit })
}

const buildOf = (made: BakePlan, name: string): Values =>
  valuesOf(valuesOf(valuesOf(valuesOf(parse(made.file))['services'])[name])['build'])
const labelOf = (made: BakePlan): string | undefined => made.targets[0]?.labels[BAKE_LABEL]

describe('the reduced file', () => {
  test('holds nothing but what is built', () => {
    const made = plan(`
x-a: "\${UNSET:?}"
services:
  web.local: {build: {context: ., tags: ["a:\${GITHUB_SHA}"]}, environment: {A: "\${B:?}"}, ports: ["1:1"]}
  db: {image: postgres}
secrets: {s: {file: ./x}, t: {environment: T}}`)
    expect(made.file).not.toMatch(/UNSET|GITHUB_SHA|\bB\b|ports|postgres|secrets: \S*s/)
    expect(made.targets.map(({ name }) => name)).toEqual(['web_local'])
    expect(Object.keys(valuesOf(parse(made.file))['services'] ?? {})).toEqual(['web_local'])
  })

  test.each([
    ['.', '/work space/$$x/docker'],
    ['..', '/work space/$$x'],
    ['../app/', '/work space/$$x/app'],
    ['/abs', '/abs'],
    ['https://github.com/a/b.git#main', 'https://github.com/a/b.git#main'],
    ['git@github.com:a/b.git', 'git@github.com:a/b.git'],
    ['${CTX:-.}', '/work space/$$x/docker'],
    ['${CTX-$$y}', '/work space/$$x/docker/$$y'],
  ])('context %s is %s', (context, expected) => {
    const made = plan(`services: {web: {build: {context: "${context}"}}}`, { file: 'docker/compose.yml' })
    expect(buildOf(made, 'web')['context']).toBe(expected)
  })

  test('additional contexts: folders, images, other services', () => {
    const made = plan(`
services:
  web: {build: {context: ., additional_contexts: {a: ../a, b: docker-image://x, c: "service:ba.se"}}}
  ba.se: {build: ./base}`)
    expect(buildOf(made, 'web')['additional_contexts']).toEqual({
      a: '/work space/a',
      b: 'docker-image://x',
      c: 'target:ba_se',
    })
    const stranger = 'services: {web: {build: {context: ., additional_contexts: {c: "service:db"}}}, db: {image: x}}'
    expect(() => plan(stranger)).toThrow('service:db')
  })

  test('secrets of the build, and no other', () => {
    const made = plan(`
services: {web: {build: {context: ., secrets: [{source: s}]}}}
secrets: {s: {file: ./x}, t: {environment: T}}`)
    expect(valuesOf(parse(made.file))['secrets']).toEqual({ s: { file: '/work space/$$x/x' } })
  })

  test('labels of the file stay beside ours', () => {
    const made = plan('services: {web: {build: {context: ., labels: ["a=b"]}}}')
    expect(buildOf(made, 'web')['labels']).toEqual({
      a: 'b',
      'org.opencontainers.image.revision': commit.sha,
      'org.opencontainers.image.created': '2024-01-02T03:04:05.000Z',
      'org.opencontainers.image.source': 'https://github.com/o/r',
      [BAKE_LABEL]: expect.stringMatching(/^[0-9a-f]{64}$/),
    })
  })
})

describe('the label of the definition', () => {
  const text = 'services: {web: {build: {context: ., args: {V: "${V:-1}", T: null}}}, x: {build: ./x}}'
  const base = labelOf(plan(text))
  test('is the same on another machine', () => {
    expect(labelOf(plan(text, { workspace: '/elsewhere', env: { OTHER: '1' } }))).toBe(base)
  })
  test.each([
    ['a value of the environment', { env: { V: '2' } }],
    ['a passed value', { env: { T: '2' } }],
    ['an override', { set: ['web.target=prod'] }],
    ['an override of all', { set: ['*.no-cache=true'] }],
  ])('changes with %s', (_, options) => {
    expect(labelOf(plan(text, options))).not.toBe(base)
  })
  test('does not change with an override of another image, nor with a variable of GitHub', () => {
    expect(labelOf(plan(text, { set: ['x.target=prod'] }))).toBe(base)
    const github = 'services: {web: {build: {context: ., args: {S: "${GITHUB_SHA:-none}"}}}}'
    expect(labelOf(plan(github, { env: { GITHUB_SHA: 'a' } }))).toBe(labelOf(plan(github)))
  })
})

describe('overrides', () => {
  const text = 'services: {web: {build: .}, worker: {build: {context: .}}, "p.x": {build: ./p}}'
  test.each([
    [['worker.target=a'], ['web.target=a']],
    [['*.platform=linux/amd64'], ['p_x.platform=linux/amd64', 'web.platform=linux/amd64']],
    [['w*.args.A.B=1'], ['web.args.A.B=1']],
    [['p_x.target=a'], ['p_x.target=a']],
  ])('%j become %j', (set, expected) => {
    expect(plan(text, { set }).overrides).toEqual(expected)
  })
  test('that name nothing are an error', () => {
    const groups = groupBuilds(projectOf(text))
    expect(() => checkOverrides(['*.target=a', 'db.target=a'], groups)).toThrow('Input set names db')
    expect(() => checkOverrides(['x.target=a', 'y.target=a'], groups)).toThrow(/names x.*; .*names y/)
  })
})

describe('variables in build sections', () => {
  const text = `
services:
  web:
    build:
      context: "\${CTX:-app}"
      dockerfile: "\${STAGE}.Dockerfile"
      target: "$STAGE"
      args: {A: "\${A}", B: null, C: "$$literal", NONE: null}
      cache_from: ["type=registry,ref=\${CACHE}"]
      dockerfile_inline: "FROM x\\nRUN echo $$A \${A}"
      tags: ["x:\${TAG}"]
      secrets: [token]
secrets: {token: {environment: TOKEN}}`
  const settings = { STAGE: 'file', A: 'a$b', B: 'file', TOKEN: 'file', CACHE: 'r.io/c' }

  test('are filled in from the step and the env file, the step first; what is set nowhere is left to the Dockerfile', () => {
    const made = plan(text, { env: { STAGE: 'step', B: 'step' }, settings, workspace: '/w' })
    expect(buildOf(made, 'web')).toMatchObject({
      context: '/w/app',
      dockerfile: 'step.Dockerfile',
      target: 'step',
      args: { A: 'a$$b', B: 'step', C: '$$literal' },
      cache_from: ['type=registry,ref=r.io/c'],
      dockerfile_inline: 'FROM x\nRUN echo $$A a$$b',
    })
    expect(Object.keys(valuesOf(buildOf(made, 'web')['args']))).toEqual(['A', 'B', 'C'])
    expect(made.secrets).toEqual({ TOKEN: 'file' })
  })

  test('are left to `set` where it gives the field', () => {
    const set = [
      'web.args.A=1',
      'web.target=prod',
      'web.context=./x',
      '*.cache-from=type=local,src=cache',
      'web.args.C=./y',
    ]
    const made = plan(text, {
      set: [...set, 'web.secrets=id=a,src=../a', 'web.cache-to=type=local,dest=/c'],
      settings,
      workspace: '/w',
    })
    const build = buildOf(made, 'web')
    expect(Object.keys(build)).not.toContain('target')
    expect(build['args']).toEqual({ B: 'file' })
    // Paths in `set` start from the folder of the Compose file, wherever buildx is started.
    expect(made.overrides).toEqual([
      ...['web.args.A=1', 'web.target=prod', 'web.context=/w/x', 'web.cache-from=type=local,src=/w/cache'],
      ...['web.args.C=./y', 'web.secrets=id=a,src=/a', 'web.cache-to=type=local,dest=/c'],
    ])
  })
})

test('buildx runs where no .env of the repository is, with the values of build secrets', async () => {
  const workspace = await mkdtemp(join(tmpdir(), 'bake-'))
  try {
    await writeFile(join(workspace, '.env'), 'A=tracked\n')
    const { run, calls } = fakeDocker(() => undefined)
    const project = projectOf('services: {web: {build: .}}')
    const made = { ...plan('services: {web: {build: .}}'), secrets: { TOKEN: 'x' } }
    await bake(made, made.targets, { run, env: { GITHUB_SHA: 'a', B: 'b' }, project, temp: workspace })
    expect(calls[0]?.options.cwd).toMatch(`${workspace}/bake-`)
    expect(calls[0]?.options.env).toMatchObject({ TOKEN: 'x', B: 'b' })
    expect(calls[0]?.options.env).not.toHaveProperty('GITHUB_SHA')
  } finally {
    await rm(workspace, { recursive: true })
  }
})

test('tags of the Compose file are not pushed, which is said', () => {
  const text = 'services: {web: {build: {context: ., tags: [shop:stable]}}, worker: {build: .}, db: {image: x}}'
  expect(describeTags(projectOf(text))).toEqual([expect.stringContaining('`build.tags` of web are not pushed')])
})
