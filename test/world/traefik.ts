import { spawnSync } from 'node:child_process'
import { run } from '../../src/process.ts'
import { alone, prefix } from './folder.ts'
import { environment, output } from './docker.ts'
import type { Server } from './server.ts'

const image = 'traefik:v3'
const isHere = spawnSync('docker', ['image', 'inspect', image], { env: environment, stdio: 'ignore' }).status === 0

/** Why Traefik is not tested here; empty when it is. */
export const noTraefik = isHere
  ? ''
  : ' (skipped: no image traefik:v3; Docker Hub has it, and test/world/traefik builds it, as script/nightly asks)'

/** Sees to it that the server has the image. Only few tests want it, so it is none of those that every server gets. */
export async function bringTraefik(server: Server): Promise<void> {
  const script = `docker exec "$2" docker image inspect "$1" >/dev/null 2>&1 || docker save "$1" | docker exec -i "$2" docker load`
  const words = ['-c', script, 'bring', image, `${prefix}-${server.name}`]
  await alone(`traefik-${server.name}`, async () => output('docker load', await run('sh', words, { env: environment })))
}
