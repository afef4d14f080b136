import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { run } from '../../src/process.ts'
import { output } from './docker.ts'
import { until } from '../until.ts'

/** Every container, volume and network of the world has a name that starts so. */
export const prefix = 'deploy-django-world'

/** Where the world keeps its key, its password and its settings of the docker client, for the next run. */
export const folder = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), prefix)

/** The key pair that opens the servers. */
export type Key = { path: string; secret: string; open: string }

/** Reads the world's key, and makes it the first time. */
export async function readKey(): Promise<Key> {
  const path = join(folder, 'key')
  await mkdir(folder, { recursive: true, mode: 0o700 })
  if (!existsSync(path)) {
    const args = ['-q', '-t', 'ed25519', '-N', '', '-C', prefix, '-f', path]
    output('ssh-keygen', await run('ssh-keygen', args))
  }
  return { path, secret: await readFile(path, 'utf8'), open: (await readFile(`${path}.pub`, 'utf8')).trim() }
}

/** Reads the password of the registry; generates it on the first call. */
export async function readPassword(): Promise<string> {
  const path = join(folder, 'password')
  if (!existsSync(path)) await writeFile(path, randomBytes(18).toString('base64url'), { mode: 0o600 })
  return readFile(path, 'utf8')
}

/** A name that one process of this machine holds until it gives it back or ends. */
export type Claim = { release(): void }

/**
 * Takes a name for this process; undefined if another process has it. The claim is a Linux socket name without a file, so it
 * ends with its process, however that ends.
 */
export function claim(name: string): Promise<Claim | undefined> {
  const lock = createServer()
  return new Promise((resolve, reject) => {
    lock.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined)
      else reject(error)
    })
    lock.listen(`\0${prefix}-${name}`, () => {
      lock.unref()
      resolve({ release: () => lock.close() })
    })
  })
}

/** Runs `work` under a lock of this name on this machine. */
export async function alone<T>(name: string, work: () => Promise<T>): Promise<T> {
  let held: Awaited<ReturnType<typeof claim>>
  await until(`nobody else does ${name}`, async () => (held = await claim(name)) !== undefined, 900)
  try {
    return await work()
  } finally {
    held?.release()
  }
}
