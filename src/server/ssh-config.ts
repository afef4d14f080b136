import { join } from 'node:path'
import type { Host } from '../login.ts'

/** The way to the server; `jumpHost` is the bastion in front of it. */
export type Route = { host: Host; jumpHost: Host | undefined }

/** A host on the way, by the name that ssh's configuration gives it; `through` is the bastion that leads to it. */
export type Hop = { name: 'server' | 'jump'; host: Host; through?: Host | undefined }

/** The end of the way. */
export function serverOf({ host, jumpHost }: Route): Hop {
  return { name: 'server', host, through: jumpHost }
}

/** The hosts in the order in which they are reached. */
export function hopsOf(route: Route): Hop[] {
  return [...(route.jumpHost ? [{ name: 'jump', host: route.jumpHost } as const] : []), serverOf(route)]
}

/** The path of a socket has 103 bytes at most (macOS), and ssh first makes it under a name that is 17 bytes longer. */
const LONGEST_SOCKET_PATH = 86

/** Whether calls can share one connection in `folder`. Where they cannot, each call logs in anew: slower, but it works. */
export function canShare(folder: string): boolean {
  return Buffer.byteLength(socketIn(folder, 'server')) <= LONGEST_SOCKET_PATH
}

/** ssh's configuration for a run: the same key and known hosts for each host on the way, and nobody else's settings. */
export function configureSsh(route: Route, folder: string): string {
  const common = [
    ['IdentityFile', quote(join(folder, 'key'))],
    ['IdentitiesOnly', 'yes'],
    ['IdentityAgent', 'none'],
    ['UserKnownHostsFile', quote(join(folder, 'known_hosts'))],
    ['GlobalKnownHostsFile', '/dev/null'],
    ['StrictHostKeyChecking', 'yes'],
    ['UpdateHostKeys', 'no'],
    // One attempt with one key: servers that punish failed logins (Debian 13's PerSourcePenalties) stay calm.
    ['BatchMode', 'yes'],
    ['PreferredAuthentications', 'publickey'],
    ['ConnectTimeout', '15'],
    ['ConnectionAttempts', '1'],
    ['ServerAliveInterval', '10'],
    ['ServerAliveCountMax', '6'],
    ...(canShare(folder)
      ? [
          ['ControlMaster', 'auto'],
          ['ControlPersist', '300'],
        ]
      : []),
    ['RequestTTY', 'no'],
    ['ForwardAgent', 'no'],
    ['ClearAllForwardings', 'yes'],
    ['LogLevel', 'ERROR'],
  ]
  return [
    ...hopsOf(route).flatMap((hop) => [`Host ${hop.name}`, ...configureHop(hop, folder).map(indent)]),
    'Host *',
    ...common.map(indent),
    '',
  ].join('\n')
}

function configureHop({ name, host, through }: Hop, folder: string): string[][] {
  return [
    ['HostName', host.address],
    ['User', host.user],
    ['Port', String(host.port)],
    ...(canShare(folder) ? [['ControlPath', quote(socketIn(folder, name))]] : []),
    ...(through ? [['ProxyJump', 'jump']] : []),
  ]
}

const socketIn = (folder: string, name: Hop['name']): string => join(folder, name.slice(0, 1))

const indent = (setting: readonly string[]): string => `  ${setting.join(' ')}`

/** A path may have spaces, and ssh reads `%` as the begin of a token. */
function quote(path: string): string {
  return `"${path.replaceAll('%', '%%')}"`
}
