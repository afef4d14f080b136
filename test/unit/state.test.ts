import { expect, test } from '@jest/globals'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runAction, type ActionRun } from '../run-action.ts'

/** What post knows after a main that ran these lines. */
async function postAfter(main: string): Promise<ActionRun> {
  const folder = await mkdtemp(join(tmpdir(), 'state-'))
  const state = JSON.stringify(new URL('../../src/state.ts', import.meta.url).href)
  const script = (lines: string): string => `import * as state from ${state}\n${lines}\n`
  await writeFile(join(folder, 'action.yml'), 'runs: { using: node24, main: main.mjs, post: post.mjs }')
  await writeFile(
    join(folder, 'main.mjs'),
    script(`if (state.entry === 'post') throw new Error('this is main')\n${main}`),
  )
  await writeFile(
    join(folder, 'post.mjs'),
    script('console.log(JSON.stringify([state.entry, state.temporaryFolder(), state.followed() ?? null]))'),
  )
  try {
    return await runAction({ action: join(folder, 'action.yml'), cwd: folder })
  } finally {
    await rm(folder, { recursive: true })
  }
}

test('post knows the folder and the transaction that main was following', async () => {
  const run = await postAfter(`
    state.saveTemporaryFolder('/tmp/dd-1')
    state.saveFollowed({ tid: 'v2-7-1', directory: 'deploy/todo' })`)
  expect(run).toMatchObject({ code: 0, post: { code: 0 } })
  expect(JSON.parse(run.post?.log ?? '')).toEqual(['post', '/tmp/dd-1', { tid: 'v2-7-1', directory: 'deploy/todo' }])
})

test('a transaction that ended is not followed', async () => {
  const run = await postAfter(`
    state.saveFollowed({ tid: 'v2-7-1', directory: 'deploy/todo' }); state.forgetFollowed()`)
  expect(JSON.parse(run.post?.log ?? '')).toEqual(['post', '', null])
})

test('post knows what it is after a main that left nothing, or was killed before it could', async () => {
  expect(JSON.parse((await postAfter('')).post?.log ?? '')).toEqual(['post', '', null])
})
