import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { run } from '../src/process.ts'
import { docker, environment, output } from '../test/world/docker.ts'
import { folder } from '../test/world/folder.ts'
import { clientSettings, type Registry } from '../test/world/registry.ts'
import type { Server } from '../test/world/server.ts'

/** The plain recipe: pull, migrate, collect, force-recreate, prune; each command over an SSH connection of its own. */
export type Bare = {
  /** Name of its Compose project, and of its folder. */
  name: string
  port: number
  /** Builds what is in the workspace, and pushes it as `latest`. */
  build(): Promise<void>
  /** Deploys `latest`; milliseconds of each command. */
  deploy(): Promise<Map<string, number>>
}

type Place = {
  server: Server
  registry: Registry
  workspace: string
  name: string
  env: Readonly<Record<string, string>>
}

const commands = {
  pull: 'docker compose pull --quiet project proxy',
  migrate: 'docker compose run --rm project python manage.py migrate',
  static: 'docker compose run --rm project python manage.py collectstatic --noinput',
  up: 'docker compose up --detach --force-recreate project proxy',
  prune: 'docker image prune --force',
}

/** Starts a site of the plain recipe, with what is in the workspace. */
export async function startBare({ server, registry, workspace, name, env }: Place): Promise<Bare> {
  const port = await server.port()
  const image = (service: string): string => `${registry.host}/${name}-${service}:latest`
  const ssh = async (command: string): Promise<void> => {
    const trust = ['-o', `KnownHostsCommand=/bin/echo ${server.knownHosts}`, '-o', 'UserKnownHostsFile=none']
    const to = ['-F', 'none', '-i', server.keyPath, '-p', String(server.sshPort), ...trust, 'deploy@127.0.0.1']
    output(command, await run('ssh', [...to, `cd ${name} && ${command}`], { env: environment }))
  }
  const bare: Bare = {
    name,
    port,
    async build() {
      const folders = { project: workspace, proxy: join(workspace, 'proxy') }
      for (const [service, context] of Object.entries(folders)) {
        await docker(['build', '--quiet', '--tag', image(service), context])
        await docker(['--config', join(folder, 'client'), 'push', '--quiet', image(service)])
      }
    },
    async deploy() {
      const times = new Map<string, number>()
      for (const [step, command] of Object.entries(commands)) {
        const begun = Date.now()
        await ssh(command)
        times.set(step, Date.now() - begun)
      }
      return times
    },
  }
  const write = async (path: string, stdin: string): Promise<void> => {
    const script = 'umask 077; mkdir -p "$(dirname "$1")"; cat >"$1"'
    output(path, await server.exec(['sh', '-c', script, 'write', path], { stdin }))
  }
  await write('.docker/config.json', clientSettings(registry))
  await write(`${name}/compose.yaml`, await readFile(join(workspace, 'compose.production.yaml'), 'utf8'))
  const images = { services: { project: { image: image('project') }, proxy: { image: image('proxy') } } }
  await write(`${name}/compose.override.yaml`, stringify(images))
  const settings = Object.entries({ ...env, PORT: String(port) }).map(([key, value]) => `${key}=${value}\n`)
  await write(`${name}/.env`, settings.join(''))
  await bare.build()
  await ssh('docker compose up --detach db && docker compose run --rm project python manage.py wait_for_db')
  await bare.deploy()
  return bare
}
