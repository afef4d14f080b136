import { afterAll, describe, expect, test } from '@jest/globals'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseLook } from '../../../src/host/look.ts'
import { run } from '../../../src/process.ts'
import { adoptionIn, startByHand } from './hand.ts'
import { endOf, storyOf } from './journal.ts'
import { bare, logOf, removeAll, ROWS, v1, v2 } from './serving.ts'
import { deployOf, over, rollbackTo, stage, transact, type Staged } from './staged.ts'
import { call, script, SHELLS, type World } from './world.ts'

// What a rollback brings back of env files: names are shown, values never.

afterAll(removeAll)

const withEnv = (staged: Staged, env: string): Staged => ({
  ...staged,
  env,
  releaseFacts: { ...staged.releaseFacts, env: ['shipped'] },
})

async function namesFor(world: World, target: string, number: number): Promise<string[]> {
  const rollback = rollbackTo(target, number)
  expect(await stage(world, rollback)).toMatchObject({ code: 0 })
  const { code, stdout } = await call(world, 'returning', [rollback.id])
  expect(code).toBe(0)
  return stdout.split('\n').slice(0, -1)
}

describe.each(SHELLS)('under %s', (shell) => {
  test('variables that have other values now, in whatever way they are written', async () => {
    const world = await bare(shell)
    const old = `# a remark
SAME=1
export QUOTED='the same'
API_TOKEN=leaked # it was
KEY="-----BEGIN
first
-----END"
GONE=1
CASE: old
HASH=a#b
`
    const now = `SAME = 1 # one
QUOTED="the same"
API_TOKEN=renewed
KEY="-----BEGIN
second
-----END"
NEW=1
CASE=new
HASH=a#b
`
    expect(await transact(world, withEnv(v1, old))).toBe('committed v1-1-1')
    expect(await transact(world, withEnv(v2, now))).toBe('committed v2-2-1')
    const names = ['API_TOKEN', 'CASE', 'GONE', 'KEY']
    expect(await namesFor(world, v1.id, 3)).toEqual(names.map((name) => `returning variable ${name}`))
    expect(await namesFor(world, v2.id, 4)).toEqual([])

    const cwd = world.directory
    const byHand = await run('sh', ['.deploy/rollback'], { env: world.env, cwd, timeoutMs: 60_000 })
    expect(byHand.code).toBe(0)
    expect(byHand.stdout).toContain('these variables have other values in that release: API_TOKEN CASE GONE KEY ')
    expect(byHand.stdout + byHand.stderr).not.toMatch(/leaked|renewed|first|second/)
  })

  test('an env file on the host that changed since the containers were made is seen; a shipped one is not', async () => {
    const isOutdated = async (world: World): Promise<boolean | undefined> => {
      const stdin = script.toString()
      return parseLook((await run('sh', ['-s', 'look', world.directory], { env: world.env, stdin })).stdout)?.isOutdated
    }
    const own: Staged = {
      ...v1,
      releaseFacts: {
        ...v1.releaseFacts,
        env: ['server'],
        'env-files': ['web.env'],
        'optional-env-files': ['local.env', '~/site.env'],
      },
    }
    for (const [staged, path, expected] of [
      [own, '.env', true],
      [own, 'web.env', true],
      [own, 'local.env', true],
      [own, '~/site.env', true],
      [own, 'other.env', false],
      [withEnv(v1, 'A=1\n'), '.env', false],
    ] as const) {
      const world = await bare(shell)
      await writeFile(join(world.directory, '.env'), 'A=1\n')
      await writeFile(join(world.directory, 'web.env'), 'B=1\n')
      expect(await transact(world, staged)).toBe('committed v1-1-1')
      expect(await isOutdated(world)).toBe(false)
      await writeFile(path.startsWith('~') ? path.replace('~', world.root) : join(world.directory, path), 'A=2\n')
      expect([path, await isOutdated(world)]).toEqual([path, expected])
    }
  })

  test('files on the host that the release before did not read: their old values come back', async () => {
    const world = await bare(shell)
    const readsHost: Staged = { ...v1, releaseFacts: { ...v1.releaseFacts, 'env-files': ['web.env', 'secret.txt'] } }
    await writeFile(join(world.directory, 'web.env'), 'TOKEN=leaked\nSAME=1\n')
    await writeFile(join(world.directory, 'secret.txt'), 'bGVha2Vk\n')
    const ships: Staged = {
      ...v2,
      shipped: { 'web.env': 'TOKEN=renewed\nSAME=1\n', 'secret.txt': 'cmVuZXdlZA\n' },
      releaseFacts: { ...v2.releaseFacts, 'variable-files': ['web.env'] },
    }
    expect(await transact(world, readsHost)).toBe('committed v1-1-1')
    expect(await transact(world, ships)).toBe('committed v2-2-1')
    expect(await namesFor(world, v1.id, 3)).toEqual(['returning file secret.txt', 'returning variable TOKEN'])
    expect(await namesFor(world, v2.id, 4)).toEqual([])
  })

  test('files of secrets by their paths, never by a line of them that looks like a variable', async () => {
    const world = await bare(shell)
    const withFiles = (staged: Staged, secret: string, token: string): Staged => ({
      ...withEnv(staged, 'SAME=1\n'),
      shipped: {
        'secrets/api key.txt': `${secret}==\n`,
        'secrets/same.txt': 'c2FtZQ==\n',
        'web.env': `TOKEN=${token}\n`,
      },
      releaseFacts: { ...staged.releaseFacts, env: ['shipped'], 'variable-files': ['.env', 'web.env'] },
    })
    expect(await transact(world, withFiles(v1, 'bGVha2Vk', 'leaked'))).toBe('committed v1-1-1')
    expect(await transact(world, withFiles(v2, 'cmVuZXdlZA', 'renewed'))).toBe('committed v2-2-1')
    const expected = ['returning file secrets/api key.txt', 'returning variable TOKEN']
    expect(await namesFor(world, v1.id, 3)).toEqual(expected)
    expect(await namesFor(world, v2.id, 4)).toEqual([])
    const byHand = await run('sh', ['.deploy/rollback'], { env: world.env, cwd: world.directory, timeoutMs: 60_000 })
    expect(byHand.stdout).toContain('warning: these files have other contents in that release: secrets/api key.txt')
    expect(byHand.stdout).toContain('warning: these variables have other values in that release: TOKEN')
    expect(byHand.stdout + byHand.stderr).not.toMatch(/bGVha2Vk|cmVuZXdlZA|leaked|renewed/)
  })

  test('none, where the server owns them or a release ships none', async () => {
    const world = await bare(shell)
    await writeFile(join(world.directory, '.env'), 'API_TOKEN=1\n')
    expect(await transact(world, v1)).toBe('committed v1-1-1')
    await writeFile(join(world.directory, '.env'), 'API_TOKEN=2\n')
    expect(await transact(world, v2)).toBe('committed v2-2-1')
    expect(await namesFor(world, v1.id, 3)).toEqual([])
    // What a release shipped stays when one without goes on with it.
    expect(await transact(world, withEnv(deployOf('v3', 4, ROWS), 'API_TOKEN=3\n'))).toBe('committed v3-4-1')
    expect(await namesFor(world, v1.id, 5)).toEqual([])
  })

  test('those of a file that lay there when the stack was adopted, when a release has replaced it', async () => {
    const world = await bare(shell)
    await startByHand(world)
    const adoption = await adoptionIn(world)
    expect(await transact(world, over(adoption, withEnv(v2, 'A=rotated\n')))).toBe('committed v2-2-1')
    expect(await namesFor(world, adoption?.id ?? '', 3)).toEqual(['returning variable A'])
  })
})

test('a database that refuses the old password (58), with advice that helps', async () => {
  const world = await bare()
  const strict = deployOf('v1', 1, ROWS.slice(0, 1), { 'x-refused': true })
  expect(await transact(world, strict)).toBe('committed v1-1-1')
  expect(await transact(world, v2)).toBe('committed v2-2-1')
  const rollback = rollbackTo('v1-1-1', 3)
  await logOf(world, rollback)
  expect(await storyOf(world, rollback.id)).toContain('fit fail 58')
  expect(await endOf(world, rollback.id)).toBe('back v2-2-1')
  const byHand = await run('sh', ['.deploy/rollback'], { env: world.env, cwd: world.directory, timeoutMs: 60_000 })
  expect(byHand).toMatchObject({ code: 58, stderr: expect.stringContaining('git tag v1-again v1') })
})
