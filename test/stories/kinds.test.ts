import { describe, expect, test } from '@jest/globals'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createConnection, createServer, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run, type Finished } from '../../src/process.ts'
import { noIPv6 } from '../stand-in/host/sshd.ts'
import { codes, tell, type Story } from './story.ts'
import { output } from '../world/docker.ts'
import { logInAs, noCompose5, type Kind } from '../world/kind.ts'
import type { Server } from '../world/server.ts'
import { openWorld } from '../world/world.ts'

/** A project of its own on a kind of server. */
async function tellOn(kind: Kind): Promise<Story> {
  const world = await openWorld()
  return await tell('todo', await logInAs(await world.server('kinds'), kind))
}

type Inputs = Record<string, string>

/** First deploy, then an upgrade with a migration. */
async function upgrade(story: Story, inputs: Inputs = {}): Promise<void> {
  const first = await story.deploy('v1', { inputs })
  expect(first.annotations).toEqual([])
  expect(first.outputs).toMatchObject({ outcome: 'deployed', serving: 'v1' })
  expect(await story.serves()).toBe('v1')
  const second = await story.deploy('v2', { inputs })
  expect(second.annotations).toEqual([])
  expect(second.outputs).toMatchObject({ outcome: 'deployed', serving: 'v2', 'previous-version': 'v1' })
  expect(await story.serves()).toBe('v2')
  expect(await story.migrations()).toEqual(['0001_initial', '0002_todo_due'])
  await story.expectWhole()
}

/** What runs beside a deploy finds its way to Docker as well. */
async function look(story: Story): Promise<void> {
  const run = await story.exec('echo "in $GREETING"; cat VERSION', { inputs: { env: 'GREETING=a "b" $c' } })
  expect(run).toMatchObject({ code: 0, raw: expect.stringContaining('in a "b" $c\nv2') })
  const status = await story.status()
  expect(status).toMatchObject({ code: 0, outputs: { serving: 'v2', healthy: 'true' } })
  expect(JSON.parse(status.outputs['migrations'] ?? '')).toContainEqual({
    name: 'core.0002_todo_due',
    state: 'applied',
  })
}

/** The life of a project: first deploy, upgrade, a release that answers 500, rollback. */
async function live(kind: Kind, way: (server: Server) => Inputs = () => ({})): Promise<void> {
  await using story = await tellOn(kind)
  const inputs = way(story.server)
  await upgrade(story, inputs)
  const broken = await story.deploy('v3', { inputs: { ...inputs, try: 'never' } })
  expect(codes(broken)).toEqual(['Deploy Django: health-server-error'])
  expect(broken.outputs).toMatchObject({ outcome: 'failed', serving: 'v2' })
  expect(await story.serves()).toBe('v2')

  const back = await story.rollback(undefined, { inputs })
  expect(back.annotations).toEqual([])
  expect(back.outputs).toMatchObject({ outcome: 'rolled-back', serving: 'v1' })
  expect(await story.serves()).toBe('v1')
  await story.expectWhole()
}

/** The server is its own bastion, where another user logs in; beyond it its port is 22. */
function throughBastion({ host, knownHosts, sshPort }: Server): Inputs {
  return {
    host: host.replace(`:${sshPort}`, ''),
    'jump-host': host.replace(/^\w+@/, 'alpine@'),
    'known-hosts': `${knownHosts}\n${knownHosts.replace(/^\S+/, '127.0.0.1')}`,
  }
}

/** Relays from an IPv6 address of this machine, if it has one, to the server. */
async function overIPv6(): Promise<AsyncDisposable & { inputs: (server: Server) => Inputs }> {
  const sockets = new Set<Socket>()
  let to = 0
  const relay = createServer((from) => {
    const onward = createConnection(to, '127.0.0.1')
    for (const socket of [from, onward]) sockets.add(socket.on('error', () => socket.destroy()))
    from.pipe(onward).pipe(from)
  }).listen(0, noIPv6 === '' ? '::1' : '127.0.0.1')
  await once(relay, 'listening')
  const { port, address, family } = relay.address() as AddressInfo
  return {
    inputs({ host, knownHosts, sshPort }) {
      to = sshPort
      const place = family === 'IPv6' ? `[${address}]` : address
      return {
        host: host.replace(`127.0.0.1:${sshPort}`, `${place}:${port}`),
        'known-hosts': knownHosts.replace(/^\S+/, `[${address}]:${port}`),
      }
    },
    async [Symbol.asyncDispose]() {
      relay.close()
      sockets.forEach((socket) => socket.destroy())
    },
  }
}

// These share the server: projects on it do not meet.
describe('on every kind of server', () => {
  const onFive = noCompose5 === '' ? test.concurrent : test.skip
  test.concurrent(`with nothing but BusyBox${noIPv6 === '' ? ', over IPv6' : ''}`, async () => {
    await using road = await overIPv6()
    await live('alpine', road.inputs)
  })
  onFive(`with Compose 5 and fish, behind a bastion${noCompose5}`, () => live('five', throughBastion))
  test.concurrent.each<[Kind, string]>([
    ['sudoer', 'with Docker through sudo, and csh'],
    ['rootless', 'with a Docker without root'],
  ])(
    '%s: %s',
    async (kind) => {
      await using story = await tellOn(kind)
      await upgrade(story)
      await look(story)
    },
    900_000,
  )
})

describe('a server that cannot take a deploy is named and left as it is', () => {
  test.each<[Kind, string, RegExp]>([
    ['dockerless', 'server-no-docker', /Docker is not installed/],
    ['stranger', 'server-no-docker', /usermod -aG docker stranger/],
    ['old', 'server-compose-old', /2\.19\.1/],
    ['bare', 'server-tools', /setsid, tar/],
    ['killed', 'server-logind', /enable-linger/],
    ['nologin', 'server-shell', /not available/],
  ])('%s: %s', async (kind, code, said) => {
    await using story = await tellOn(kind)
    const before = await story.server.exec(['ls', '-lAR', '--full-time', `/home/${kind}`], { as: 'root' })
    const run = await story.deploy('v1')
    expect(codes(run)).toEqual([`Deploy Django: ${code}`])
    expect(run.annotations[0]?.message).toMatch(said)
    expect(run.outputs).toMatchObject({ outcome: 'failed', serving: '' })
    expect(await story.server.exec(['ls', '-lAR', '--full-time', `/home/${kind}`], { as: 'root' })).toEqual(before)
    expect(await story.containers()).toEqual([])
  })

  // Its sshd is that of Debian 13, which shuts out for a while an address that it has refused a few times.
  test('a login that is refused is tried once, so that the right key is not shut out', async () => {
    await using story = await tellOn('alpine')
    const folder = await mkdtemp(join(tmpdir(), 'deploy-django-key-'))
    output('ssh-keygen', await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, 'other')]))
    const other = await readFile(join(folder, 'other'), 'utf8')
    await rm(folder, { recursive: true })
    const look = (): Promise<Finished> =>
      story.server.exec(['ls', '-lAR', '--full-time', '/home/alpine'], { as: 'root' })
    const before = await look()
    for (const version of ['v1', 'v2']) {
      const refused = await story.deploy(version, { inputs: { 'ssh-key': other } })
      expect(codes(refused)).toEqual(['Deploy Django: ssh-login-refused'])
    }
    expect([await look(), await story.containers()]).toEqual([before, []])
    expect(await story.status()).toMatchObject({ code: 0, annotations: [] })
  })

  /** A user of this test's own; root makes one with a script whose first word is the name. */
  async function tellAs(
    kind: string,
    prepare: string,
    stdin = '',
  ): Promise<Story & { asRoot: (script: string) => Promise<string> }> {
    const server = await (await openWorld()).server('kinds')
    const user = `${kind}-${randomBytes(4).toString('hex')}`
    const asRoot = async (script: string, given = ''): Promise<string> =>
      output(script, await server.exec(['sh', '-euc', script, 'sh', user], { as: 'root', stdin: given }))
    await asRoot(`useradd --create-home --shell /bin/bash --groups docker "$1"; cd "/home/$1"; ${prepare}`, stdin)
    const story = await tell('todo', {
      ...server,
      host: server.host.replace(/^deploy@/, `${user}@`),
      exec: (argv, options) => server.exec(argv, { as: user, ...options }),
    })
    return {
      ...story,
      asRoot,
      async [Symbol.asyncDispose]() {
        await story[Symbol.asyncDispose]()
        await asRoot('userdel --force --remove "$1" 2>/dev/null')
      },
    }
  }

  test.each([
    [
      'a password that has expired',
      'echo "$1:pass-1-word" | chpasswd && chage -d 0 "$1"',
      'ssh-account',
      /^The password of \S+ on 127\.0\.0\.1 has expired[^]*seen: .*Your password has expired/,
    ],
    [
      'an account that has ended',
      'chage -E 2020-01-01 "$1"',
      'ssh-account',
      /^The account \S+ on the host 127\.0\.0\.1 has expired[^]*seen: .*Your account has expired/,
    ],
    [
      'a password that nobody changed in time',
      'echo "$1:pass-1-word" | chpasswd && chage -d 2020-01-01 -M 30 -I 10 "$1"',
      'ssh-account',
      /^The account \S+ on the host 127\.0\.0\.1 has expired[^]*seen: .*Your account has expired/,
    ],
    ['a shell that runs nothing', 'usermod -s /usr/sbin/nologin "$1"', 'server-shell', /seen: .*not available/],
  ])('%s: the command that is named lets the user in', async (_, prepare, code, said) => {
    await using story = await tellAs('left', prepare)
    const refused = await story.status()
    expect(codes(refused)).toEqual([`Deploy Django: ${code}`])
    const message = refused.annotations[0]?.message ?? ''
    expect(message).toMatch(said)
    const [fix = ''] = /(?:chage -E|usermod -s) [^;\n]*/.exec(message) ?? []
    await story.asRoot(fix)
    expect(await story.status()).toMatchObject({ code: 0, annotations: [] })
  })

  test.each<[string, string, (user: string) => string, string]>([
    ['who may not use Docker', 'gpasswd -d "$1" docker', (user) => `deploy/${user}`, 'server-no-docker'],
    [
      'whose home is of root',
      'chown root "/home/$1"; chmod 755 "/home/$1"',
      (user) => `deploy/${user}`,
      'server-directory',
    ],
    ['whose directory is not there', ':', (user) => `/srv/${user}`, 'server-directory'],
    ['for whom root made the directory', 'mkdir "/srv/$1"', (user) => `/srv/${user}`, 'server-directory'],
    [
      'after whom root has deployed',
      'mkdir -p "/srv/$1/.deploy/releases" "/srv/$1/data" && chown 999 "/srv/$1/data"',
      (user) => `/srv/${user}`,
      'server-directory',
    ],
  ])('a user %s: the command that is named is enough', async (_, prepare, directoryOf, code) => {
    await using story = await tellAs('kept', prepare)
    const directory = directoryOf(story.server.host.replace(/@.*/, ''))
    const refused = await story.rollback(undefined, { inputs: { directory } })
    expect(codes(refused)).toEqual([`Deploy Django: ${code}`])
    const [, fix = ''] = /as root: (.*)/.exec(refused.annotations[0]?.message ?? '') ?? []
    await story.asRoot(fix)
    const allowed = await story.rollback(undefined, { inputs: { directory } })
    expect(codes(allowed)).toEqual(['Deploy Django: nothing-deployed'])
    if (prepare.includes('data')) expect(await story.asRoot('stat -c %u "/srv/$1/data"')).toBe('999')
    await story.asRoot('rm -rf "/srv/$1"')
  })

  test('another processor than that of the image', async () => {
    await using story = await tellAs(
      'arm',
      `mkdir bin && cat >bin/docker && chmod 755 bin/docker && echo 'PATH=$HOME/bin:$PATH' >.bashrc`,
      '#!/bin/sh\n/usr/bin/docker "$@" | sed "s/^\\([^ ]*\\) amd64$/\\1 arm64/"\n',
    )
    const run = await story.deploy('v1')
    expect(codes(run)).toEqual(['Deploy Django: server-architecture'])
    expect(run.annotations[0]?.message).toMatch(/image is for amd64, the host has arm64[^]*\*\.platform=linux\/arm64/)
    expect(await story.asRoot('ls -A "/home/$1"')).not.toContain('deploy')
    expect(await story.containers()).toEqual([])
  })

  test('a disk that is full', async () => {
    // A Docker of its own, that keeps its images in 48 MB. With `--bridge none` it would remove the bridge of the other one.
    await using story = await tellAs(
      'small',
      `mkdir "/mnt/$1" && mount -t tmpfs -o size=48m,mode=711 small "/mnt/$1"
      socket="unix:///run/$1.sock"
      ip link add small0 type bridge && ip addr add 10.94.0.1/24 dev small0 && ip link set small0 up
      dockerd --host "$socket" --data-root "/mnt/$1/docker" --exec-root "/run/$1" --pidfile "/run/$1.pid" \
        --bridge small0 --iptables=false --ip6tables=false >/dev/null 2>&1 &
      timeout 30 sh -c 'until docker -H "$0" version; do sleep 0.1; done' "$socket" >/dev/null 2>&1
      tar -c /etc/os-release 2>/dev/null | docker -H "$socket" import - old
      echo "export DOCKER_HOST=$socket" >.bashrc`,
    )
    const look = (): Promise<string> =>
      story.asRoot(
        'ls -AR "/home/$1"; docker -H "unix:///run/$1.sock" ps -aq; docker -H "unix:///run/$1.sock" images -q',
      )
    const before = await look()
    const run = await story.deploy('v1')
    const after = await look()
    await story.asRoot(
      'kill "$(cat "/run/$1.pid")"; while pgrep -f "/run/$1.pid"; do sleep 0.1; done; umount "/mnt/$1"; rmdir "/mnt/$1"; ip link del small0',
    )
    expect(codes(run)).toEqual(['Deploy Django: server-disk'])
    expect(run.annotations[0]?.message).toMatch(/\d MB free .* MB needed\n.*could free: Images .*B/)
    expect(after).toBe(before)
  })
})
