import { expect, test } from '@jest/globals'
import { explain } from '../../src/errors.ts'
import { findProject, requireProject } from '../../src/server/find.ts'
import { FakeServer } from './fake-server.ts'

const looked = (...projects: string[]) => ({
  stdout: ['deploy-django look 1', 'home /home/deploy', ...projects.map((name) => `project ${name}`), 'end\n'].join(
    '\n',
  ),
})

test('a directory that was given is looked at, whatever else there is', async () => {
  const server = new FakeServer(looked('deploy/a', 'deploy/b'))
  expect(await findProject(server, 'script', 'deploy/a')).toMatchObject({ directory: 'deploy/a' })
  expect(server.asked).toEqual(['sh -s look deploy/a'])
})

test('the only project is found, and looked at', async () => {
  const server = new FakeServer(looked('deploy/todo'), looked('deploy/todo'))
  expect(await findProject(server, 'script', undefined)).toMatchObject({ directory: 'deploy/todo' })
  expect(server.asked).toEqual(['sh -s look deploy/-', 'sh -s look deploy/todo'])
})

test('several are listed in the error', async () => {
  const failure: unknown = await findProject(new FakeServer(looked('deploy/a', 'deploy/b')), '', undefined).catch(
    (error: unknown) => error,
  )
  expect(explain(failure)).toContain('[input-missing]\n  seen:  deploy/a, deploy/b\n  fix:   set `directory`')
})

test('none is an answer for who only looks, and an error for who needs one', async () => {
  expect(await findProject(new FakeServer(looked()), '', undefined)).toMatchObject({ directory: undefined })
  await expect(requireProject(new FakeServer(looked()), '', undefined)).rejects.toThrow(
    'No project was found in deploy/',
  )
})
