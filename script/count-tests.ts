/** Sums what script/test has run: the slowest ten tests, what was skipped and why, and the line `N passed, N failed`. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

type Test = { ancestorTitles: string[]; title: string; status: string; duration?: number | null }
type Suite = { name: string; message: string; assertionResults: Test[]; status: string }
type Results = { testResults: Suite[] }

const folder = process.argv[2]
if (folder === undefined) throw new Error('usage: script/count-tests.ts FOLDER')

const failures: string[] = []
const skipped: string[] = []
const durations: { name: string; milliseconds: number }[] = []
let passed = 0

for (const line of readFileSync(join(folder, 'checks'), 'utf8').trim().split('\n')) {
  if (line.startsWith('passed ')) passed += 1
  else failures.push(line.replace('failed ', ''))
}
for (const project of ['unit', 'stand-in', 'stories']) {
  for (const suite of suitesOf(project)) {
    // A suite that could not even start has no tests, and is a failure all the same.
    if (suite.status === 'failed' && suite.assertionResults.every((test) => test.status !== 'failed')) {
      failures.push(`${suite.name}: ${suite.message.split('\n')[0] ?? ''}`)
    }
    for (const test of suite.assertionResults) {
      const name = [...test.ancestorTitles, test.title].join(' › ')
      if (test.status === 'passed') passed += 1
      else if (test.status === 'failed') failures.push(name)
      else skipped.push(name)
      if (test.duration) durations.push({ name, milliseconds: test.duration })
    }
  }
}
/** A skipped test says why in its own name. */
const silent = skipped.filter((name) => !/\(skipped: .+\)/.test(name))
failures.push(...silent.map((name) => `${name}: skipped without a reason, add "(skipped: …)" to its name`))

console.log('\nThe slowest ten:')
for (const { name, milliseconds } of durations.sort((a, b) => b.milliseconds - a.milliseconds).slice(0, 10)) {
  console.log(`${(milliseconds / 1000).toFixed(1).padStart(7)} s  ${name}`)
}
if (skipped.length > 0) console.log(['', 'Skipped:', ...skipped].join('\n  '))
if (failures.length > 0) console.log(['', 'Failed:', ...failures].join('\n  '))
console.log(`\n${passed} passed, ${failures.length} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ''}`)
process.exitCode = failures.length > 0 || passed === 0 ? 1 : 0

function suitesOf(project: string): Suite[] {
  try {
    return (JSON.parse(readFileSync(join(String(folder), `${project}.json`), 'utf8')) as Results).testResults
  } catch (error) {
    failures.push(`${project} tests left no results: ${String(error)}`)
    return []
  }
}
