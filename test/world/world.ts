import { mark } from './container.ts'
import { docker, tryDocker } from './docker.ts'
import { alone, claim, prefix, readKey } from './folder.ts'
import { bases, keepRegistry, type Registry } from './registry.ts'
import { keepServer, removeServer, type Server } from './server.ts'

/** A registry and servers made of real parts. They stay for the next test and the next run; `removeWorld` ends them. */
export type World = {
  registry: Registry
  /** A long-lived server, started when it is first asked for. A test has its own project and port on it. */
  server(name: 'alpha' | 'beta' | 'kinds'): Promise<Server>
  /** A server for one test, which may break it: `await using server = await world.throwaway()`. */
  throwaway(images?: readonly string[]): Promise<Server & AsyncDisposable>
}

const longLived = {
  alpha: { sshPort: 2201, ports: [8100, 8129] },
  beta: { sshPort: 2202, ports: [8130, 8159] },
  /** Has a user for each kind of server; see `logInAs`. */
  kinds: { sshPort: 2203, ports: [8160, 8189], image: 'kinds' },
} as const

/** The slots of throw-away servers: slot n has sshd on 2210+n and ten ports from 8200+10n. */
const slots = 8

/** Opens the world, and makes what is missing of it. */
export async function openWorld(): Promise<World> {
  const { key, registry } = await alone('open', async () => {
    if ((await tryDocker(['network', 'inspect', prefix])).code !== 0) await docker(['network', 'create', prefix])
    return { key: await readKey(), registry: await keepRegistry() }
  })
  const images = bases.map(([name]) => name)
  return {
    registry,
    server: (name) => alone(name, () => keepServer({ name, images, ...longLived[name] }, key, registry)),
    async throwaway(images = ['postgres:17']) {
      for (let slot = 0; slot < slots; slot++) {
        const name = `throwaway-${slot}`
        const held = await claim(name)
        if (!held) continue
        const end = async (): Promise<void> => {
          await removeServer(name)
          held.release()
        }
        try {
          // A test that was killed left its server behind.
          await removeServer(name)
          const first = 8200 + 10 * slot
          const settings = { name, images, sshPort: 2210 + slot, ports: [first, first + 9] as const }
          return { ...(await keepServer(settings, key, registry)), [Symbol.asyncDispose]: end }
        } catch (error) {
          await end()
          throw error
        }
      }
      throw new Error(`all ${slots} throw-away servers are in use`)
    },
  }
}

/** Removes what the world made on this machine: its containers, volumes, network and tags. Base images stay. */
export async function removeWorld(): Promise<void> {
  const names = async (...args: readonly string[]): Promise<string[]> =>
    (await docker(args)).split('\n').filter((name) => name !== '')
  const containers = await names('ps', '--all', '--filter', mark, '--format', '{{.Names}}')
  if (containers.length > 0) await docker(['rm', '--force', '--volumes', ...containers])
  const volumes = await names('volume', 'ls', '--format', '{{.Name}}')
  const ours = volumes.filter((name) => name.startsWith(`${prefix}-`))
  if (ours.length > 0) await docker(['volume', 'rm', ...ours])
  await tryDocker(['network', 'rm', prefix])
  await tryDocker(['rmi', ...bases.map(([, kept]) => `127.0.0.1:5001/${kept}`)])
}
