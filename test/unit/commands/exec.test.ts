import { expect, test } from '@jest/globals'
import { commandFailed, exitCodeIn, withoutInput } from '../../../src/commands/exec.ts'
import { run } from '../../../src/process.ts'

const spoken = async (lines: string): Promise<[number, string]> => {
  const done = await run('sh', [], { stdin: withoutInput(lines) })
  return [done.code, done.stdout]
}

test.each([
  ['no line is swallowed by a program that reads', 'cat\necho next; cat', 0, 'next\n'],
  ['quotes, comments and line ends are as written', 'echo "a  b" \'$HOME\' \\\n  c # }', 0, 'a  b $HOME c\n'],
  ['a document of its own', 'cat <<END\n  a $((1 + 1))\nEND', 0, '  a 2\n'],
  ['the last exit code counts', 'true\nfalse', 1, ''],
  ['so does that of exit, and nothing follows', 'exit 7\necho no', 7, ''],
])('%s', async (_, lines, code, said) => {
  expect(await spoken(lines)).toEqual([code, said])
})

test('the exit code is the last line of the server', () => {
  expect(exitCodeIn('exit 3\n')).toBe(3)
  expect(exitCodeIn('a greeting\nexit 0\n')).toBe(0)
  expect(exitCodeIn('exit 3\nsomething else\n')).toBeUndefined()
  expect(exitCodeIn('')).toBeUndefined()
})

test('an image without a shell cannot run lines', () => {
  const said = 'OCI runtime exec failed: exec: "sh": executable file not found in $PATH: unknown'
  expect(commandFailed(127, `${said}\n`)).toMatchObject({
    what: 'The command was not run: the image of the service has no `sh`',
    seen: said,
    fix: expect.stringContaining('`service`'),
  })
  expect(commandFailed(127, 'sh: 1: foo: not found\n').fix).toBe('see its output above')
})
