import { afterAll, describe, expect, jest, test } from '@jest/globals'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { run } from '../../../src/process.ts'
import { parseLook } from '../../../src/host/look.ts'
import { deployOf, stage } from './staged.ts'
import { call, makeWorld, removeWorld, script, SHELLS, stateOf, stopDocker, type World } from './world.ts'

jest.setTimeout(60_000)
const worlds: World[] = []
afterAll(async () => {
  await Promise.all(worlds.map(removeWorld))
  stopDocker()
})

const me = userInfo().username
const ends = { KillUserProcesses: 'yes', KillOnlyUsers: '', KillExcludeUsers: 'somebody' }

/** logind is not to be had without systemd: a stand-in answers for it, and for the user's manager. */
async function worldWith(shell: 'dash' | 'busybox', logind: Record<string, string>, lingers = 'no'): Promise<World> {
  const world = await makeWorld(shell)
  worlds.push(world)
  const settings = Object.entries(logind).map(([name, text]) => `${name}=${text}`)
  const loginctl = `#!/bin/sh
case "$1" in
  show-session) printf '%s\\n' ${settings.map((setting) => `'${setting}'`).join(' ')} ;;
  show-user) [ "$2" = ${me} ] && echo Linger=${lingers} ;;
esac
`
  await writeFile(join(world.root, 'bin/loginctl'), loginctl, { mode: 0o755 })
  const manager = `#!/bin/sh
[ "$1 $2 $3" = '--user --scope --quiet' ] || exit 9
shift 3
echo "$@" >>${world.root}/scopes
exec "$@"
`
  await writeFile(join(world.root, 'bin/systemd-run'), manager, { mode: 0o755 })
  return world
}

async function endsWithLogin(world: World): Promise<string | undefined> {
  const stdin = script.toString()
  const said = await run('sh', ['-s', 'look', 'todo'], { env: world.env, cwd: join(world.root, 'site'), stdin })
  return parseLook(said.stdout)?.endsWithLogin
}

const v1 = deployOf('v1', 1, ['core.0001'])

describe.each(SHELLS)('under %s', (shell) => {
  test.each([
    ['leaves alone what runs', { ...ends, KillUserProcesses: 'no' }],
    ['spares this user', { ...ends, KillExcludeUsers: `root ${me}` }],
    ['ends what others have', { ...ends, KillOnlyUsers: 'nobody' }],
  ])('a logind that %s is no trouble', async (_, logind) => {
    expect(await endsWithLogin(await worldWith(shell, logind))).toBeUndefined()
  })

  test.each([
    ['ends everything', ends],
    ['ends what this user has', { ...ends, KillOnlyUsers: `nobody ${me}` }],
  ])('where logind %s nothing is begun', async (_, logind) => {
    const world = await worldWith(shell, logind)
    expect(await endsWithLogin(world)).toBe(me)
    expect(await stage(world, v1)).toMatchObject({ code: 0 })
    expect(await call(world, 'begin', [v1.id])).toMatchObject({ code: 52 })
    expect(existsSync(join(world.directory, '.deploy/journal', v1.id))).toBe(false)
    expect((await stateOf(world)).containers).toEqual([])
  })

  test('a user who lingers has a manager, in which the transaction outlives the login', async () => {
    const world = await worldWith(shell, ends, 'yes')
    expect(await endsWithLogin(world)).toBeUndefined()
    expect(await stage(world, v1)).toMatchObject({ code: 0 })
    expect(await call(world, 'begin', [v1.id])).toMatchObject({ code: 0 })
    expect(await call(world, 'follow', [v1.id, '0', '0'])).toMatchObject({
      // It may have ended before the follower looked again.
      stdout: expect.stringMatching(/^x (committed|ended)$/m),
    })
    expect(await readFile(join(world.root, 'scopes'), 'utf8')).toContain(
      `sh .deploy/plans/${v1.id}/transaction.sh engine ${world.directory} ${v1.id}\n`,
    )
    expect(await readFile(join(world.directory, '.deploy/current'), 'utf8')).toBe(`${v1.id}\n`)
  })

  test('what Docker could free is told, volumes are not', async () => {
    const world = await worldWith(shell, {})
    expect(await call(world, 'reclaimable')).toMatchObject({
      code: 0,
      stdout: 'Images 1.2GB (40%)\nContainers 0B (0%)\nBuild Cache 512MB\n',
    })
  })
})
