import { expect, test } from '@jest/globals'
import { checkBeside, mountsBeside } from '../../../src/compose/beside.ts'
import { placeFiles } from '../../../src/compose/placement.ts'
import { projectOf, repositoryOf } from './model.ts'

test('data above the folder of the Compose file would lie among other projects', () => {
  const text = `
services:
  web:
    build: ..
    volumes: ["../data:/data", "./media:/media", "../nginx:/etc/nginx:ro", "../../up:/up", "\${D:-../d}:/d", "/srv:/srv", "v:/v"]
volumes: {v: {}}`
  const files = { 'nginx/site.conf': 'x', 'data/.gitkeep': '' }
  const project = projectOf(text, 'docker/compose.yml')
  const mounts = mountsBeside(project, placeFiles({ project, repository: repositoryOf(files), envFiles: [] }))
  expect(mounts.map(({ path }) => path)).toEqual(['../data', '../../up', '../d'])
  expect(() => checkBeside(mounts, ['web'], 'deploy/shop', 'docker')).toThrow(
    expect.objectContaining({
      code: 'input-invalid',
      seen: 'web: ../data would be deploy/data\nweb: ../../up would be up\nweb: ../d would be deploy/d',
      fix: expect.stringMatching(/directory: deploy\/shop\/docker\/compose$/),
    }),
  )
  expect(() => checkBeside(mounts.slice(0, 1), ['web'], 'deploy/shop', 'docker')).toThrow(
    expect.objectContaining({ fix: expect.stringMatching(/directory: deploy\/shop\/docker$/) }),
  )
  expect(() => checkBeside(mounts, ['db'], 'deploy/shop', 'docker')).not.toThrow()
})
