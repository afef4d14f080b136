import { describe, expect, test } from '@jest/globals'
import { checkHostFiles, describeHostFiles, type HostFiles } from '../../../src/guard/files.ts'

const facts: HostFiles = {
  onHost: [],
  chosen: ['compose.production.yaml'],
  isGiven: false,
  isDeployed: false,
  directory: '/srv/shop',
  exists: (path) => /^(docker\/)?compose(\.production)?\.yaml$/.test(path),
}
const check = (given: Partial<HostFiles>) => (): void => checkHostFiles({ ...facts, ...given })

describe('COMPOSE_FILE of the .env on the host', () => {
  test.each<Partial<HostFiles>>([
    {},
    { onHost: ['compose.production.yaml'] },
    { onHost: ['./compose.production.yaml'] },
    { onHost: ['compose.production.yaml'], chosen: ['docker/compose.production.yaml'] },
    { onHost: ['compose.yaml', 'compose.production.yaml'], isGiven: true },
    // What the release has there.
    { onHost: ['compose.yaml'], isDeployed: true },
  ])('%j is no contradiction', (given) => {
    expect(check(given)).not.toThrow()
  })

  test('that names other files is an error with both answers', () => {
    const onHost = ['compose.yaml', 'compose.production.yaml']
    expect(check({ onHost })).toThrow(
      expect.objectContaining({
        code: 'compose-file-ambiguous',
        fix:
          'for those of the host: compose-files: compose.yaml compose.production.yaml\n' +
          'for those of this deployment: compose-files: compose.production.yaml',
      }),
    )
    expect(check({ onHost, chosen: ['docker/compose.production.yaml'] })).toThrow(
      expect.objectContaining({ fix: expect.stringContaining('docker/compose.yaml docker/compose.production.yaml\n') }),
    )
    expect(check({ onHost: ['compose.yaml'] })).toThrow()
  })

  test('is to be changed, because it would hide the release from a docker compose by hand', () => {
    expect(describeHostFiles({ ...facts, onHost: ['compose.production.yaml'] })).toContain('COMPOSE_FILE=compose.yaml')
    expect(describeHostFiles({ ...facts, onHost: ['compose.yaml'] })).toBeUndefined()
    expect(describeHostFiles(facts)).toBeUndefined()
  })
})
