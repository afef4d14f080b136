import { afterEach, describe, expect, test } from '@jest/globals'
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../../../src/process.ts'
import { makeProject, type Project } from '../../world/project.ts'

const made: Project[] = []
const todo = async (version?: string): Promise<Project> => {
  const project = await makeProject('todo', version)
  made.push(project)
  return project
}
const migrations = async ({ workspace }: Project): Promise<string[]> =>
  (await readdir(join(workspace, 'src/core/migrations'))).filter((name) => /^\d/.test(name)).sort()
const read = ({ workspace }: Project, path: string): Promise<string> => readFile(join(workspace, path), 'utf8')

afterEach(async () => {
  for (const project of made.splice(0)) await project[Symbol.asyncDispose]()
})

describe('a copied example', () => {
  test('is a clean repository, the same each time', async () => {
    const [one, other] = [await todo(), await todo()]
    const status = await run('git', ['status', '--porcelain'], { cwd: one.workspace })
    expect(status).toMatchObject({ code: 0, stdout: '' })
    expect(one.sha).toBe(other.sha)
    expect(one.workspace).not.toBe(other.workspace)
  })

  test('holds no versions, and is v1', async () => {
    const project = await todo()
    expect(await readdir(project.workspace)).not.toContain('versions')
    expect(await read(project, 'src/VERSION')).toBe('v1\n')
    expect(await migrations(project)).toEqual(['0001_initial.py'])
  })

  test.each([
    ['v2', ['0001_initial.py', '0002_todo_due.py']],
    ['v3', ['0001_initial.py', '0002_todo_due.py']],
    ['v4', ['0001_initial.py', '0002_todo_due.py', '0003_todo_note.py', '0004_todo_priority.py']],
    ['v5', ['0001_initial.py', '0002_todo_due.py', '0003_todo_place.py']],
  ])('%s has the migrations of those it follows', async (version, expected) => {
    const project = await todo(version)
    expect(await migrations(project)).toEqual(expected)
    expect(await read(project, 'src/VERSION')).toBe(`${version}\n`)
  })

  test('an upgrade is a commit on top, without what only the version before had', async () => {
    const project = await todo('v4')
    const before = project.sha
    const after = await project.upgrade('v5')
    expect(await migrations(project)).not.toContain('0004_todo_priority.py')
    expect(project.sha).toBe(after)
    const parent = await run('git', ['rev-parse', 'HEAD^'], { cwd: project.workspace })
    expect(parent.stdout.trim()).toBe(before)
  })

  test('what was written stays through an upgrade', async () => {
    const project = await todo()
    await project.write('deploy/extra.conf', 'kept')
    await project.upgrade('v2')
    expect(await read(project, 'deploy/extra.conf')).toBe('kept')
  })

  test('a version that is not there is named', async () => {
    await expect(todo('v99')).rejects.toThrow('the example todo has no version v99')
  })
})
