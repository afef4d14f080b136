import { isIPv6 } from 'node:net'
import { nonEmptyLines, unixLines, Unusable } from './values.ts'

/** The target of a login: `user@address:port`. */
export type Host = { user: string; address: string; port: number }

/** The trusted host keys: lines for a known_hosts file, or fingerprints to compare with. */
export type KnownHosts = { lines: readonly string[]; fingerprints: readonly string[] }

/** `user@host[:port]`, with an IPv6 address in brackets. */
export function parseHost(text: string): Host {
  const fix = 'write user@host or user@host:port, an IPv6 address in brackets: deploy@[2001:db8::1]:22'
  if (/@.*[\s,;].*@/s.test(text)) {
    throw new Unusable('it names several hosts', 'deploy to one host per step, for example with a matrix of the job')
  }
  const [, user, bracketed, name, digits] =
    /^([A-Za-z0-9_][A-Za-z0-9_.-]*)@(?:\[([^\]]*)\]|([^[\]:]*))(?::(\d{1,5}))?$/.exec(text) ?? []
  if (user === undefined) throw new Unusable('it does not have the form user@host', fix)
  if (bracketed !== undefined && !isIPv6(bracketed))
    throw new Unusable('the brackets do not contain an IPv6 address', fix)
  if (name !== undefined && !/^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/.test(name)) {
    throw new Unusable('the part after @ is not a host name', fix)
  }
  const port = digits === undefined ? 22 : Number(digits)
  if (port < 1 || port > 65_535) throw new Unusable('the port is out of range', 'use a port from 1 to 65535')
  return { user, address: bracketed ?? name ?? '', port }
}

/** A private SSH key without a passphrase, with the line ends that OpenSSH requires. */
export function parsePrivateKey(text: string): string {
  const key = `${unixLines(text)
    .replace(/^[ \t]+|[ \t]+$/gm, '')
    .trim()}\n`
  const give = 'put the whole private key file into the secret, from -----BEGIN to -----END, with all its lines'
  if (/^(ssh|ecdsa|sk)-\S+ |^-{4,5} ?BEGIN [A-Z0-9 ]*PUBLIC KEY/.test(key)) {
    throw new Unusable('this is a public key', 'put the private key into the secret: the file without .pub')
  }
  if (key.startsWith('PuTTY')) {
    throw new Unusable("this is PuTTY's own format", 'convert it: puttygen key.ppk -O private-openssh -o deploy-key')
  }
  if (isPrivateKeyInBase64(key)) throw new Unusable('this is the key in base64', give)
  const isOldLocked = /^Proc-Type: .*ENCRYPTED$/m.test(key)
  const [, kind, body] = /^-----BEGIN ((?:[A-Z0-9]+ )*PRIVATE KEY)-----\n([^-]+)\n-----END \1-----\n$/.exec(key) ?? []
  if (isOldLocked || (kind !== undefined && body !== undefined && isEncrypted(kind, body))) {
    throw new Unusable(
      'the key is protected by a passphrase',
      'remove it from a copy of the key, and put that into the secret: ssh-keygen -p -N "" -f deploy-key',
    )
  }
  if (kind !== undefined) return key
  const isOneLine = /^-----BEGIN .*-----END [A-Z0-9 ]+-----\n$/.test(key)
  throw new Unusable(isOneLine ? 'the key lost its line ends' : 'it is not a private key', give)
}

function isPrivateKeyInBase64(text: string): boolean {
  return /^[A-Za-z0-9+/=\s]+$/.test(text) && Buffer.from(text, 'base64').toString('latin1').startsWith('-----BEGIN ')
}

function isEncrypted(kind: string, body: string): boolean {
  if (kind.startsWith('ENCRYPTED')) return true
  if (!kind.startsWith('OPENSSH')) return false
  // "openssh-key-v1", a zero byte, then the length and the name of the cipher.
  const bytes = Buffer.from(body, 'base64')
  return bytes.length > 23 && bytes.subarray(19, 23).toString('latin1') !== 'none'
}

/** Lines as `ssh-keyscan` prints them, or `SHA256:` fingerprints. Comments are skipped. */
export function parseKnownHosts(text: string): KnownHosts {
  const lines: string[] = []
  const fingerprints: string[] = []
  for (const line of nonEmptyLines(text)) {
    if (line.startsWith('#')) continue
    const [, fingerprint] = /^(?:\d+ )?(SHA256:[A-Za-z0-9+/]{43})=?(?: .*)?$/.exec(line) ?? []
    if (fingerprint !== undefined) fingerprints.push(fingerprint)
    else if (/^(@\S+ )?\S+ (ssh|ecdsa|sk)-\S+ [A-Za-z0-9+/]+={0,2}( .*)?$/.test(line)) lines.push(line)
    else {
      throw new Unusable(
        `this line is neither a host key nor a fingerprint: ${line.slice(0, 80)}`,
        'give the lines of: ssh-keyscan <host>, or fingerprints that start with SHA256:',
      )
    }
  }
  if (lines.length + fingerprints.length === 0) {
    throw new Unusable('it has only comments', 'give the lines of: ssh-keyscan <host>')
  }
  return { lines, fingerprints }
}
