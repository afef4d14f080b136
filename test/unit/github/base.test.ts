import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { findNewMigrations, readBase } from '../../../src/github/base.ts'
import { run } from '../../../src/process.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'base-'))
})
afterEach(() => rm(folder, { recursive: true }))

const who = ['-c', 'user.name=Base', '-c', 'user.email=base@example.com']
async function git(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run('git', [...who, ...args], { cwd: folder })
  if (code !== 0) throw new Error(stderr)
  return stdout.trim()
}

async function commit(files: Record<string, string>, removed: string[] = []): Promise<string> {
  for (const path of removed) await rm(join(folder, path))
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), text)
  }
  await git('add', '--all')
  await git('commit', '--quiet', '--allow-empty', '--message', 'Change')
  return git('rev-parse', 'HEAD')
}

const digest = (text: string): string => createHash('sha256').update(text).digest('hex')

test('finds the migrations that the base does not have, a renamed one as well', async () => {
  await git('init', '--quiet', '--initial-branch', 'main')
  const sha = await commit({
    'shop/migrations/__init__.py': '',
    'shop/migrations/0001_initial.py': 'one',
    'shop/migrations/0002_old.py': 'two',
  })
  await commit(
    {
      'shop/migrations/0001_initial.py': 'changed',
      'shop/migrations/0002_new.py': 'two',
      'src/über/migrations/__init__.py': '',
      'src/über/migrations/0001_initial.py': 'first',
      'shop/views.py': 'x',
      'migrations/0001_top.py': 'top',
    },
    ['shop/migrations/0002_old.py'],
  )
  const found = await findNewMigrations(run, folder, { sha, branch: 'main' })
  expect(found.sort((one, other) => one.path.localeCompare(other.path))).toEqual([
    { path: 'migrations/0001_top.py', name: '0001_top', digest: digest('top') },
    { path: 'shop/migrations/0002_new.py', name: '0002_new', digest: digest('two') },
    { path: 'src/über/migrations/0001_initial.py', name: '0001_initial', digest: digest('first') },
  ])
})

test('says what to write when the commit was not fetched', async () => {
  await git('init', '--quiet')
  await commit({})
  const base = { sha: '0123456789abcdef0123456789abcdef01234567', branch: 'main' }
  await expect(findNewMigrations(run, folder, base)).rejects.toMatchObject({
    code: 'base-missing',
    fix: expect.stringContaining('fetch-depth: 0'),
  })
})

test('reads the base of the pull request', async () => {
  const path = join(folder, 'event.json')
  await writeFile(path, JSON.stringify({ pull_request: { number: 3, base: { sha: 'abc', ref: 'main', repo: {} } } }))
  expect(await readBase(path)).toEqual({ sha: 'abc', branch: 'main' })
})
