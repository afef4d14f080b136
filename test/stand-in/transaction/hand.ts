/** A stack that somebody started by hand on the stand-in's server. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readRoles, type Roles } from '../../../src/compose/role.ts'
import { run } from '../../../src/process.ts'
import { planAdoption, type Adoption } from '../../../src/host/adoption.ts'
import { parseLook } from '../../../src/host/look.ts'
import { services, SERVICES } from './staged.ts'
import { changeState, script, stateOf, type World } from './world.ts'

/** What a deploy of `staged.ts` does to its services. */
export const roles: Roles = {
  services: readRoles(SERVICES),
  proxies: [],
  optional: [],
  unnamed: [],
  django: 'web',
  fronts: [{ service: 'proxy', port: 80 }],
}
const { web, worker, db, proxy } = services('v0', ['core.0001'])

/** Of two files, as with an override; one app service has no place in what is deployed later. */
export const FILES = {
  'compose.yaml': JSON.stringify({ services: { web: { ...web, image: 'todo-web' }, db, proxy } }),
  'compose.override.yaml': JSON.stringify({
    services: { worker: { ...worker, image: 'todo-web' }, beat: { ...worker, image: 'todo-web' } },
  }),
  '.env': 'A=by hand\n',
}

/** `docker compose up -d` of these files, with an image that was built there. */
export async function startByHand(world: World): Promise<void> {
  for (const [name, text] of Object.entries(FILES)) await writeFile(join(world.directory, name), text)
  await changeState(world, (state) => {
    state.images['todo-web'] = 'sha256:adopted'
    state.rows.push('core.0001')
  })
  const files = Object.keys(FILES).flatMap((name) => (name === '.env' ? [] : ['-f', name]))
  const words = ['compose', '--project-directory', world.directory, '-p', 'todo', ...files, 'up', '-d', '--no-deps']
  const started = await run('docker', [...words, 'db', 'web', 'worker', 'beat', 'proxy'], {
    env: world.env,
    cwd: world.directory,
  })
  if (started.code !== 0) throw new Error(started.stderr)
}

/** What the runner decides from what it sees there now. */
export async function adoptionIn(world: World, time = '2026-01-02T03:04:05Z'): Promise<Adoption | undefined> {
  const seen = await run('sh', ['-s', 'look', world.directory], { env: world.env, stdin: script })
  const server = parseLook(seen.stdout)
  if (!server) throw new Error(seen.stderr)
  const named = ['web', 'worker', 'db', 'proxy']
  return planAdoption({ server, name: 'todo', roles, named, manage: ['python', 'manage.py'], time: new Date(time) })
}

/** "name state image" of the app's containers. */
export async function appOf(world: World): Promise<string[]> {
  const { containers } = await stateOf(world)
  const app = containers.filter(
    ({ name, service, oneoff }) =>
      (!['db', 'proxy'].includes(service) || oneoff === 'True') && !name.startsWith('deploy-django-holds-'),
  )
  return app.map(({ name, state, image }) => `${name} ${state} ${image}`).sort()
}
