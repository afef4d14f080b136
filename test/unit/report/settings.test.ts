import { expect, test } from '@jest/globals'
import { describeSettings, type Settings } from '../../../src/report/settings.ts'

const settings: Settings = {
  files: ['compose.yaml', 'compose.production.yaml'],
  reason: 'compose.production.yaml overrides compose.yaml: service web has no image',
  project: { name: 'shop', source: 'name: in the Compose file' },
  directory: { path: 'deploy/shop', isGiven: false },
  profiles: { names: [], isGiven: false },
  env: { isShipped: false, isOnHost: true, others: [] },
  build: [],
}

test('each setting has a line that says where it comes from', () => {
  expect(describeSettings(settings)).toEqual([
    'Compose files: compose.yaml, compose.production.yaml (compose.production.yaml overrides compose.yaml: service web has no image)',
    'Project:       shop (name: in the Compose file)',
    'Directory:     deploy/shop (deploy/ and the name of the project)',
    'Profiles:      none (neither the input profiles nor COMPOSE_PROFILES of the .env on the host)',
    'Variables:     the .env on the host, which stays as it is',
  ])
  const given: Partial<Settings> = {
    directory: { path: '/srv/shop', isGiven: true },
    profiles: { names: ['web', 'jobs'], isGiven: false },
    env: { isShipped: true, isOnHost: true, others: ['db.env'] },
    build: ['A from env-file'],
  }
  expect(describeSettings({ ...settings, ...given }).slice(2)).toEqual([
    'Directory:     /srv/shop (the input directory)',
    'Profiles:      web, jobs (COMPOSE_PROFILES of env-file)',
    'Variables:     env-file, which is shipped as .env',
    'Env files:     db.env (env-files)',
    'Build:         A from env-file',
  ])
  expect(describeSettings({ ...settings, env: { isShipped: false, isOnHost: false, others: [] } })[4]).toContain('none')
})
