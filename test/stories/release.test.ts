import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from '../../src/process.ts'
import { environment, output } from '../world/docker.ts'
import { builtTool } from '../workflow.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const act = builtTool('act')
const story = act === undefined ? test.skip : test

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'release-story-'))
})
afterAll(() => rm(folder, { recursive: true }))

const person = {
  GIT_AUTHOR_NAME: 'a',
  GIT_AUTHOR_EMAIL: 'a@example.com',
  GIT_COMMITTER_NAME: 'a',
  GIT_COMMITTER_EMAIL: 'a@example.com',
}

async function git(cwd: string, ...words: string[]): Promise<string> {
  return output(`git ${words.join(' ')}`, await run('git', words, { cwd, env: { ...environment, ...person } })).trim()
}

/** GitHub's own program, of which only the calls can be seen here: each is kept with the notes that it was given. */
const GH = `#!/bin/sh
printf '%s\\n' "$*" >>"$GH_CALLS"
while [ $# -gt 0 ]; do
  if [ "$1" = --notes-file ]; then cp "$2" "$GH_CALLS.notes"; fi
  shift
done
`

/** Of `npm run all` what a release adds: dist is what the sources build. CI runs the rest for each commit. */
const NPM = `#!/bin/sh
case "$*" in
  # Real folders: the bundle depends on where a link to a package leads.
  ci) cp -al "$NODE_MODULES" node_modules ;;
  'run all') script/build && exec script/check-clean ;;
  *) exit 2 ;;
esac
`

const NOTHING = 'name: nothing\nruns: {using: composite, steps: [{run: "true", shell: sh}]}\n'

story('a tag becomes a release with its notes, and v1 follows', async () => {
  const [origin, checkout] = [join(folder, 'origin'), join(folder, 'checkout')]
  await git(folder, 'init', '--quiet', '--bare', origin)
  await git(folder, 'clone', '--quiet', root, checkout)
  await git(checkout, 'remote', 'set-url', 'origin', origin)
  await rm(join(checkout, 'dist'), { recursive: true })
  await cp(join(root, 'dist'), join(checkout, 'dist'), { recursive: true })
  await symlink(join(root, '.tools'), join(checkout, '.tools'))
  const changelog = join(checkout, 'CHANGELOG.md')
  const text = await readFile(changelog, 'utf8')
  await writeFile(changelog, text.replace('## Unreleased', '## Unreleased\n\n## 1.0.0 - 2026-12-01'))
  const version = join(checkout, 'package.json')
  await writeFile(version, (await readFile(version, 'utf8')).replace(/"version": ".*"/, '"version": "1.0.0"'))
  const lock = join(checkout, 'package-lock.json')
  await writeFile(
    lock,
    (await readFile(lock, 'utf8')).replaceAll(/(?<="deploy-django",\n\s*"version": ").*(?=")/g, '1.0.0'),
  )
  await git(checkout, 'add', '--all')
  await git(checkout, 'commit', '--quiet', '--message', 'Release 1.0.0')
  await git(checkout, 'tag', 'v1.0.0')
  await git(checkout, 'push', '--quiet', 'origin', 'v1.0.0')

  const workflow = await readFile(join(checkout, '.github/workflows/release.yml'), 'utf8')
  const action = join(folder, 'action')
  await mkdir(join(folder, 'bin'))
  await mkdir(action)
  await writeFile(join(action, 'action.yml'), NOTHING)
  await writeFile(join(folder, 'bin/gh'), GH, { mode: 0o755 })
  await writeFile(join(folder, 'bin/npm'), NPM, { mode: 0o755 })
  await writeFile(join(folder, 'event.json'), JSON.stringify({ ref: 'refs/tags/v1.0.0' }))
  const others = [...workflow.matchAll(/uses: (actions\/(?!checkout)\S+)/g)].flatMap(([, name = '']) => [
    '--local-repository',
    `${name}=${action}`,
  ])
  const calls = join(folder, 'calls')
  const finished = await run(
    act ?? '',
    [
      ...['push', '--workflows', '.github/workflows/release.yml', '--platform', 'ubuntu-24.04=-self-hosted'],
      ...[...others, '--eventpath', join(folder, 'event.json'), '--env', `GH_CALLS=${calls}`],
      // .tools, which git ignores, is a link to that of this repository.
      ...['--use-gitignore=false', '--env', `NODE_MODULES=${join(root, 'node_modules')}`],
    ],
    {
      cwd: checkout,
      env: {
        ...environment,
        ...person,
        PATH: `${join(folder, 'bin')}:${dirname(process.execPath)}:${environment['PATH']}`,
        XDG_CACHE_HOME: join(folder, 'cache'),
        XDG_CONFIG_HOME: join(folder, 'config'),
      },
    },
  )
  if (finished.code !== 0) throw new Error(`release.yml failed:\n${finished.stdout}${finished.stderr}`)
  expect((await readFile(calls, 'utf8')).trim().split('\n')).toEqual([
    expect.stringMatching(/^release create v1\.0\.0 --draft --verify-tag --title v1\.0\.0 --notes-file /),
    'release edit v1.0.0 --draft=false',
    'auth setup-git',
  ])
  const section = /(?<=## Unreleased\n\n)[^]*?(?=\n## |$)/.exec(text)?.[0] ?? 'no section'
  expect((await readFile(`${calls}.notes`, 'utf8')).trim()).toBe(section.trim())
  expect(await git(origin, 'rev-parse', 'v1^{commit}')).toBe(await git(checkout, 'rev-parse', 'HEAD'))
  expect(await git(checkout, 'status', '--porcelain')).toBe('')
})
