import { join } from 'node:path'
import type { Host } from '../inputs/login.ts'

/** The route to the host. `jumpHost` is the bastion in front of it. */
export type Route = { host: Host; jumpHost: Host | undefined }

/** A machine on the route, with its name in ssh's configuration. `through` is the bastion in front of it. */
export type Hop = { name: 'server' | 'jump'; host: Host; through?: Host | undefined }

/** The last hop of the route. */
export function serverOf({ host, jumpHost }: Route): Hop {
  return { name: 'server', host, through: jumpHost }
}

/** The hops in the order in which ssh connects to them. */
export function hopsOf(route: Route): Hop[] {
  return [...(route.jumpHost ? [{ name: 'jump', host: route.jumpHost } as const] : []), serverOf(route)]
}

/** A socket's path has at most 103 bytes (macOS). ssh first creates it under a name that is 17 bytes longer. */
const LONGEST_SOCKET_PATH = 86

/** Whether calls can share one connection in `folder`. If not, each call logs in again, which is slower. */
export function canShare(folder: string): boolean {
  return Buffer.byteLength(socketIn(folder, 'server')) <= LONGEST_SOCKET_PATH
}

/** ssh's configuration for a run: each hop has the same key and known hosts, and no settings of the user apply. */
export function configureSsh(route: Route, folder: string): string {
  const common = [
    ['IdentityFile', quote(join(folder, 'key'))],
    ['IdentitiesOnly', 'yes'],
    ['IdentityAgent', 'none'],
    ['UserKnownHostsFile', quote(join(folder, 'known_hosts'))],
    ['GlobalKnownHostsFile', '/dev/null'],
    ['StrictHostKeyChecking', 'yes'],
    ['UpdateHostKeys', 'no'],
    // One attempt with one key, because some servers block clients after failed logins (Debian 13's
    // PerSourcePenalties).
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

/** A path may contain spaces, and `%` starts a token for ssh. */
function quote(path: string): string {
  return `"${path.replaceAll('%', '%%')}"`
}
