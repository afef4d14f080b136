import { expect, test } from '@jest/globals'
import { mkdirSync, writeFileSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readBelow } from '../../../src/image/below.ts'
import { fakeDocker } from './fake.ts'

test('one container shows every path; one without files has no hash', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'below-test-'))
  const { run, calls } = fakeDocker((line, { args }) => {
    if (line.startsWith('create')) return { stdout: 'ab12\n' }
    if (!line.startsWith('cp')) return undefined
    const [from = '', to = ''] = args.slice(-2)
    if (from === 'ab12:/gone') return { code: 1 }
    mkdirSync(to)
    if (from !== 'ab12:/empty') writeFileSync(join(to, 'site.css'), from === 'ab12:/other' ? 'b' : 'a')
    return undefined
  })
  try {
    const found = await readBelow('app', ['/static', '/same', '/other', '/empty', '/gone'], { run, folder })
    expect([...found.keys()]).toEqual(['/static', '/same', '/other'])
    expect(found.get('/same')).toBe(found.get('/static'))
    expect(found.get('/other')).not.toBe(found.get('/static'))
    expect(calls.filter(({ args }) => args[0] === 'create' || args[0] === 'rm')).toHaveLength(2)
    expect(await readdir(folder)).toEqual([])
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('an image that is not on the runner shows nothing', async () => {
  const { run } = fakeDocker(() => ({ code: 1, stderr: 'No such image' }))
  expect(await readBelow('app', ['/static'], { run, folder: tmpdir() })).toEqual(new Map())
})
