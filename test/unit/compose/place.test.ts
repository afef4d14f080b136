import { describe, expect, test } from '@jest/globals'
import { parse } from 'yaml'
import { checkCodeMounts } from '../../../src/compose/code.ts'
import { checkComplete, checkDefinitions } from '../../../src/compose/definition.ts'
import { parseSource } from '../../../src/compose/document.ts'
import { checkExternals, findExternals } from '../../../src/compose/external.ts'
import { checkBorrowed, findStale, groupBuilds } from '../../../src/compose/group.ts'
import { toProject, type Project } from '../../../src/compose/project.ts'
import { checkProfiles } from '../../../src/compose/role.ts'
import { checkDjangoRuns } from '../../../src/compose/scale.ts'
import { placeOf } from '../../../src/errors.ts'
import { checkBuildVariables } from '../../../src/image/variable.ts'
import { projectOf, repositoryOf } from './model.ts'

/** Where the failure of a check is shown. */
function lineOf(check: () => void): string | undefined {
  try {
    check()
  } catch (failure) {
    const { file, line } = placeOf(failure) ?? {}
    return `${file}:${line}`
  }
  throw new Error('nothing failed')
}

/** A Compose file whose service `web` has these lines, from line 5 on. */
const web = (...lines: string[]): string =>
  ['services:', '  db:', '    image: postgres', '  web:', ...lines.map((line) => `    ${line}`), ''].join('\n')

const checkVariables = (project: Project, file = new Map<string, string>()): void =>
  checkBuildVariables({
    project,
    groups: groupBuilds(project),
    variables: { step: {}, file },
    isOverridden: () => false,
    onHost: [],
    read: () => undefined,
  })

describe('a failure is shown at the line of its service', () => {
  test.each<[string, string, (project: Project) => void, number]>([
    [
      'no container of Django',
      web('build: .', 'scale: 0'),
      (project) => checkDjangoRuns('web', { scale: [], unstarted: ['web'], warnings: [] }, project),
      5,
    ],
    [
      'a mount over the code',
      web('build: .', 'volumes:', '  - .:/app'),
      (project) => checkCodeMounts(project, { services: ['web'] }, '/app/manage.py', repositoryOf({})),
      7,
    ],
    [
      'an external volume that is missing',
      web('build: .', 'volumes: ["data:/data"]') + 'volumes: { data: { external: true } }\n',
      (project) => checkExternals(findExternals(project, new Map()), ['web'], [], project),
      6,
    ],
    [
      'the image of another project',
      web('build: .') + '  worker:\n    image: shop-web\n',
      (project) => checkBorrowed(project, ['worker'], ['todo']),
      7,
    ],
    [
      'an image that nobody has',
      web('build: .', 'image: web:2') + '  worker:\n    image: web:1\n  beat:\n    image: web:3\n    build: ./beat\n',
      (project) => void findStale(project, ['worker']),
      8,
    ],
    [
      'two images with one name',
      web('build: .', 'image: shop') + '  worker:\n    build: ./worker\n    image: shop\n',
      (project) => void groupBuilds(project),
      6,
    ],
    [
      'no active profile',
      web('build: .', 'profiles: [prod]'),
      (project) => checkProfiles(project, groupBuilds(project), [], []),
      6,
    ],
    ['a volume without a definition', web('build: .', 'volumes: ["data:/data"]'), checkDefinitions, 6],
    ['neither an image nor a build', web('command: sh', 'restart: always'), (project) => checkComplete(project), 5],
    [
      'a build upon an image that is not built',
      web('command: sh', 'build:', '  context: .', '  additional_contexts: { base: "service:db" }'),
      (project) => checkComplete(project),
      7,
    ],
    [
      'a variable of a build',
      web('build:', '  context: .', '  args:', '    A: ${A}'),
      (each) => checkVariables(each),
      8,
    ],
    [
      'a secret in an image',
      web('build:', '  context: .', '  args:', '    TOKEN: ${TOKEN}'),
      (project) => checkVariables(project, new Map([['TOKEN', 'x']])),
      8,
    ],
  ])('%s', (_, text, check, line) => {
    expect(lineOf(() => check(projectOf(text)))).toBe(`compose.yaml:${line}`)
  })

  test('in the file that has the line, when several files have the service', () => {
    const over = 'services:\n  web:\n    volumes: ["data:/data"]\n'
    const sources = [parseSource('a.yaml', web('build: .')), parseSource('b.yaml', over)]
    const project = toProject(
      ['a.yaml', 'b.yaml'],
      undefined,
      parse(web('build: .', 'volumes: ["data:/data"]')),
      sources,
    )
    expect(lineOf(() => checkDefinitions(project))).toBe('b.yaml:3')
  })
})
