import { expect, test } from '@jest/globals'
import { count, sortBuild, sortTransfer } from '../../../src/image/progress.ts'

/** What is shown of these lines; the others are details. */
function shownOf(
  lines: readonly string[],
  sort: (sorted: { show: (line: string) => void; showDetail: (line: string) => void }) => (line: string) => void,
) {
  const shown: string[] = []
  const details: string[] = []
  const onLine = sort({ show: (line) => shown.push(line), showDetail: (line) => details.push(line) })
  lines.forEach((line) => onLine(line))
  expect(shown.length + details.length).toBe(lines.length)
  return shown
}

test('of a build the steps of the Dockerfile are shown, and what they print', () => {
  const log = [
    '#0 building with "default" instance using docker driver',
    '#1 [web internal] load build definition from Dockerfile',
    '#1 transferring dockerfile: 300B done',
    '#1 DONE 0.0s',
    '#2 [internal] load metadata for docker.io/library/python:3.13-slim',
    '#2 DONE 0.3s',
    '',
    '#4 [web 1/3] FROM docker.io/library/python:3.13-slim@sha256:aa',
    '#4 resolve docker.io/library/python:3.13-slim@sha256:aa done',
    '#4 sha256:bb 10MB / 20MB 0.2s',
    '#4 extracting sha256:bb 0.3s done',
    '#4 DONE 1.2s',
    '#5 [web 2/3] RUN pip install django',
    '#5 1.234 Collecting django',
    '#5 DONE 9.1s',
    '#6 [web 3/3] COPY . /app',
    '#6 CACHED',
    '#7 [web] exporting to image',
    '#7 exporting layers 0.5s done',
    '#7 DONE 0.6s',
    '#5 ERROR: process "/bin/sh -c pip" did not complete successfully: exit code: 1',
    'ERROR: failed to build',
  ]
  expect(shownOf(log, (lines) => (line) => sortBuild(lines)(line, 'stderr'))).toContain('#5 1.234 Collecting django')
  const sorted = shownOf(log, (lines) => {
    const onLine = sortBuild(lines)
    return (line) => onLine(line, 'stderr')
  })
  expect(sorted).toEqual([
    '#4 [web 1/3] FROM docker.io/library/python:3.13-slim@sha256:aa',
    '#4 DONE 1.2s',
    '#5 [web 2/3] RUN pip install django',
    '#5 1.234 Collecting django',
    '#5 DONE 9.1s',
    '#6 [web 3/3] COPY . /app',
    '#6 CACHED',
    '#5 ERROR: process "/bin/sh -c pip" did not complete successfully: exit code: 1',
    'ERROR: failed to build',
  ])
})

test('of a push the layers are counted, one that two images share once', () => {
  const shown: string[] = []
  const { onLine, countNew } = sortTransfer({ show: (line) => shown.push(line), showDetail: () => {} })
  for (const line of [
    'The push refers to repository [r.io/app]',
    '0123456789ab: Preparing',
    '0123456789ab: Pushed',
    '0123456789ab: Pushed',
    'ba9876543210: Layer already exists',
    'v2: digest: sha256:aa size: 1234',
  ]) {
    onLine(line, 'stdout')
  }
  expect(shown).toEqual(['The push refers to repository [r.io/app]', 'v2: digest: sha256:aa size: 1234'])
  expect([countNew(), count(1, 'new layer'), count(0, 'image')]).toEqual([1, '1 new layer', '0 images'])
})
