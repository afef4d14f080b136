import { describe, expect, test } from '@jest/globals'
import { groupBuilds } from '../../../src/compose/group.ts'
import { planBake } from '../../../src/image/bake.ts'
import { explainBuild } from '../../../src/image/failure.ts'
import { projectOf } from '../compose/model.ts'

const project = projectOf(
  'services: {web: {build: {context: ../app, dockerfile: deploy/Dockerfile}}, proxy: {build: ./proxy}}',
  'docker/compose.yml',
)
const commit = { sha: 'c'.repeat(40), time: new Date(0), source: '' }
const { targets } = planBake({
  project,
  groups: groupBuilds(project),
  workspace: '/w',
  set: [],
  variables: { step: {}, file: undefined },
  commit,
})

/** As buildx 0.13 prints it. */
const failed = (step: string, file: string): string => `
#16 [${step} 3/3] RUN nope --x
#16 0.434 /bin/sh: 1: nope: not found
#16 ERROR: process "/bin/sh -c nope --x" did not complete successfully: exit code: 127
------
 > [${step} 3/3] RUN nope --x:
0.434 /bin/sh: 1: nope: not found
------
${file}:3
--------------------
   3 | >>> RUN nope --x
--------------------
ERROR: failed to solve: process "/bin/sh -c nope --x" did not complete successfully: exit code: 127
`

describe('a failed build', () => {
  test('names the service, the lines, and the place in its Dockerfile', () => {
    const error = explainBuild(failed('web', 'Dockerfile'), targets, project)
    expect(error.code).toBe('build-failed')
    expect(error.what).toContain('web')
    expect(error.seen).toContain('nope: not found')
    expect(error.annotation).toEqual({ file: 'app/deploy/Dockerfile', line: 3 })
    expect(explainBuild(failed('proxy stage-1', 'Dockerfile'), targets, project).annotation?.file).toBe(
      'docker/proxy/Dockerfile',
    )
  })

  test('of one target alone, which buildx does not name', () => {
    const only = targets.filter(({ name }) => name === 'proxy')
    expect(explainBuild(failed('', 'Dockerfile').replaceAll('[ ', '['), only, project).what).toContain('proxy')
  })

  test('shows what the failing command said, whatever buildx prints behind it', () => {
    const command = Array.from({ length: 40 }, (_, number) => `  12 | >>>     package-${number} \\`).join('\n')
    const other = '#17 [other 1/1] RUN slow\n#17 0.1 still fine\n'
    const text = failed('web', 'Dockerfile').replace('   3 | >>> RUN nope --x', `${other}${command}`)
    const { seen } = explainBuild(text, targets, project)
    expect(seen).toMatch(/^\[web 3\/3\] RUN nope --x\n\/bin\/sh: 1: nope: not found\nERROR: process/)
    expect(seen).not.toMatch(/still fine|package-/)
    const long = text.replace('#16 0.434', `${'#16 0.1 compiling\n'.repeat(100)}#16 0.434`)
    expect(explainBuild(long, targets, project).seen?.split('\n').length).toBeLessThan(30)
  })

  test('shows the last lines only', () => {
    const error = explainBuild(`${'noise\n'.repeat(1000)}ERROR: the end`, targets, project)
    expect(error.seen?.split('\n').length).toBeLessThan(30)
    expect(error.seen).toMatch(/ERROR: the end$/)
  })

  test.each([
    ['write /x: no space left on device', /space/],
    ['failed to solve: a/b: pull access denied, repository does not exist', /log in/],
    ['ERROR: unable to prepare context: path "/w/docker/nope" not found', /`context:`/],
    ['ERROR: failed to solve: failed to read dockerfile: open Nope: no such file or directory', /`dockerfile:`/],
    ['ERROR: failed to solve: target stage "prod" could not be found', /`target:`/],
    ['failed to calculate checksum of ref abc::def: "/start.sh": not found', /dockerignore/],
    ['exec /bin/sh: exec format error', /qemu/],
  ])('%s has its own advice', (output, fix) => {
    const error = explainBuild(output, targets, project)
    expect(error.fix).toMatch(fix)
    expect(`${error.why}${error.fix}`).not.toContain('$1')
  })
})
