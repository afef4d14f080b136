import { describe, expect, test } from '@jest/globals'
import { groupBuilds } from '../../../src/compose/group.ts'
import { askable, checkNeeds, findNeeds, type Needs } from '../../../src/compose/need.ts'
import { Problems } from '../../../src/errors.ts'
import { projectOf, repositoryOf } from './model.ts'

const text = `
services:
  web:
    build: {context: ., args: {A: "\${BUILT}"}}
    image: "\${REGISTRY}/app:\${TAG}"
    env_file: [.env, conf/prod.env, ../shared.env, {path: maybe.env, required: false}]
    environment: {SECRET_KEY: "\${SECRET_KEY:?}", HOST: "$HOST", DEBUG: "\${DEBUG:-0}", HOME: "$HOME"}
  worker: {image: "\${REGISTRY}/app:\${TAG}", secrets: [key, {source: cert}, token, mine], configs: [shipped]}
  db: {image: "postgres:\${PG}", env_file: [db.env, /efs/b.env]}
  tool: {image: x, profiles: [tools], env_file: "tool s.env"}
secrets: {key: {file: ./secrets/key}, cert: {file: /etc/cert.pem}, token: {environment: TOKEN}, mine: {file: ~/key}, unused: {file: ./u}}
configs: {shipped: {file: ./conf/prod.env}}
x-not: "\${NOT}"
`
const project = projectOf(text)
const needs = (shipped: Record<string, string> = {}): Needs =>
  findNeeds({
    project,
    groups: groupBuilds(project),
    repository: repositoryOf({ 'conf/prod.env': 'A=1', '.env': 'HOST=x' }),
    shipped: Object.entries(shipped).map(([path, content]) => ({ path, content })),
  })
const all = ['web', 'db', 'tool']
const has = {
  files: [],
  foldersAt: [],
  settings: [],
  emptySettings: [],
  externals: [],
  isShipped: false,
  folder: '/home/deploy/deploy/shop',
}

describe('what the server must have', () => {
  test('is what neither the repository nor the inputs bring, without what only the build needs', () => {
    expect(needs().variables).toEqual(['HOST', 'PG', 'SECRET_KEY', 'TOKEN'])
    expect(needs().files.get('web')).toEqual(['.env', '../shared.env'])
    expect(needs().files.get('worker')).toEqual(['secrets/key', '/etc/cert.pem', '~/key'])
    // Whose home that is, only the server knows.
    expect(askable(needs())).toEqual(['.env', '../shared.env', 'secrets/key', '/etc/cert.pem', 'db.env', '/efs/b.env'])
  })

  test('is less when the env file is shipped', () => {
    const shipped = needs({ '.env': 'HOST=\nPG=17\nSECRET_KEY=s\nTOKEN=x', 'db.env': '' })
    expect(shipped.variables).toEqual([])
    expect(askable(shipped)).toEqual(['../shared.env', 'secrets/key', '/etc/cert.pem', '/efs/b.env'])
  })

  test('is more when a variable that must not be empty is', () => {
    expect(needs({ '.env': 'HOST=\nPG=17\nSECRET_KEY=\nTOKEN=x', 'db.env': '' }).variables).toEqual(['SECRET_KEY'])
    const settings = ['HOST', 'PG', 'SECRET_KEY', 'TOKEN']
    const files = ['.env', '../shared.env', 'db.env', '/efs/b.env']
    const check = (emptySettings: string[]) => (): void =>
      checkNeeds(needs(), all, { ...has, files, settings, emptySettings }, project)
    expect(check(['HOST'])).not.toThrow()
    expect(check(['HOST', 'SECRET_KEY'])).toThrow(
      expect.objectContaining({ code: 'variable-missing', seen: 'SECRET_KEY' }),
    )
  })

  test('is nothing that a variable chooses among the shipped files', () => {
    const chosen = projectOf('services: {web: {build: ., env_file: "conf/.env.${STAGE:-prod}"}}')
    const shipped = ['conf/.env.prod', 'conf/.env.staging', '.env.prod'].map((path) => ({ path, content: '' }))
    const facts = { project: chosen, groups: groupBuilds(chosen), repository: repositoryOf({}), shipped }
    expect(findNeeds(facts)).toMatchObject({ unread: ['.env.prod'], variables: [] })
  })

  test('of a mistyped env file names the paths that the Compose file has, also those that are there', () => {
    const chosen = projectOf(
      'services: {web: {build: ., env_file: [.env, web.env], secrets: [key], configs: [site]}}\n' +
        'secrets: {key: {file: ./secrets/key.txt}}\nconfigs: {site: {file: conf/site.ini}, other: {environment: X}}',
    )
    const repository = repositoryOf({ 'conf/site.ini': '' })
    const shipped = ['web.env', 'secrets/key.txt', 'secret/key.txt'].map((path) => ({ path, content: '' }))
    const found = findNeeds({ project: chosen, groups: groupBuilds(chosen), repository, shipped })
    expect(() => checkNeeds(found, ['web'], { ...has, files: ['.env'] }, chosen)).toThrow(
      expect.objectContaining({
        what: expect.stringContaining('secret/key.txt'),
        fix: expect.stringMatching(
          /^use the path as the Compose file has it: web\.env, secrets\/key\.txt, conf\/site\.ini; /,
        ),
      }),
    )
  })

  test('is missed all at once, by name', () => {
    const check = (active: string[], files: string[], settings: string[]) => (): void =>
      checkNeeds(needs(), active, { ...has, files, settings }, project)
    expect(check(all, [], [])).toThrow(Problems)
    expect(check(all, ['.env', '../shared.env', 'db.env'], ['HOST', 'PG', 'SECRET_KEY', 'TOKEN'])).toThrow(
      expect.objectContaining({
        code: 'env-file-missing',
        seen: '/efs/b.env',
        annotation: { file: 'compose.yaml' },
      }),
    )
    expect(check(all, ['../shared.env', 'db.env', '/efs/b.env'], ['HOST', 'PG', 'SECRET_KEY', 'TOKEN'])).toThrow(
      expect.objectContaining({ seen: '.env', why: expect.stringContaining('repository') }),
    )
    expect(check(all, ['.env', '../shared.env', 'db.env', '/efs/b.env'], ['PG'])).toThrow(
      expect.objectContaining({ code: 'variable-missing', seen: 'HOST SECRET_KEY TOKEN' }),
    )
    const typo = needs({ '.env': 'HOST=x\nPG=17\nSECRET_KEY=s\nTOKEN=x', 'dbs.env': '' })
    expect(() =>
      checkNeeds(typo, ['web'], { ...has, isShipped: true, files: ['.env', '../shared.env'] }, project),
    ).toThrow(
      expect.objectContaining({
        code: 'input-invalid',
        what: expect.stringContaining('env-files has dbs.env'),
        fix: expect.stringContaining('db.env'),
      }),
    )
    expect(check(['db'], ['db.env', '/efs/b.env'], ['HOST', 'PG', 'SECRET_KEY', 'TOKEN'])).not.toThrow()
  })
})

describe('a file that is mounted', () => {
  const mounting = (volumes: string, files: Record<string, string>, shipped: Record<string, string> = {}): Needs => {
    const mounted = projectOf(`services: {web: {build: ., volumes: [${volumes}]}}`)
    const envFiles = Object.entries(shipped).map(([path, content]) => ({ path, content }))
    const facts = { project: mounted, groups: groupBuilds(mounted), repository: repositoryOf(files) }
    return findNeeds({ ...facts, shipped: envFiles })
  }

  test.each([
    ['"./.env:/app/.env:ro"', '.env'],
    ['"./.env.production:/app/config"', '.env.production'],
    ['"./conf/site.conf:/etc/nginx/conf.d/default.conf"', 'conf/site.conf'],
    ['"/efs/.env:/app/.env"', '/efs/.env'],
    ['"./Caddyfile:/etc/caddy/Caddyfile"', 'Caddyfile'],
    ['{type: bind, source: ./db.sqlite3, target: /app/db.sqlite3}', 'db.sqlite3'],
  ])('must be there: %s', (volume, path) => {
    // A development file of that name is none.
    expect(askable(mounting(volume, { '.env': 'A=1' }))).toEqual([path])
  })

  test.each<[string, Record<string, string>, Record<string, string>]>([
    ['"./public:/app/public"', {}, {}],
    ['"./conf.d:/etc/nginx/conf.d"', {}, {}],
    ['"./example.com:/etc/letsencrypt/live/example.com"', {}, {}],
    ['"./site.conf:/etc/site.conf"', { 'site.conf': 'x' }, {}],
    ['"./.env:/app/.env"', {}, { '.env': 'A=1' }],
    ['"${ENV:-./.env}:/app/.env"', {}, {}],
  ])('is not asked for when it is a folder, shipped or not known: %s', (volume, files, shipped) => {
    expect(askable(mounting(volume, files, shipped))).toEqual([])
  })

  test('may be a folder that Docker made', () => {
    const needs = mounting('"./.env:/app/.env"', {})
    const check = (foldersAt: string[], shipped: Needs) => (): void =>
      checkNeeds(shipped, ['web'], { ...has, foldersAt }, project)
    const folder = { code: 'file-is-folder', fix: 'on the host: rmdir /home/deploy/deploy/shop/.env' }
    expect(check(['.env'], needs)).toThrow(expect.objectContaining(folder))
    // It would be in the way of what a release leaves there.
    expect(check(['.env'], mounting('', {}, { '.env': 'A=1' }))).toThrow(expect.objectContaining(folder))
    expect(check(['other'], mounting('', {}))).not.toThrow()
  })
})
