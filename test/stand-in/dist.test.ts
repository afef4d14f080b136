import { describe, expect, test } from '@jest/globals'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { tmpdir } from 'node:os'
import { basename } from 'node:path'
import { readAssets, readProbe } from '../../src/host/assets.ts'
import { runAction } from '../run-action.ts'

const bytes = (path: string): Buffer => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)))

/** `npm run build` mends these when they fail. */
describe('dist', () => {
  const parts = ['host/transaction', 'django/probe'].flatMap((folder) =>
    readdirSync(fileURLToPath(new URL(`../../src/${folder}`, import.meta.url))).map((part) => `${folder}/${part}`),
  )
  test.each(parts)('has src/%s, byte for byte', (path) => {
    expect(bytes(`dist/${basename(path)}`).equals(bytes(`src/${path}`))).toBe(true)
  })

  test('is at most 2 MB, which each job of each user downloads', () => {
    const names = readdirSync(fileURLToPath(new URL('../../dist', import.meta.url)))
    const size = names.reduce((sum, name) => sum + bytes(`dist/${name}`).length, 0)
    expect(size).toBeLessThanOrEqual(2_000_000)
  })

  test('every part of the script and of the probe is sent', async () => {
    const [{ transaction }, probe] = [await readAssets(), await readProbe()]
    expect(
      parts.filter((part) => !transaction.includes(bytes(`src/${part}`)) && !probe.includes(bytes(`src/${part}`))),
    ).toEqual([])
  })

  test.each(['action.yml', 'rollback/action.yml'])(
    '%s stops on its inputs, all at once, with one annotation',
    async (action) => {
      const inputs = { host: 'example.org', 'ssh-key': 'secret-secret', 'dry-run': 'maybe' }
      const run = await runAction({ action, inputs, cwd: tmpdir() })
      expect(run.code).toBe(1)
      expect(run.annotations).toHaveLength(1)
      expect(run.annotations[0]?.properties).toEqual({ title: 'Deploy Django: input-invalid' })
      for (const name of ['host', 'ssh-key', 'known-hosts', 'dry-run']) expect(run.log).toContain(`Input ${name} `)
      expect(run.annotations[0]?.message).toMatch(
        /\n {2}see: {3}https:\/\/github\.com\/octo\/deploy-django\/blob\/v1\/docs\/troubleshooting\.md#input-invalid\n.*#input-missing$/,
      )
      expect(run.raw).not.toContain('secret-secret')
      expect(run.outputs).toMatchObject({ outcome: 'failed' })
      expect(run.post).toMatchObject({ code: 0, annotations: [] })
      // Main removes its folder itself; post is for a main that could not.
      expect((await runAction({ action, inputs, cwd: tmpdir(), post: false })).leftovers).toEqual([])
    },
  )
})
