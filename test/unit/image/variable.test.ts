import { describe, expect, test } from '@jest/globals'
import { groupBuilds } from '../../../src/compose/group.ts'
import { DeployError } from '../../../src/errors.ts'
import { overriddenBy } from '../../../src/image/bake.ts'
import {
  checkBuildVariables,
  describeBakedSecrets,
  describeBuildVariables,
  type BuildCheck,
} from '../../../src/image/variable.ts'
import { projectOf } from '../compose/model.ts'

type Given = {
  step?: Record<string, string>
  file?: Record<string, string>
  onHost?: string[]
  set?: string[]
  dockerfile?: string
}

function checkOf(text: string, { step = {}, file, onHost = [], set = [], dockerfile }: Given = {}): BuildCheck {
  const project = projectOf(text)
  const groups = groupBuilds(project)
  return {
    project,
    groups,
    onHost,
    isOverridden: overriddenBy(set, groups),
    variables: { step, file: file && new Map(Object.entries(file)) },
    read: (path) => (path === 'web/Dockerfile' ? dockerfile : undefined),
  }
}

const web = (build: string, more = ''): string => `services: {web: {build: {context: ./web, ${build}}}}\n${more}`

function failure(text: string, given: Given = {}): DeployError | undefined {
  try {
    checkBuildVariables(checkOf(text, given))
  } catch (error) {
    if (error instanceof DeployError) return error
    throw error
  }
  return undefined
}

const ARG = 'FROM python\nARG DJANGO_ENV\nRUN echo $DJANGO_ENV\n'

describe('a variable of a build section that is set nowhere', () => {
  test.each([
    ['args: {DJANGO_ENV: "${DJANGO_ENV}"}', 'args.DJANGO_ENV: ${DJANGO_ENV}'],
    ['args: {DJANGO_ENV: "$DJANGO_ENV"}', 'args.DJANGO_ENV: $DJANGO_ENV'],
    ['args: ["X=a-${DJANGO_ENV}"]', 'args.X: a-${DJANGO_ENV}'],
    ['args: {DJANGO_ENV: "${DJANGO_ENV:?}"}', 'args.DJANGO_ENV: ${DJANGO_ENV:?}'],
    ['args: {DJANGO_ENV: "${OTHER:-${DJANGO_ENV}}"}', 'args.DJANGO_ENV: ${OTHER:-${DJANGO_ENV}}'],
    ['args: [DJANGO_ENV]', 'args.DJANGO_ENV without a value'],
    ['args: {DJANGO_ENV: }', 'args.DJANGO_ENV without a value'],
    ['target: "${DJANGO_ENV}"', 'target: ${DJANGO_ENV}'],
    ['dockerfile: "${DJANGO_ENV}.Dockerfile"', 'dockerfile: ${DJANGO_ENV}.Dockerfile'],
    ['cache_from: ["r.io/${DJANGO_ENV}"]', 'cache_from: r.io/${DJANGO_ENV}'],
    ['labels: {a: "${DJANGO_ENV}"}', 'labels.a: ${DJANGO_ENV}'],
    ['additional_contexts: {a: "./${DJANGO_ENV}"}', 'additional_contexts.a: ./${DJANGO_ENV}'],
    ['dockerfile_inline: "RUN echo $DJANGO_ENV"', 'dockerfile_inline: RUN echo $DJANGO_ENV'],
  ])('%s is an error before the build', (build, seen) => {
    const error = failure(web(build), { dockerfile: ARG })
    expect(error).toMatchObject({
      code: 'variable-missing',
      what: expect.stringContaining('DJANGO_ENV, which is not set'),
    })
    expect(error?.seen).toBe(`build: ${seen}`)
    expect(error?.fix).toContain(
      "a line of env-file: DJANGO_ENV=… · or this step's environment: env: { DJANGO_ENV: … }",
    )
    // Each way that is named works.
    expect(failure(web(build), { dockerfile: ARG, file: { DJANGO_ENV: 'production' } })).toBeUndefined()
    expect(failure(web(build), { dockerfile: ARG, step: { DJANGO_ENV: 'production' } })).toBeUndefined()
    expect(
      failure(web(build.replaceAll(/\$\{?DJANGO_ENV(:\?)?\}?/g, '${DJANGO_ENV:-x}')), {
        dockerfile: `${ARG}ARG DJANGO_ENV=x`,
      }),
    ).toBeUndefined()
  })

  test.each([
    ['args: {A: "${A:-a}", B: plain, C: "$$C"}', {}],
    ['tags: ["x:${TAG}"]', {}],
    ['args: {A: "${A}"}', { set: ['web.args.A=1'] }],
    ['args: {A: "${A}"}', { set: ['*.args.A=1'] }],
    ['target: "${A}", dockerfile: "${A}"', { set: ['web.target=a', 'web.dockerfile=b'] }],
    ['args: [DJANGO_ENV]', { dockerfile: 'ARG DJANGO_ENV=production\nFROM python\nARG DJANGO_ENV\n' }],
    ['args: [DJANGO_ENV]', { dockerfile: 'FROM python\nARG A=1 \\\n  DJANGO_ENV="x y"\n' }],
    ['args: [OTHER]', { dockerfile: ARG }],
    ['args: [HTTP_PROXY, no_proxy, TARGETARCH, BUILDKIT_INLINE_CACHE]', { dockerfile: 'ARG HTTP_PROXY' }],
  ])('%s with %j needs nothing', (build, given) => {
    expect(failure(web(build), given)).toBeUndefined()
  })

  test('of a Dockerfile that cannot be read may be needed', () => {
    expect(failure(web('args: [A]'))).toMatchObject({ code: 'variable-missing' })
  })

  test('that the .env on the host sets is said so, because the build does not see it', () => {
    const text = web('args: {A: "${A}", B: "${B}"}')
    expect(failure(text, { onHost: ['A'] })?.why).toContain('the .env on the host sets A, but')
    expect(failure(text, { onHost: ['A'], file: {} })?.why).not.toContain('host')
    expect(failure(text)?.fix?.split('\n')).toHaveLength(2)
  })

  test('of GitHub never reaches a build: the way that works is another name', () => {
    expect(failure(web('args: {SHA: "${GITHUB_SHA}"}'))?.fix).toContain(
      "write ${BUILD_SHA} in the Compose file, and give it to this step: env: { BUILD_SHA: '${{ github.sha }}' }",
    )
  })

  test('in a secret of the build is missed as well', () => {
    const text = web('secrets: [token]', 'secrets: {token: {environment: TOKEN}, other: {environment: OTHER}}')
    expect(failure(text)).toMatchObject({ code: 'variable-missing', seen: 'secrets: environment: TOKEN' })
    expect(failure(text, { file: { TOKEN: 'x' } })).toBeUndefined()
  })
})

describe('a secret in an image', () => {
  test.each([
    ['args: {SECRET_KEY: "${SECRET_KEY:-build}"}', { SECRET_KEY: 'x' }, 'SECRET_KEY'],
    ['args: [SECRET_KEY]', { SECRET_KEY: 'x' }, 'SECRET_KEY'],
    ['args: {DB_PASSWORD: "${DB}"}', { DB: 'x' }, 'DB'],
    ['labels: {a: "${NPM_TOKEN}"}', { NPM_TOKEN: 'x' }, 'NPM_TOKEN'],
    ['args: {URL: "${DATABASE_URL}"}', { DATABASE_URL: 'postgres://u:p@db/x' }, 'DATABASE_URL'],
  ])('%s of the env file is refused', (build, file, name) => {
    const error = failure(web(build), { file, dockerfile: ARG })
    expect(error).toMatchObject({
      code: 'compose-invalid',
      what: expect.stringContaining(`would write ${name} of env-file`),
    })
    // Variables of the step itself are meant for the build.
    expect(failure(web(build), { file, step: { [name]: 'x' }, dockerfile: ARG })).toBeUndefined()
  })

  test.each([
    ['args: {SECRET_KEY: unused, A: "${A}"}', { SECRET_KEY: 'x', A: 'a' }],
    ['args: {PUBLIC_KEY: "${STRIPE_PUBLIC_KEY}"}', { STRIPE_PUBLIC_KEY: 'x' }],
    ['args: {SITE: "${SITE_URL}"}', { SITE_URL: 'https://example.com' }],
    ['target: "${TOKEN}"', { TOKEN: 'x' }],
  ])('%s is none', (build, file) => {
    expect(failure(web(build), { file })).toBeUndefined()
  })

  test('that the step gives is named in a warning', () => {
    const check = checkOf(web('args: [NPM_TOKEN, CI]'), { step: { NPM_TOKEN: 'x', CI: 'true' } })
    expect(describeBakedSecrets(check)).toEqual([expect.stringMatching(/^NPM_TOKEN is written into the image of web/)])
  })
})

test('where each value comes from', () => {
  const check = checkOf(web('args: {A: "${A}", B: "${B}", C: "${C:-x}", D: null}'), {
    step: { A: '1', D: '' },
    file: { A: '2', B: '2' },
  })
  expect(describeBuildVariables(check)).toEqual([
    'A from the environment of the step',
    'B from env-file',
    'C not set: the default is used',
    'D from the environment of the step',
  ])
})

test("GitHub's own variables never reach a build, also with a default", () => {
  expect(describeBuildVariables(checkOf(web('args: {REVISION: "${GITHUB_SHA:-unknown}"}'), {}))).toEqual([
    "GITHUB_SHA: the default is used, because GitHub's own variables never reach a build. " +
      "For its value, write ${BUILD_SHA} in the Compose file, and give it to this step: env: { BUILD_SHA: '${{ github.sha }}' }",
  ])
})
