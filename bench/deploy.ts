/** Deploys of the todo site by this action and by the plain recipe, in turns, on one host; see docs/benchmarks.md. */
import { readFile } from 'node:fs/promises'
import { tell } from '../test/stories/story.ts'
import { bases } from '../test/world/registry.ts'
import type { Server } from '../test/world/server.ts'
import { openWorld } from '../test/world/world.ts'
import { startBare } from './bare.ts'
import { showBudget, showComparison, type Figures, type NoOp } from './figures.ts'
import { firstAnswer, measureOutage, watch } from './outage.ts'
import { readParts } from './parts.ts'
import { describeMachine } from './table.ts'
import { linesOf, ofProject } from '../test/world/listing.ts'

const [words = '3'] = process.argv.slice(2)
const pairs = Number(words)
if (!Number.isInteger(pairs) || pairs < 1 || pairs > 10) throw new Error(`bench/deploy [pairs], 1 to 10, not ${words}`)

/** What `docker exec` does is no touch. */
const TOUCHES = ['create', 'start', 'kill', 'die', 'stop', 'restart', 'rename', 'update', 'destroy']

const say = (text: string): void => console.error(`bench: ${text}`)
const models = await readFile(new URL('../examples/todo/src/core/models.py', import.meta.url), 'utf8')

const world = await openWorld()
const builder = await world.server('alpha')
// `docker image prune` is about a whole host, so it is one of our own.
await using server = await world.throwaway(bases.map(([name]) => name))
await using story = await tell('todo', server)
const { project, env, name } = story
const facts = { server, registry: world.registry, workspace: project.workspace, env }

say('the first release of both sites')
const bare = await startBare({ ...facts, name: `${name}-bare` })
await deploy('first')

const ours: Figures[] = []
const theirs: Figures[] = []
const noOps: NoOp[] = []
try {
  for (let pair = 1; pair <= pairs; pair += 1) {
    await write(pair, `bare-${pair}`)
    await bare.build()
    await write(pair, `ours-${pair}`)
    await publish(`ours-${pair}`)
    const turns = [
      async () => theirs.push(await measure(bare.port, bare.name, `bare-${pair}`, deployBare)),
      async () => ours.push(await measure(story.port, name, `ours-${pair}`, () => deploy(`ours-${pair}`))),
    ]
    for (const turn of pair % 2 === 1 ? turns : turns.reverse()) await turn()
    noOps.push(await deployAgain(`ours-${pair}`))
  }
} finally {
  await builder.remove(name)
}

const version = async (...args: string[]): Promise<string> => (await server.docker(...args)).trim()
console.log(`${describeMachine()}, ${pairs} pairs in turns, \
Docker ${await version('version', '--format', '{{.Server.Version}}')}, Compose ${await version('compose', 'version', '--short')}

${showComparison(theirs, ours, noOps)}

${showBudget(theirs, ours, noOps)}`)

/** The next release: another text, and one more column with its migration. */
async function write(number: number, release: string): Promise<void> {
  const fields = Array.from({ length: number }, (_, index) => `    extra_${index + 1} = models.TextField(null=True)\n`)
  await project.write('src/core/models.py', models.replace(/^ {4}created/m, `${fields.join('')}$&`))
  await project.write(
    `src/core/migrations/${String(number + 1).padStart(4, '0')}_extra.py`,
    `from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [('core', '${number === 1 ? '0001_initial' : `${String(number).padStart(4, '0')}_extra`}')]
    operations = [migrations.AddField('todo', 'extra_${number}', models.TextField(null=True))]
`,
  )
  await project.write('src/VERSION', `${release}\n`)
}

/** Builds and pushes a release, with a dry run against another host: the one that is measured has not seen it. */
async function publish(release: string): Promise<void> {
  const run = await story.deploy('v1', {
    inputs: { host: builder.host, 'known-hosts': builder.knownHosts, 'dry-run': 'true' },
    env: named(release),
  })
  if (run.outputs['outcome'] !== 'planned') throw new Error(`the images of ${release} were not made:\n${run.log}`)
}

/** Milliseconds of a deploy and of its parts. */
type Timed = Pick<Figures, 'wall' | 'parts'>

async function deployBare(): Promise<Timed> {
  const begun = Date.now()
  const parts = await bare.deploy()
  return { wall: Date.now() - begun, parts }
}

/** Deploys what is in the workspace. */
async function deploy(release: string, outcome = 'deployed'): Promise<Timed> {
  const lines: { at: number; text: string }[] = []
  const begun = Date.now()
  const run = await story.deploy('v1', {
    env: named(release),
    onLine: (text) => lines.push({ at: Date.now(), text }),
  })
  if (run.outputs['outcome'] !== outcome) throw new Error(`${release} is not ${outcome}:\n${run.log}`)
  return { wall: run.milliseconds, parts: readParts(lines, begun, begun + run.milliseconds) }
}

function named(release: string): Record<string, string> {
  return { GITHUB_REF: `refs/tags/${release}`, GITHUB_REF_NAME: release }
}

async function measure(port: number, of: string, release: string, work: () => Promise<Timed>): Promise<Figures> {
  const poll = await watch(port)
  const begun = Date.now()
  const timed = await work()
  const answers = await poll.until(release)
  const figures = {
    ...timed,
    serves: firstAnswer(answers, release) - begun,
    started: await countContainers(server, of, ['start'], begun, Date.now()),
    outage: measureOutage(answers),
  }
  say(`${release}: ${timed.wall} ms, outage ${figures.outage.sum} ms`)
  return figures
}

/** Deploys the release that serves once more. */
async function deployAgain(release: string): Promise<NoOp> {
  const begun = Date.now()
  const timed = await deploy(release, 'unchanged')
  const touched = await countContainers(server, name, TOUCHES, begun, Date.now())
  say(`${release} again: ${timed.wall} ms, ${touched} containers touched`)
  return { ...timed, touched }
}

/** Containers of a project to which one of these things happened between two times. */
async function countContainers(
  on: Server,
  of: string,
  happened: readonly string[],
  since: number,
  until: number,
): Promise<number> {
  const range = ['--since', String(since / 1000), '--until', String(until / 1000)]
  const filters = ['type=container', ...happened.map((event) => `event=${event}`)].flatMap((each) => ['--filter', each])
  const listed = await on.docker('events', ...range, ...filters, ...ofProject(of), '--format', '{{.ID}}')
  return new Set(linesOf(listed)).size
}
