import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isValues, valuesOf } from '../../../src/compose/document.ts'
import { checkEnvFiles, readEnvFile } from '../../../src/compose/env-file.ts'
import { run } from '../../../src/process.ts'
import { projectOf } from './model.ts'

/** Files that are taken, with what a person reads in them. */
const taken: readonly (readonly [text: string, values: Record<string, string>])[] = [
  ['A=1\n\n# remark\n  # another\nB=two words\n', { A: '1', B: 'two words' }],
  ['export A = x \nB: y', { A: 'x', B: 'y' }],
  ['\uFEFFA=1', { A: '1' }],
  ['A=\nB=""\nC=\'\'', { A: '', B: '', C: '' }],
  ['A=a=b==', { A: 'a=b==' }],
  ['A=1\nA=2', { A: '2' }],
  ['KEY="a b"\nQ=\'say "hi"\'\nR="it\'s"', { KEY: 'a b', Q: 'say "hi"', R: "it's" }],
  ['A=it\'s\nB=say"hi"', { A: "it's", B: 'say"hi"' }],
  ['A="say \\"hi\\""\nB="C:\\\\new"\nC="two\\nlines"', { A: 'say "hi"', B: 'C:\\new', C: 'two\nlines' }],
  ["A='C:\\new'\nB=C:\\new\nC=end\\", { A: 'C:\\new', B: 'C:\\new', C: 'end\\' }],
  ['A=pass#word\nB=x # remark\nC=#x\nD="x # y" # z', { A: 'pass#word', B: 'x', C: '#x', D: 'x # y' }],
  ['A=\'p$q$$r${s\'\nB="p\\$q"', { A: 'p$q$$r${s', B: 'p$q' }],
  ['A=5$\nB=a$1b\nC="$ x"\nD=$(id)\nE=`id`', { A: '5$', B: 'a$1b', C: '$ x', D: '$(id)', E: '`id`' }],
  ['U=me\nA=$U@${U}\nB="${U}:${X:-y}"', { U: 'me', A: 'me@me', B: 'me:y' }],
  ['A="-----BEGIN\nMII/=\n-----END"\nB=\'x\ny\'\nC=3', { A: '-----BEGIN\nMII/=\n-----END', B: 'x\ny', C: '3' }],
  ['A=grün ✓ 日本\nB="naïve"\nC=\'🚀\'', { A: 'grün ✓ 日本', B: 'naïve', C: '🚀' }],
  ['A.b-c=1\n_X9=2', { 'A.b-c': '1', _X9: '2' }],
  ['A={"a": [1, "b"]}\nB=;rm -rf / && x | y > z', { A: '{"a": [1, "b"]}', B: ';rm -rf / && x | y > z' }],
]

describe('an env file that is taken', () => {
  let folder: string
  let seen: readonly Record<string, unknown>[]

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'env-text-'))
    await Promise.all(taken.map(([text], index) => writeFile(join(folder, `${index}.env`), text)))
    const services = Object.fromEntries(
      taken.map((_, index) => [`s${index}`, { image: 'x', env_file: `${index}.env` }]),
    )
    await writeFile(join(folder, 'compose.yaml'), JSON.stringify({ services }))
    const args = ['compose', '-p', 'x', '-f', join(folder, 'compose.yaml'), 'config', '--format', 'json']
    const finished = await run('docker', args, { env: { PATH: `/usr/bin:${process.env['PATH']}`, HOME: folder } })
    expect(finished).toMatchObject({ code: 0, stderr: '' })
    const model = valuesOf(JSON.parse(finished.stdout))
    seen = taken.map((_, index) => valuesOf(valuesOf(valuesOf(model['services'])[`s${index}`])['environment']))
  })
  afterAll(() => rm(folder, { recursive: true }))

  test.each(taken.map(([text, values], index) => [text, values, index] as const))(
    '%j is read as a person does, and as Docker Compose does',
    (text, values, index) => {
      const read = readEnvFile(text)
      expect(read.misread).toEqual([])
      expect(Object.fromEntries(read.values)).toEqual(values)
      // `config` prints each dollar sign twice.
      const real = Object.entries(seen[index] ?? {}).map(([name, value]) => [name, String(value).replaceAll('$$', '$')])
      expect(Object.fromEntries(real)).toEqual(values)
    },
  )

  test('the model of Compose was read', () => expect(seen.every(isValues)).toBe(true))
})

describe('an env file that Compose reads differently from a person', () => {
  test.each([
    ['A=1\nB=ab$cd', 2, 'would be lost'],
    ['A="ab$cd"', 1, 'would be lost'],
    ['A=ab${cd', 1, 'would be lost'],
    ['A=a${1}', 1, 'would be lost'],
    ['A=ab$$cd', 1, 'two dollar signs into one'],
    ['A="ab$$cd"', 1, 'two dollar signs into one'],
    ['A="x\nB=1\n', 1, 'never closed'],
    ["\nA='x", 2, 'never closed'],
    ["A='it''s'", 1, 'after the closing quote'],
    ['A="a"b', 1, 'after the closing quote'],
    ['A="a" B=2', 1, 'after the closing quote'],
    ['A="x\nB="y"', 1, 'after the closing quote'],
    ["A='ab\\'\nB='c'", 1, 'after a backslash'],
    ['A="a\\db"', 1, 'backslash in double quotes'],
    ['A= #x', 1, 'what follows as the value'],
    ['A=x\t# y', 1, 'part of the value'],
    ['A', 1, 'NAME=value'],
    ['export A', 1, 'NAME=value'],
    ['=x', 1, 'NAME=value'],
    ['A B=1', 1, 'NAME=value'],
    ['1A=x', 1, 'NAME=value'],
    ['$(id)=x', 1, 'NAME=value'],
    ['{"A": 1}', 1, 'NAME=value'],
  ])('%j', (text, line, why) => {
    const { misread } = readEnvFile(text)
    expect(misread[0]).toMatchObject({ line, why: expect.stringContaining(why) })
    expect(misread[0]?.fix).not.toBe('')
  })

  test.each([
    ['A=p$q', "A='p$q'", 'p$q'],
    ["A=it's$q", 'A="it\'s\\$q"', "it's$q"],
    ['A= # y', "A=''", ''],
    ['A= #y', "A='#y'", '#y'],
    ['A=x\t# y', 'A=x # y', 'x'],
    ['A="a"b', 'A=\'"a"b\'', '"a"b'],
    ["A='ab\\'", 'A="ab\\\\"', 'ab\\'],
    ['A="a\\db"', "A='a\\db'", 'a\\db'],
  ])('%j is fixed as it says: %j', (wrong, right, value) => {
    expect(readEnvFile(wrong).misread).not.toEqual([])
    expect(readEnvFile(right)).toEqual({ values: new Map([['A', value]]), misread: [] })
  })

  test('every such line is listed, without its text', () => {
    const { misread } = readEnvFile('A=hunter$two\nB=fine\nhunter2\nC="hunter2" x\n')
    expect(misread.map(({ line }) => line)).toEqual([1, 3, 4])
    expect(JSON.stringify(misread)).not.toContain('hunter')
  })

  test('what another file sets may be referred to', () => {
    expect(readEnvFile('A=$B', new Map([['B', 'x']]))).toEqual({ values: new Map([['A', 'x']]), misread: [] })
  })
})

describe('the env files that are shipped', () => {
  const check = (path: string, more: string, file?: string) => (): void =>
    checkEnvFiles(projectOf(`services: {web: {build: ., ${more}}}`, file), [{ path, content: 'no env line' }])

  test.each<[string, string, string | undefined]>([
    ['.env', '', undefined],
    ['.env', 'volumes: ["./.env:/app/.env"]', undefined],
    ['a.env', 'env_file: a.env', undefined],
    ['a.env', 'env_file: [{path: ./a.env, required: false}]', undefined],
    ['a/b.env', 'env_file: "${E:-a/b.env}"', undefined],
    ['a/b.env', 'env_file: "a/$STAGE.env"', undefined],
    ['docker/a.env', 'env_file: a.env', 'docker/compose.yml'],
  ])('%s is read as Compose reads it: {%s}', (path, more, file) => {
    expect(check(path, more, file)).toThrow(expect.objectContaining({ code: 'input-invalid' }))
  })

  test.each([
    ['key.pem', 'volumes: ["./key.pem:/key.pem"]'],
    ['a.env', 'env_file: [{path: a.env, format: raw}]'],
    ['key.pem', 'env_file: a.env'],
  ])('%s may have any form: {%s}', (path, more) => expect(check(path, more)).not.toThrow())
})
