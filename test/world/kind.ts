import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { docker, output } from './docker.ts'
import { prefix } from './folder.ts'
import { removeProject, type Server } from './server.ts'

/** The users of the server `kinds`, each a kind of server; test/world/images/kinds/users makes them. */
export type Kind =
  ('alpine' | 'five' | 'sudoer' | 'rootless') | ('dockerless' | 'stranger' | 'old' | 'bare' | 'killed' | 'nologin')

const compose5 = fileURLToPath(new URL('../../.tools/compose-5/docker-compose', import.meta.url))

/** Why Compose 5 is not tested here; empty when it is. */
export const noCompose5 = existsSync(compose5) ? '' : ' (skipped: test/world/compose-5 could not build it)'

/** Puts it where a user of the server may have it for a plugin. */
export async function bringCompose5({ name }: Server): Promise<void> {
  await docker(['cp', compose5, `${prefix}-${name}:/opt/docker-compose-5`])
}

/** The server `kinds` as one of its users has it. */
export async function logInAs(server: Server, user: Kind): Promise<Server> {
  if (user === 'five') await bringCompose5(server)
  if (user === 'rootless') {
    // It has images of its own.
    const script = `own=unix:///run/user/$(id -u rootless)/docker.sock
      timeout 60 sh -c "until docker -H $own version; do sleep 0.2; done" >/dev/null 2>&1
      docker -H "$own" image inspect postgres:17 >/dev/null 2>&1 || docker save postgres:17 | docker -H "$own" load`
    output('docker load', await server.exec(['sh', '-c', script], { as: 'root' }))
  }
  const ask: Server['docker'] = async (...argv) => {
    if (user !== 'rootless') return await server.docker(...argv)
    return output(argv.join(' '), await server.exec(['docker', ...argv], { as: user }))
  }
  return {
    ...server,
    host: server.host.replace(/^deploy@/, `${user}@`),
    exec: (argv, options) => server.exec(argv, { as: user, ...options }),
    docker: ask,
    async remove(project, directory = `deploy/${project}`, port) {
      await removeProject(ask, project)
      await server.remove(project, directory, port)
      await server.exec(['rm', '-rf', `/home/${user}/${directory}`], { as: 'root' })
    },
  }
}
