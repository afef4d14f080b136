import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { forEach, takeSnapshots, type Snapshot } from './death.ts'
import { endOf, findFaults, storyOf } from './journal.ts'
import { inCopy } from './recovery.ts'
import { adopt, removeAll, serving, v1 } from './serving.ts'
import { deployOf, engine, stage, transact, untried, withBackup, type Staged } from './staged.ts'
import { call, changeState, copyWorld, stateOf, type World } from './world.ts'

// A deploy with `return: none`: an applied migration breaks the old code and cannot be unapplied without loss. The new
// release then stays, whatever fails.

afterAll(removeAll)

const ROWS = ['core.0001', 'core.0002', 'core.0003']
const [FIRST = '', SECOND = '', THIRD = ''] = ROWS

/** v2, approved; `breaking` and `lasting` are the migrations that the runner has judged so. */
function approved(
  web: object = {},
  { order = 'stopped', breaking = [SECOND], lasting = [SECOND] }: Partial<Record<string, string | string[]>> = {},
): Staged {
  const staged = withBackup(deployOf('v2', 2, ROWS, web))
  const lines = (names: string | string[]): string =>
    Array.isArray(names) ? names.map((name) => `${name}\n`).join('') : ''
  return {
    ...staged,
    steps: staged.steps.flatMap((step) => (step === 'backup' && order === 'stopped' ? ['stop', step] : [step])),
    planFacts: { ...staged.planFacts, return: 'none', breaking: lines(breaking), lasting: lines(lasting) },
  }
}

const v3 = deployOf('v3', 3, ROWS)

let base: World
beforeAll(async () => {
  base = await serving()
})

const rowsOf = async (world: World): Promise<readonly string[]> => (await stateOf(world)).rows

test.each([
  ['is not healthy', untried(approved({ 'x-health': 'bad' })), 'health 46', ROWS],
  ['is not healthy in its trial', approved({ 'x-health': 'bad' }), 'try 46', ROWS],
  [
    'is not healthy, and migrated while the old one served',
    approved({ 'x-health': 'bad' }, { order: 'before' }),
    'try 46',
    ROWS,
  ],
  ['fails in its third migration', approved({ 'x-fails': THIRD }), 'migrate 17', [FIRST, SECOND]],
  [
    'fails in its third migration, of an image that is asked through its entrypoint',
    approved({ 'x-fails': THIRD, 'x-entrypoint': true }),
    'migrate 17',
    [FIRST, SECOND],
  ],
])('a release that %s stays', async (_, staged, reason, rows) => {
  const world = adopt(await copyWorld(base))
  expect(await stage(world, staged)).toMatchObject({ code: 0 })
  const { log } = await engine(world, staged.id)
  expect([await endOf(world, staged.id), log]).toEqual([
    `forward ${staged.id}`,
    expect.stringContaining(`going forward: ${reason}\n`),
  ])
  expect(await rowsOf(world)).toEqual(rows)
  expect(await findFaults(world, staged.id)).toEqual([])
  const story = await storyOf(world, staged.id)
  expect(story.filter((line) => /^(back|undo|back_\w+) /.test(line))).toEqual([])
  expect(story).toContain('commit begin v2-2-1 after v1-1-1')
  // An equal release is not only checked: a step may be left undone.
  expect((await call(world, 'look')).stdout).toMatch(/^forward yes$/m)
  // What failed is nothing to go back to.
  await transact(world, v3)
  const { stdout } = await call(world, 'look')
  expect(stdout).toMatch(/^previous v1-1-1$/m)
  expect(stdout).not.toMatch(/^forward yes$/m)
})

test.each([
  ['the one that cannot be unapplied', { 'x-fails': SECOND }, {}, [FIRST]],
  ['what came before it was harmless', { 'x-fails': THIRD }, { breaking: [THIRD], lasting: [THIRD] }, [FIRST, SECOND]],
  ['what came before it is unapplied without loss', { 'x-fails': THIRD }, { lasting: [THIRD] }, [FIRST]],
])('what was not applied does not count: %s', async (_, web, verdicts, rows) => {
  const world = adopt(await copyWorld(base))
  expect(await transact(world, approved(web, verdicts))).toBe('back v1-1-1')
  expect(await rowsOf(world)).toEqual(rows)
  expect(await findFaults(world, v1.id)).toEqual([])
})

test('a job that is cancelled after its migration goes on to its end', async () => {
  const staged = approved()
  const [migrated] = await snapshotsOf(staged, (story) => story.at(-1) === 'static begin')
  if (!migrated) throw new Error('nobody saw the end of the migration')
  await inCopy(migrated, async (world) => {
    await writeFile(join(world.directory, '.deploy/journal', `${staged.id}.abort`), '')
    expect(await call(world, 'recover')).toMatchObject({ code: 0 })
    expect(await storyOf(world, staged.id)).toContain('forward begin aborted')
    expect(await endOf(world, staged.id)).toBe(`committed ${staged.id}`)
    expect(await findFaults(world, staged.id)).toEqual([])
  })
})

test('a migration that nobody told to go is given up at once', async () => {
  const staged = approved()
  const [waiting] = await snapshotsOf(staged, (story) => story.at(-1) === 'migrate begin')
  if (!waiting) throw new Error('nobody saw the migration begin')
  await inCopy(waiting, async (world) => {
    expect(await call(world, 'recover')).toMatchObject({ code: 0 })
    expect(await endOf(world, staged.id)).toBe('back v1-1-1')
    expect(await rowsOf(world)).toEqual([FIRST])
    expect(await findFaults(world, v1.id)).toEqual([])
  })
})

test('what is applied is not known while the database is away: it stays open, and the next one asks again', async () => {
  const world = adopt(await copyWorld(base))
  const staged = approved({ 'x-fails': THIRD, 'x-away': true })
  expect(await stage(world, staged)).toMatchObject({ code: 0 })
  expect(await engine(world, staged.id)).toMatchObject({ code: 39 })
  expect(await storyOf(world, staged.id)).toEqual(expect.arrayContaining(['return fail 12', 'back fail']))
  expect((await call(world, 'recover')).code).not.toBe(0)
  await changeState(world, ({ containers }) => {
    for (const { spec } of containers) delete spec['x-away']
  })
  // A release that replaces both sides does not wait for it.
  expect(await transact(world, v3)).toBe('committed v3-3-1')
  expect(await findFaults(world, 'v3-3-1')).toEqual([])
})

/** After a recovery: one whole release, which is the new one as soon as the migration was applied. */
async function expectEither(place: string, world: World, staged: Staged): Promise<string> {
  const recovered = await call(world, 'recover')
  expect([place, recovered.code, recovered.code === 0 ? '' : recovered.stdout + recovered.stderr]).toEqual([
    place,
    0,
    '',
  ])
  const isApplied = (await rowsOf(world)).includes(SECOND)
  expect([place, await findFaults(world, isApplied ? staged.id : v1.id)]).toEqual([place, []])
  const end = await endOf(world, staged.id)
  expect([place, end]).toEqual([
    place,
    isApplied ? expect.stringMatching(/^(committed|forward) v2-2-1$/) : 'back v1-1-1',
  ])
  return end
}

/** Snapshots of its deploy at which its journal is wanted. */
async function snapshotsOf(
  staged: Staged,
  wanted: (story: readonly string[]) => boolean,
): Promise<readonly Snapshot[]> {
  const world = adopt(await copyWorld(base))
  expect(await stage(world, staged)).toMatchObject({ code: 0 })
  const { snapshots } = await takeSnapshots(world, () => engine(world, staged.id))
  const stories = await Promise.all(snapshots.map((snapshot) => storyOf(snapshot, staged.id)))
  return snapshots.filter((_, at) => wanted(stories[at] ?? []))
}

/** What comes before is as in a deploy that goes back by another way. */
const fromMigrateOn = (story: readonly string[]): boolean => story.some((line) => line.startsWith('migrate begin'))

test.each([
  ['that succeeds', approved(), ['committed v2-2-1']],
  ['whose third migration fails', approved({ 'x-fails': THIRD }), ['forward v2-2-1']],
  ['that is not healthy', untried(approved({ 'x-health': 'bad' })), ['forward v2-2-1']],
])(
  'whatever dies in a deploy %s: the old release before its migration, the new one after it',
  async (_, staged, ends) => {
    const snapshots = await snapshotsOf(staged, fromMigrateOn)
    const seen = new Set<string>()
    await forEach(snapshots, (snapshot) =>
      inCopy(snapshot, async (copy) => {
        seen.add(await expectEither(`${snapshot.number} (${snapshot.place})`, copy, staged))
      }),
    )
    expect([...seen].sort()).toEqual(['back v1-1-1', ...ends])
  },
)

test('a power cut amid its migrations counts what was applied until then', async () => {
  const staged = approved()
  const seen = new Set<string>()
  await forEach(await snapshotsOf(staged, fromMigrateOn), (snapshot) =>
    inCopy(snapshot, async (copy) => {
      let isCut = false
      await changeState(copy, ({ containers }) => {
        for (const each of containers.filter(({ oneoff, state }) => oneoff === 'True' && state === 'running')) {
          Object.assign(each, { state: 'exited', exit: 255 })
          isCut = true
        }
      })
      if (isCut) seen.add(await expectEither(`${snapshot.number} (${snapshot.place}), cut`, copy, staged))
    }),
  )
  expect([...seen].sort()).toEqual(['back v1-1-1', 'committed v2-2-1', 'forward v2-2-1'])
})
