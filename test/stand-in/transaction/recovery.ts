/**
 * Every way to die in a transaction, on a stand-in for Docker whose state is a folder. A snapshot is a copy of everything on the
 * server at one point: recovering from it is recovering from a power cut there. Where processes outlive the engine, they are
 * really killed and really survive.
 */
import { expect } from '@jest/globals'
import { characterOf, disarm, forEach, takeSnapshots, type Snapshot } from './death.ts'
import { endOf, findFaults, journals, storyOf } from './journal.ts'
import { deployOf, engine, rollbackTo, stage, transact, untried, withBackup, type Staged } from './staged.ts'
import { call, copyWorld, makeWorld, removeWorld, stateOf, type World } from './world.ts'

export const ROWS = ['core.0001', 'core.0002', 'core.0003']
export const v1 = deployOf('v1', 1, ROWS.slice(0, 1))
export const v2 = withBackup(deployOf('v2', 2, ROWS))
/** The same deploy with the app stopped while it migrates. */
export const stopping: Staged = {
  ...v2,
  steps: v2.steps.flatMap((step) => (step === 'backup' ? ['stop', step] : [step])),
}
/** It does not become healthy: without a trial this shows after the swap, with one before. */
export const sick = untried(withBackup(deployOf('v2', 2, ROWS, { 'x-health': 'bad' })))
export const failing = withBackup(deployOf('v2', 2, ROWS, { 'x-health': 'bad' }))
export const v3 = deployOf('v3', 3, ROWS)
export const rollback = rollbackTo(v1.id, 4)

/** A server on which nothing was deployed, with v1 and v2 staged. */
export async function makeBare(): Promise<World> {
  const world = await makeWorld()
  for (const staged of [v1, v2]) expect(await stage(world, staged)).toMatchObject({ code: 0 })
  return world
}

/** A server that serves v1, with v3 and the rollback staged. */
export async function makeServed(): Promise<World> {
  const world = await makeWorld()
  expect(await transact(world, v1)).toBe(`committed ${v1.id}`)
  for (const staged of [v3, rollback]) expect(await stage(world, staged)).toMatchObject({ code: 0 })
  return world
}

/** A copy of `from`, for one try. */
export async function inCopy(from: { root: string }, work: (world: World) => Promise<void>): Promise<void> {
  const world = await copyWorld(from)
  try {
    await disarm(world)
    await work(world)
  } finally {
    await removeWorld(world)
  }
}

export async function withStaged(from: World, staged: Staged, work: (world: World) => Promise<void>): Promise<void> {
  await inCopy(from, async (world) => {
    expect(await stage(world, staged)).toMatchObject({ code: 0 })
    await work(world)
  })
}

export async function demand(
  place: string,
  world: World,
  release: string | undefined,
  rows?: readonly string[],
): Promise<void> {
  const faults = await findFaults(world, release)
  const applied = (await stateOf(world)).rows
  const right = rows ?? ROWS.slice(0, applied.length)
  if (applied.join() !== right.join()) faults.push(`rows are ${applied.join()}`)
  if (faults.length > 0) throw new Error(`${place}: ${faults.join('; ')}`)
}

/** The side to which a server has to come that died here: forward once the release was verified, else back. */
export async function sideOf(world: World, dead: Staged, before: string | undefined): Promise<string | undefined> {
  return (await storyOf(world, dead.id)).includes('verify end') ? (dead.target ?? dead.id) : before
}

export async function recover(place: string, world: World, dead: Staged, before: string | undefined): Promise<void> {
  const side = await sideOf(world, dead, before)
  const recovered = await call(world, 'recover')
  if (recovered.code !== 0)
    throw new Error(`${place}: recover ended with ${recovered.code}: ${recovered.stdout}${recovered.stderr}`)
  await demand(place, world, side)
}

export async function goOn(place: string, world: World, next: Staged): Promise<void> {
  const ran = await engine(world, next.id)
  const end = await endOf(world, next.id)
  const serves = next.target ?? next.id
  if (end !== `committed ${serves}`) throw new Error(`${place}, then ${next.id}: ${end}\n${ran.log}`)
  await demand(`${place}, then ${next.id}`, world, serves)
}

/** What runs of a release: id and start of its containers. */
async function runningOf(world: World, release: string | undefined): Promise<string[]> {
  const image = `sha256:${release?.split('-')[0]}`
  const { containers } = await stateOf(world)
  return containers
    .filter((each) => each.state === 'running' && each.image === image && each.oneoff === 'False')
    .map(({ name, id, started }) => `${name} ${id.slice(0, 12)} ${started}`)
}

/** The journals of all transactions but the dead one. */
async function othersOf(world: World, dead: Staged): Promise<string[][]> {
  const ids = (await journals(world)).filter((id) => id !== dead.id)
  return Promise.all(ids.map((id) => storyOf(world, id)))
}

/**
 * Recovers from every snapshot; from each server that comes out in another way than those before, life goes on. Gives the
 * releases that served then.
 */
export async function recoverFromAll(
  snapshots: readonly Snapshot[],
  dead: Staged,
  before: string | undefined,
  next: readonly Staged[] = [],
): Promise<ReadonlySet<string | undefined>> {
  const known = new Set<string>()
  const sides = new Set<string | undefined>()
  await forEach(snapshots, (snapshot) =>
    inCopy(snapshot, async (world) => {
      const place = `${dead.id} at ${snapshot.number} (${snapshot.place})`
      const side = await sideOf(world, dead, before)
      sides.add(side)
      const [serving, others] = [await runningOf(world, side), await othersOf(world, dead)]
      await recover(place, world, dead, before)
      // A gap that nobody needs, and a journal that was closed.
      const running = await runningOf(world, await sideOf(world, dead, before))
      const gone = serving.filter((container) => !running.includes(container))
      if (gone.length > 0) throw new Error(`${place}: ${gone.join()} served and was replaced`)
      expect(await othersOf(world, dead)).toEqual(others)
      const character = await characterOf(world)
      if (known.has(character)) return
      known.add(character)
      for (const staged of next) await goOn(place, world, staged)
    }),
  )
  return sides
}

/** The points that an undisturbed deploy of v2 passes. */
export async function placesOfDeploy(served: World): Promise<readonly string[]> {
  let places: readonly string[] = []
  await withStaged(served, v2, async (world) => {
    places = (await takeSnapshots(world, () => engine(world, v2.id))).places
  })
  return places
}

/** Where a call to Docker begins, or is at work. */
export const isCall = (place: string): boolean => /^(before|amid)(?!.*: (sync|mv)( |$))/.test(place)

/** Does `work` at those points of a deploy of v2 that are wanted, each in a copy; gives their number. */
export async function atEvery(
  served: World,
  places: readonly string[],
  wanted: (place: string, at: number) => boolean,
  work: (world: World, at: number, place: string) => Promise<void>,
): Promise<number> {
  const all = [...places.entries()].map(([index, place]) => ({ at: index + 1, place }))
  const chosen = all.filter(({ place, at }) => wanted(place, at))
  if (chosen.length === 0) throw new Error('no point is wanted')
  await withStaged(served, v2, (template) =>
    forEach(chosen, ({ at, place }) => inCopy(template, (world) => work(world, at, `${place} (${at})`))),
  )
  return chosen.length
}
