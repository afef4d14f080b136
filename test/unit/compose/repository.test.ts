import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readRepository } from '../../../src/compose/repository.ts'
import { run } from '../../../src/process.ts'

let workspace: string
beforeEach(async () => {
  workspace = await mkdtemp(join(tmpdir(), 'repository-'))
})
afterEach(() => rm(workspace, { recursive: true }))

test.each(['tracked', 'unpacked from an archive'])('a link is the file that it leads to: %s', async (kind) => {
  await mkdir(join(workspace, 'conf'))
  await writeFile(join(workspace, 'conf/a.conf'), 'a')
  await symlink('a.conf', join(workspace, 'conf/b.conf'))
  await symlink('../conf', join(workspace, 'conf/circle'))
  await symlink('/nowhere/to/be/found', join(workspace, 'conf/lost'))
  if (kind === 'tracked') {
    for (const words of [
      ['init', '-q'],
      ['add', '-A'],
    ])
      await run('git', words, { cwd: workspace })
  }
  const { files, read } = await readRepository(workspace, [], run)
  expect([...files.keys()].sort()).toEqual(['conf/a.conf', 'conf/b.conf'])
  expect(read('conf/b.conf').toString()).toBe('a')
})
