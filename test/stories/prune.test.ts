import { expect, test } from '@jest/globals'
import { codes, tell } from './story.ts'
import { openWorld } from '../world/world.ts'

test('a cron that prunes all images removes neither the current release nor the one before; no runner is needed', async () => {
  const world = await openWorld()
  await using server = await world.throwaway()
  await using story = await tell('todo', server)
  expect((await story.deploy('v1')).outputs['outcome']).toBe('deployed')
  expect((await story.deploy('v2')).outputs['outcome']).toBe('deployed')
  await server.docker('system', 'prune', '--all', '--force')
  await story.expectWhole()

  // Nobody is logged in to the registry on the server: what is gone now stays gone.
  const broken = await story.deploy('v3')
  expect(codes(broken)).toEqual(['Deploy Django: health-server-error'])
  expect(await story.serves()).toBe('v2')
  await server.docker('system', 'prune', '--all', '--force')
  const back = await server.exec(['sh', `deploy/${story.name}/.deploy/rollback`])
  expect(back).toMatchObject({ code: 0, stdout: expect.stringMatching(/\nv1 serves\n$/) })
  expect(back.stdout).not.toContain('pulling')
  expect(await story.serves()).toBe('v1')
  await story.expectWhole()
  // What held the images of v1 is gone: its own containers do.
  expect(await server.docker('ps', '-aq', '--filter', 'label=deploy-django.holds')).toBe('')
})
