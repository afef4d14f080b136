import { expect, jest, test } from '@jest/globals'
import { showCommands } from '../../../src/github/command.ts'
import type { Run } from '../../../src/process.ts'

test('programs of the runner are shown, the connection is not, and nothing of it is obeyed', async () => {
  const ran: unknown[] = []
  const run: Run = async (...given) => {
    ran.push(given)
    return { code: 0, stdout: '', stderr: '' }
  }
  const written: string[] = []
  const spy = jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
    written.push(String(text).trimEnd())
    return true
  })
  try {
    const options = { stdin: 'password' }
    await showCommands(run)('docker', ['login', '--password-stdin', 'r.io'], options)
    await showCommands(run)('ssh', ['server', 'true'])
    await showCommands(run)('git', ['show', 'a\n::error::b ##[c]'])
    expect(ran[0]).toEqual(['docker', ['login', '--password-stdin', 'r.io'], options])
    expect(ran).toHaveLength(3)
  } finally {
    spy.mockRestore()
  }
  expect(written).toEqual(['[command]docker login --password-stdin r.io', '[command]git show a ::error::b ## [c]'])
})
