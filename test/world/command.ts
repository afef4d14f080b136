import { spawnSync } from 'node:child_process'
import { openWorld, removeWorld } from './world.ts'

const usage = `script/world up            starts the registry and the server alpha, and says how to reach them
script/world ssh [command] a shell on alpha as the user deploy
script/world down          removes everything that up made`

/** Carries out one command of script/world and returns its exit code. */
async function main(words: readonly string[]): Promise<number> {
  const [verb, ...rest] = words
  if (verb === 'down') {
    await removeWorld()
    return 0
  }
  if (verb !== 'up' && verb !== 'ssh') {
    console.error(usage)
    return 2
  }
  const world = await openWorld()
  const server = await world.server('alpha')
  if (verb === 'up') {
    const { registry } = world
    const [first, last] = [server.ports.at(0), server.ports.at(-1)]
    console.log(`server    ssh -i ${server.keyPath} -p ${server.sshPort} deploy@127.0.0.1   (or: script/world ssh)
host key  ${server.knownHosts}
ports     ${first} to ${last} of the server are those of 127.0.0.1 here; all are at ${server.address}
registry  ${registry.host}, user ${registry.username}, password in ${server.keyPath.replace(/key$/, 'password')}`)
    return 0
  }
  // The host key is taken from the server itself, so ssh need not ask.
  const trust = ['-o', `KnownHostsCommand=/bin/echo ${server.knownHosts}`, '-o', 'UserKnownHostsFile=none']
  const args = ['-i', server.keyPath, '-p', String(server.sshPort), ...trust, 'deploy@127.0.0.1', ...rest]
  return spawnSync('ssh', args, { stdio: 'inherit' }).status ?? 1
}

process.exitCode = await main(process.argv.slice(2))
