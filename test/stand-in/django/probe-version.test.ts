import { afterAll, describe, expect, test } from '@jest/globals'
import { readdirSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { readAssets } from '../../../src/host/assets.ts'
import { run } from '../../../src/process.ts'
import { makeProject, probe, python, removeProjects, several } from './probe.ts'

afterAll(removeProjects)

const word = (await readAssets()).probe.toString()

/** Pythons that are too old, where pyenv has some. */
const pyenv = join(homedir(), '.pyenv/versions')
const old = ((): string[] => {
  try {
    return readdirSync(pyenv).filter((version) => /^(2\.|3\.[0-6]\.)/.test(version))
  } catch {
    return []
  }
})()

describe('an old Python is refused with a sentence', () => {
  const refused = (version: string): unknown => [
    26,
    expect.stringContaining(`"message": "This image has Python ${version}. The oldest that can be deployed is 3.7."`),
  ]
  const ask = async (program: string, text: string): Promise<unknown> => {
    const { code, stdout } = await run(program, ['-c', text], {
      env: { PATH: process.env['PATH'], DEPLOY_DJANGO: 'plan' },
      cwd: tmpdir(),
    })
    return [code, stdout]
  }

  test('by its number', async () => {
    expect(await ask(python(), `import sys; sys.version_info = (3, 6, 9); ${word}`)).toEqual(refused('3.6'))
  })

  // The text has to compile there.
  test.each(old)('Python %s', async (version) => {
    const [major, minor] = version.split('.')
    expect(await ask(join(pyenv, version, 'bin/python'), word)).toEqual(refused(`${major}.${minor}`))
  })
})

test('an old Django is refused with a sentence', async () => {
  const project = await makeProject({
    'world/settings.py': 'import django\ndjango.VERSION = (1, 11, 29, "final", 0)\nSECRET_KEY = "x"\n',
  })
  const { code, result } = await probe('plan', project)
  expect([code, result.error?.kind, result.error?.message]).toEqual([
    26,
    'too-old',
    'This image has Django 1.11.29. The oldest that can be deployed is 2.2.',
  ])
})

describe.each(several)('Django %s', (django) => {
  // Django itself closes connections after the command, for which it needs the settings: its own exit code is 1.
  test.each([
    ['import toolbar\n', 'toolbar'],
    ['from django.core.exceptions import ImproperlyConfigured\nraise ImproperlyConfigured("no KEY")\n', 'no KEY'],
    ['def f(:\n', 'SyntaxError'],
  ])('settings that do not import: %j', async (text, named) => {
    const project = await makeProject({ 'world/settings.py': text })
    const { code, result, stderr } = await probe('plan', project, { django })
    if (result.error) {
      expect([code, result.error.kind, result.error.detail]).toEqual([
        18,
        'not-importable',
        expect.stringContaining(named),
      ])
    } else expect([code, stderr]).toEqual([1, expect.stringContaining(named)])
  })
})
