import { createHash } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { DeployError } from '../errors.ts'
import type { Finished } from '../process.ts'
import type { Hop } from './ssh-config.ts'

/** The result of an ssh call. `log` holds ssh's own messages, stderr those of the other side. */
export type Said = Finished & { log: string }

/** Starts ssh in the folder of its files. */
export type Ssh = (args: readonly string[]) => Promise<Said>

/** A host key as a line of known_hosts, with its fingerprint. */
export type HostKey = { line: string; type: string; fingerprint: string }

/** The algorithms that ssh requests from a host. A host with none of them is too old to connect to. */
const ALGORITHMS = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521',
  'rsa-sha2-512,rsa-sha2-256',
]

/**
 * The keys that a host offers, one of each kind, and ssh's last result. No login is tried. ssh requests the keys,
 * because ssh-keyscan cannot go through a bastion.
 */
export async function seeHostKeys(ssh: Ssh, hop: Hop, folder: string): Promise<{ keys: HostKey[]; said: Said }> {
  const keys: HostKey[] = []
  let said: Said = { code: 0, stdout: '', stderr: '', log: '' }
  for (const algorithms of ALGORITHMS) {
    const options = {
      HostKeyAlgorithms: algorithms,
      StrictHostKeyChecking: 'accept-new',
      UserKnownHostsFile: 'offered',
      HashKnownHosts: 'no',
      PreferredAuthentications: 'none',
      ControlPath: 'none',
    }
    const words = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`])
    said = await ssh([...words, hop.name, 'true'])
    const offered = await readFile(join(folder, 'offered'), 'utf8').catch(() => '')
    await rm(join(folder, 'offered'), { force: true })
    keys.push(...readHostKeys(offered))
    // A host that cannot be reached is not tried again.
    if (offered === '' && !/no matching host key type/i.test(said.log)) break
  }
  return { keys, said }
}

/** Lines of known_hosts with their fingerprints. */
export function readHostKeys(text: string): HostKey[] {
  return text.split('\n').flatMap((line) => {
    const [name, type, key] = line.split(' ')
    if (!name || !type || !key || /^[#@]/.test(name)) return []
    const digest = createHash('sha256').update(Buffer.from(key, 'base64')).digest('base64')
    return [{ line, type, fingerprint: `SHA256:${digest.replace(/=+$/, '')}` }]
  })
}

/** A known key for display: its host, type and fingerprint. */
export function describeHostKey({ line, type, fingerprint }: HostKey): string {
  return `${line.split(' ')[0]} ${type} ${fingerprint}`
}

/**
 * The error for a host that offers none of the known keys; `known` has one line for each. Nothing was sent to the host.
 */
export function wrongHostKey({ name, host }: Hop, offered: readonly HostKey[], known: readonly string[]): DeployError {
  const place = host.port === 22 ? host.address : `[${host.address}]:${host.port}`
  const of = name === 'jump' ? 'bastion' : 'host'
  const keys = offered.map((key) => `${key.type} ${key.fingerprint}`).join(', ')
  const scan = `\`ssh-keyscan -p ${host.port} ${host.address}\``
  return new DeployError('ssh-host-key', {
    what: `The host key of ${place} is not one of \`known-hosts\`, so nothing was sent`,
    seen: [
      keys === '' ? 'no host key' : `the ${of} offers ${keys}`,
      ...known.map((line) => `\`known-hosts\` has ${line}`),
    ].join('\n'),
    why: 'the host was reinstalled, `known-hosts` is for another host or port, or the connection is being intercepted',
    fix: `compare the key that the ${of} offers with the output of \`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub\` on that machine; only if the fingerprints are equal, put the output of ${scan} into \`known-hosts\``,
  })
}
