import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { keep } from './container.ts'
import { docker, tryDocker } from './docker.ts'
import { folder, prefix, readPassword } from './folder.ts'
import { until } from '../until.ts'

/** The registry of the world. Its host is the same on the runner and in every server. */
export type Registry = { host: string; username: string; password: string }

/** The images that projects build on or use, as docker names them, with where the registry has them. */
export const bases: readonly (readonly [name: string, kept: string])[] = [
  ['postgres:17', 'base/postgres:17'],
  ['nginx:1-alpine', 'base/nginx:1-alpine'],
  ['python:3.13-slim', 'base/python:3.13-slim'],
]

/** Name of the registry's container, which is also its host name in the world's network. */
export const registryName = `${prefix}-registry`

/** Starts the registry, with login, and puts the base images in it, so that servers need not get them from outside. */
export async function keepRegistry(): Promise<Registry> {
  const registry = { host: '127.0.0.1:5001', username: 'ci', password: await readPassword() }
  const settings = join(folder, 'registry')
  await mkdir(settings, { recursive: true })
  const accounts = join(settings, 'htpasswd')
  if (!existsSync(accounts)) await writeFile(accounts, await account(registry))
  const anew = await keep({
    name: registryName,
    image: 'registry:2',
    options: [
      ...['--network', prefix, '--publish', `${registry.host}:5000`],
      ...['--volume', `${registryName}:/var/lib/registry`, '--volume', `${settings}:/auth:ro`],
      ...['--env', 'REGISTRY_AUTH=htpasswd', '--env', 'REGISTRY_AUTH_HTPASSWD_REALM=world'],
      ...['--env', 'REGISTRY_AUTH_HTPASSWD_PATH=/auth/htpasswd', '--env', 'REGISTRY_STORAGE_DELETE_ENABLED=true'],
    ],
  })
  if (anew) await answers(registry)
  await fill(registry, anew)
  return registry
}

/** The settings of a docker client that is logged in to the registry. */
export function clientSettings(registry: Registry): string {
  const auth = Buffer.from(`${registry.username}:${registry.password}`).toString('base64')
  return JSON.stringify({ auths: { [registry.host]: { auth } } })
}

/** A line of htpasswd; the program that makes it is in the server's image. */
function account(registry: Registry): Promise<string> {
  const program = ['--entrypoint', 'htpasswd', `${prefix}-server`, '-Bin', registry.username]
  return docker(['run', '--rm', '--interactive', ...program], { stdin: registry.password })
}

async function answers(registry: Registry): Promise<void> {
  // Without a login the answer is 401: it is there.
  const isThere = async (): Promise<boolean> =>
    (await fetch(`http://${registry.host}/v2/`).catch(() => undefined))?.status === 401
  await until(`the registry answers at ${registry.host} (docker logs ${registryName})`, isThere, 30)
}

/** Pushes the base images that the registry does not have as they are here. */
async function fill(registry: Registry, all: boolean): Promise<void> {
  const client = join(folder, 'client')
  await mkdir(client, { recursive: true, mode: 0o700 })
  await writeFile(join(client, 'config.json'), clientSettings(registry), { mode: 0o600 })
  const present = await docker(['image', 'ls', '--no-trunc', '--format', '{{.Repository}}:{{.Tag}} {{.ID}}'])
  const ids = new Map(present.split('\n').map((line) => line.split(' ') as [string, string]))
  for (const [name, kept] of bases) {
    const target = `${registry.host}/${kept}`
    if (!all && ids.get(name) === ids.get(target)) continue
    await docker(['tag', name, target])
    const pushed = await tryDocker(['--config', client, 'push', '--quiet', target])
    if (pushed.code === 0) continue
    // The tag stands for "is in the registry": without it the next run tries again.
    await tryDocker(['rmi', target])
    throw new Error(`${name} could not be pushed to ${registry.host}: ${pushed.stderr}`)
  }
}
