/** What the action needs to be loaded and to end, against Node alone; see docs/benchmarks.md. */
import { run } from '../src/process.ts'
import { fileURLToPath } from 'node:url'
import { describeMachine, median, seconds, table } from './table.ts'

const TURNS = 20
const PROGRAMS = {
  'bare Node': ['-e', '0'],
  'the action with nothing to do': [fileURLToPath(new URL('../dist/post.js', import.meta.url))],
}

const times = Object.values(PROGRAMS).map((): number[] => [])
for (let turn = 0; turn < TURNS; turn += 1) {
  for (const [index, argv] of Object.values(PROGRAMS).entries()) {
    const begun = performance.now()
    const { code, stderr } = await run(process.execPath, argv)
    if (code !== 0) throw new Error(`${argv.join(' ')} ended with ${code}: ${stderr}`)
    times[index]?.push(performance.now() - begun)
  }
}

const [bare = []] = times
const rows = Object.keys(PROGRAMS).map((name, index) => {
  const own = times[index] ?? []
  const ratio = median(own) / median(bare)
  return [name, seconds(median(own)), seconds(Math.min(...own)), ratio.toFixed(2)]
})
console.log(`${describeMachine()}, ${TURNS} starts in turns

${table(['program', 'median', 'best', 'ratio'], rows)}`)
