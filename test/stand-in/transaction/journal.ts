import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../../../src/process.ts'
import { stateOf, type World } from './world.ts'

/** A server, or a snapshot of one. */
type Place = Pick<World, 'directory'>

export async function journalOf(world: Place, id: string): Promise<string[]> {
  const text = await readFile(join(world.directory, '.deploy/journal', id), 'utf8').catch(() => '')
  return text.split('\n').filter((line) => line !== '')
}

/** The journal without its times. */
export async function storyOf(world: Place, id: string): Promise<string[]> {
  return (await journalOf(world, id)).map((line) => line.slice(line.indexOf(' ') + 1))
}

export async function endOf(world: Place, id: string): Promise<string> {
  const last = (await storyOf(world, id)).at(-1) ?? 'no journal'
  return last.startsWith('end ') ? last.slice(4) : `open: ${last}`
}

export async function readCurrent(world: Place): Promise<string> {
  return (await readFile(join(world.directory, '.deploy/current'), 'utf8').catch(() => '')).trim()
}

/**
 * What is wrong with a server that should serve this release whole (undefined: no app at all) and be at rest; an empty list
 * when nothing is.
 */
export async function findFaults(world: World, release: string | undefined): Promise<string[]> {
  const { containers, rows, static: collected } = await stateOf(world)
  const faults: string[] = []
  const current = await readCurrent(world)
  if (current !== (release ?? '')) faults.push(`current is ${current}, not ${release}`)
  // Those without a service only hold images.
  const app = containers.filter(
    (container) => !['db', 'proxy', ''].includes(container.service) || container.oneoff === 'True',
  )
  const expected = release === undefined ? [] : ['todo-web-1', 'todo-worker-1']
  const names = app.map((container) => container.name).sort()
  if (names.join() !== expected.join()) faults.push(`containers are ${names.join()}`)
  for (const { name, state, image } of app) {
    if (state !== 'running') faults.push(`${name} is ${state}`)
    if (image !== `sha256:${release?.split('-')[0]}`) faults.push(`${name} runs ${image}`)
  }
  if (release !== undefined && collected !== undefined && collected !== `sha256:${release.split('-')[0]}`)
    faults.push(`the static files are those of ${collected}`)
  if (new Set(rows).size !== rows.length) faults.push(`rows are ${rows.join()}`)
  const databases = containers.filter((container) => container.service === 'db')
  // One that a first deploy did not get to start is started by the next.
  const untouched = databases.every(
    ({ state, started }) => (state === 'running' && started === 1) || (state === 'created' && !release),
  )
  if (databases.length > 1 || !untouched) faults.push('the database was touched')
  for (const id of await journals(world)) {
    const end = await endOf(world, id)
    if (end.startsWith('open')) faults.push(`${id} is ${end}`)
  }
  const backups = await readdir(join(world.directory, '.deploy/backups')).catch(() => [])
  const torn = backups.filter((name) => !/\.(dump|restore)$/.test(name))
  if (torn.length > 0) faults.push(`of a backup there is ${torn.join()}`)
  // BusyBox's timeout leaves a watcher behind, for a second.
  const lock = await run('flock', ['-w', '3', join(world.directory, '.deploy/lock'), 'true'])
  if (lock.code !== 0) faults.push('the lock is held')
  return faults
}

/** The ids of the transactions that have begun. */
export async function journals(world: Place): Promise<string[]> {
  return (await readdir(join(world.directory, '.deploy/journal'))).filter((name) => /\d$/.test(name)).sort()
}
