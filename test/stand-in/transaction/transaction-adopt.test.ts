import { afterAll, describe, expect, test } from '@jest/globals'
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'yaml'
import { run } from '../../../src/process.ts'
import { endOf, findFaults, readCurrent, storyOf } from './journal.ts'
import { characterOf, disarm, forEach, takeSnapshots } from './death.ts'
import { adoptionIn, appOf, FILES, startByHand } from './hand.ts'
import { bare, logOf, removeAll, v1, v2 } from './serving.ts'
import { deployOf, engine, over, rollbackTo, stage, transact, untried } from './staged.ts'
import { call, changeState, copyWorld, removeWorld, SHELLS, stateOf, type Shell, type World } from './world.ts'

afterAll(removeAll)

const ADOPTED = 'adopted-20260102T030405'
const BY_HAND = ['beat', 'web', 'worker'].map((service) => `todo-${service}-1 running sha256:adopted`)
const sick = untried(deployOf('v1', 1, ['core.0001'], { 'x-health': 'bad' }))

async function fileOf(world: World, name: string): Promise<string> {
  return readFile(join(world.directory, name), 'utf8')
}

async function byHand(shell: Shell = 'dash'): Promise<World> {
  const world = await bare(shell)
  await startByHand(world)
  return world
}

describe.each(SHELLS)('under %s', (shell) => {
  test('a good deploy keeps the stack as a release, and a rollback brings it back with its files', async () => {
    const world = await byHand(shell)
    const shipped = {
      ...over(await adoptionIn(world), v1),
      env: 'A=shipped\n',
      releaseFacts: { ...v1.releaseFacts, env: ['shipped'] },
    }
    expect(await transact(world, shipped)).toBe('committed v1-1-1')
    expect(await appOf(world)).toEqual(['web', 'worker'].map((service) => `todo-${service}-1 running sha256:v1`))
    expect(await fileOf(world, '.env')).toBe('A=shipped\n')
    expect(await storyOf(world, ADOPTED)).toEqual([
      `begin ${ADOPTED} ${ADOPTED} from -`,
      `commit begin ${ADOPTED} after -`,
      'commit end',
      `end committed ${ADOPTED}`,
    ])
    const release = join(world.directory, '.deploy/releases', ADOPTED)
    expect((await readdir(release)).sort()).toEqual(['compose.yaml', 'facts', 'kept', 'run.yaml'])
    expect((await stat(join(release, 'compose.yaml'))).mode & 0o077).toBe(0)
    const model = parse(await readFile(join(release, 'compose.yaml'), 'utf8')) as { services: object }
    expect(Object.keys(model.services).sort()).toEqual(['beat', 'db', 'proxy', 'web', 'worker'])
    // What static files are collected with is no part of the site.
    const oneOff = parse(await readFile(join(release, 'run.yaml'), 'utf8')) as { services: { web: object } }
    expect(Object.keys(oneOff.services)).toEqual(['web'])
    expect(oneOff.services.web).toMatchObject({ networks: { joined0: null }, logging: { driver: 'json-file' } })
    expect(oneOff.services.web).not.toHaveProperty('labels')

    expect(await adoptionIn(world)).toBeUndefined()
    expect(await transact(world, v2)).toBe('committed v2-2-1')
    const back = { ...rollbackTo(ADOPTED, 3), id: 'rollback-adopted-3-1' }
    expect(await transact(world, back)).toBe(`committed ${ADOPTED}`)
    expect(await appOf(world)).toEqual(BY_HAND)
    for (const name of ['compose.yaml', 'compose.override.yaml'] as const)
      expect(await fileOf(world, name)).toBe(FILES[name])
    // v2 left the server's own env file alone, so does the way back.
    expect(await fileOf(world, '.env')).toBe('A=shipped\n')
    // It is a release like any other now.
    expect(await adoptionIn(world)).toBeUndefined()
    expect(await transact(world, deployOf('v3', 4, ['core.0001', 'core.0002']))).toBe('committed v3-4-1')
  })

  test('a first deploy that fails brings it back exactly', async () => {
    const world = await byHand(shell)
    expect(await transact(world, over(await adoptionIn(world), sick))).toBe(`back ${ADOPTED}`)
    expect(await appOf(world)).toEqual(BY_HAND)
    for (const [name, text] of Object.entries(FILES)) expect(await fileOf(world, name)).toBe(text)
    // A later one finds it as a release.
    expect(await adoptionIn(world)).toBeUndefined()
    expect(await transact(world, v2)).toBe('committed v2-2-1')
  })
})

test('a rollback by hand brings it back, also when it is not healthy at once', async () => {
  const world = await byHand()
  expect(await transact(world, over(await adoptionIn(world), v1))).toBe('committed v1-1-1')
  const path = join(world.directory, '.deploy/releases', ADOPTED, 'compose.yaml')
  const model = parse(await readFile(path, 'utf8')) as { services: { web: object } }
  const web = { ...model.services.web, 'x-crashed': [1, 8] }
  await writeFile(path, JSON.stringify({ ...model, services: { ...model.services, web } }))
  const gone = await run('sh', ['.deploy/rollback'], { env: world.env, cwd: world.directory, timeoutMs: 60_000 })
  expect(gone).toMatchObject({ code: 0 })
  expect(await appOf(world)).toEqual(BY_HAND)
})

test('an env file that a release has replaced comes back as it was', async () => {
  const world = await byHand()
  const shipped = {
    ...over(await adoptionIn(world), v1),
    env: 'A=shipped\n',
    releaseFacts: { ...v1.releaseFacts, env: ['shipped'] },
  }
  expect(await transact(world, shipped)).toBe('committed v1-1-1')
  expect(await transact(world, { ...rollbackTo(ADOPTED, 3), id: 'rollback-adopted-3-1' })).toBe(`committed ${ADOPTED}`)
  expect(await fileOf(world, '.env')).toBe(FILES['.env'])
})

test('what was done by hand after a deploy that failed is adopted again', async () => {
  const world = await byHand()
  expect(await transact(world, over(await adoptionIn(world), sick))).toBe(`back ${ADOPTED}`)
  await changeState(world, (state) => (state.containers = []))
  await startByHand(world)
  const again = await adoptionIn(world, '2026-01-03T03:04:05Z')
  expect(again?.facts['adopt']).toEqual(['adopted-20260103T030405', ADOPTED])
  expect(await transact(world, over(again, v2))).toBe('committed v2-2-1')
})

test.each([
  ['56', 'without the Compose file', (file: string) => rm(file), 'compose.override.yaml'],
  [
    '57',
    'of a service that is in no file any more',
    (file: string) => writeFile(file, '{"services":{}}'),
    'no such service: beat',
  ],
])('%s: there is no way back %s, so nothing is begun', async (code, _, spoil, said) => {
  const world = await byHand()
  const staged = over(await adoptionIn(world), v1)
  await spoil(join(world.directory, 'compose.override.yaml'))
  const before = (await stateOf(world)).containers
  expect(await logOf(world, staged)).toContain(said)
  expect(await storyOf(world, v1.id)).toContain(`adopt fail ${code}`)
  expect(await endOf(world, v1.id)).toBe('back ')
  expect((await stateOf(world)).containers).toEqual(before)
})

test('another deploy that was faster has left a release already', async () => {
  const world = await byHand()
  const adoption = await adoptionIn(world)
  expect(await stage(world, over(adoption, v2))).toMatchObject({ code: 0 })
  expect(await transact(world, over(adoption, v1))).toBe('committed v1-1-1')
  await engine(world, v2.id)
  expect(await endOf(world, v2.id)).toBe('committed v2-2-1')
  expect(await storyOf(world, v2.id)).toContain('commit begin v2-2-1 after v1-1-1')
})

test('whatever dies while it is adopted and replaced: what ran by hand runs, or all of the release', async () => {
  const world = await byHand()
  const staged = over(await adoptionIn(world), v1)
  expect(await stage(world, staged)).toMatchObject({ code: 0 })
  const { snapshots } = await takeSnapshots(world, () => engine(world, v1.id))
  expect(await endOf(world, v1.id)).toBe('committed v1-1-1')
  const known = new Set<string>()
  const sides = new Set<boolean>()
  await forEach(snapshots, async (snapshot) => {
    const dead = await copyWorld(snapshot)
    try {
      await disarm(dead)
      const isOver = (await storyOf(dead, v1.id)).includes('verify end')
      sides.add(isOver)
      const recovered = await call(dead, 'recover')
      const at = `${snapshot.number} (${snapshot.place})`
      if (recovered.code !== 0) throw new Error(`${at}: ${recovered.stdout}${recovered.stderr}`)
      const faults = isOver ? await findFaults(dead, v1.id) : await strayed(dead)
      if (faults.length > 0) throw new Error(`${at}: ${faults.join('; ')}`)
      const character = await characterOf(dead)
      if (known.has(character)) return
      known.add(character)
      const next = over(await adoptionIn(dead, '2026-01-03T03:04:05Z'), v2)
      const end = await transact(dead, next)
      if (end !== 'committed v2-2-1') throw new Error(`${at}, then v2: ${end}`)
    } finally {
      await removeWorld(dead)
    }
  })
  expect(sides).toEqual(new Set([false, true]))
})

/** What differs from the stack as it was before anybody deployed. */
async function strayed(world: World): Promise<string[]> {
  const app = await appOf(world)
  const current = await readCurrent(world)
  const files = await Promise.all(
    Object.entries(FILES).map(async ([name, text]) => (await fileOf(world, name)) === text),
  )
  return [
    ...(app.join() === BY_HAND.join() ? [] : [`containers are ${app.join()}`]),
    ...(['', ADOPTED].includes(current) ? [] : [`current is ${current}`]),
    ...(files.every(Boolean) ? [] : ['a file was changed']),
  ]
}
