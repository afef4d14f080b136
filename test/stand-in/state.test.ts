import { expect, test } from '@jest/globals'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runAction, type ActionRun } from '../run-action.ts'

/** What post knows after a main that ran these lines. */
async function postAfter(main: string): Promise<ActionRun> {
  const folder = await mkdtemp(join(tmpdir(), 'state-'))
  const state = JSON.stringify(new URL('../../src/github/state.ts', import.meta.url).href)
  const script = (lines: string): string => `import * as state from ${state}\n${lines}\n`
  await writeFile(join(folder, 'action.yml'), 'runs: { using: node24, main: main.mjs, post: post.mjs }')
  await writeFile(
    join(folder, 'main.mjs'),
    script(`if (state.entry === 'post') throw new Error('this is main')\n${main}`),
  )
  await writeFile(
    join(folder, 'post.mjs'),
    script(
      'console.log(JSON.stringify([state.entry, state.temporaryFolder(), state.followed() ?? null, state.savedRecord() ?? null]))',
    ),
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
    state.saveFollowed({ tid: 'v2-7-1', directory: 'deploy/todo', manage: ['uv', 'run', 'manage.py'] })`)
  expect(run).toMatchObject({ code: 0, post: { code: 0 } })
  const followed = { tid: 'v2-7-1', directory: 'deploy/todo', manage: ['uv', 'run', 'manage.py'] }
  expect(JSON.parse(run.post?.log ?? '')).toEqual(['post', '/tmp/dd-1', followed, null])
})

test('post knows the record that main opened', async () => {
  const open = {
    id: 42,
    apiUrl: 'https://api.github.com',
    repository: 'owner/shop',
    commit: 'abc',
    environment: 'production',
    description: 'v2',
    runUrl: 'https://github.com/owner/shop/actions/runs/7',
    runId: 7,
    siteUrl: 'https://shop.example.com',
  }
  const run = await postAfter(`state.saveRecord(${JSON.stringify(open)})`)
  expect(JSON.parse(run.post?.log ?? '').at(-1)).toEqual(open)
})

test('a transaction that ended is not followed', async () => {
  const run = await postAfter(`
    state.saveFollowed({ tid: 'v2-7-1', directory: 'deploy/todo', manage: ['python', 'manage.py'] }); state.forgetFollowed()`)
  expect(JSON.parse(run.post?.log ?? '')).toEqual(['post', '', null, null])
})

test('post knows what it is after a main that left nothing, or was killed before it could', async () => {
  expect(JSON.parse((await postAfter('')).post?.log ?? '')).toEqual(['post', '', null, null])
})
