import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runAction } from '../run-action.ts'
import { until } from '../until.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'action-'))
})
afterEach(() => rm(folder, { recursive: true }))

const metadata = `
inputs:
  name: { default: World }
  who-pays: { default: '\${{ github.actor }}' }
runs: { using: node24, main: main.cjs, post: post.cjs }
`
const helpers = `
const { appendFileSync } = require('node:fs')
const put = (file, name, value) => appendFileSync(process.env[file], name + '<<EOF_1\\n' + value + '\\nEOF_1\\n')
`

async function action(main: string, post = ''): Promise<{ action: string; cwd: string }> {
  await writeFile(join(folder, 'action.yml'), metadata)
  await writeFile(join(folder, 'main.cjs'), helpers + main)
  await writeFile(join(folder, 'post.cjs'), helpers + post)
  return { action: join(folder, 'action.yml'), cwd: folder }
}

test('inputs, outputs, state and summary pass as with the runner', async () => {
  const fixture = await action(
    `put('GITHUB_OUTPUT', 'greeting', 'Hello\\n' + process.env.INPUT_NAME)
     put('GITHUB_OUTPUT', 'payer', process.env['INPUT_WHO-PAYS'])
     put('GITHUB_OUTPUT', 'empty', '')
     put('GITHUB_STATE', 'phase', 'one'); put('GITHUB_STATE', 'phase', 'two')
     appendFileSync(process.env.GITHUB_STEP_SUMMARY, '# Done')
     require('node:fs').writeFileSync(process.env.RUNNER_TEMP + '/left', '')
     process.exitCode = 3`,
    `console.log('post saw', process.env.STATE_phase, process.env.INPUT_NAME)`,
  )
  const run = await runAction({ ...fixture, inputs: { name: 'Ada' }, env: { GITHUB_ACTOR: 'ada' } })
  expect(run).toMatchObject({
    code: 3,
    outputs: { greeting: 'Hello\nAda', payer: 'ada', empty: '' },
    state: { phase: 'two' },
    summary: '# Done',
    leftovers: ['left'],
    post: { code: 0, log: 'post saw two Ada' },
  })
})

test('an input that the action does not have is a mistake of the test', async () => {
  const fixture = await action('')
  await expect(runAction({ ...fixture, inputs: { nmae: 'x' } })).rejects.toThrow('no input nmae')
})

test('commands become annotations, and masks cover the log from then on', async () => {
  const fixture = await action(`
    console.log('::add-mask::hunter2'); console.log('the password is hunter2')
    console.log('::error file=a.py,line=3,title=Oh%3A no::first%0Ahunter2'); console.error('to stderr')`)
  const run = await runAction(fixture)
  expect(run.log.split('\n')).toEqual(
    expect.arrayContaining(['the password is ***', '##[error]first', '***', 'to stderr']),
  )
  expect(run.raw).toContain('the password is hunter2')
  expect(run.annotations).toEqual([
    { kind: 'error', message: 'first\n***', properties: { file: 'a.py', line: '3', title: 'Oh: no' } },
  ])
})

const family = `
  const child = require('node:child_process').spawn('sleep', ['1000'], { detached: true, stdio: 'inherit' })
  require('node:fs').writeFileSync('child', String(child.pid))
  console.log('working'); setInterval(() => {}, 1000)
`
/** Waits until the child is gone: a killed process takes its moment to die. */
const end = async (): Promise<void> => {
  const path = `/proc/${await readFile(join(folder, 'child'), 'utf8')}/stat`
  await until(
    'the child is gone',
    async () => (await readFile(path, 'utf8').catch(() => ' Z ')).includes(' Z '),
    30,
    10,
  )
}

test('a cancelled job gets SIGINT, runs post, and what it left is killed', async () => {
  const fixture = await action(
    `process.on('SIGINT', () => { console.log('cancelled'); process.exit(1) })` + family,
    `console.log('post')`,
  )
  const run = await runAction({ ...fixture, kill: { at: /working/, signal: 'SIGINT' } })
  expect(run).toMatchObject({ code: 1, log: 'working\ncancelled', post: { log: 'post' } })
  await end()
})

test('a lost runner ends everything at once, without post', async () => {
  const fixture = await action(`process.on('SIGINT', () => console.log('cancelled'))` + family, `console.log('post')`)
  const run = await runAction({ ...fixture, kill: { at: /working/, signal: 'SIGKILL' } })
  expect(run).toMatchObject({ code: 137, log: 'working', post: undefined })
  await end()
})
