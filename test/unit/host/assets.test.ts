import { expect, test } from '@jest/globals'
import { inflateSync } from 'node:zlib'
import { readAssets, readProbe } from '../../../src/host/assets.ts'
import { run } from '../../../src/process.ts'

/** What Python reads of a program on standard input, with the line of each part, but for docstrings and numbers of columns. */
const READ = `
import ast, sys
tree = ast.parse(sys.stdin.read())
for node in ast.walk(tree):
    body = getattr(node, "body", None)
    if isinstance(body, list) and body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        del body[0]
for node in ast.walk(tree):
    print(type(node).__name__, getattr(node, "lineno", ""), getattr(node, "name", ""), getattr(node, "value", "") if isinstance(node, ast.Constant) else "")
`
const read = async (program: string): Promise<string> => {
  const said = await run('python3', ['-c', READ], { stdin: program })
  expect(said).toMatchObject({ code: 0, stderr: '' })
  return said.stdout
}

test('the probe is one word that any entrypoint passes on, far below the 128 KiB that Linux allows', async () => {
  const word = (await readAssets()).probe.toString()
  expect(word).toMatch(/^exec\([\w.,:'(){}+/=]+\)$/)
  expect(word.length).toBeLessThan(65_536)
  const packed = /b64decode\('([^']+)'\)/.exec(word)?.[1] ?? ''
  const sent = inflateSync(Buffer.from(packed, 'base64')).toString()
  const [shown, whole] = await Promise.all([read(sent), read((await readProbe()).toString())])
  expect(shown).toBe(whole)
  expect(sent.split('\n').length).toBe((await readProbe()).toString().split('\n').length)
})

test('a planned migration waits longer for its word to go than stopping the app may take', async () => {
  const [probe, script] = [(await readProbe()).toString(), (await readAssets()).transaction.toString()]
  const waits = [...probe.matchAll(/seconds_of\("GO_WAIT", (\d+)\)/g)].map(([, seconds]) => Number(seconds))
  const limit = Number(/\bchange_limit=(\d+)/.exec(script)?.[1])
  expect(limit).toBeGreaterThan(0)
  expect(waits.length).toBeGreaterThan(0)
  expect(Math.min(...waits)).toBeGreaterThan(limit)
})
