import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { codes, giveWord, meanwhile, patientMigration, tell, type Story } from './story.ts'
import type { Server } from '../world/server.ts'
import { openWorld } from '../world/world.ts'
import { linesOf, ofProject } from '../world/listing.ts'
import { until } from '../until.ts'

/**
 * A signal to the transaction's processes: they name the project's folder from the root on, or the migration that they
 * wait for. Followers and Docker's own processes do not.
 */
async function signal({ server, name }: Story, kind: 'STOP' | 'KILL'): Promise<void> {
  const processes = `/home/deploy/deploy/${name}|docker (wait|logs).* ${name}-migrate`
  expect(await server.exec(['pkill', `-${kind}`, '-f', processes], { as: 'root' })).toMatchObject({
    code: 0,
    stderr: '',
  })
}

const OLD_APP_DIES = `mkfifo "/run/$name"
docker events --since "$since" --filter event=die --filter "label=com.docker.compose.project=$name" \
  --filter label=com.docker.compose.service=project --filter label=com.docker.compose.oneoff=False \
  </dev/null >"/run/$name" &
trap "kill $! 2>/dev/null; rm '/run/$name'" EXIT
read -r _ <"/run/$name"`
const COMMITTED = `until [ "$(cat "deploy/$name/.deploy/current")" != "$current" ]; do sleep 0.01; done`

/** Waits on the server for a moment, then runs a command there at once. */
async function at({ server, name }: Story, moment: string, command: string): Promise<void> {
  const script = `name=$1 since=$(date +%s) current=$(cat "/home/deploy/deploy/$1/.deploy/current")
    cd /home/deploy
    ${moment} && ${command}`
  const done = await server.exec(['timeout', '240', 'sh', '-s', name], { stdin: script, as: 'root' })
  expect(done).toMatchObject({ code: 0, stderr: '' })
}

/** Stops the transaction's processes at a moment, so that they can be killed in exactly that state. */
const stopAt = (story: Story, moment: string): Promise<void> =>
  at(story, moment, 'pkill -STOP -f "/home/deploy/deploy/$name"')

/** A migration that does nothing but leave its row. */
const emptyMigration = (name: string, after: string): Record<string, string> => ({
  [`src/core/migrations/${name}.py`]: `from django.db import migrations

class Migration(migrations.Migration):
    dependencies = [('core', '${after}')]
    operations = []
`,
})

async function expectServes(story: Story, version: string): Promise<void> {
  expect(await story.serves()).toBe(version)
  await story.expectWhole()
  expect((await story.journal()).at(-1)).toMatch(/^end (committed|back|unchanged) /)
}

describe('the transaction is killed on the server', () => {
  let story: Story
  beforeAll(async () => {
    story = await tell('todo')
    expect((await story.deploy('v1')).outputs['outcome']).toBe('deployed')
  })
  afterAll(async () => {
    await story[Symbol.asyncDispose]()
  })

  test('while it migrates: the migration ends in peace, the follower brings back the release before', async () => {
    await story.change('a', patientMigration('0002_first', '0001_initial'))
    const run = await meanwhile(
      (options) => story.deploy('a', options),
      /0002_first waits/,
      async () => {
        await signal(story, 'KILL')
        await until('recovery goes back', async () => (await story.journal()).includes('undo begin'))
        const state = await story.server.docker('inspect', '-f', '{{.State.Status}}', `${story.name}-migrate`)
        expect(state).toBe('running')
        await giveWord(story, 'migrate')
      },
    )
    expect(codes(run)).toEqual(['Deploy Django: deployment-died'])
    expect(run.outputs).toMatchObject({ outcome: 'failed', serving: 'v1' })
    expect(await story.migrations()).toEqual(['0001_initial', '0002_first'])
    await expectServes(story, 'v1')

    const next = await story.deploy('a')
    expect(next.outputs).toMatchObject({ outcome: 'deployed', serving: 'a', migrations: '[]' })
    expect(await story.migrations()).toEqual(['0001_initial', '0002_first'])
    await expectServes(story, 'a')
  })

  test('between the old container and the new one, and the runner with it: the next deploy goes back first', async () => {
    await story.change('b')
    const [lost] = await Promise.all([
      story.deploy('b', { kill: { at: /\bswap begins/, signal: 'SIGKILL' }, env: { RUNNER_DEBUG: '1' } }),
      stopAt(story, OLD_APP_DIES),
    ])
    expect(lost.post).toBeUndefined()
    expect((await story.journal()).at(-1)).toMatch(/^swap begin/)
    await signal(story, 'KILL')

    const next = await story.deploy('b')
    expect(next.log).toContain('which was interrupted')
    expect(next.outputs).toMatchObject({ outcome: 'deployed', serving: 'b', 'previous-version': 'a' })
    await expectServes(story, 'b')
  })

  test('just before the commit: what was verified goes forward, and the job is green', async () => {
    await story.change('c', emptyMigration('0003_second', '0002_first'))
    // The commit waits for somebody who reads this.
    const folder = `deploy/${story.name}/.deploy`
    expect(await story.server.exec(['mkfifo', `${folder}/current.new`])).toMatchObject({ code: 0 })
    const run = await meanwhile(
      (options) => story.deploy('c', options),
      /\bcommit begins/,
      async () => {
        const before = ['test', '-s', `${folder}/transaction.new`]
        await until('the commit is at its last file', async () => (await story.server.exec(before)).code === 0)
        await story.server.exec(['rm', `${folder}/current.new`])
        expect((await story.server.exec(['cat', `${folder}/current`])).stdout).toMatch(/^b-/)
        await signal(story, 'KILL')
      },
    )
    expect(run.annotations).toEqual([])
    expect(run.outputs).toMatchObject({ outcome: 'deployed', serving: 'c', 'previous-version': 'b' })
    expect(await story.migrations()).toEqual(['0001_initial', '0002_first', '0003_second'])
    await expectServes(story, 'c')
  })

  test('just after the commit, and the runner with it: the next deploy finds it done', async () => {
    await story.change('d')
    const [lost] = await Promise.all([
      // Long before the commit: a runner that still lives might read that the deployment was committed.
      story.deploy('d', { kill: { at: /\bswap begins/, signal: 'SIGKILL' }, env: { RUNNER_DEBUG: '1' } }),
      stopAt(story, COMMITTED),
    ])
    expect(lost.post).toBeUndefined()
    expect((await story.journal()).at(-1)).toMatch(/^(commit|prune) /)
    await signal(story, 'KILL')

    const next = await story.deploy('d')
    expect(next.log).toContain('which was interrupted')
    expect(next.outputs).toMatchObject({ outcome: 'unchanged', serving: 'd' })
    await expectServes(story, 'd')
  })
})

/** How far the trial container is when the transaction dies; Docker tells. */
const trialAt = (event: string): string =>
  `mkfifo "/run/$name"
docker events --since "$since" --filter event=${event} --filter "container=$name-try" </dev/null >"/run/$name" &
trap "kill $! 2>/dev/null; rm '/run/$name'" EXIT
read -r _ <"/run/$name"`

describe('the transaction is killed in the trial of a release, and the runner with it', () => {
  let story: Story
  beforeAll(async () => {
    story = await tell('todo')
    expect((await story.deploy('v1')).outputs['outcome']).toBe('deployed')
  })
  afterAll(async () => {
    await story[Symbol.asyncDispose]()
  })

  test.each([
    ['while the container starts', 'create', 'f'],
    ['while it is asked', 'exec_start', 'g'],
    ['while it is removed', 'die', 'h'],
  ])('%s: the next deploy leaves none of it', async (_, event, version) => {
    await story.change(version)
    const served = await siteOf(story)
    const before = await story.serves()
    const [lost] = await Promise.all([
      story.deploy(version, { kill: { at: /\btry begins/, signal: 'SIGKILL' }, env: { RUNNER_DEBUG: '1' } }),
      stopAt(story, trialAt(event)),
    ])
    expect(lost.post).toBeUndefined()
    expect((await story.journal()).at(-1)).toBe('try begin')
    await signal(story, 'KILL')
    expect(await siteOf(story)).toEqual(served)
    expect(await story.serves()).toBe(before)

    const next = await story.deploy(version)
    expect(next.log).toContain('which was interrupted')
    expect(next.outputs).toMatchObject({ outcome: 'deployed', serving: version })
    expect(await trials(story)).toEqual([])
    await expectServes(story, version)
  })

  test('and a rollback recovers as well', async () => {
    await story.change('i')
    await Promise.all([
      story.deploy('i', { kill: { at: /\btry begins/, signal: 'SIGKILL' }, env: { RUNNER_DEBUG: '1' } }),
      stopAt(story, trialAt('exec_start')),
    ])
    await signal(story, 'KILL')
    expect(await trials(story)).toHaveLength(1)
    expect((await story.rollback('g')).outputs).toMatchObject({ outcome: 'rolled-back', serving: 'g' })
    expect(await trials(story)).toEqual([])
    await expectServes(story, 'g')
  })
})

/** The containers that serve: their service and id. */
const siteOf = async ({ server, name }: Story): Promise<string[]> => {
  const own = [...ofProject(name), '--filter', 'label=com.docker.compose.oneoff=False']
  const format = '{{.Label "com.docker.compose.service"}} {{.ID}}'
  return linesOf(await server.docker('ps', '-a', ...own, '--format', format)).sort()
}

const trials = async ({ server, name }: Story): Promise<string[]> =>
  linesOf(await server.docker('ps', '-aq', '--filter', `label=deploy-django.tries=${name}`))

describe('the server itself fails between the old container and the new one', () => {
  let server: Server & AsyncDisposable
  let story: Story
  beforeAll(async () => {
    server = await (await openWorld()).throwaway()
    story = await tell('todo', server)
    expect((await story.deploy('v1')).outputs['outcome']).toBe('deployed')
  })
  afterAll(async () => {
    await server[Symbol.asyncDispose]()
    await story.project[Symbol.asyncDispose]()
  })

  test('Docker is killed and comes back: the transaction waits for it, and ends by itself', async () => {
    const run = await meanwhile(
      async (options) => {
        const killDocker = at(story, OLD_APP_DIES, 'touch /run/docker.held && pkill -KILL -x dockerd')
        const [run] = await Promise.all([story.deploy('v2', options), killDocker])
        return run
      },
      /docker does not answer: waiting for it/,
      () => server.startDocker(),
    )
    // A Docker that comes back may kill the containers that it finds running.
    expect(run.annotations.filter(({ message }) => !message.endsWith('so Docker killed it'))).toEqual([])
    expect(run.outputs).toMatchObject({ outcome: 'deployed', serving: 'v2' })
    expect(await story.migrations()).toEqual(['0001_initial', '0002_todo_due'])
    await expectServes(story, 'v2')
  })

  test('the power is cut: when the server boots, cron brings back the release before', async () => {
    await story.change('e')
    const [lost] = await Promise.all([
      story.deploy('e', { kill: { at: /\bswap begins/, signal: 'SIGKILL' }, env: { RUNNER_DEBUG: '1' } }),
      stopAt(story, OLD_APP_DIES).then(() => server.cutPower()),
    ])
    expect(lost.post).toBeUndefined()
    await server.boot()
    await until('the transaction has ended', async () => /^end /.test((await story.journal()).at(-1) ?? ''))
    expect(await story.serves()).toBe('v2')
    expect(await story.migrations()).toEqual(['0001_initial', '0002_todo_due'])
    await expectServes(story, 'v2')
    expect((await story.status()).summary).toContain('cron finishes what was interrupted')
  })
})
