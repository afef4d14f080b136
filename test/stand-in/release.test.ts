import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from '../../src/process.ts'
import { output } from '../world/docker.ts'

const script = fileURLToPath(new URL('../../script/release', import.meta.url))
const identity = { GIT_AUTHOR_NAME: 'a', GIT_AUTHOR_EMAIL: 'a@example.com', GIT_CONFIG_GLOBAL: '/dev/null' }
const env = { ...process.env, ...identity, GIT_COMMITTER_NAME: 'a', GIT_COMMITTER_EMAIL: 'a@example.com' }

let folder: string
let checkout: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'release-'))
  checkout = join(folder, 'checkout')
  await git(folder, 'init', '--quiet', '--bare', 'origin')
  await git(folder, 'clone', '--quiet', join(folder, 'origin'), 'checkout')
  await cp(script, join(checkout, 'release'))
})
afterEach(() => rm(folder, { recursive: true }))

async function git(cwd: string, ...words: string[]): Promise<string> {
  return output(`git ${words.join(' ')}`, await run('git', words, { cwd, env })).trim()
}

/** A commit whose package.json and CHANGELOG.md are of this version, with its tag on origin. */
async function tag(version: string): Promise<string> {
  await writeFile(
    join(checkout, 'package.json'),
    `{\n  "name": "x",\n  "version": "${version}",\n  "private": true\n}\n`,
  )
  const changelog = `# Changelog\n\n## Unreleased\n\n## ${version} - 2026-12-01\n\n### Added\n\n- This.\n\n## 0.0.9 - 2026-11-01\n\n- That.\n`
  await writeFile(join(checkout, 'CHANGELOG.md'), changelog)
  await git(checkout, 'add', '--all')
  await git(checkout, 'commit', '--quiet', '--message', version)
  await git(checkout, 'tag', `v${version}`)
  await git(checkout, 'push', '--quiet', 'origin', `v${version}`)
  return git(checkout, 'rev-parse', 'HEAD')
}

const release = (...words: string[]) => run(join(checkout, 'release'), words, { cwd: checkout, env })
const onOrigin = (name: string): Promise<string> => git(checkout, 'ls-remote', 'origin', `refs/tags/${name}`)

test('the notes are the section of the version, without its title', async () => {
  await tag('1.2.0')
  expect(await release('notes', 'v1.2.0')).toMatchObject({ code: 0, stdout: '### Added\n\n- This.\n' })
})

test('a tag that package.json or CHANGELOG.md does not know is refused with the fix', async () => {
  await tag('1.2.0')
  const other = await release('notes', 'v1.3.0')
  expect(other).toMatchObject({ code: 1, stdout: '' })
  expect(other.stderr).toContain('npm version --no-git-tag-version 1.3.0')
  await writeFile(join(checkout, 'CHANGELOG.md'), '# Changelog\n\n## Unreleased\n\n- Much.\n')
  const untold = await release('notes', 'v1.2.0')
  expect(untold).toMatchObject({ code: 1, stdout: '' })
  expect(untold.stderr).toContain('CHANGELOG.md has no text below "## 1.2.0"')
})

test('the major tag follows the newest version, and never goes back', async () => {
  await tag('1.9.0')
  expect(await release('move', 'v1.9.0')).toMatchObject({ code: 0, stdout: 'v1 is v1.9.0\n' })
  const commit = await tag('1.10.0')
  expect(await release('move', 'v1.10.0')).toMatchObject({ code: 0 })
  expect(await onOrigin('v1')).toContain(commit)
  const late = await release('move', 'v1.9.0')
  expect(late).toMatchObject({ code: 1, stdout: '' })
  expect(late.stderr).toContain('v1 stays: origin has v1.10.0')
  expect(await onOrigin('v1')).toContain(commit)
})

test.each(['1.2.0', 'v1', 'v1.2.0-rc1', 'v01.2.0', '--help'])('"%s" is no version', async (name) => {
  const refused = await release('move', name)
  expect(refused).toMatchObject({ code: 1, stdout: '' })
  expect(refused.stderr).toContain('is no version: name the tag vX.Y.Z')
})
