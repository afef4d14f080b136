import { expect, test } from '@jest/globals'
import { findImageVolumes } from '../../../src/compose/covered.ts'
import { checkImageVolumes, describeUnkept } from '../../../src/guard/volume.ts'
import { projectOf } from '../compose/model.ts'

const about = (service: object): readonly string[] =>
  describeUnkept(projectOf(JSON.stringify({ services: { web: { image: 'mysql' }, db: service } })), ['db'])

test.each([
  ['postgres', '/var/lib/postgresql'],
  ['postgres:18.4-trixie', '/var/lib/postgresql'],
  ['postgres:12.0-alpine', '/var/lib/postgresql/data'],
  ['postgis/postgis:16-3.4', '/var/lib/postgresql/data'],
  ['pgvector/pgvector:pg17', '/var/lib/postgresql/data'],
  ['docker.io/library/mariadb:${VERSION:-11}', '/var/lib/mysql'],
])('%s without a volume is warned about', (image, place) =>
  expect(about({ image, volumes: ['./init.sql:/docker-entrypoint-initdb.d/init.sql'] })).toEqual([
    expect.stringMatching(new RegExp(`^db has no volume.*\\["db-data:${place}"\\]`)),
  ]),
)

test.each([
  { image: 'postgres:17', volumes: ['data:/var/lib/postgresql/data'] },
  { image: 'postgres:17', volumes: ['./data:/var/lib/postgresql/data'] },
  { image: 'postgres:17', tmpfs: ['/var/lib/postgresql/data'] },
  { image: 'postgres:17', environment: { PGDATA: '/rows' }, volumes: ['rows:/rows'] },
  { image: 'postgres:17', volumes_from: ['web'] },
  { image: 'redis:8' },
  { image: 'prom/mysqld-exporter' },
  { build: '.' },
])('%j is not', (service) => expect(about(service)).toEqual([]))

const web = (service: object): readonly string[] =>
  findImageVolumes(
    projectOf(JSON.stringify({ services: { web: { build: '.', ...service } } })),
    ['web'],
    ['/app/static/', '/data'],
  ).map(({ target }) => target)

test.each<[object, string[]]>([
  [{}, ['/app/static', '/data']],
  [{ volumes: ['static:/app/static', './d:/data/'] }, []],
  [{ volumes: ['static:/app'], tmpfs: ['/data:size=1m'] }, ['/app/static']],
  [{ volumes: ['/data'] }, ['/app/static']],
])('volumes of an image with %j in the Compose file: %j are left', (service, left) =>
  expect(web(service)).toEqual(left),
)

test.each([
  ['/app', true],
  ['/app/src', true],
  ['/app/static', false],
  ['/ap', false],
])('an image volume at %s is over /app/src/manage.py: %s', (target, isOver) => {
  const check = (): void => checkImageVolumes([{ service: 'web', target }], '/app/src/manage.py')
  if (isOver) expect(check).toThrow(expect.objectContaining({ seen: expect.stringContaining(`VOLUME ${target};`) }))
  else expect(check).not.toThrow()
  expect(() => checkImageVolumes([{ service: 'web', target }], undefined)).not.toThrow()
})
