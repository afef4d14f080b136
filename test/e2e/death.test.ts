import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { join } from 'node:path'
import { arm, characterOf, disarm, forEach, releaseOrphan, takePictures, type Picture } from '../transaction/death.ts'
import { endOf, findFaults, journals, storyOf } from '../transaction/journal.ts'
import { deployOf, engine, rollbackTo, stage, transact, type Staged } from '../transaction/staged.ts'
import {
  call,
  changeState,
  copyWorld,
  makeWorld,
  removeWorld,
  stateOf,
  stopDocker,
  type World,
} from '../transaction/world.ts'

// Every way to die in a transaction, on a stand-in for Docker whose state is a folder. A picture is a copy of everything on
// the server at one point: recovering from it is recovering from a power cut there. Where processes outlive the engine, they
// are really killed and really survive.

const ROWS = ['core.0001', 'core.0002', 'core.0003']
const v1 = deployOf('v1', 1, ROWS.slice(0, 1))
const v2 = deployOf('v2', 2, ROWS)
const sick = deployOf('v2', 2, ROWS, { 'x-health': 'bad' })
const v3 = deployOf('v3', 3, ROWS)
const rollback = rollbackTo(v1.id, 4)

let bare: World
let served: World
let points = 0

beforeAll(async () => {
  bare = await makeWorld()
  for (const staged of [v1, v2]) expect(await stage(bare, staged)).toMatchObject({ code: 0 })
  served = await makeWorld()
  expect(await transact(served, v1)).toBe(`committed ${v1.id}`)
  for (const staged of [v3, rollback]) expect(await stage(served, staged)).toMatchObject({ code: 0 })
})

afterAll(async () => {
  await Promise.all([bare, served].map(removeWorld))
  stopDocker()
  process.stdout.write(`death: ${points} points of death, silence and abort were tried\n`)
})

/** A copy of `from`, for one try. */
async function inCopy(from: { root: string }, work: (world: World) => Promise<void>): Promise<void> {
  const world = await copyWorld(from)
  try {
    await disarm(world)
    await work(world)
  } finally {
    await removeWorld(world)
  }
}

async function withStaged(from: World, staged: Staged, work: (world: World) => Promise<void>): Promise<void> {
  await inCopy(from, async (world) => {
    expect(await stage(world, staged)).toMatchObject({ code: 0 })
    await work(world)
  })
}

async function demand(
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
async function sideOf(world: World, dead: Staged, before: string | undefined): Promise<string | undefined> {
  return (await storyOf(world, dead.id)).includes('verify end') ? (dead.target ?? dead.id) : before
}

async function recover(place: string, world: World, dead: Staged, before: string | undefined): Promise<void> {
  const side = await sideOf(world, dead, before)
  const recovered = await call(world, 'recover')
  if (recovered.code !== 0)
    throw new Error(`${place}: recover ended with ${recovered.code}: ${recovered.stdout}${recovered.stderr}`)
  await demand(place, world, side)
}

async function goOn(place: string, world: World, next: Staged): Promise<void> {
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

/** Recovers from every picture; from each server that comes out in another way than those before, life goes on. */
async function recoverFromAll(
  pictures: readonly Picture[],
  dead: Staged,
  before: string | undefined,
  next: readonly Staged[] = [],
): Promise<number> {
  const known = new Set<string>()
  await forEach(pictures, (picture) =>
    inCopy(picture, async (world) => {
      const place = `${dead.id} at ${picture.number} (${picture.place})`
      const [serving, others] = [await runningOf(world, await sideOf(world, dead, before)), await othersOf(world, dead)]
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
  return known.size
}

/** When the machine goes down as well, Docker starts again what has a policy, but the migration is over. Only pictures with one. */
async function cutPower(pictures: readonly Picture[]): Promise<Picture[]> {
  const changed: Picture[] = []
  for (const picture of pictures) {
    await changeState(picture, ({ containers }) => {
      const migration = containers.find((container) => container.oneoff === 'True' && container.state === 'running')
      if (!migration) return
      Object.assign(migration, { state: 'exited', exit: 255 })
      changed.push(picture)
    })
  }
  return changed
}

describe('everything dies at once', () => {
  test('in a deploy over an older release, and the next deploy and a rollback succeed', async () => {
    await withStaged(served, v2, async (world) => {
      const walk = await takePictures(world, () => engine(world, v2.id))
      await demand('undisturbed', world, v2.id, ROWS)
      points += walk.places.length
      expect(walk.pictures.length).toBeGreaterThan(40)
      expect(await recoverFromAll(walk.pictures, v2, v1.id, [v3, rollback])).toBeGreaterThan(4)

      const cut = await cutPower(walk.pictures)
      points += cut.length
      expect(cut.length).toBeGreaterThan(4)
      await recoverFromAll(cut, v2, v1.id)
    })
  })

  test('in a first deploy: no app, or all of it', async () => {
    await inCopy(bare, async (world) => {
      const walk = await takePictures(world, () => engine(world, v1.id))
      await demand('undisturbed', world, v1.id, ROWS.slice(0, 1))
      points += walk.places.length
      expect(await recoverFromAll(walk.pictures, v1, undefined, [v2])).toBeGreaterThan(4)
    })
  })

  test('in a rollback', async () => {
    await withStaged(served, v2, async (world) => {
      await engine(world, v2.id)
      const walk = await takePictures(world, () => engine(world, rollback.id))
      await demand('undisturbed', world, v1.id, ROWS)
      // Its steps are those of a deploy, so that every second picture is enough.
      const some = walk.pictures.filter((_, index) => index % 2 === 0)
      points += some.length
      await recoverFromAll(some, rollback, v2.id)
    })
  })

  test('in a deploy that is not healthy, and while it goes back', async () => {
    await withStaged(served, sick, async (world) => {
      const walk = await takePictures(world, () => engine(world, sick.id))
      expect(await endOf(world, sick.id)).toBe(`back ${v1.id}`)
      await demand('undisturbed', world, v1.id, ROWS)
      // Up to where it turns back it is a deploy like the other.
      const turned: Picture[] = []
      for (const picture of walk.pictures) {
        if ((await storyOf(picture, sick.id)).includes('health fail 46')) turned.push(picture)
      }
      points += turned.length
      expect(turned.length).toBeGreaterThan(15)
      await recoverFromAll(turned, sick, v1.id)
    })
  })

  test('in a recovery', async () => {
    await withStaged(served, v2, async (world) => {
      const { pictures } = await takePictures(world, () => engine(world, v2.id))
      const deaths = [
        'removed the old one: compose todo up never web',
        'the migration went on',
        'started one: compose todo up never worker',
      ]
      for (const death of deaths) {
        const first = pictures.find((picture) => picture.place.includes(death))
        if (!first) throw new Error(`nobody passed ${death}`)
        await inCopy(first, async (dead) => {
          const walk = await takePictures(dead, () => call(dead, 'recover'))
          const some = walk.pictures.filter((_, index) => index % 2 === 1)
          points += some.length
          await recoverFromAll(some, v2, v1.id)
        })
      }
    })
  })
})

/** The points of an undisturbed deploy of v2, for the tests that walk it again and again. */
let walked: Promise<readonly string[]> | undefined
function placesOfDeploy(): Promise<readonly string[]> {
  walked ??= (async () => {
    let places: readonly string[] = []
    await withStaged(served, v2, async (world) => {
      places = (await takePictures(world, () => engine(world, v2.id))).places
    })
    return places
  })()
  return walked
}

/** Where a call to Docker begins, or is at work. */
const isCall = (place: string): boolean => /^(before|amid)(?!.*: (sync|mv)( |$))/.test(place)

async function atEvery(
  wanted: (place: string, at: number) => boolean,
  work: (world: World, at: number, place: string) => Promise<void>,
): Promise<void> {
  const all = [...(await placesOfDeploy()).entries()].map(([index, place]) => ({ at: index + 1, place }))
  const chosen = all.filter(({ place, at }) => wanted(place, at))
  expect(chosen.length).toBeGreaterThan(20)
  points += chosen.length
  await withStaged(served, v2, (template) =>
    forEach(chosen, ({ at, place }) => inCopy(template, (world) => work(world, at, `${place} (${at})`))),
  )
}

describe('the engine and its step are killed', () => {
  test('and the docker call, or the whole step, goes on alone: whoever comes next waits for it', async () => {
    await atEvery(isCall, async (world, at, place) => {
      await arm(world, { mode: 'kill', at, spare: at % 5 === 0 ? 'step' : 'call' })
      expect((await engine(world, v2.id)).code).not.toBe(0)
      await disarm(world)
      if (!(await releaseOrphan(world))) throw new Error(`${place}: the lock is free while the call goes on`)
      if (at % 4 !== 0) return recover(place, world, v2, v1.id)
      const side = await sideOf(world, v2, v1.id)
      await goOn(place, world, v3)
      expect(await endOf(world, v2.id)).toBe(side === v1.id ? `back ${v1.id}` : `committed ${v2.id}`)
    })
  })

  test('together with the call', async () => {
    // What this leaves is what the pictures show; so every fifth point is enough.
    await atEvery(
      (_, at) => at % 5 === 0,
      async (world, at, place) => {
        await arm(world, { mode: 'kill', at, spare: 'nothing' })
        expect((await engine(world, v2.id)).code).not.toBe(0)
        await disarm(world)
        await recover(place, world, v2, v1.id)
      },
    )
  })
})

test('Docker is away for a while at every second call: one side or the other, whole', async () => {
  const waited = { all: 0, committed: 0 }
  // Every second call, so that it takes half as long: each step makes several.
  await atEvery(
    (place, at) => isCall(place) && at % 2 === 0,
    async (world, at, place) => {
      // One call that fails is a failure; when Docker does not answer after it either, it is waited for.
      const calls = at % 3 === 0 ? 1 : 3
      await arm(world, { mode: 'away', at, calls })
      const ran = await engine(world, v2.id)
      await disarm(world)
      const end = await endOf(world, v2.id)
      if (!/^(committed v2|back v1)/.test(end)) throw new Error(`${place}: ${end}\n${ran.log}`)
      // What a prune could not remove is the next one's.
      if ((await storyOf(world, v2.id)).some((line) => line.startsWith('prune fail')))
        await call(world, 'step', [v2.id, 'prune'])
      await demand(place, world, end.split(' ')[1])
      if (calls === 3) waited.all += 1
      if (calls === 3 && end.startsWith('committed')) waited.committed += 1
    },
  )
  expect(waited.committed / waited.all).toBeGreaterThan(0.8)
})

test('an abort at every line of the journal: back, or too late to turn', async () => {
  await atEvery(
    (place) => place.endsWith(': sync'),
    async (world, at, place) => {
      await arm(world, { mode: 'touch', at, file: join(world.directory, '.deploy/journal', `${v2.id}.abort`) })
      await engine(world, v2.id)
      await demand(place, world, await sideOf(world, v2, v1.id))
    },
  )
})
