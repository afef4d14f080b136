import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run, type Run } from '../../../src/process.ts'
import { ROLLBACK_FACTS } from '../../../src/host/fact.ts'
import { begin, incoming, planFiles, send, stage, writeFacts, type SentFile } from '../../../src/host/stage.ts'
import { FakeServer } from './fake-server.ts'

let folder: string
let mask: number
beforeEach(async () => {
  mask = process.umask()
  folder = await mkdtemp(join(tmpdir(), 'stage-'))
})
afterEach(async () => {
  process.umask(mask)
  await rm(folder, { recursive: true })
})

describe('writeFacts', () => {
  test('makes a file of each fact, an item a line', () => {
    const files = writeFacts('plan', { target: ['v1-1-1'], approved: ['a.0001=aa', 'b.0002=bb'], 'health-timeout': [] })
    expect(files).toEqual([
      { path: 'plan/facts/target', content: 'v1-1-1\n', mode: 0o600 },
      { path: 'plan/facts/approved', content: 'a.0001=aa\nb.0002=bb\n', mode: 0o600 },
      { path: 'plan/facts/health-timeout', content: '', mode: 0o600 },
    ])
  })

  test('takes any other text as it is', () => {
    const lines = ['$(id) `id` "x" \'y\'; * ? \\ & |', 'a file with spaces', 'Grüße 日本 🚀', '-n', '']
    expect(writeFacts('.', { manage: lines })[0]?.content).toBe(lines.map((line) => `${line}\n`).join(''))
  })

  test.each([
    ['a line end', 'a\nb'],
    ['a line end at the end', 'a\n'],
    ['a carriage return', 'a\rb'],
    ['a zero byte', 'a\0'],
    ['a tab', 'a\tb'],
    ['an escape sequence', '\u001b[31m'],
    ['a deletion', 'a\u007f'],
    ['a next line', 'a\u0085b'],
  ])('refuses %s, and says in which fact', (_, line) => {
    expect(() => writeFacts('.', { services: ['web'], manage: ['fine', line] })).toThrow(
      expect.objectContaining({
        code: 'input-invalid',
        what: expect.stringContaining('"manage"'),
        seen: JSON.stringify(line),
        fix: expect.stringContaining('Compose file'),
      }),
    )
  })
})

test('planFiles brings the script, the probe and the facts', () => {
  const assets = { transaction: Buffer.from('#!/bin/sh\n'), probe: Buffer.from('import ast\n') }
  expect(planFiles('plan', assets, { keep: ['5'] }, undefined)).toEqual([
    { path: 'plan/transaction.sh', content: assets.transaction, mode: 0o700 },
    { path: 'plan/probe.py', content: assets.probe, mode: 0o600 },
    { path: 'plan/facts/keep', content: '5\n', mode: 0o600 },
    // For a rollback without GitHub, with what each exit code means.
    ...Object.entries(ROLLBACK_FACTS).map(([name, [value]]) => ({
      path: `plan/rollback/facts/${name}`,
      content: `${value}\n`,
      mode: 0o600,
    })),
    {
      path: 'plan/rollback/facts/explanations',
      content: expect.stringMatching(/^20 .*\. To fix it: /m),
      mode: 0o600,
    },
    { path: 'plan/rollback/facts/compare', content: 'yes\n', mode: 0o600 },
  ])
})

test('for who goes back by hand, the commands are those of the project', () => {
  const assets = { transaction: Buffer.from(''), probe: Buffer.from('') }
  const files = planFiles('plan', assets, {}, ['uv', 'run', 'manage.py'])
  const text = files.find(({ path }) => path === 'plan/rollback/facts/explanations')?.content.toString()
  expect(text).toContain('`uv run manage.py makemigrations --merge`')
  expect(text).not.toContain('python manage.py')
})

describe('send', () => {
  const files: SentFile[] = [
    { path: 'release/env/.env', content: 'SECRET_KEY=s3cret\n', mode: 0o600 },
    { path: 'files/aa/run.sh', content: Buffer.from([0, 255, 10]), mode: 0o755 },
    { path: 'files/bb/über uns.html', content: 'hi', mode: 0o644 },
    { path: 'files/cc/conf/sub/a.conf', content: 'a', mode: 0o644 },
    { path: './facts/keep', content: '5\n', mode: 0o600 },
  ]

  /** Unpacks what was sent as the server would: what is there then, with modes. */
  async function unpack(archive: unknown): Promise<string[]> {
    const there = join(folder, 'there')
    await mkdir(there, { mode: 0o700 })
    const done = await run('tar', ['-x', '-p', '-f', '-', '-C', there], { stdin: archive as Buffer })
    expect(done).toMatchObject({ code: 0, stderr: '' })
    const found = ['.', ...(await readdir(there, { recursive: true }))]
    return await Promise.all(
      found.sort().map(async (path) => `${((await stat(join(there, path))).mode & 0o777).toString(8)} ${path}`),
    )
  }

  test.each([0o022, 0o077, 0o002, 0o000])('gives the same modes under the umask %p', async (own) => {
    process.umask(own)
    const server = new FakeServer({}, {})
    await send(run, server, 'deploy/todo/.deploy/incoming/v1', files, folder)
    expect(server.asked).toEqual([
      'mkdir -p -m 700 deploy/todo/.deploy/incoming/v1',
      'tar -x -p -f - -C deploy/todo/.deploy/incoming/v1',
    ])
    expect(await unpack(server.calls[1]?.options.stdin)).toEqual([
      '700 .',
      '700 facts',
      '600 facts/keep',
      // A container mounts what is below, and may read it as any user.
      '755 files',
      '755 files/aa',
      '755 files/aa/run.sh',
      '755 files/bb',
      '644 files/bb/über uns.html',
      '755 files/cc',
      '755 files/cc/conf',
      '755 files/cc/conf/sub',
      '644 files/cc/conf/sub/a.conf',
      '700 release',
      '700 release/env',
      '600 release/env/.env',
    ])
    expect(await readFile(join(folder, 'there/files/aa/run.sh'))).toEqual(Buffer.from([0, 255, 10]))
    expect(await readFile(join(folder, 'there/release/env/.env'), 'utf8')).toBe('SECRET_KEY=s3cret\n')
  })

  test('names no user of the runner', async () => {
    const server = new FakeServer({}, {})
    await send(run, server, 'x', files, folder)
    const list = await run('tar', ['-t', '-v', '--numeric-owner', '-f', '-'], {
      stdin: server.calls[1]?.options.stdin as Buffer,
    })
    const owners = list.stdout
      .trim()
      .split('\n')
      .map((line) => line.split(/\s+/)[1])
    expect(new Set(owners)).toEqual(new Set(['0/0']))
  })

  test('keeps secrets in a private folder while it packs, and leaves nothing behind', async () => {
    let seen: number | undefined
    const watched: Run = async (program, args, options) => {
      seen = (await stat(args[1] ?? '')).mode & 0o777
      return await run(program, args, options)
    }
    await send(watched, new FakeServer({}, {}), 'x', files, folder)
    expect(seen).toBe(0o700)
    expect(await readdir(folder)).toEqual([])
  })

  test('leaves nothing behind when it fails either', async () => {
    const broken: Run = async () => ({ code: 2, stdout: '', stderr: 'tar: no space\n' })
    const failed = send(broken, new FakeServer(), 'x', files, folder)
    await expect(failed).rejects.toMatchObject({ code: 'internal', seen: expect.stringContaining('no space') })
    expect(await readdir(folder)).toEqual([])
  })

  test.each([
    ['server-directory', [{ code: 1, stderr: "mkdir: cannot create directory 'x': Permission denied\n" }], 'denied'],
    ['server-disk', [{}, { code: 2, stderr: 'tar: write error: No space left on device\n' }], 'No space left'],
  ])('%s explains a server that does not take it: %j', async (code, answers, seen) => {
    const failed = send(run, new FakeServer(...answers), 'deploy/x', files, folder)
    await expect(failed).rejects.toMatchObject({
      code,
      what: expect.stringContaining('deploy/x'),
      seen: expect.stringContaining(seen),
    })
  })
})

describe('stage', () => {
  const login = { registry: 'ghcr.io', username: 'octo', password: 'tok en$' }

  test('gives the login on standard input only, and shows the output of the server', async () => {
    const server = new FakeServer({ stdout: 'pulling a\npulling b\n', stderr: 'warning\n' })
    const shown: string[] = []
    await stage(server, 'deploy/todo', 'v1-1-1', [login], (line) => shown.push(line))
    const script = 'deploy/todo/.deploy/incoming/v1-1-1/plan/transaction.sh'
    expect(server.asked).toEqual([`sh ${script} stage deploy/todo v1-1-1`])
    expect(server.calls[0]?.options.stdin).toBe('ghcr.io\nocto\ntok en$\n')
    expect(shown).toEqual(['pulling a', 'pulling b'])
  })

  test('gives nothing where no login is needed', async () => {
    const server = new FakeServer({})
    await stage(server, 'deploy/todo', 'v1-1-1', [], () => {})
    expect(server.calls[0]?.options.stdin).toBe('')
  })

  test('fails with the reason of the server, without the login', async () => {
    const server = new FakeServer({
      code: 32,
      stderr: 'deploy-django: the registry ghcr.io refused the login: denied\n',
    })
    const failed = stage(server, 'deploy/todo', 'v1-1-1', [login], () => {})
    await expect(failed).rejects.toMatchObject({
      code: 'registry-login-failed',
      seen: expect.stringContaining('denied'),
    })
    await expect(failed).rejects.not.toMatchObject({ seen: expect.stringContaining('tok en$') })
  })
})

test('begin starts the script of the transaction itself, and says why it did not', async () => {
  const server = new FakeServer({}, { code: 49, stderr: 'deploy-django: the deployment did not start\n' })
  await begin(server, 'deploy/todo', 'v1-1-1')
  expect(server.asked).toEqual(['sh deploy/todo/.deploy/plans/v1-1-1/transaction.sh begin deploy/todo v1-1-1'])
  await expect(begin(server, 'deploy/todo', 'v1-1-1')).rejects.toMatchObject({ code: 'deployment-died' })
})

test('an upload waits where nothing is served from', () => {
  expect(incoming('deploy/todo', 'v1-1-1')).toBe('deploy/todo/.deploy/incoming/v1-1-1')
})
