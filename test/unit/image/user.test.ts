import { expect, test } from '@jest/globals'
import { readApp } from '../../../src/compose/app.ts'
import { readUsers } from '../../../src/image/user.ts'
import { fakeDocker } from './fake.ts'

const PASSWD =
  'etc/passwd\0\0ustar\0\nroot:x:0:0:root:/root:/bin/sh\nwww:x:33:33::/:/bin/sh\npython:x:1000:1000::/:/bin/sh\n'

test.each([
  ['python', undefined, '1000'],
  ['www:1000', undefined, '33'],
  ['5050:0', undefined, '5050'],
  ['', undefined, '0'],
  ['nobody', undefined, undefined],
  ['python', '10001:10001', '10001'],
  ['', 'www', '33'],
])('an image with USER %j in a service with user: %j runs as %j', async (inImage, user, number) => {
  const { run, calls } = fakeDocker((line) => {
    if (line.startsWith('image inspect')) return { stdout: `${inImage}\n` }
    if (line.startsWith('create')) return { stdout: 'ab12\n' }
    return line.includes(':/etc/passwd') ? { stdout: PASSWD } : undefined
  })
  const app = readApp({ services: { web: { image: 'r.io/web@sha256:1', user } } })
  expect((await readUsers(['web'], app, run)).get('web')).toBe(number)
  const made = calls.filter(({ args }) => args[0] === 'create' || args[0] === 'rm')
  expect([0, 2]).toContain(made.length)
})

test('of an image that is not on the runner nothing is known', async () => {
  const { run } = fakeDocker(() => ({ code: 1, stderr: 'No such image' }))
  expect(await readUsers(['web'], readApp({ services: { web: { image: 'r.io/web' } } }), run)).toEqual(new Map())
})
