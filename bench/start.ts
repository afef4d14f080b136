/** What the action needs to be loaded and to end, against Node alone; see docs/benchmarks.md. */
import { run } from '../src/process.ts'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describeMachine, median, seconds, table } from './table.ts'

const TURNS = 20
const POST = fileURLToPath(new URL('../dist/post.js', import.meta.url))
const PROGRAMS = {
  'bare Node': async () => run(process.execPath, ['-e', '0']),
  'post after a step that ended well': async () => run(process.execPath, [POST]),
  'post that is loaded whole, and only removes a folder': async () => {
    const folder = await mkdtemp(join(tmpdir(), 'dd-'))
    return await run(process.execPath, [POST], { env: { ...process.env, STATE_folder: folder } })
  },
}

const times = Object.values(PROGRAMS).map((): number[] => [])
for (let turn = 0; turn < TURNS; turn += 1) {
  for (const [index, [name, start]] of Object.entries(PROGRAMS).entries()) {
    const begun = performance.now()
    const { code, stderr } = await start()
    if (code !== 0) throw new Error(`${name} ended with ${code}: ${stderr}`)
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
