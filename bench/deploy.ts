/** Deploys of the todo site by this action and by the plain recipe, in turns, on one server; see docs/benchmarks.md. */
import { readFile } from 'node:fs/promises'
import { cpus, loadavg } from 'node:os'
import { tell } from '../test/stories/story.ts'
import { bases } from '../test/world/registry.ts'
import type { Server } from '../test/world/server.ts'
import { openWorld } from '../test/world/world.ts'
import { startBare } from './bare.ts'
import { showBudget, showComparison, type Figures } from './figures.ts'
import { firstAnswer, measureOutage, watch } from './outage.ts'
import { readParts } from './parts.ts'
import { linesOf, ofProject } from '../test/world/listing.ts'

const [words = '3'] = process.argv.slice(2)
const pairs = Number(words)
if (!Number.isInteger(pairs) || pairs < 1 || pairs > 10) throw new Error(`bench/deploy [pairs], 1 to 10, not ${words}`)

const load = loadavg()[0] ?? 0
const say = (text: string): void => console.error(`bench: ${text}`)
const models = await readFile(new URL('../examples/todo/src/core/models.py', import.meta.url), 'utf8')

const world = await openWorld()
const builder = await world.server('alpha')
// `docker image prune` is about a whole server, so it is one of our own.
await using server = await world.throwaway(bases.map(([name]) => name))
await using story = await tell('todo', server)
const { project, env, name } = story
const facts = { server, registry: world.registry, workspace: project.workspace, env }

say('the first release of both sites')
const bare = await startBare({ ...facts, name: `${name}-bare` })
await deploy('first')

const ours: Figures[] = []
const theirs: Figures[] = []
try {
  for (let pair = 1; pair <= pairs; pair += 1) {
    await write(pair, `bare-${pair}`)
    await bare.build()
    await write(pair, `ours-${pair}`)
    await publish(`ours-${pair}`)
    const turns = [
      async () => theirs.push(await measure(bare.port, bare.name, `bare-${pair}`, () => bare.deploy())),
      async () => ours.push(await measure(story.port, name, `ours-${pair}`, () => deploy(`ours-${pair}`))),
    ]
    for (const turn of pair % 2 === 1 ? turns : turns.reverse()) await turn()
  }
} finally {
  await builder.remove(name)
}

const version = async (...args: string[]): Promise<string> => (await server.docker(...args)).trim()
console.log(`${new Date().toISOString().slice(0, 10)}, ${pairs} pairs in turns, ${cpus().length} x ${cpus()[0]?.model}, load ${load.toFixed(1)} before and ${(loadavg()[0] ?? 0).toFixed(1)} after, \
Docker ${await version('version', '--format', '{{.Server.Version}}')}, Compose ${await version('compose', 'version', '--short')}, Node ${process.versions.node}

${showComparison(theirs, ours)}

${showBudget(theirs, ours)}`)

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

/** Builds and pushes a release, with a dry run against another server: the one that is measured has not seen it. */
async function publish(release: string): Promise<void> {
  const run = await story.deploy('v1', {
    inputs: { host: builder.host, 'known-hosts': builder.knownHosts, 'dry-run': 'true' },
    env: named(release),
  })
  if (run.outputs['outcome'] !== 'planned') throw new Error(`the images of ${release} were not made:\n${run.log}`)
}

/** Deploys what is in the workspace; milliseconds of the parts. */
async function deploy(release: string): Promise<Map<string, number>> {
  const lines: { at: number; text: string }[] = []
  const begun = Date.now()
  const run = await story.deploy('v1', {
    env: named(release),
    onLine: (text) => lines.push({ at: Date.now(), text }),
  })
  if (run.outputs['outcome'] !== 'deployed') throw new Error(`${release} was not deployed:\n${run.log}`)
  return readParts(lines, begun, begun + run.milliseconds)
}

function named(release: string): Record<string, string> {
  return { GITHUB_REF: `refs/tags/${release}`, GITHUB_REF_NAME: release }
}

async function measure(
  port: number,
  of: string,
  release: string,
  work: () => Promise<Map<string, number>>,
): Promise<Figures> {
  const poll = await watch(port)
  const begun = Date.now()
  const parts = await work()
  const wall = Date.now() - begun
  const answers = await poll.until(release)
  const figures = {
    wall,
    parts,
    serves: firstAnswer(answers, release) - begun,
    started: await countStarts(server, of, begun, Date.now()),
    outage: measureOutage(answers),
  }
  say(`${release}: ${wall} ms, outage ${figures.outage.sum} ms`)
  return figures
}

/** Containers of a project that were started between two times. */
async function countStarts(on: Server, of: string, since: number, until: number): Promise<number> {
  const range = ['--since', String(since / 1000), '--until', String(until / 1000)]
  const filters = ['--filter', 'type=container', '--filter', 'event=start', ...ofProject(of)]
  return linesOf(await on.docker('events', ...range, ...filters, '--format', '{{.ID}}')).length
}
