import { expect, test } from '@jest/globals'
import { explain } from '../../../src/errors.ts'
import { findProject, requireProject } from '../../../src/host/find.ts'
import { FakeServer } from './fake-server.ts'

const looked = { stdout: 'deploy-django look 1\nhome /home/deploy\nend\n' }
/** What `find` says, behind a greeting. */
const projects = (...names: string[]) => ({
  stdout: ['Welcome to deploy/x/.deploy', ...names.map((name) => `deploy/${name}/.deploy`), ''].join('\n'),
})
const FIND = 'find -L deploy -mindepth 2 -maxdepth 2 -name .deploy'

test('a directory that was given is looked at, whatever else there is', async () => {
  const server = new FakeServer(looked)
  expect(await findProject(server, 'script', 'deploy/a')).toMatchObject({ directory: 'deploy/a' })
  expect(server.asked).toEqual(['sh -s look deploy/a'])
})

test('the only project is found, and looked at', async () => {
  const server = new FakeServer(projects('todo'), looked)
  expect(await findProject(server, 'script', undefined)).toMatchObject({ directory: 'deploy/todo' })
  expect(server.asked).toEqual([FIND, 'sh -s look deploy/todo'])
})

test('several are listed in the error', async () => {
  const server = new FakeServer(projects('b', 'a'))
  const failure: unknown = await findProject(server, '', undefined).catch((error: unknown) => error)
  expect(explain(failure)).toContain('[input-missing]\n  seen:  deploy/a, deploy/b\n  fix:   set directory: deploy/a')
})

test('none is an answer for who only looks, and an error for who needs one', async () => {
  expect(await findProject(new FakeServer(projects(), looked), '', undefined)).toMatchObject({ directory: undefined })
  await expect(requireProject(new FakeServer(projects(), looked), '', undefined)).rejects.toThrow(
    'No project was found in deploy/',
  )
})
