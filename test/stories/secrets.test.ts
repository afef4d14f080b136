import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '../../src/process.ts'
import type { ActionOptions, ActionRun } from '../run-action.ts'
import { codes, tell, type Story } from './story.ts'
import { openWorld } from '../world/world.ts'

// The runner has programs first on its PATH that write down their arguments, a file for each call; so has a user of the
// server. What else runs on the server is looked at all the time.
const ON_RUNNER = ['ssh', 'docker', 'tar', 'git']
const ON_SERVER = ['docker', 'env', 'timeout', 'sh', 'setsid', 'tar', 'mkdir', 'grep', 'sed', 'awk']

/** A program that writes down how it was called, and becomes the one of its name that is next on the PATH. */
const recorder = (folder: string, more = ''): string => `#!/bin/sh
name=\${0##*/}
printf '%s\\n' "$@" >"$(/usr/bin/mktemp "${folder}/$name.XXXXXX")"
${more}
exec "$(PATH=\${PATH#*:} command -v "$name")" "$@"
`

/** A user of the server with recording programs. Everybody may enter its home: the files have to protect themselves. */
const ADD_USER = `set -e
useradd --create-home --shell /bin/bash --groups docker "$1"
cd "/home/$1"
mkdir bin argv
cat >bin/recorder
for name in $2; do ln -s recorder "bin/$name"; done
echo 'PATH=$HOME/bin:$PATH' >.bashrc
cp -r /home/deploy/.ssh .
echo "$3" >told
chown -R "$1:$1" .
chmod 755 . bin/recorder
chmod 644 told`

/** Prints the arguments of all processes in which a line of the input is found, until the mark is gone. */
const WATCH = `umask 077
cat >"/run/$1.texts"
while [ -e "/run/$1.watch" ]; do
  grep -haF -f "/run/$1.texts" /proc/[0-9]*/cmdline 2>/dev/null
  sleep 0.02
done | tr '\\0' ' ' | sort -u
rm "/run/$1.texts"`

const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '')

describe('secrets, over a first deploy, an upgrade, an app that tells what it knows, a refused login and a rollback', () => {
  const user = `recorded-${randomBytes(4).toString('hex')}`
  const home = `/home/${user}`
  const canary = `canary-${randomBytes(9).toString('hex')}`
  const runs = new Map<string, ActionRun>()
  const leftovers: string[] = []
  let passwords: string[]
  let secrets: string[]
  let story: Story
  let runner: string
  let watched: string

  const root = async (script: string, words: readonly string[], stdin = ''): Promise<string> => {
    const done = await story.server.exec(['timeout', '900', 'sh', '-c', script, 'sh', ...words], { as: 'root', stdin })
    expect(done).toMatchObject({ code: 0, stderr: '' })
    return done.stdout
  }
  const get = (name: string): ActionRun => {
    const found = runs.get(name)
    if (!found) throw new Error(`no run ${name}`)
    return found
  }

  beforeAll(async () => {
    const world = await openWorld()
    const { registry } = world
    const server = await world.server('alpha')
    const host = `${user}@127.0.0.1:${server.sshPort}`
    story = await tell('todo', { ...server, host, exec: (argv, more) => server.exec(argv, { as: user, ...more }) })
    const { env } = story
    const rotated = `secret-${randomBytes(9).toString('hex')}`
    const wrong = `wrong-${randomBytes(9).toString('hex')}`
    const encoded = (text: string): string => Buffer.from(text).toString('base64').replace(/=+$/, '')
    passwords = [registry.password, wrong].flatMap((password) => [
      password,
      encoded(password),
      encoded(`${registry.username}:${password}`),
    ])
    const key = lines(server.key).filter((line) => line.length > 16 && !line.startsWith('-----'))
    secrets = [...passwords, ...key, env['SECRET_KEY'] ?? '', rotated, env['DB_PASS'] ?? '']

    runner = await mkdtemp(join(tmpdir(), 'recorded-runner-'))
    for (const name of ['bin', 'argv', 'home', 'temp', 'tmp']) await mkdir(join(runner, name))
    const loose = `find "\${RUNNER_TEMP:-/nowhere}" -mindepth 1 -maxdepth 1 -perm /077 >>"${runner}/loose" 2>/dev/null`
    for (const name of ON_RUNNER) {
      await writeFile(join(runner, 'bin', name), recorder(join(runner, 'argv'), loose), { mode: 0o755 })
    }
    await root(ADD_USER, [user, ON_SERVER.join(' '), canary], recorder(`${home}/argv`))

    await root('touch "/run/$1.watch"', [user])
    const watching = root(WATCH, [user], [...secrets, canary].join('\n'))
    const calling = root('while [ -e "/run/$1.watch" ]; do sleep 0.2; done', [user, canary])
    const known = createHash('sha256').update(Buffer.from(server.knownHosts.split(' ')[2] ?? '', 'base64'))
    const play = async (
      name: string,
      start: (more: Partial<ActionOptions>) => Promise<ActionRun>,
      inputs: Record<string, string> = {},
      facts: Record<string, string> = {},
    ): Promise<void> => {
      const [temp, path] = [join(runner, 'temp'), `${join(runner, 'bin')}:${process.env['PATH']}`]
      runs.set(
        name,
        await start({
          inputs,
          env: { PATH: path, HOME: join(runner, 'home'), TMPDIR: join(runner, 'tmp'), RUNNER_TEMP: temp, ...facts },
        }),
      )
      leftovers.push(...(await readdir(temp)))
    }
    try {
      const fingerprint = `SHA256:${known.digest('base64').replace(/=+$/, '')}`
      await play('first', (more) => story.deploy('v1', more), { 'known-hosts': fingerprint })
      story.env = { ...env, SECRET_KEY: rotated }
      await play('upgrade', (more) => story.deploy('v2', more), {}, { RUNNER_DEBUG: '1' })
      await story.change('telling', { 'scripts/run.sh': '#!/bin/sh\nenv | grep -e SECRET_KEY -e DB_\nexit 3\n' })
      await play('telling', (more) => story.deploy('telling', more))
      await play('refused', (more) => story.deploy('telling', more), { 'registry-password': wrong })
      await play('rollback', (more) => story.rollback('v1', more))
    } finally {
      await root('rm "/run/$1.watch"', [user])
      watched = (await Promise.all([watching, calling]))[0]
    }
  })
  afterAll(async () => {
    await story[Symbol.asyncDispose]()
    await story.server.exec(['userdel', '--force', '--remove', user], { as: 'root' })
    await rm(runner, { recursive: true, force: true })
  })

  test('these went as they should', async () => {
    const outcomes = [...runs].map(([name, { outputs }]) => [name, outputs['outcome'], outputs['serving']])
    expect(outcomes).toEqual([
      ['first', 'deployed', 'v1'],
      ['upgrade', 'deployed', 'v2'],
      ['telling', 'failed', 'v2'],
      ['refused', 'failed', 'v2'],
      ['rollback', 'rolled-back', 'v1'],
    ])
    expect((await story.journal()).at(-1)).toMatch(/^end committed /)
    expect(codes(get('telling'))).toEqual(['Deploy Django: container-exited'])
    expect(codes(get('refused'))).toEqual(['Deploy Django: registry-login-failed'])
    expect(await story.serves()).toBe('v1')
  })

  test('are no argument of a program on the runner', async () => {
    const calls = await readdir(join(runner, 'argv'))
    expect(new Set(calls.map((call) => call.split('.')[0]))).toEqual(new Set(ON_RUNNER))
    for (const call of calls) {
      const words = await readFile(join(runner, 'argv', call), 'utf8')
      expect(secrets.filter((secret) => words.includes(secret)).map(() => `${call}: ${words}`)).toEqual([])
    }
  })

  test('are no argument of a program on the server', async () => {
    const calls = lines(await root('ls "/home/$1/argv"', [user]))
    expect(new Set(calls.map((call) => call.split('.')[0]))).toEqual(new Set(ON_SERVER))
    const texts = await root('cd "/home/$1/argv" && cat *', [user])
    expect(secrets.filter((secret) => texts.includes(secret))).toEqual([])
    // The watch sees what it should, and nothing else was to be seen.
    expect(lines(watched).filter((words) => words.includes(canary))).not.toEqual([])
    expect(lines(watched).filter((words) => !words.includes(canary))).toEqual([])
  })

  test('are not in the debug log either, which has each program here and each call of Docker there', () => {
    expect(get('first').debug).toEqual([])
    const { debug } = get('upgrade')
    expect(debug).toContainEqual(expect.stringMatching(/^\[\d+\] docker buildx bake /))
    expect(debug).toContainEqual(expect.stringMatching(/^\[\d+\] docker: exit 0 after \d+ ms$/))
    expect(debug).toContainEqual(
      expect.stringMatching(/^trace: timeout .* docker --config \S+ login .* -> exit 0 after/),
    )
    expect(debug).toContainEqual(expect.stringMatching(/^trace: .* docker compose .* up -d .* -> exit 0 after/))
    expect(debug).toContainEqual(expect.stringMatching(/^ssh: debug1: /))
    expect(secrets.filter((secret) => debug.join('\n').includes(secret))).toEqual([])
    expect(get('upgrade').log).not.toContain('trace: ')
  })

  test('are in no log, output, state or summary, not even before the masks when an app tells them itself', () => {
    expect(get('telling').raw).toMatch(/SECRET_KEY=\*\*\*$/m)
    expect(get('telling').raw).toMatch(/DB_PASS=\*\*\*$/m)
    for (const [name, { masks: _, ...rest }] of runs) {
      const texts = JSON.stringify(rest)
      expect([name, ...secrets.filter((secret) => texts.includes(secret))]).toEqual([name])
    }
  })

  test('are on the server only in files of the user, which nobody else may read', async () => {
    const search = 'grep -rlsF -D skip -f - "$@" || true'
    const holders = lines(await root(search, [home], secrets.join('\n')))
    const folder = `${home}/deploy/${story.name}`
    expect(holders.filter((path) => path !== `${folder}/.env` && !path.startsWith(`${folder}/.deploy/`))).toEqual([])
    // The one in use, and those of the two releases that are kept.
    expect(holders.filter((path) => path.endsWith('/.env'))).toHaveLength(3)
    const modes = lines(await root('stat -c "%a %U %n" -- "$@"', [...holders, `${folder}/.deploy`]))
    expect(modes).toEqual([...holders.map((path) => `600 ${user} ${path}`), `700 ${user} ${folder}/.deploy`])

    const others = `setpriv --reuid nobody --regid nogroup --clear-groups ${search}`
    const places = [home, '/tmp', '/var/tmp', '/dev/shm', '/run', '/etc', '/var/log']
    expect(lines(await root(others, places, [...secrets, canary].join('\n')))).toEqual([`${home}/told`])
  })

  test('are no login that stays, neither on the server nor on the runner', async () => {
    const own = `find "/home/$1" /tmp /var/tmp /dev/shm /run -user "$1" -type f -exec grep -lsF -e "$2" -- {} + || true`
    // Passed one at a time, and only now that nobody watches arguments any more.
    for (const password of passwords) expect(await root(own, [user, password])).toBe('')
    expect(await root('ls -d "/home/$1/.docker" /dev/shm/deploy-django.* 2>/dev/null || true', [user])).toBe('')

    const places = ['home', 'temp', 'tmp'].map((name) => join(runner, name))
    const found = await run('grep', ['-rlF', '-f', '-', ...places, story.project.workspace], {
      stdin: secrets.join('\n'),
    })
    expect(found).toEqual({ code: 1, stdout: '', stderr: '' })
  })

  test('are on the runner only below a folder that nobody else may enter, and not after the job', async () => {
    expect(await readFile(join(runner, 'loose'), 'utf8')).toBe('')
    expect(leftovers).toEqual([])
  })
})
