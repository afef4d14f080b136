/** Deploys of releases that cannot serve: how long the site is down, and how soon the step is red; see docs/benchmarks.md. */
import { deployWith, makeBroken, secondsOf, SERVERS, type Env } from '../test/stories/broken.ts'
import { measureOutage, watch } from './outage.ts'
import { describeMachine, seconds, table } from './table.ts'

const KINDS: readonly (readonly [name: string, env: Env])[] = [
  ['exits at import', { FAULT: 'exit' }],
  ['hangs at import', { FAULT: 'hang' }],
  ['answers 500', { FAULT: 'page', CHECK: 'up' }],
  ['its health command fails', { CHECK: 'healthz' }],
  ['lacks a variable', { FAULT: 'lacks' }],
]

await using shape = await makeBroken()
const good = await deployWith(shape, 'good')
if (good.outputs['outcome'] !== 'deployed') throw new Error(`the first release was not deployed:\n${good.log}`)

const rows: string[][] = []
for (const [index, [name, env]] of KINDS.entries()) {
  const version = `broken-${index + 1}`
  console.error(`bench: ${name}`)
  const poll = await watch(Number(new URL(shape.url).port))
  const run = await deployWith(shape, version, env)
  const outage = measureOutage(await poll.until('good'))
  const trial = await secondsOf(shape, version)
  const [said = ''] = (run.annotations[0]?.message ?? `the step is not red: ${run.outputs['outcome']}`).split('\n')
  rows.push([
    name,
    seconds(outage.sum),
    trial === undefined ? '-' : seconds(trial * 1000),
    seconds(run.milliseconds),
    said,
  ])
}

console.log(`${describeMachine()}, ${SERVERS.sync}

${table(['the new release …', 'outage', 'trial', 'red after', 'what the error says'], rows)}`)
