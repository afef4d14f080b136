import { afterAll, describe, expect, test } from '@jest/globals'
import { appendFile, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { arm, disarm, placesOf } from './death.ts'
import { endOf, findFaults, journalOf, readCurrent, storyOf } from './journal.ts'
import { adopt, bare, logOf, namesOf, removeAll, ROWS, serving, v1, v2, v2With } from './serving.ts'
import { SERVICES, DEPLOY, deployOf, engine, REPLACE, rollbackTo, stage, transact, type Staged } from './staged.ts'
import { run } from '../../../src/process.ts'
import { call, changeState, copyWorld, execsOf, imageOf, runsOf, script, SHELLS, stateOf, type World } from './world.ts'
import { until } from '../../until.ts'

// The engine and its steps on a stand-in for Docker: what is written, who waits for whom, what is kept.

afterAll(removeAll)

describe.each(SHELLS)('under %s', (shell) => {
  test('the journal of a deploy, of the next, and of a rollback', async () => {
    const world = await bare(shell)
    expect(await transact(world, v1)).toBe('committed v1-1-1')
    expect(await storyOf(world, v1.id)).toEqual([
      'begin v1-1-1 v1-1-1 from -',
      'recover begin',
      'recover end',
      'fence begin',
      'fence end',
      'data begin db',
      'data end',
      'replan begin',
      'replan end',
      'migrate begin',
      'migrate end',
      'static begin',
      'static end',
      'try begin',
      'try end',
      'swap begin proxy=0 web=0 worker=0',
      'swap end',
      'proxy begin',
      'proxy end',
      'health begin',
      'health end',
      'verify begin',
      'verify end',
      'commit begin v1-1-1 after -',
      'commit end',
      'prune begin',
      'prune end',
      'end committed v1-1-1',
    ])
    for (const line of await journalOf(world, v1.id))
      expect(line).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z \w+ \w+/)
    const containers = (await stateOf(world)).containers.map(({ id, name }) => `${name} ${id}`)

    expect(await transact(world, v2)).toBe('committed v2-2-1')
    const story = await storyOf(world, v2.id)
    expect(story[0]).toBe('begin v2-2-1 v2-2-1 from v1-1-1')
    expect(story).toContain('swap begin proxy=1 web=1 worker=1')
    expect(story).toContain('commit begin v2-2-1 after v1-1-1')
    const now = (await stateOf(world)).containers.map(({ id, name }) => `${name} ${id}`)
    expect(now.filter((container) => containers.includes(container)).map((line) => line.split(' ')[0])).toEqual([
      'todo-db-1',
      'todo-proxy-1',
    ])
    expect(await readFile(join(world.directory, 'compose.yaml'), 'utf8')).toBe(
      JSON.stringify({ services: v2.services }),
    )

    const rollback = rollbackTo('v1-1-1', 3)
    expect(await transact(world, rollback)).toBe('committed v1-1-1')
    expect((await storyOf(world, rollback.id))[0]).toBe('begin rollback-v1-3-1 v1-1-1 from v2-2-1')
    expect(await findFaults(world, 'v1-1-1')).toEqual([])
    expect((await stateOf(world)).rows).toEqual(ROWS)
  })

  test('what the release before answered is asked once, while it serves, and compared after the swap', async () => {
    const world = await bare(shell)
    await transact(world, deployOf('v1', 1, ROWS.slice(0, 1), { 'x-answers': { 'http://proxy:80/': 302 } }))
    const stopping = v2.steps.flatMap((step) => (step === 'migrate' ? ['stop', step] : [step]))
    expect(await transact(world, { ...v2, steps: stopping })).toBe('committed v2-2-1')
    const asked = (await execsOf(world))
      .filter(({ verb }) => verb === 'http' || verb === 'answers')
      .map(({ verb, environment }) => [verb, environment['DEPLOY_DJANGO_BEFORE']])
    const before = JSON.stringify({ 'deploy-django': 1, verb: 'answers', answers: { 'http://proxy:80/': 302 } })
    expect(
      asked.map(([verb, given]) => `${verb} ${given === undefined ? '-' : JSON.stringify(JSON.parse(given))}`),
    ).toEqual(['http -', 'http -', 'answers -', 'http -', `http ${before}`])
  })

  test('a release before that does not answer hinders nothing', async () => {
    const world = await serving(shell)
    await changeState(world, ({ containers }) => {
      for (const { spec } of containers) spec['x-answers'] = 'none'
    })
    expect(await transact(world, v2)).toBe('committed v2-2-1')
  })

  test('an entrypoint that makes the settings is found out, and used from then on', async () => {
    const world = await serving(shell)
    const made = v2With({ 'x-entrypoint': true })
    expect(await stage(world, made)).toMatchObject({ code: 0 })
    for (const verb of ['list', 'plan']) {
      expect(await call(world, 'plan', [made.id, verb])).toMatchObject({ code: 0, stdout: expect.stringMatching(verb) })
    }
    expect((await engine(world, made.id)).code).toBe(0)
    expect(await findFaults(world, made.id)).toEqual([])
    expect((await stateOf(world)).rows).toEqual(ROWS)

    // The next has nothing to migrate; Django is asked afterwards.
    const next = { ...deployOf('v3', 3, ROWS, { 'x-entrypoint': true }), steps: REPLACE }
    expect(await transact(world, next)).toBe('committed v3-3-1')
    expect(await transact(world, rollbackTo(made.id, 4))).toBe('committed v2-2-1')
  })

  test('what an entrypoint sets is stood in for while there is no database to wait for', async () => {
    const world = await bare(shell)
    const names = ['CELERY_BROKER_URL', 'CACHE_TIMEOUT']
    const made = deployOf('v1', 1, ROWS, { 'x-entrypoint': true, 'x-made': names })
    expect(await stage(world, made)).toMatchObject({ code: 0 })
    const asked = await call(world, 'plan', [made.id, 'plan'])
    expect(asked).toMatchObject({ code: 0, stdout: expect.stringMatching('"list"') })
    expect((await runsOf(world)).at(-1)?.environment).toMatchObject({
      DATABASE_URL: 'sqlite://:memory:',
      CELERY_BROKER_URL: 'redis://localhost:6379/0',
      CACHE_TIMEOUT: '1',
    })
    expect((await engine(world, made.id)).code).toBe(0)
    expect(await findFaults(world, made.id)).toEqual([])
    expect((await stateOf(world)).rows).toEqual(ROWS)
  })

  test('of an image without an entrypoint, or of settings that never import, the first answer is told', async () => {
    const world = await bare(shell)
    const many = Array.from({ length: 20 }, (_, index) => `NAME_${index}`)
    const made = deployOf('v1', 1, ROWS, { 'x-entrypoint': true, 'x-made': many })
    await stage(world, made)
    const first = { code: 1, stderr: expect.stringMatching(/KeyError: 'NAME_0'\s*$/) }
    expect(await call(world, 'plan', [made.id, 'plan'])).toMatchObject(first)
    expect((await runsOf(world)).length).toBeGreaterThan(10)
    await changeState(world, (state) => Object.assign(state, { entrypoint: 0 }))
    const before = (await runsOf(world)).length
    expect(await call(world, 'plan', [made.id, 'plan'])).toMatchObject(first)
    expect((await runsOf(world)).length).toBe(before + 2)
  })

  test('a migration that finds out itself that the settings need the entrypoint', async () => {
    const world = await bare(shell)
    const made = deployOf('v1', 1, ROWS, { 'x-entrypoint': true })
    expect(await transact(world, made)).toBe('committed v1-1-1')
    expect(await findFaults(world, made.id)).toEqual([])
    expect((await stateOf(world)).rows).toEqual(ROWS)
  })

  test('a job of the release runs before the app is replaced, and must succeed', async () => {
    const world = await serving(shell)
    const withJob = (version: string, run: number, exit: number): Staged => {
      const deploy = deployOf(version, run, ROWS)
      const services = { ...deploy.services, static: { image: imageOf(version), 'x-exits': exit } }
      const releaseFacts = {
        ...deploy.releaseFacts,
        services: [...SERVICES, 'job 0 static'],
        images: [...(deploy.releaseFacts?.['images'] ?? []), `static ${imageOf(version)}`],
      }
      return {
        ...deploy,
        services,
        releaseFacts,
        steps: DEPLOY.flatMap((step) => (step === 'swap' ? ['jobs', step] : [step])),
      }
    }
    const good = withJob('v2', 2, 0)
    expect(await transact(world, good)).toBe('committed v2-2-1')
    expect(await namesOf(world)).toContain('todo-static-1 exited')
    const bad = withJob('v3', 3, 1)
    expect(await logOf(world, bad)).toContain('static is exited 1')
    expect(await storyOf(world, bad.id)).toContain('jobs fail 47')
    expect(await endOf(world, bad.id)).toBe('back v2-2-1')
    expect(await findFaults(world, good.id)).toEqual([])
  })

  test('the container that migrates also collects, unless a job runs in between', async () => {
    const collectors = async (world: World): Promise<number> =>
      (await runsOf(world)).filter(({ verb }) => verb === 'collect').length
    const world = await serving(shell)
    expect(await transact(world, v2)).toBe('committed v2-2-1')
    expect(await findFaults(world, v2.id)).toEqual([])
    expect([await collectors(world), (await stateOf(world)).static]).toEqual([0, 'sha256:v2'])

    const other = await serving(shell)
    const steps = DEPLOY.flatMap((step) => (step === 'static' ? ['jobs', step] : [step]))
    expect(await transact(other, { ...v2, steps })).toBe('committed v2-2-1')
    expect([await collectors(other), (await stateOf(other)).static]).toEqual([1, 'sha256:v2'])
  })

  test('what was read once is not told again, and the end is told', async () => {
    const world = await serving(shell)
    await stage(world, v2)
    expect(await call(world, 'begin', [v2.id])).toEqual({ code: 0, stdout: '', stderr: '' })
    const followed = (await call(world, 'follow', [v2.id, '0', '0'])).stdout
    expect(followed).toMatch(/\nx (committed|ended)\n$/)
    await until('it has ended', async () => (await endOf(world, v2.id)) === 'committed v2-2-1', 30, 20)
    const more = await call(world, 'follow', [v2.id, String(followed.match(/^j /gm)?.length), '0'])
    const all = (followed + more.stdout).split('\n').slice(0, -1)
    const told = (mark: string): string[] =>
      all.filter((line) => line.startsWith(`${mark} `)).map((line) => line.slice(2))
    expect(told('j')).toEqual(await journalOf(world, v2.id))
    expect(told('l')[0]).toBe('transaction v2-2-1')
    const verbs = told('r').map((line) => (JSON.parse(line) as { verb: string }).verb)
    expect([...new Set(verbs)].sort()).toEqual(['answers', 'collect', 'http', 'migrate'])
    expect(all.at(-1)).toBe('x ended')

    const journal = told('j')
    const rest = (await call(world, 'follow', [v2.id, String(journal.length - 2), '1'])).stdout.split('\n')
    expect(rest.filter((line) => line.startsWith('j '))).toEqual(journal.slice(-2).map((line) => `j ${line}`))
    expect(rest.filter((line) => line.startsWith('l transaction'))).toEqual([])

    // A second start, by a runner that lost the connection, changes nothing.
    expect(await call(world, 'begin', [v2.id])).toMatchObject({ code: 0 })
    await call(world, 'follow', [v2.id, '0', '0'])
    expect(await journalOf(world, v2.id)).toEqual(journal)
    expect((await call(world, 'follow', ['v9-9-9', '0', '0'])).stdout).toBe('x died\n')
  })

  test('one at a time: the second waits, names the first, and finds its migrations done', async () => {
    const world = await serving(shell)
    const v3 = deployOf('v3', 3, ROWS)
    for (const staged of [v2, v3]) expect(await stage(world, staged)).toMatchObject({ code: 0 })
    const first = engine(world, v2.id)
    await until('v2 is on its way', async () => (await storyOf(world, v2.id)).length >= 2, 60, 5)
    const second = await engine(world, v3.id)
    await first
    expect(second.log).toContain('waiting for the lock, held by v2-2-1 https://ci/v2-2-1\n')
    expect([await endOf(world, v2.id), await endOf(world, v3.id)]).toEqual(['committed v2-2-1', 'committed v3-3-1'])
    expect(await findFaults(world, 'v3-3-1')).toEqual([])
    expect((await stateOf(world)).rows).toEqual(ROWS)
  })

  test('an abort while it waits for the lock ends it at once, and leaves the other alone', async () => {
    const world = await serving(shell)
    const v3 = deployOf('v3', 3, ROWS)
    for (const staged of [v2, v3]) expect(await stage(world, staged)).toMatchObject({ code: 0 })
    await call(world, 'abort', [v3.id])
    const first = engine(world, v2.id)
    await until('v2 is on its way', async () => (await storyOf(world, v2.id)).length >= 2, 60, 5)
    await engine(world, v3.id)
    expect(await storyOf(world, v3.id)).toEqual(['begin v3-3-1 v3-3-1 from v1-1-1', 'end back v1-1-1'])
    await first
    expect(await findFaults(world, 'v2-2-1')).toEqual([])
  })

  test('releases that served lately, what serves and its way back are kept; the rest goes with its images', async () => {
    const world = await serving(shell)
    const deploy = join(world.directory, '.deploy')
    for (const number of [2, 3, 4]) {
      const staged = deployOf(`v${number}`, number, ROWS)
      const files = { [`f${number}/conf`]: 'x' }
      const withFile = {
        ...staged.services?.['web'],
        image: imageOf(`v${number}`),
        volumes: [`.deploy/files/f${number}/conf:/conf`],
      }
      expect(
        await transact(world, {
          ...staged,
          files,
          services: { ...staged.services, web: withFile },
          planFacts: { ...staged.planFacts, keep: '2' },
        }),
      ).toBe(`committed ${staged.id}`)
    }
    expect(await readdir(join(deploy, 'releases'))).toEqual(['v3-3-1', 'v4-4-1'])
    expect(await readdir(join(deploy, 'plans'))).toEqual(['v3-3-1', 'v4-4-1'])
    const tags = Object.keys((await stateOf(world)).images).filter((image) => image.includes('deploy-django'))
    expect(tags.sort()).toEqual(['registry/app:deploy-django-todo-v3', 'registry/app:deploy-django-todo-v4'])
    expect(Object.keys((await stateOf(world)).images)).not.toContain(imageOf('v1'))
    // Back and forth: what served before the target was first deployed is kept although it served long ago.
    const rollback = rollbackTo('v3-3-1', 5)
    expect(await transact(world, { ...rollback, planFacts: { ...rollback.planFacts, keep: '1' } })).toBe(
      'committed v3-3-1',
    )
    expect(await readdir(join(deploy, 'releases'))).toEqual(['v3-3-1'])
    // Files of no release go when they are a day old: younger ones may be another run's, on its way.
    expect(await readdir(join(deploy, 'files'))).toEqual(['f2', 'f3', 'f4'])
    for (const name of ['f2', 'f3', 'f4']) await utimes(join(deploy, 'files', name), 1, 1)
    const v6 = deployOf('v6', 6, ROWS)
    // The database still mounts one of a release that is gone.
    const mounted = { Source: join(deploy, 'files/f2/conf'), Destination: '/conf' }
    await changeState(world, ({ containers }) => {
      const db = containers.find(({ service }) => service === 'db')
      if (db) db.spec = { ...db.spec, 'x-mounts': [mounted] }
    })
    await stage(world, deployOf('v7', 7, ROWS))
    expect(await transact(world, { ...v6, planFacts: { ...v6.planFacts, keep: '1' } })).toBe('committed v6-6-1')
    expect(await readdir(join(deploy, 'files'))).toEqual(['f2', 'f3'])
    expect(await readdir(join(deploy, 'releases'))).toEqual(['v3-3-1', 'v6-6-1', 'v7-7-1'])
  })
})

describe('what a successful deployment removes', () => {
  test('a service that is no longer named, and releases that were refused before they began', async () => {
    const world = await serving()
    const plans = join(world.directory, '.deploy/plans')
    const extra = deployOf('v2', 2, ROWS)
    const old = { image: imageOf('v2'), restart: 'always' }
    const facts = { ...extra.releaseFacts, services: [...SERVICES, 'app 1 old'] }
    const images = [...(facts.images ?? []), `old ${imageOf('v2')}`]
    expect(
      await transact(world, {
        ...extra,
        services: { ...extra.services, old },
        releaseFacts: { ...facts, images },
      }),
    ).toBe('committed v2-2-1')
    const [refused, young, forced] = [3, 4, 5].map((number) => deployOf(`v${number}`, number, ROWS))
    for (const staged of [refused, forced]) {
      if (!staged) continue
      const force = staged === forced ? 'yes' : 'no'
      await stage(world, { ...staged, planFacts: { ...staged.planFacts, force } })
      const past = new Date(Date.now() - 3_600_000)
      await utimes(join(plans, staged.id), past, past)
    }
    if (young) await stage(world, young)
    const v6 = deployOf('v6', 6, ROWS)
    expect(await logOf(world, v6)).not.toContain('No such')
    expect(await storyOf(world, v6.id)).toContain('prune end')
    expect((await namesOf(world)).join()).not.toContain('old')
    const left = ['v1-1-1', 'v2-2-1', 'v4-4-1', 'v5-5-1', 'v6-6-1']
    expect(await readdir(join(world.directory, '.deploy/releases'))).toEqual(left)
    expect(Object.keys((await stateOf(world)).images)).not.toContain(imageOf('v3'))
  })
})

describe('small things that matter', () => {
  test('a container that was started again is told with the exit code of its last death', async () => {
    const world = await serving()
    expect(await logOf(world, v2With({ 'x-crashed': [3, 0] }))).toContain('web exit=3 restarts=3')
  })

  test('a program that only Docker could stop is named, and so is a worker that is not as healthy as its image wants', async () => {
    const world = await serving()
    expect(await transact(world, v2With({ 'x-stubborn': true }))).toBe('committed v2-2-1')
    const v3 = deployOf('v3', 3, ROWS)
    const check = ['CMD', 'curl', 'localhost']
    const worker = { image: imageOf('v3'), restart: 'always', 'x-check': check, 'x-health': 'bad' }
    await changeState(world, (state) => Object.assign(state, { checks: { 'sha256:v3': check } }))
    await changeState(world, ({ images }) => (images['sha256:v3'] = 'sha256:v3'))
    const log = await logOf(world, { ...v3, services: { ...v3.services, worker } })
    expect(log).toContain('warning: todo-web-1 did not stop within its grace period, so Docker killed it\n')
    expect(log).toContain('warning: worker inherits the health check of its image, which fails in this service\n')
    expect(await endOf(world, v3.id)).toBe('committed v3-3-1')
  })

  test('a worker that cannot connect is named with the last line of its log, one that has connected is not', async () => {
    const world = await serving()
    const refused = 'consumer: Cannot connect to redis://cash:6379/0: Error -2. Trying again in 4.00 seconds... (2/100)'
    const warnings = async (number: number, lines: readonly string[]): Promise<string[] | null> => {
      const version = deployOf(`v${number}`, number, ROWS, { 'x-logs': [refused] })
      const worker = { image: imageOf(`v${number}`), restart: 'always', 'x-logs': lines }
      const log = await logOf(world, { ...version, services: { ...version.services, worker } })
      expect(await endOf(world, version.id)).toBe(`committed ${version.id}`)
      return log.match(/^warning: .*/gm)
    }
    expect(await warnings(2, [refused])).toEqual([
      `warning: worker runs, but it seems to have no connection. The last line of its log: ${refused}`,
    ])
    expect(await warnings(3, [refused, 'Connected to redis://cache:6379/0'])).toBeNull()
  })

  test('the env that came with a release is placed with it, for nobody else to read', async () => {
    const world = await serving()
    await writeFile(join(world.directory, '.env'), 'OLD=1\n', { mode: 0o644 })
    expect(await transact(world, { ...v2, env: 'NEW=1\n' })).toBe('committed v2-2-1')
    const placed = join(world.directory, '.env')
    expect([await readFile(placed, 'utf8'), (await stat(placed)).mode & 0o777]).toEqual(['NEW=1\n', 0o600])
    // A server-owned one stays as it is.
    expect(await transact(world, deployOf('v3', 3, ROWS))).toBe('committed v3-3-1')
    expect(await readFile(placed, 'utf8')).toBe('NEW=1\n')
  })

  test('one-off containers that Docker could not start are removed, those of a person that run are not', async () => {
    const world = await serving()
    await changeState(world, ({ containers }) => {
      const [first] = containers
      if (!first) throw new Error('there is no container')
      for (const state of ['created', 'running'])
        containers.push({ ...first, id: `0${state}`, name: `todo-web-run-${state}`, oneoff: 'True', state })
    })
    expect(await transact(world, v2)).toBe('committed v2-2-1')
    const names = (await stateOf(world)).containers.map(({ name }) => name)
    expect(names.filter((name) => name.includes('-run-'))).toEqual(['todo-web-run-running'])
  })

  test('nothing to do: it only looks', async () => {
    const world = await serving()
    const before = await stateOf(world)
    const look = { ...rollbackTo('v1-1-1', 2), steps: ['recover', 'fence', 'health', 'verify'] }
    expect(await transact(world, look)).toBe('unchanged v1-1-1')
    expect((await stateOf(world)).containers).toEqual(before.containers)
  })

  test('nothing to do: the container that serves is asked once, for the plan', async () => {
    const world = await serving()
    const look = lookAt('v1-1-1', 2)
    await stage(world, look)
    const before = (await runsOf(world)).length
    const asked = await call(world, 'plan', [look.id, 'plan'])
    expect(asked).toMatchObject({ code: 0, stdout: expect.stringContaining('"verb": "plan"') })
    expect((await engine(world, look.id)).code).toBe(0)
    expect(await endOf(world, look.id)).toBe('unchanged v1-1-1')
    expect((await runsOf(world)).length).toBe(before)
    expect(await reportsOf(world, look.id)).toEqual(['http'])
  })

  test('what the plan has seen is asked again when another deployment came in between', async () => {
    const world = await serving()
    await stage(world, v2)
    await appendFile(join(world.directory, '.deploy/journal', v2.id), 'T begin v2-2-1 v2-2-1 from v1-1-1\n')
    const look = lookAt('v1-1-1', 3)
    expect(await transact(world, look)).toBe('unchanged v1-1-1')
    expect(await reportsOf(world, look.id)).toEqual(['http', 'verify'])

    const late = lookAt('v1-1-1', 4)
    await stage(world, late)
    const holder = run('flock', [join(world.directory, '.deploy/lock'), 'sleep', '1'])
    await until('the lock is held', async () => isLocked(world), 10, 5)
    expect((await engine(world, late.id)).log).toContain('waiting for the lock')
    await holder
    expect(await reportsOf(world, late.id)).toEqual(['http', 'verify'])
  })

  test('the plan of a release that serves, whose settings an entrypoint makes', async () => {
    const world = await bare()
    const made = deployOf('v1', 1, ROWS, { 'x-entrypoint': true })
    expect(await transact(world, made)).toBe('committed v1-1-1')
    const look = lookAt('v1-1-1', 2)
    await stage(world, look)
    const asked = await call(world, 'plan', [look.id, 'plan'])
    expect(asked).toMatchObject({ code: 0, stdout: expect.stringContaining('"verb": "plan"') })
    expect((await runsOf(world)).at(-1)).toMatchObject({ verb: 'plan' })
  })

  test('who follows is told of the commit, while what is too old is still removed', async () => {
    const world = await serving()
    const journal = join(world.directory, '.deploy/journal', v1.id)
    const lines = (await readFile(journal, 'utf8')).split('\n')
    const committed = lines.slice(0, lines.findIndex((line) => line.endsWith(' commit end')) + 1)
    await writeFile(journal, `${committed.join('\n')}\n`)
    const alive = join(world.directory, '.deploy/plans', v1.id, 'alive')
    const follow = async (): Promise<string | undefined> =>
      (await call(world, 'follow', [v1.id, '0', '0'])).stdout.trimEnd().split('\n').at(-1)
    const living = run('flock', [alive, 'sleep', '2'])
    await until('it lives', async () => (await run('flock', ['-n', alive, 'true'])).code !== 0, 10, 5)
    expect(await follow()).toBe('x committed')
    await living
    // The next one finishes it.
    expect(await follow()).toBe('x died')
    await appendFile(journal, 'T prune begin\nT prune fail 1\nT end committed v1-1-1\n')
    expect(await follow()).toBe('x ended')
    const looked = await run('sh', ['-s', 'look', world.directory], { env: world.env, stdin: script.toString() })
    expect(looked.stdout).toMatch(/^unpruned v1-1-1$/m)
  })

  test('a line that a power cut tore does not spoil the next one', async () => {
    const world = await serving()
    await stage(world, v2)
    await appendFile(join(world.directory, '.deploy/journal', v2.id), 'T begin v2-2-1 v2-2-1 from v1-1-1\nT swap beg')
    expect(await call(world, 'recover')).toMatchObject({ code: 0 })
    expect((await storyOf(world, v2.id)).slice(1)).toEqual([
      'swap beg',
      'back begin interrupted',
      'back end',
      'end back v1-1-1',
    ])
    expect(await readCurrent(world)).toBe('v1-1-1')
  })

  test('recovery waits for whoever has the lock, and names it', async () => {
    const world = await serving()
    await stage(world, v2)
    const running = engine(world, v2.id)
    await until('v2 is on its way', async () => (await storyOf(world, v2.id)).length >= 2, 60, 5)
    const recovered = await call(world, 'recover')
    expect(recovered.stdout).toContain('waiting for the lock, held by v2-2-1')
    await running
    expect(await endOf(world, v2.id)).toBe('committed v2-2-1')
  })

  test('what ran before is read from Docker, never guessed: silence there is waited out', async () => {
    const world = await serving()
    const camera = adopt(await copyWorld(world))
    await stage(camera, v2)
    await arm(camera, { mode: 'away', at: 999, calls: 0 })
    await engine(camera, v2.id)
    // The first look after the trial is the one that counts what runs.
    const places = await placesOf(camera)
    const at = places.indexOf('before: ps', places.indexOf('after: rm todo-try')) + 1
    expect(at).toBeGreaterThan(1)
    await stage(world, v2)
    await arm(world, { mode: 'away', at, calls: 1 })
    await engine(world, v2.id)
    await disarm(world)
    expect(await storyOf(world, v2.id)).toContain('swap fail 1')
    expect((await storyOf(world, v2.id)).join()).not.toContain('web=0')
    expect(await findFaults(world, 'v1-1-1')).toEqual([])
  })
})

/** A deployment of a release that serves already, which the plan has just asked. */
function lookAt(target: string, run: number): Staged {
  const look = rollbackTo(target, run)
  return {
    ...look,
    steps: ['recover', 'fence', 'health', 'verify'],
    planFacts: { ...look.planFacts, migrated: 'yes' },
  }
}

/** The verbs of the probe of which a deployment has a report. */
async function reportsOf(world: World, id: string): Promise<string[]> {
  const names = await readdir(join(world.directory, '.deploy/journal'))
  return names
    .filter((name) => name.startsWith(`${id}.`) && name.endsWith('.json'))
    .map((name) => name.slice(id.length + 1, -'.json'.length))
    .sort()
}

async function isLocked(world: World): Promise<boolean> {
  return (await run('flock', ['-n', join(world.directory, '.deploy/lock'), 'true'])).code !== 0
}
