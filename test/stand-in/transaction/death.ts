import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { run } from '../../../src/process.ts'
import { journals, storyOf } from './journal.ts'
import type { World } from './world.ts'

/**
 * What the stand-in does when its points are passed: take snapshots, kill its callers except what is spared, be away for some
 * calls, or until somebody has asked that often whether it is back, make a file.
 */
export type Orders =
  | { mode: 'snapshot'; album: string }
  | { mode: 'kill'; at: number; spare: 'nothing' | 'call' | 'step' }
  | { mode: 'away'; at: number; calls: number; questions?: number }
  | { mode: 'touch'; at: number; file: string }

/** The server as it was at one point: a power cut there leaves exactly this. */
export type Snapshot = { number: number; place: string; root: string; directory: string }

/** Gives the stand-in its orders; `mv` and `sync`, around which the journal and `current` change, count as points as well. */
export async function arm(world: World, orders: Orders): Promise<void> {
  await writeFile(join(world.root, 'docker/points'), JSON.stringify(orders))
  await writeFile(join(world.root, 'docker/passed'), '')
  for (const tool of ['mv', 'sync']) {
    const script = `#!/bin/sh\ndocker ${tool} "$@" || exit\nexec /bin/${tool} "$@"\n`
    // Never through a link: behind it is the machine's own tool.
    await rm(join(world.root, 'bin', tool), { force: true })
    await writeFile(join(world.root, 'bin', tool), script, { mode: 0o755 })
  }
}

export async function disarm(world: { root: string }): Promise<void> {
  await rm(join(world.root, 'docker/points'), { force: true })
}

/** Lets an orphan go on, after a look at the lock: true when it is held. */
export async function releaseOrphan(world: World): Promise<boolean> {
  const lock = await run('flock', ['-n', join(world.directory, '.deploy/lock'), 'true'])
  await writeFile(join(world.root, 'docker/go'), '')
  return lock.code !== 0
}

/** The places that were passed, in order; the number of a point is its place in this list, from 1. */
export async function placesOf(world: World): Promise<string[]> {
  return (await readFile(join(world.root, 'docker/passed'), 'utf8')).split('\n').slice(0, -1)
}

/** A recorded run: all its points, and snapshots of those at which the state differs from the point before. */
export type Recording = { places: readonly string[]; snapshots: readonly Snapshot[] }

export async function takeSnapshots(world: World, run: () => Promise<unknown>): Promise<Recording> {
  const album = join(world.root, 'album')
  await mkdir(album)
  await arm(world, { mode: 'snapshot', album })
  await run()
  await disarm(world)
  const places = await placesOf(world)
  const snapshots: Snapshot[] = []
  let last = ''
  for (const [index, place] of places.entries()) {
    const root = join(album, String(index + 1).padStart(4, '0'))
    await disarm({ root })
    const seen = await hashOf(root)
    if (seen !== last) snapshots.push({ number: index + 1, place, root, directory: join(root, 'site/todo') })
    last = seen
  }
  return { places, snapshots }
}

/** What was only printed has no influence on anything. */
const isPrinted = (name: string): boolean => /\.(log|out|json)$/.test(name)

async function hashOf(root: string): Promise<string> {
  const hash = createHash('sha256')
  const names = (await readdir(root, { recursive: true })).filter(
    (name) => name.startsWith('site') || name === 'docker/state',
  )
  for (const name of names.sort()) {
    if (!isPrinted(name)) hash.update(`${name}\n${await readFile(join(root, name), 'utf8').catch(() => '')}\n`)
  }
  return hash.digest('hex')
}

/**
 * What decides how a server that is at rest goes on, for telling servers apart: not when and with which container ids it
 * got there, nor the path of a transaction that has ended.
 */
export async function characterOf(world: World): Promise<string> {
  const { containers, images, rows } = JSON.parse(await readFile(join(world.root, 'docker/state'), 'utf8')) as {
    containers: { name: string; state: string; exit: number; hash: string }[]
    images: object
    rows: string[]
  }
  const parts = containers.map(({ name, state, exit, hash }) => [name, state, exit, hash].join(' ')).sort()
  parts.push(JSON.stringify(images), rows.join())
  for (const id of await journals(world)) {
    parts.push(id, ...(await storyOf(world, id)).filter((line) => /^(commit begin|end) /.test(line)))
  }
  for (const name of (await readdir(world.directory, { recursive: true })).sort()) {
    if (name.includes('/journal') || isPrinted(name)) continue
    parts.push(name, await readFile(join(world.directory, name), 'utf8').catch(() => ''))
  }
  return parts.join('\n')
}

/** Does `work` for every item, as many at a time as there are processors; all failures in one error. */
export async function forEach<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  const failures: string[] = []
  const queue = [...items]
  const one = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
      await work(item).catch((error: unknown) => failures.push(error instanceof Error ? error.message : String(error)))
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, one))
  if (failures.length > 0)
    throw new Error(`${failures.length} of ${items.length} failed:\n${failures.slice(0, 12).join('\n')}`)
}
