import { describe, expect, test } from '@jest/globals'
import { groupBuilds } from '../../../src/compose/group.ts'
import { checkBuilds, chooseLogins } from '../../../src/image/make.ts'
import { projectOf } from '../compose/model.ts'

type Given = Parameters<typeof chooseLogins>[2]

const none: Given = { username: undefined, password: undefined, actor: 'octo', token: undefined }
const given: Given = { ...none, username: 'me', password: 'secret', token: 'token' }

function logins(web: string | undefined, proxy: string | undefined, facts: Given, image?: string) {
  const services = { web: { build: '.', image: web }, proxy: { build: './proxy', image: proxy } }
  const groups = groupBuilds(projectOf(JSON.stringify({ services })))
  return chooseLogins(groups, { image, repository: 'o/r', settings: {} }, facts).map(
    ({ registry, username, password }) => `${username}:${password}@${registry}`,
  )
}

describe('logins', () => {
  test("ghcr.io takes the job's own token", () => {
    expect(logins(undefined, undefined, { ...none, token: 'token' })).toEqual(['octo:token@ghcr.io'])
  })
  test('a given one goes to the registry of the images', () => {
    expect(logins(undefined, undefined, given)).toEqual(['me:secret@ghcr.io'])
    expect(logins(undefined, undefined, given, 'r.io/app')).toEqual(['me:secret@r.io'])
  })
  test('and not to ghcr.io as well, only because one image has no name', () => {
    expect(logins('me/app', undefined, given)).toEqual(['me:secret@docker.io'])
  })
  test('a JSON key goes on one line', () => {
    const key = '{\n  "type": "service_account",\n  "private_key": "a\\n  b"\n}'
    expect(logins('eu.pkg.dev/p/app', undefined, { ...given, username: '_json_key', password: key })).toEqual([
      '_json_key:{"type": "service_account","private_key": "a\\n  b"}@eu.pkg.dev',
    ])
  })
  test("nothing given: the runner's own logins", () => {
    expect(logins('me/app', 'me/proxy', none)).toEqual([])
  })
})

describe('a file that would build nothing', () => {
  const check = (text: string) => (): void => {
    const project = projectOf(text, 'docker-compose.prod.yml')
    checkBuilds(project, groupBuilds(project), 'docker-compose.yml')
  }
  test('has only ready images', () => {
    expect(check('services: {web: {image: me/app}}')).toThrow(
      expect.objectContaining({
        what: 'No service of docker-compose.prod.yml has a build section',
        fix: expect.stringContaining('compose-files: docker-compose.yml docker-compose.prod.yml'),
      }),
    )
    expect(check('services: {web: {build: .}}')).not.toThrow()
  })
})
