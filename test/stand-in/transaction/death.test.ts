import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { draw, isTried, sample } from '../../seed.ts'
import { arm, disarm, releaseOrphan, takeSnapshots, type Snapshot } from './death.ts'
import { endOf, storyOf } from './journal.ts'
import {
  ROWS,
  atEvery,
  demand,
  failing,
  goOn,
  inCopy,
  isCall,
  makeBare,
  makeServed,
  placesOfDeploy,
  recover,
  recoverFromAll,
  rollback,
  sick,
  sideOf,
  stopping,
  v1,
  v2,
  v3,
  withStaged,
} from './recovery.ts'
import { engine } from './staged.ts'
import { changeState, removeWorld, stateOf, stopDocker, type World } from './world.ts'

let bare: World
let served: World
let places: readonly string[]
let points = 0

beforeAll(async () => {
  bare = await makeBare()
  served = await makeServed()
  places = await placesOfDeploy(served)
})

afterAll(async () => {
  await Promise.all([bare, served].map(removeWorld))
  stopDocker()
  process.stdout.write(`death: ${points} points of death were tried\n`)
})

/** When the machine goes down as well, Docker starts again what has a policy, but the migration is over. Only snapshots with one. */
async function cutPower(snapshots: readonly Snapshot[]): Promise<Snapshot[]> {
  const changed: Snapshot[] = []
  for (const snapshot of snapshots) {
    await changeState(snapshot, ({ containers }) => {
      const migration = containers.find((container) => container.oneoff === 'True' && container.state === 'running')
      if (!migration) return
      Object.assign(migration, { state: 'exited', exit: 255 })
      changed.push(snapshot)
    })
  }
  return changed
}

describe('everything dies at once', () => {
  test('in a deploy over an older release, and the next deploy and a rollback succeed', async () => {
    await withStaged(served, v2, async (world) => {
      const recording = await takeSnapshots(world, () => engine(world, v2.id))
      await demand('undisturbed', world, v2.id, ROWS)
      points += recording.places.length
      // Of each line of its journal there is a snapshot.
      const seen = await Promise.all(
        recording.snapshots.map(async (snapshot) => (await storyOf(snapshot, v2.id)).at(-1)),
      )
      expect((await storyOf(world, v2.id)).filter((line) => !seen.includes(line))).toEqual([])
      expect(await recoverFromAll(recording.snapshots, v2, v1.id, [v3, rollback])).toEqual(new Set([v1.id, v2.id]))

      const cut = await cutPower(recording.snapshots)
      points += cut.length
      expect(await recoverFromAll(cut, v2, v1.id)).toEqual(new Set([v1.id]))
    })
  })

  test('in a deploy that stops the app while it migrates', async () => {
    await withStaged(served, stopping, async (world) => {
      const recording = await takeSnapshots(world, () => engine(world, stopping.id))
      await demand('undisturbed', world, stopping.id, ROWS)
      // What comes before the stop is as in a deploy like any other.
      const stopped: Snapshot[] = []
      for (const snapshot of recording.snapshots)
        if ((await storyOf(snapshot, stopping.id)).some((line) => line.startsWith('stop begin'))) stopped.push(snapshot)
      points += stopped.length
      expect(await recoverFromAll(stopped, stopping, v1.id, [v3])).toEqual(new Set([v1.id, v2.id]))
    })
  })

  test('in a first deploy: no app, or all of it', async () => {
    await inCopy(bare, async (world) => {
      const recording = await takeSnapshots(world, () => engine(world, v1.id))
      await demand('undisturbed', world, v1.id, ROWS.slice(0, 1))
      points += recording.places.length
      expect(await recoverFromAll(recording.snapshots, v1, undefined, [v2])).toEqual(new Set([undefined, v1.id]))
    })
  })

  test('in a rollback', async () => {
    await withStaged(served, v2, async (world) => {
      await engine(world, v2.id)
      const recording = await takeSnapshots(world, () => engine(world, rollback.id))
      await demand('undisturbed', world, v1.id, ROWS)
      const tried: Snapshot[] = []
      const others: Snapshot[] = []
      for (const snapshot of recording.snapshots) {
        const last = (await storyOf(snapshot, rollback.id)).at(-1)
        ;(last === 'try begin' ? tried : others).push(snapshot)
      }
      expect(tried.some(({ place }) => place.startsWith('amid, created the trial'))).toBe(true)
      // All of its trial. Its other steps are those of a deploy, so that half of their snapshots are enough.
      const some = sample('rollback', others, 2)
      points += tried.length + some.length
      expect(await recoverFromAll(tried, rollback, v2.id)).toEqual(new Set([v2.id]))
      await recoverFromAll(some, rollback, v2.id)
    })
  })

  test('in a deploy that is not healthy, and while it goes back', async () => {
    await withStaged(served, sick, async (world) => {
      const recording = await takeSnapshots(world, () => engine(world, sick.id))
      expect(await endOf(world, sick.id)).toBe(`back ${v1.id}`)
      await demand('undisturbed', world, v1.id, ROWS)
      // Up to where it turns back it is a deploy like the other.
      const turned: Snapshot[] = []
      for (const snapshot of recording.snapshots) {
        if ((await storyOf(snapshot, sick.id)).includes('health fail 46')) turned.push(snapshot)
      }
      points += turned.length
      const seen = await Promise.all(turned.map(async (snapshot) => (await storyOf(snapshot, sick.id)).at(-1)))
      expect(seen).toEqual(expect.arrayContaining(['back begin health 46', `end back ${v1.id}`]))
      expect(await recoverFromAll(turned, sick, v1.id)).toEqual(new Set([v1.id]))
    })
  })

  test('in a deploy that fails its trial: no container of the site was touched, and none of the trial is left', async () => {
    await withStaged(served, failing, async (world) => {
      const sites = async (from: World | Snapshot) =>
        (await stateOf(from)).containers
          .filter(({ oneoff }) => oneoff !== 'True')
          .map(({ id, started }) => [id, started])
      const before = await sites(world)
      const recording = await takeSnapshots(world, () => engine(world, failing.id))
      expect(await storyOf(world, failing.id)).toEqual(expect.arrayContaining(['try fail 46', `end back ${v1.id}`]))
      await demand('undisturbed', world, v1.id, ROWS)
      expect(await sites(world)).toEqual(before)
      const tried: Snapshot[] = []
      for (const snapshot of recording.snapshots)
        if ((await storyOf(snapshot, failing.id)).includes('try begin')) tried.push(snapshot)
      expect(tried.some(({ place }) => place.startsWith('amid, created the trial'))).toBe(true)
      points += tried.length
      expect(await recoverFromAll(tried, failing, v1.id, [v3])).toEqual(new Set([v1.id]))
    })
  })
})

describe('the engine and its step are killed', () => {
  test('and the docker call, or the whole step, goes on alone: whoever comes next waits for it', async () => {
    points += await atEvery(
      served,
      places,
      (place, at) => isCall(place) && isTried(`alone ${at}`, 3),
      async (world, at, place) => {
        await arm(world, { mode: 'kill', at, spare: draw(`spared ${at}`, 5) === 0 ? 'step' : 'call' })
        expect((await engine(world, v2.id)).code).not.toBe(0)
        await disarm(world)
        if (!(await releaseOrphan(world))) throw new Error(`${place}: the lock is free while the call goes on`)
        if (draw(`next ${at}`, 4) !== 0) return recover(place, world, v2, v1.id)
        const side = await sideOf(world, v2, v1.id)
        await goOn(place, world, v3)
        expect(await endOf(world, v2.id)).toBe(side === v1.id ? `back ${v1.id}` : `committed ${v2.id}`)
      },
    )
  })

  test('together with the call', async () => {
    // What this leaves is what the snapshots show; so about every fifth point is enough.
    points += await atEvery(
      served,
      places,
      (_, at) => isTried(`with the call ${at}`, 5),
      async (world, at, place) => {
        await arm(world, { mode: 'kill', at, spare: 'nothing' })
        expect((await engine(world, v2.id)).code).not.toBe(0)
        await disarm(world)
        await recover(place, world, v2, v1.id)
      },
    )
  })
})
