import { afterAll, beforeAll, test } from '@jest/globals'
import { join } from 'node:path'
import { isTried, sample } from '../../seed.ts'
import { arm, disarm, takeSnapshots } from './death.ts'
import { endOf, storyOf } from './journal.ts'
import {
  atEvery,
  demand,
  inCopy,
  isCall,
  makeServed,
  placesOfDeploy,
  recoverFromAll,
  sideOf,
  v1,
  v2,
  withStaged,
} from './recovery.ts'
import { engine } from './staged.ts'
import { call, removeWorld, stopDocker, type World } from './world.ts'

// What else befalls a transaction: it dies while it is recovered from a death, Docker is away, somebody aborts it.

let served: World
let places: readonly string[]
let points = 0

beforeAll(async () => {
  served = await makeServed()
  places = await placesOfDeploy(served)
})

afterAll(async () => {
  await removeWorld(served)
  stopDocker()
  process.stdout.write(`trouble: ${points} points of second deaths, silence and abort were tried\n`)
})

test('a recovery dies as well', async () => {
  await withStaged(served, v2, async (world) => {
    const { snapshots } = await takeSnapshots(world, () => engine(world, v2.id))
    const deaths = [
      'removed the old one: compose todo up never web',
      'the migration went on',
      'started one: compose todo up never worker',
    ]
    for (const death of deaths) {
      const first = snapshots.find((snapshot) => snapshot.place.includes(death))
      if (!first) throw new Error(`nobody passed ${death}`)
      await inCopy(first, async (dead) => {
        const recording = await takeSnapshots(dead, () => call(dead, 'recover'))
        const some = sample(death, recording.snapshots, 2)
        points += some.length
        await recoverFromAll(some, v2, v1.id)
      })
    }
  })
})
test('Docker is away until somebody asks whether it is back: waited out at any call', async () => {
  points += await atEvery(
    served,
    places,
    (place, at) => isCall(place) && isTried(`away ${at}`, 3),
    async (world, at, place) => {
      // A step that asks again by itself, such as that which gives a migration the word to go, does not ask whether it is back.
      await arm(world, { mode: 'away', at, calls: 40, questions: 2 })
      const ran = await engine(world, v2.id)
      await disarm(world)
      const end = await endOf(world, v2.id)
      if (end !== 'committed v2-2-1') throw new Error(`${place}: ${end}\n${ran.log}`)
      await demand(place, world, v2.id)
    },
  )
})

test('one call to Docker fails: one side or the other, whole', async () => {
  // One call that fails is a failure of its step, or of no matter.
  points += await atEvery(
    served,
    places,
    (place, at) => isCall(place) && isTried(`one call ${at}`, 5),
    async (world, at, place) => {
      await arm(world, { mode: 'away', at, calls: 1 })
      const ran = await engine(world, v2.id)
      await disarm(world)
      const end = await endOf(world, v2.id)
      if (!/^(committed v2|back v1)/.test(end)) throw new Error(`${place}: ${end}\n${ran.log}`)
      // What a prune could not remove is the next one's.
      if ((await storyOf(world, v2.id)).some((line) => line.startsWith('prune fail')))
        await call(world, 'step', [v2.id, 'prune'])
      await demand(place, world, end.split(' ')[1])
    },
  )
})

test('an abort at every line of the journal: back, or too late to turn', async () => {
  points += await atEvery(
    served,
    places,
    (place) => place.endsWith(': sync'),
    async (world, at, place) => {
      await arm(world, { mode: 'touch', at, file: join(world.directory, '.deploy/journal', `${v2.id}.abort`) })
      await engine(world, v2.id)
      await demand(place, world, await sideOf(world, v2, v1.id))
    },
  )
})
