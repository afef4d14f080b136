import { describe, expect, test } from '@jest/globals'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const src = fileURLToPath(new URL('../src', import.meta.url))
const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
const typescript = files.filter((file) => file.endsWith('.ts'))
const shell = files.filter((file) => file.endsWith('.sh'))

/** The lines of a file that are code, as `path:line: text`. */
function code(file: string): string[] {
  return readFileSync(join(src, file), 'utf8')
    .split('\n')
    .map((text, index) => `${file}:${index + 1}: ${text}`)
    .filter((line) => !/: \s*(\/\/|\/\*|\*|#)/.test(line))
}
const matches = (among: string[], pattern: RegExp): string[] =>
  among.flatMap(code).filter((line) => pattern.test(line.replace(/^\S+ /, '')))

test('there is something to look at', () => {
  expect(typescript).toContain('index.ts')
  expect(shell).toContain('server/transaction.sh')
})

test.each(files.filter((file) => /\.(ts|sh)$/.test(file)))('%s is not too long', (file) => {
  const limit = file.endsWith('.sh') ? 800 : 300
  expect(readFileSync(join(src, file), 'utf8').split('\n').length - 1).toBeLessThanOrEqual(limit)
})

describe('on the runner', () => {
  test('only inputs.ts reads inputs and the environment', () => {
    const others = typescript.filter((file) => file !== 'inputs.ts')
    expect(matches(others, /process\.env|getInput|getBooleanInput|getMultilineInput/)).toEqual([])
  })

  test('only process.ts starts programs, and never through a shell', () => {
    const others = typescript.filter((file) => file !== 'process.ts')
    expect(matches(others, /node:child_process|@actions\/exec/)).toEqual([])
    expect(matches(typescript, /\bshell: |\bexec(File)?(Sync)?\(['"`]|['"`](ba|da)?sh['"`], \[?['"`]-\w*c/)).toEqual([])
  })

  test('only server/connection.ts starts ssh', () => {
    const others = typescript.filter((file) => file !== 'server/connection.ts')
    expect(matches(others, /\(['"`](ssh|scp|sftp)['"`]/)).toEqual([])
  })

  test('only index.ts fails the step and only state.ts keeps state', () => {
    const others = typescript.filter((file) => file !== 'index.ts')
    expect(matches(others, /setFailed|process\.exit\b|process\.exitCode/)).toEqual([])
    expect(
      matches(
        typescript.filter((file) => file !== 'state.ts'),
        /saveState|getState/,
      ),
    ).toEqual([])
  })

  test('no default exports, no any, no silenced checks', () => {
    expect(matches(typescript, /export default|: any[,;)\]>=\s]|\bas (any|never|unknown as)\b(?! \w)|<any>/)).toEqual(
      [],
    )
    const silenced = /@ts-(ignore|nocheck|expect-error)|eslint-disable/
    const whole = typescript.filter((file) => silenced.test(readFileSync(join(src, file), 'utf8')))
    expect(whole).toEqual([])
  })
})

describe('on the server', () => {
  test('the shell neither evaluates nor sources anything', () => {
    expect(matches(shell, /\beval\b|\bsource\b|(^|[;&|]\s*)\.\s+\S/)).toEqual([])
  })

  test('docker compose has one door, with the environment it may see', () => {
    expect(matches(shell, /docker[ -]compose (?!version)/)).toHaveLength(1)
  })

  test('no volume, no network and no other image is ever removed', () => {
    expect(matches(shell, /\bcompose\b.*\s(down|rm .*-v)\b|volume (rm|prune)|system prune|network (rm|prune)/)).toEqual(
      [],
    )
    expect(matches(shell, /prune.*(\s-a\b|--all|--volumes)/)).toEqual([])
    expect(matches(shell, /docker rm\b.*\s(-v|--volumes)\b/)).toEqual([])
  })
})
